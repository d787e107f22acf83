//! The attacker as a process: see `gateway_tests::attacker`.

fn main() -> anyhow::Result<()> {
    gateway_tests::attacker::main()
}
