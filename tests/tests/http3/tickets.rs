//! Session tickets.

use std::sync::{Arc, Mutex};

use gateway_tests::harness::{ALICE, Backend, CONNECT, Http3, Request};
use rustls::NamedGroup;
use rustls::client::{
    ClientSessionStore, Resumption, Tls12ClientSessionValue, Tls13ClientSessionValue,
};
use rustls::pki_types::ServerName;

use crate::gateway;

/// A browser has one connection at once, and needs one for the next.
#[test]
fn each_connection_brings_one() {
    let backend = Backend::recording();
    let gateway = gateway(&backend);
    let tickets = Arc::new(Tickets::default());
    let mut tls = gateway.http3_tls();
    tls.resumption = Resumption::store(Arc::clone(&tickets) as Arc<dyn ClientSessionStore>);
    for count in 1..4 {
        let client = Http3::connect(gateway.address(), tls.clone(), CONNECT);
        // It comes with the end of the handshake.
        client.ask(&Request::get("/").by(&ALICE)).expect(200);
        let state = tickets.0.lock().unwrap();
        assert_eq!((state.came, state.used), (count, count - 1));
    }
}

/// How many came and were used, and the last.
#[derive(Debug, Default)]
struct Tickets(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    came: u32,
    used: u32,
    last: Option<Tls13ClientSessionValue>,
}

impl ClientSessionStore for Tickets {
    fn set_kx_hint(&self, _: ServerName<'static>, _: NamedGroup) {}

    fn kx_hint(&self, _: &ServerName<'_>) -> Option<NamedGroup> {
        None
    }

    fn set_tls12_session(&self, _: ServerName<'static>, _: Tls12ClientSessionValue) {}

    fn tls12_session(&self, _: &ServerName<'_>) -> Option<Tls12ClientSessionValue> {
        None
    }

    fn remove_tls12_session(&self, _: &ServerName<'static>) {}

    fn insert_tls13_ticket(&self, _: ServerName<'static>, ticket: Tls13ClientSessionValue) {
        let mut state = self.0.lock().unwrap();
        state.came += 1;
        state.last = Some(ticket);
    }

    fn take_tls13_ticket(&self, _: &ServerName<'static>) -> Option<Tls13ClientSessionValue> {
        let mut state = self.0.lock().unwrap();
        let last = state.last.take();
        state.used += u32::from(last.is_some());
        last
    }
}
