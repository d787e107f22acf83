//! Passwords, sessions, and their limits.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::io::Write as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use gateway_tests::harness::{
    ALICE, App, BOB, Backend, CAROL, GENERIC, HANDSHAKE, LARGE, OTHER, Pool, Request, SLOW, Setup,
    User, gateway_binary, poll,
};

#[test]
fn each_kind_of_hash_is_checked() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    for user in [ALICE, BOB, CAROL] {
        gateway.ask(&Request::get("/").by(&user)).expect(200);
        assert_eq!(backend.one().field("x-auth-username"), Some(user.name));
        for wrong in [
            "",
            "wrong",
            &user.password[1..],
            &format!("{} ", user.password),
            &user.password.to_uppercase(),
        ] {
            let request = Request::get("/").field("Authorization", &user.basic_with(wrong));
            let status = gateway.ask(&request).status;
            assert!(
                matches!(status, 401 | 429),
                "{}: {wrong:?}: {status}",
                user.name
            );
        }
    }
    let nobody = [
        User {
            name: "mallory",
            ..ALICE
        },
        User {
            name: "Alice",
            ..ALICE
        },
        User {
            name: "alice ",
            ..ALICE
        },
        User { name: "", ..ALICE },
        User {
            name: "alice",
            ..BOB
        },
    ];
    for user in nobody {
        let status = gateway.ask(&Request::get("/").by(&user)).status;
        assert!(matches!(status, 401 | 429), "{user:?}: {status}");
    }
    assert_eq!(backend.requests(), []);
}

#[test]
fn hash_password_makes_usable_hashes() {
    let mut child = Command::new(gateway_binary())
        .arg("hash-password")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    child
        .stdin
        .take()
        .unwrap()
        .write_all("gr\u{fc}n: und \u{20ac}\n".as_bytes())
        .unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success());
    let hash = String::from_utf8(output.stdout).unwrap();
    assert!(hash.starts_with("$argon2id$v=19$"), "{hash}");
    let user = User {
        name: "dave",
        password: "gr\u{fc}n: und \u{20ac}",
        hash: hash.trim_end().to_owned().leak(),
    };
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .realm("staff", &[user], &[])
        .start();
    gateway.ask(&Request::get("/").by(&user)).expect(200);
    assert_eq!(backend.one().field("x-auth-username"), Some("dave"));
    let wrong = user.basic_with("gr\u{fc}n");
    gateway
        .ask(&Request::get("/").field("Authorization", &wrong))
        .expect_json(401);
}

#[test]
fn a_login_begins_a_session() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let answer = gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    let cookie = answer.field("set-cookie").expect("a session");
    let (pair, attributes) = cookie.split_once("; ").unwrap();
    let value = pair
        .strip_prefix("__Host-gateway-staff=")
        .expect("the realm's name");
    // 256 bits in unpadded base64.
    assert_eq!(value.len(), 43);
    let mut attributes: Vec<_> = attributes.split("; ").map(str::to_lowercase).collect();
    attributes.sort();
    assert_eq!(attributes, ["httponly", "path=/", "samesite=lax", "secure"]);
    // No shared cache may keep it.
    assert_eq!(answer.all("cache-control"), ["private"]);

    // It stands for the password from here on, and is not set again.
    let mut client = gateway.client();
    for _ in 0..3 {
        let answer = client
            .ask(&Request::get("/").field("Cookie", pair))
            .expect(200);
        assert_eq!(answer.field("set-cookie"), None);
        assert_eq!(answer.field("cache-control"), None);
        let answer = client
            .ask(&Request::get("/").by(&ALICE).field("Cookie", pair))
            .expect(200);
        assert_eq!(answer.field("set-cookie"), None);
    }
    assert_eq!(gateway.metrics().sum("connect_gateway_sessions", &[]), 1.0);
    assert!(
        backend
            .take()
            .iter()
            .all(|one| one.field("x-auth-username") == Some(ALICE.name))
    );

    // Nothing but the secret itself is the secret.
    for forged in [
        format!("__Host-gateway-staff={}", "A".repeat(43)),
        format!("__Host-gateway-staff={}", &value[1..]),
        format!("__Host-gateway-staff={value}="),
        format!("__Host-gateway-staff=\"{value}\""),
        format!("__Host-gateway-staff={}", value.to_lowercase()),
        format!("__host-gateway-staff={value}"),
        format!("gateway-staff={value}"),
        format!("__Host-gateway-staffx={value}"),
        format!("={pair}"),
        "__Host-gateway-staff=".to_owned(),
    ] {
        client
            .ask(&Request::get("/").field("Cookie", &forged))
            .expect_json(401);
    }
    // Two of them: whichever a reader would take, no one shall choose.
    let twice = format!("{pair}; __Host-gateway-staff={}", "A".repeat(43));
    let status = client
        .ask(&Request::get("/").field("Cookie", &twice))
        .status;
    let identities: Vec<_> = backend.take();
    assert!(status == 401 && identities.is_empty() || status == 200 && identities.len() == 1);
}

