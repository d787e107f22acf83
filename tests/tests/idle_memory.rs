//! What an idle connection costs: no payload buffer, and little else.

#![allow(
    clippy::expect_used,
    clippy::indexing_slicing,
    clippy::panic,
    clippy::unwrap_used,
    reason = "a failed step is a failed test"
)]

use std::time::Duration;

use gateway_tests::harness::{ALICE, Backend, Client, Gateway, Request, Setup, poll, scale};

#[test]
fn idle_connections_that_served_a_request_are_small() {
    let backend = Backend::recording();
    let gateway = patient(&backend);
    let grown = each_costs(&gateway, |client| {
        client.ask(&Request::get("/small").by(&ALICE)).expect(200);
    });
    assert!(grown <= LIMIT, "{grown} bytes each");
}

#[test]
fn connections_that_never_asked_are_small() {
    let backend = Backend::recording();
    let gateway = patient(&backend);
    let grown = each_costs(&gateway, |_| {});
    assert!(grown <= LIMIT, "{grown} bytes each");
}

/// What a big message needed goes back when it is over.
#[test]
fn idle_connections_that_moved_much_are_small() {
    let backend = Backend::recording();
    let gateway = patient(&backend);
    let body = vec![b'x'; 100_000];
    let grown = each_costs(&gateway, |client| {
        client
            .ask(&Request::post("/big", &body).by(&ALICE))
            .expect(200);
    });
    assert!(grown <= LIMIT, "{grown} bytes each");
}

/// A gateway that closes nothing for being idle while the test opens its connections.
fn patient(backend: &Backend) -> Gateway {
    Setup::connect(backend)
        // All come from one address.
        .line("limits", "connections_per_address = 8192")
        .line("timeouts", "head = \"10m\"")
        .line("timeouts", "idle = \"10m\"")
        .start()
}

/// How much more is resident for each of many connections, once `prepare` has used each.
fn each_costs(gateway: &Gateway, prepare: impl Fn(&mut Client)) -> u64 {
    let open = |count: usize| -> Vec<Client> {
        (0..count)
            .map(|_| {
                let mut client = gateway.client();
                prepare(&mut client);
                client
            })
            .collect()
    };
    // Caches, pools and free lists fill up first.
    let warm = open(WARM);
    let before = resident(gateway);
    let count = scale(300, 5000);
    let clients = open(count);
    let after = resident(gateway);
    let each = after.saturating_sub(before) / count as u64;
    println!("{count} connections: {each} bytes resident each");
    // Each is alive: none was closed to save memory.
    for mut client in warm.into_iter().chain(clients) {
        client.ask(&Request::get("/alive").by(&ALICE)).expect(200);
    }
    each
}

/// What is resident once the gateway has nothing left to do.
fn resident(gateway: &Gateway) -> u64 {
    poll::settled("the gateway's memory", STILL, || gateway.resident_memory())
}

/// The limit of the issue.
const LIMIT: u64 = 12 * 1024;

const WARM: usize = 200;

const STILL: Duration = Duration::from_millis(200);
