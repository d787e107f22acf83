//! The floor: what a proxy costs that does nothing but its job, for `cargo xtask bench`.
//!
//! tokio, httparse and rustls, one thread. It drops what must be dropped and sets the visitor's
//! name; it knows no timers, limits, logins, metrics, logs, and no refusal. The gateway's features
//! cost what the gateway costs more.
//!
//! `bench-floor LISTEN BACK-END DIRECTORY plain|mutual`; it ends with its standard input.

mod head;
mod proxy;
mod upstream;

use std::io;
use std::net::SocketAddr;
use std::path::Path;
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result, bail};
use gateway_bench::tls::{self, Pair};
use tokio::net::TcpListener;
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

use crate::upstream::Upstream;

fn main() -> ExitCode {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match run(&arguments) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-floor: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<()> {
    let [listen, back_end, directory, tls] = arguments else {
        bail!("usage: bench-floor LISTEN BACK-END DIRECTORY plain|mutual");
    };
    let listen: SocketAddr = listen.parse().context("LISTEN")?;
    let back_end: SocketAddr = back_end.parse().context("BACK-END")?;
    let directory = Path::new(directory);
    let server = tls::server(&Pair::of(directory, "server"))?;
    let acceptor = TlsAcceptor::from(Arc::new(server));
    let upstream = match tls.as_str() {
        "plain" => Upstream::plain(back_end),
        "mutual" => {
            let own = Pair::of(directory, "authentication");
            let client = tls::mutual_client(&directory.join("ca.pem"), &own)?;
            Upstream::mutual(back_end, client)?
        }
        other => bail!("{other:?} is neither plain nor mutual"),
    };
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no runtime")?;
    LocalSet::new().block_on(&runtime, async {
        let listener = TcpListener::bind(listen).await.context("cannot listen")?;
        spawn_local(accept(listener, acceptor, Rc::new(upstream)));
        // Whoever started this has gone when the sender is dropped.
        let (alive, gone) = oneshot::channel::<()>();
        thread::spawn(move || {
            let _alive = alive;
            if let Err(error) = io::copy(&mut io::stdin(), &mut io::sink()) {
                eprintln!("bench-floor: standard input: {error}");
            }
        });
        gone.await.unwrap_or_default();
        Ok(())
    })
}

async fn accept(listener: TcpListener, acceptor: TlsAcceptor, upstream: Rc<Upstream>) {
    loop {
        let stream = match listener.accept().await {
            Ok((stream, _)) => stream,
            Err(error) => {
                eprintln!("bench-floor: cannot accept: {error}");
                continue;
            }
        };
        let (acceptor, upstream) = (acceptor.clone(), Rc::clone(&upstream));
        spawn_local(async move {
            let served = async {
                stream.set_nodelay(true)?;
                let stream = acceptor.accept(stream).await?;
                proxy::serve(stream, &upstream).await
            };
            if let Err(error) = served.await {
                eprintln!("bench-floor: {error:#}");
            }
        });
    }
}