#[test]
fn sessions_are_not_fixed_by_the_client() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend).start();
    let chosen = format!("__Host-gateway-staff={}", "A".repeat(43));
    let answer = gateway
        .ask(&Request::get("/").by(&ALICE).field("Cookie", &chosen))
        .expect(200);
    let cookie = answer
        .field("set-cookie")
        .expect("a session of the gateway's own making");
    assert!(!cookie.starts_with(&chosen), "{cookie}");
    gateway
        .ask(&Request::get("/").field("Cookie", &chosen))
        .expect_json(401);
    // Another login is another session.
    let again = gateway.ask(&Request::get("/").by(&BOB)).expect(200);
    assert_ne!(
        again.field("set-cookie").map(|value| &value[..60]),
        Some(&cookie[..60])
    );
}

#[test]
fn a_session_opens_a_websocket_without_a_password() {
    let backend = Backend::scripted(|conn| {
        while let Some(request) = conn.request() {
            if request.field("upgrade").is_none() {
                conn.send(gateway_tests::harness::OK);
                continue;
            }
            assert_eq!(request.field("x-auth-username"), Some(ALICE.name));
            assert_eq!(request.field("cookie"), None);
            conn.send(
                b"HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                  Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n",
            );
            while let Some(bytes) = conn.exactly(4) {
                conn.send(&bytes);
            }
            return;
        }
    });
    let gateway = Setup::connect(&backend).start();
    let answer = gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    let cookie = answer
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let mut client = gateway.client();
    client.send(
        &Request::get("/ws")
            .fields(HANDSHAKE)
            .field("Cookie", &cookie)
            .field("Origin", "https://connect.test")
            .bytes(),
    );
    assert_eq!(client.answer().status, 101);
    client.send(b"ping");
    assert_eq!(client.raw(4), b"ping");
    // Without it the handshake ends before it begins.
    gateway
        .ask(&Request::get("/ws").fields(HANDSHAKE))
        .expect_json(401);
}

#[test]
fn realms_do_not_share_sessions_and_apps_of_one_realm_do() {
    let backend = Backend::recording();
    let other = App::new(
        "other",
        "generic",
        &format!("https://{OTHER}/"),
        "other",
        "connect",
    );
    let gateway = Setup::connect(&backend)
        .realm("other", &[ALICE], &[])
        .app(App::generic("connect"))
        .app(other)
        .start();
    let answer = gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    let cookie = answer
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    let with = |cookie: &str| Request::get("/").field("Cookie", cookie);
    gateway.ask_on(GENERIC, with(&cookie)).expect(200);
    gateway.ask_on(OTHER, with(&cookie)).expect_json(401);
    let renamed = cookie.replace("-staff=", "-other=");
    gateway.ask_on(OTHER, with(&renamed)).expect_json(401);
    gateway
        .ask_on(OTHER, with(&format!("{cookie}; {renamed}")))
        .expect_json(401);
    let answer = gateway
        .ask_on(OTHER, Request::get("/").by(&ALICE))
        .expect(200);
    let own = answer.field("set-cookie").unwrap();
    assert!(own.starts_with("__Host-gateway-other="), "{own}");
}

#[test]
fn sessions_end() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .realm(
            "staff",
            &[ALICE],
            &["session_lifetime = \"3s\"", "session_idle = \"3s\""],
        )
        .realm(
            "other",
            &[ALICE],
            &["session_lifetime = \"1h\"", "session_idle = \"1s\""],
        )
        .app(App::new(
            "other",
            "generic",
            &format!("https://{OTHER}/"),
            "other",
            "connect",
        ))
        .start();
    let cookie = |host: &str| {
        let answer = gateway
            .ask_on(host, Request::get("/").by(&ALICE))
            .expect(200);
        let cookie = answer.field("set-cookie").unwrap();
        cookie.split(';').next().unwrap().to_owned()
    };
    let alive = |host: &str, cookie: &str| {
        let request = Request::get("/").field("Cookie", cookie);
        gateway.ask_on(host, request).status == 200
    };
    // However busy, a session has a longest life.
    let started = Instant::now();
    let busy = cookie("connect.test");
    assert!(alive("connect.test", &busy));
    poll::until("the session's life is over", || {
        (!alive("connect.test", &busy)).then_some(())
    });
    assert!(
        started.elapsed() >= Duration::from_secs(2),
        "it ended early"
    );
    // However young, it ends in silence; that cannot be watched without disturbing it.
    let silent = cookie(OTHER);
    assert!(alive(OTHER, &silent));
    std::thread::sleep(Duration::from_millis(2500));
    assert!(!alive(OTHER, &silent));
    // The password still is one.
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
}

