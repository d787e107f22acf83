//! The back-end of a benchmark: `bench-back-end DIRECTORY`, with the certificates.
//!
//! It does as little as can be for an answer, so that it never is what limits the subject. It prints
//! its two addresses as JSON, `{"plain": …, "mutual": …}`, and ends with its standard input.
//!
//! The end of the path says what is answered, whatever stands before it:
//!
//! | path | answer |
//! |---|---|
//! | `…/bytes/N` | 200 with N bytes |
//! | `…/seen` | 200 with the head that came, and how many came before it on its connection |
//! | `…/echo` | a WebSocket that sends each message back |
//! | any other | 200 with one byte, after the body has come |

mod reply;
mod serve;
mod websocket;

use std::io;
use std::net::Ipv4Addr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use std::thread;

use anyhow::{Context, Result};
use gateway_bench::http::HttpError;
use gateway_bench::tls::{self, Pair};
use serde_json::json;
use tokio::net::{TcpListener, TcpStream};
use tokio::runtime;
use tokio::sync::oneshot;
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;

fn main() -> ExitCode {
    let Some(directory) = std::env::args_os().nth(1).map(PathBuf::from) else {
        eprintln!("usage: bench-back-end DIRECTORY");
        return ExitCode::from(2);
    };
    match run(&directory) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("bench-back-end: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(directory: &Path) -> Result<()> {
    let own = Pair::of(directory, "backend");
    let tls = tls::mutual_server(&directory.join("ca.pem"), &own)?;
    let tls = TlsAcceptor::from(Arc::new(tls));
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.context("no runtime")?;
    LocalSet::new().block_on(&runtime, async {
        let plain = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let mutual = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await?;
        let addresses = json!({
            "plain": plain.local_addr()?,
            "mutual": mutual.local_addr()?,
        });
        println!("{addresses}");
        spawn_local(accept(plain, None));
        spawn_local(accept(mutual, Some(tls)));
        // Whoever started this has gone when the sender is dropped.
        let (alive, gone) = oneshot::channel::<()>();
        thread::spawn(move || {
            let _alive = alive;
            if let Err(error) = io::copy(&mut io::stdin(), &mut io::sink()) {
                eprintln!("bench-back-end: standard input: {error}");
            }
        });
        gone.await.unwrap_or_default();
        Ok(())
    })
}

async fn accept(listener: TcpListener, tls: Option<TlsAcceptor>) {
    loop {
        match listener.accept().await {
            Ok((stream, _)) => {
                let tls = tls.clone();
                spawn_local(async move {
                    // A proxy may go in whatever way it likes, also in the middle of an answer: the
                    // generator tells what is an error.
                    if let Err(error) = serve(stream, tls).await
                        && !error.downcast_ref().is_some_and(HttpError::is_end)
                    {
                        eprintln!("bench-back-end: {error:#}");
                    }
                });
            }
            Err(error) => eprintln!("bench-back-end: cannot accept: {error}"),
        }
    }
}

async fn serve(stream: TcpStream, tls: Option<TlsAcceptor>) -> Result<()> {
    stream.set_nodelay(true)?;
    match tls {
        None => serve::run(stream).await,
        Some(tls) => serve::run(tls.accept(stream).await.context("no TLS")?).await,
    }
}
