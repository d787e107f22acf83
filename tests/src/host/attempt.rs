//! What attempts on the guard are made of.

/// What an attempt sends.
pub fn text(number: u16) -> String {
    format!("attempt-{number}.")
}

/// An address with a port, as text.
pub fn at(ip: &str, port: u16) -> String {
    match ip.contains(':') {
        true => format!("[{ip}]:{port}"),
        false => format!("{ip}:{port}"),
    }
}