#[test]
fn a_verified_password_is_not_hashed_each_time() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 1")
        .start();
    let mut client = gateway.client();
    for _ in 0..20 {
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
    }
    let hashes = || {
        gateway
            .metrics()
            .sum("connect_gateway_password_hashes_total", &[])
    };
    assert_eq!(hashes(), 1.0);
    // A wrong one is hashed each time, also of a user who is known.
    for at in 2..5 {
        let wrong = ALICE.basic_with("wrong");
        client
            .ask(&Request::get("/").field("Authorization", &wrong))
            .expect_json(401);
        assert_eq!(hashes(), f64::from(at));
    }
    client.ask(&Request::get("/").by(&ALICE)).expect(200);
    assert_eq!(hashes(), 4.0);
}

#[test]
fn failures_are_limited_by_account() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .realm("staff", &[ALICE, BOB, CAROL], &["failures_per_account = 3"])
        .start();
    let session = gateway.ask(&Request::get("/").by(&BOB)).expect(200);
    let session = session
        .field("set-cookie")
        .unwrap()
        .split(';')
        .next()
        .unwrap()
        .to_owned();
    for user in [
        BOB,
        User {
            name: "mallory",
            ..BOB
        },
    ] {
        let wrong = |at: usize| {
            Request::get("/").field("Authorization", &user.basic_with(&format!("wrong-{at}")))
        };
        for at in 0..3 {
            gateway.ask(&wrong(at)).expect_json(401);
        }
        for at in 3..6 {
            let answer = gateway.ask(&wrong(at)).expect_json(429);
            let seconds: u32 = answer
                .field("retry-after")
                .expect("when to try again")
                .parse()
                .unwrap();
            assert!((1..=60).contains(&seconds), "{seconds}");
        }
    }
    // A script that guesses must not lock out who is logged in, nor anybody else.
    gateway
        .ask(&Request::get("/").field("Cookie", &session))
        .expect(200);
    gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
    // On no lane is it any different.
    let wrong = BOB.basic_with("wrong");
    let discovery = Request::get("/__api__/server_settings").field("Authorization", &wrong);
    gateway.ask(&discovery).expect_json(429);
    gateway.counted(
        "connect_gateway_auth_failures_total",
        &[("cause", "rate_limited_account")],
        7.0,
    );
    gateway.counted(
        "connect_gateway_auth_failures_total",
        &[("cause", "wrong_password")],
        6.0,
    );
}

#[test]
fn failures_are_limited_by_address() {
    let backend = Backend::recording();
    let gateway = Setup::connect(&backend)
        .realm(
            "staff",
            &[ALICE, BOB],
            &["failures_per_address = 3", "failures_per_account = 100"],
        )
        .start();
    for name in ["mallory", "trudy", "oscar"] {
        gateway
            .ask(&Request::get("/").by(&User { name, ..ALICE }))
            .expect_json(401);
    }
    // Now not even the right password helps: else guessing would go on.
    gateway.ask(&Request::get("/").by(&ALICE)).expect_json(429);
    gateway
        .ask(&Request::get("/").by(&User {
            name: "eve",
            ..ALICE
        }))
        .expect_json(429);
    gateway.counted(
        "connect_gateway_auth_failures_total",
        &[("cause", "rate_limited_address")],
        2.0,
    );
    gateway
        .ask(&Request::get("/").field("Authorization", "Key abcdefgh"))
        .expect(200);
}

#[test]
fn many_people_behind_one_address_log_in_at_once() {
    let backend = Backend::recording();
    let users: Vec<User> = PEOPLE.iter().map(|name| User { name, ..SLOW }).collect();
    let gateway = Setup::connect(&backend)
        .realm("staff", &users, &["failures_per_address = 5"])
        .start();
    std::thread::scope(|scope| {
        for user in &users {
            let gateway = &gateway;
            scope.spawn(move || gateway.ask(&Request::get("/").by(user)).expect(200));
        }
    });
    // Failures still count, however many are made at once.
    let statuses: Vec<u16> = (0..12)
        .map(|at| {
            let wrong = users[at].basic_with("wrong");
            let request = Request::get("/").field("Authorization", &wrong);
            gateway.ask(&request).status
        })
        .collect();
    assert_eq!(statuses, [[401; 5].as_slice(), &[429; 7]].concat());
}

