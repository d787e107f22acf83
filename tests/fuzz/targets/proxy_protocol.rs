//! A PROXY protocol header means the same however it arrives, no byte after it matters, and what it
//! names is read again once it is written in either version.
//!
//! Input: one byte, the size of the pieces; then what a connection begins with.

#![no_main]

use std::net::{IpAddr, SocketAddr};

use libfuzzer_sys::fuzz_target;
use wire::{ProxyError, ProxyHeader};

fuzz_target!(|data: &[u8]| {
    let Some((size, bytes)) = data.split_first() else {
        return;
    };
    let whole = ProxyHeader::parse(bytes);
    assert_eq!(
        whole,
        in_pieces(bytes, usize::from(*size).max(1)),
        "the header depends on how it arrives"
    );
    match whole {
        Ok(Some(header)) => {
            assert!((1..=bytes.len().min(ProxyHeader::MAX)).contains(&header.length));
            assert!(ProxyHeader::is_at_start(bytes));
            let alone = ProxyHeader::parse(&bytes[..header.length]);
            assert_eq!(alone, whole, "what follows matters");
            if let Some(source) = header.source {
                for written in [version_1(source), version_2(source)] {
                    let header = ProxyHeader {
                        length: written.len(),
                        source: Some(source),
                    };
                    assert_eq!(ProxyHeader::parse(&written), Ok(Some(header)));
                }
            }
        }
        Ok(None) => assert!(bytes.len() < ProxyHeader::MAX),
        Err(error) => {
            let signed = ProxyHeader::is_at_start(bytes);
            assert_eq!(signed, error != ProxyError::Absent);
        }
    }
});

fn in_pieces(bytes: &[u8], size: usize) -> Result<Option<ProxyHeader>, ProxyError> {
    let mut seen = 0;
    loop {
        seen = bytes.len().min(seen + size);
        let found = ProxyHeader::parse(&bytes[..seen]);
        if found != Ok(None) || seen == bytes.len() {
            return found;
        }
    }
}

fn version_1(source: SocketAddr) -> Vec<u8> {
    let family = if source.is_ipv4() { "TCP4" } else { "TCP6" };
    let (address, port) = (source.ip(), source.port());
    format!("PROXY {family} {address} {address} {port} 1\r\n").into_bytes()
}

fn version_2(source: SocketAddr) -> Vec<u8> {
    let (family, address) = match source.ip() {
        IpAddr::V4(v4) => (0x11, v4.octets().to_vec()),
        IpAddr::V6(v6) => (0x21, v6.octets().to_vec()),
    };
    let mut block = [&address[..], &address].concat();
    block.extend(source.port().to_be_bytes());
    block.extend([0, 1]);
    let mut out = b"\r\n\r\n\0\r\nQUIT\n".to_vec();
    out.extend([0x21, family, 0, block.len() as u8]);
    out.extend(block);
    out
}
