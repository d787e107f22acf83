//! The Connect double as a process: see `gateway_tests::double`.

use std::io::{self, Write};
use std::net::SocketAddr;
use std::path::PathBuf;

use clap::Parser;
use gateway_tests::double::{Double, Options, TEST_API_KEY, TlsFiles, USERNAME_HEADER};

/// Plays Posit Connect and a DeployR-like back-end, and shows what it was sent.
///
/// Prints one JSON line with its addresses when it is ready.
#[derive(Parser)]
struct Arguments {
    /// Serve Connect here, plain HTTP
    #[arg(long, value_name = "ADDRESS")]
    connect: Option<SocketAddr>,
    /// Serve the DeployR-like app here, TLS with a client certificate
    #[arg(long, value_name = "ADDRESS", requires_all = ["tls_cert", "tls_key", "client_ca"])]
    deployr: Option<SocketAddr>,
    /// Serve `/requests` here, plain HTTP
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:0")]
    inspect: SocketAddr,
    /// Certificate chain of the DeployR-like app, PEM
    #[arg(long, value_name = "FILE")]
    tls_cert: Option<PathBuf>,
    /// Its private key, PEM
    #[arg(long, value_name = "FILE")]
    tls_key: Option<PathBuf>,
    /// The authorities that sign acceptable client certificates, PEM
    #[arg(long, value_name = "FILE")]
    client_ca: Option<PathBuf>,
    /// An API key that Connect knows; may be repeated
    #[arg(long, value_name = "KEY", default_value = TEST_API_KEY)]
    api_key: Vec<String>,
    /// The header that names the visitor
    #[arg(long, value_name = "NAME", default_value = USERNAME_HEADER)]
    username_header: String,
    /// End when standard input does
    #[arg(long)]
    exit_with_stdin: bool,
}

fn main() -> anyhow::Result<()> {
    let arguments = Arguments::parse();
    let exit_with_stdin = arguments.exit_with_stdin;
    let double = Double::start(&options(arguments))?;
    let mut stdout = io::stdout().lock();
    writeln!(stdout, "{}", double.to_json())?;
    stdout.flush()?;
    if exit_with_stdin {
        return Ok(io::copy(&mut io::stdin().lock(), &mut io::sink()).map(drop)?);
    }
    loop {
        std::thread::park();
    }
}

fn options(arguments: Arguments) -> Options {
    let tls = match (arguments.tls_cert, arguments.tls_key, arguments.client_ca) {
        (Some(certificate), Some(key), Some(client_ca)) => Some(TlsFiles {
            certificate,
            key,
            client_ca,
        }),
        _ => None,
    };
    Options {
        connect: arguments.connect,
        deployr: arguments.deployr,
        inspect: arguments.inspect,
        tls,
        api_keys: arguments.api_key,
        username_header: arguments.username_header,
    }
}