#[test]
fn logins_leave_no_memory_behind() {
    let backend = Backend::recording();
    let lines = ["failures_per_account = 1000", "failures_per_address = 1000"];
    let gateway = Setup::connect(&backend)
        .realm("staff", &[LARGE], &lines)
        .start();
    gateway.ask(&Request::get("/").by(&LARGE)).expect(200);
    // Each thread that hashes keeps the memory of one hash.
    let before = gateway.reset_peak_memory();
    for at in 0..20 {
        let wrong = LARGE.basic_with(&format!("wrong-{at}"));
        let request = Request::get("/").field("Authorization", &wrong);
        gateway.ask(&request).expect_json(401);
    }
    let threads = std::thread::available_parallelism().map_or(1, |cpus| (cpus.get() / 2).max(1));
    let bound = threads as u64 * 20 * 1024 * 1024;
    let grown = gateway.peak_memory().saturating_sub(before);
    assert!(grown < bound, "{grown} bytes more resident at the peak");
}

#[test]
fn an_unknown_user_takes_as_much_work_as_a_wrong_password() {
    // Work is measured in the gateway's own CPU time: wall-clock would depend on who else is busy.
    let backend = Backend::recording();
    let lenient = ["failures_per_address = 1000", "failures_per_account = 1000"];
    let gateway = Setup::connect(&backend)
        .realm("staff", &[SLOW], &lenient)
        .start();
    let mut client = gateway.client();
    let mut work = |user: User, password: &str| {
        let wrong = user.basic_with(password);
        let request = Request::get("/").field("Authorization", &wrong);
        let before = gateway.cpu_time();
        for _ in 0..10 {
            client.ask(&request).expect_json(401);
        }
        gateway.cpu_time().saturating_sub(before)
    };
    let wrong = work(SLOW, "wrong");
    let nobody = User {
        name: "nobody",
        ..SLOW
    };
    let unknown = work(nobody, SLOW.password);
    assert!(
        wrong > Duration::from_millis(100),
        "ten hashes in {wrong:?}"
    );
    let ratio = wrong.as_secs_f64() / unknown.as_secs_f64();
    assert!(
        (0.67..1.5).contains(&ratio),
        "{wrong:?} against {unknown:?}"
    );
}

#[test]
fn hashing_holds_nobody_else_up() {
    let backend = Backend::recording();
    let lenient = ["failures_per_address = 1000", "failures_per_account = 1000"];
    let gateway = Setup::connect(&backend)
        .line("gateway", "workers = 1")
        .realm("staff", &[SLOW], &lenient)
        .start();
    let wrong = Request::get("/").field("Authorization", &SLOW.basic_with("wrong"));
    let mut busy: Vec<_> = (0..12).map(|_| gateway.client()).collect();
    let mut quick = gateway.client();
    for client in &mut busy {
        client.send(&wrong.bytes());
    }
    quick
        .ask(&Request::get("/").field("Authorization", "Key abcdefgh"))
        .expect(200);
    // The twelve hashes are not done yet, so the one worker did not wait for them.
    assert!(
        busy.iter_mut()
            .any(|client| client.is_silent(Duration::from_millis(1)))
    );
    for client in &mut busy {
        client.answer().expect_json(401);
    }
}

#[test]
fn names_are_sent_as_configured() {
    let backend = Backend::recording();
    let users = [
        User {
            name: "DOMAIN\\alice",
            ..ALICE
        },
        User {
            name: "alice@example.com",
            ..ALICE
        },
        User {
            name: "Alice B.",
            ..ALICE
        },
    ];
    let gateway = Setup::new()
        .realm("staff", &users, &[])
        .pool(Pool::plain("connect", backend.address()))
        .app(App::connect().identity("username = \"X-Secret-7f3a\""))
        .start();
    for user in users {
        gateway.ask(&Request::get("/").by(&user)).expect(200);
        let received = backend.one();
        assert_eq!(received.field("X-Secret-7f3a"), Some(user.name));
        assert_eq!(received.field("X-Auth-Username"), None);
    }
}

/// More people than one address may make mistakes.
const PEOPLE: [&str; 12] = [
    "anna", "bert", "cleo", "dora", "emil", "fred", "gina", "hans", "ida", "jan", "kim", "lea",
];
