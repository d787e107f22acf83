//! Connections that come and go, thousands of them.

use std::net::SocketAddr;
use std::sync::Arc;

use gateway_tests::harness::{ALICE, Backend, CONNECT, Gateway, Request, poll, scale};
use quinn::crypto::rustls::QuicClientConfig;
use quinn::{ClientConfig, Endpoint, VarInt};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinSet;
use tokio::time::timeout;

use crate::bystander::{MOST_MEMORY, attacked_within};
use crate::setup;

/// What each connection does before it goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Deed {
    /// It has begun its handshake.
    Knocks,
    /// It has ended it.
    Enters,
    /// It has opened streams, and said a little on each.
    Begins,
}

#[test]
fn connections_that_come_and_go_leave_nothing() {
    let backend = Backend::recording();
    let gateway = setup(&backend)
        .line("gateway", "workers = 1")
        .line("limits", "connections_per_address = 1000")
        .start();
    // QUIC keeps what is left of a connection for three PTOs, whose first is 1 s (RFC 9000 §10.2, RFC 9002
    // §6.2.2): the memory is that of those that came within this time, and serves those that come later.
    let most = MOST_MEMORY + u64::from(count()) * 16 * 1024;
    for deed in [Deed::Knocks, Deed::Enters, Deed::Begins] {
        attacked_within(most, &gateway, || storm(&gateway, deed));
        // Only the bystander was left, and has gone since.
        poll::until(&format!("all places are free after {deed:?}"), || {
            let open = gateway
                .metrics()
                .sum("connect_gateway_connections_open", &[]);
            (open == 0.0).then_some(())
        });
    }
    gateway
        .http3()
        .ask(&Request::get("/").by(&ALICE))
        .expect(200);
    let handshakes = "connect_gateway_http3_handshakes_total";
    let came = f64::from(2 * count());
    gateway.counted(handshakes, &[("listener", "public")], came);
}

fn storm(gateway: &Gateway, deed: Deed) {
    let runtime = Builder::new_multi_thread()
        .worker_threads(1)
        .enable_all()
        .build()
        .unwrap();
    let tls = QuicClientConfig::try_from(gateway.http3_tls()).unwrap();
    let config = ClientConfig::new(Arc::new(tls));
    runtime.block_on(async {
        let endpoint = Endpoint::client(SocketAddr::from(([127, 0, 0, 1], 0))).unwrap();
        let mut visits = JoinSet::new();
        for _ in 0..count() {
            if visits.len() >= AT_ONCE {
                visits.join_next().await.unwrap().unwrap();
            }
            let connecting = endpoint
                .connect_with(config.clone(), gateway.address(), CONNECT)
                .unwrap();
            visits.spawn(async move {
                if deed == Deed::Knocks {
                    // One turn of the driver, for the first packet to go.
                    tokio::task::yield_now().await;
                    return drop(connecting);
                }
                let connected = timeout(poll::patience(), connecting).await;
                let connection = connected.expect("the handshake ends").unwrap();
                if deed == Deed::Begins {
                    for _ in 0..3 {
                        let (mut send, _) = connection.open_bi().await.unwrap();
                        send.write_all(&[0x01, 0x40]).await.unwrap();
                        let mut control = connection.open_uni().await.unwrap();
                        control.write_all(&[0x21]).await.unwrap();
                    }
                }
                connection.close(VarInt::from_u32(0x100), b"");
            });
        }
        while let Some(visit) = visits.join_next().await {
            visit.unwrap();
        }
        timeout(poll::patience(), endpoint.wait_idle())
            .await
            .expect("all connections end");
    });
    gone(runtime);
}

/// Ends a runtime, and with it whatever it was about to send.
fn gone(runtime: Runtime) {
    runtime.shutdown_background();
}

fn count() -> u32 {
    scale(300, 5000)
}

const AT_ONCE: usize = 32;
