//! The wall clock jumps, as when a virtual machine wakes up or its time is set.

use gateway_tests::harness::{ALICE, BOB, Backend, Request, Setup, poll};

/// Only what tells the time of day may follow: nothing that measures a time is measured by it.
#[test]
fn a_clock_that_jumps_ends_nothing() {
    let backend = Backend::recording();
    let setup = Setup::connect(&backend).realm(
        "staff",
        &[ALICE, BOB],
        &["password_cache = \"1h\"", "failures_per_account = 1"],
    );
    let offset = setup.write("offset", "+0");
    let prepared = setup.prepare();
    let file = format!("FAKETIME_TIMESTAMP_FILE={}", offset.display());
    let library = format!("LD_PRELOAD={}", faketime());
    // The monotonic clock never jumps, so it is not faked.
    let launcher = [
        "env",
        &file,
        &library,
        "FAKETIME_DONT_FAKE_MONOTONIC=1",
        "FAKETIME_NO_CACHE=1",
    ];
    let gateway = prepared.start_by(&launcher);
    let mut kept = gateway.client();
    let first = kept.ask(&Request::get("/").by(&ALICE)).expect(200);
    let cookie = first.field("set-cookie").expect("a session");
    let cookie = cookie.split(';').next().unwrap().to_owned();
    let wrong = Request::get("/").field("Authorization", "Basic Ym9iOndyb25n");
    for status in [401, 429] {
        gateway.ask(&wrong).expect(status);
    }
    let hashed = || {
        gateway
            .metrics()
            .sum("connect_gateway_password_hashes_total", &[])
    };
    let hashes = hashed();
    let today = logged_day(&gateway, "/day0");
    for (number, jump) in ["+400d", "-400d", "+0"].into_iter().enumerate() {
        std::fs::write(&offset, jump).unwrap();
        let target = format!("/day{}", number + 1);
        // A sign that the jump has happened: the log has another day.
        let day = poll::until("the clock has jumped", || {
            let day = logged_day(&gateway, &target);
            ((day == today) == (jump == "+0")).then_some(day)
        });
        eprintln!("{today}, then {day}");
        // An open connection, a session, a password that was verified and one that is limited.
        kept.ask(&Request::get("/").by(&ALICE)).expect(200);
        let session = Request::get("/").field("Cookie", &cookie);
        gateway.ask(&session).expect(200);
        gateway.ask(&Request::get("/").by(&ALICE)).expect(200);
        assert_eq!(hashed(), hashes, "a verified password is not hashed again");
        gateway.ask(&wrong).expect(429);
    }
}

/// The day that the log gives a request to this target.
fn logged_day(gateway: &gateway_tests::harness::Gateway, target: &str) -> String {
    let before = gateway.access_log().len();
    gateway.ask(&Request::get(target).by(&ALICE)).expect(200);
    poll::until("the request is logged", || {
        let lines = gateway.access_log().split_off(before);
        let line = lines.into_iter().find(|line| line["path"] == target)?;
        Some(line["time"].as_str().unwrap()[..10].to_owned())
    })
}

/// Debian's libfaketime, on whichever architecture.
fn faketime() -> String {
    let directories = std::fs::read_dir("/usr/lib").unwrap();
    let mut libraries =
        directories.map(|entry| entry.unwrap().path().join("faketime/libfaketime.so.1"));
    let library = libraries.find(|path| path.is_file());
    let library = library.expect("libfaketime (cargo xtask setup --test)");
    library.to_str().unwrap().to_owned()
}
