//! `connect-gateway`: see the library's documentation, and `connect-gateway help`.

use std::process::ExitCode;

fn main() -> ExitCode {
    connect_gateway::main()
}
