//! `cargo xtask bench`.

use std::process::ExitCode;

fn main() -> ExitCode {
    gateway_bench::cli::main()
}
