//! Numbers and addresses as text, in memory of their own size: no allocation, no formatter.

use std::fmt::{self, Write};
use std::net::IpAddr;

/// A number in decimal digits, without a sign or leading zeros.
#[derive(Clone, Copy, Debug)]
pub struct Decimal {
    digits: [u8; Self::MOST],
    start: usize,
}

impl Decimal {
    /// The digits of a number.
    pub fn of(mut number: u64) -> Self {
        let mut text = Self {
            digits: [0; Self::MOST],
            start: Self::MOST,
        };
        for digit in text.digits.iter_mut().rev() {
            *digit = b'0' + (number % 10) as u8;
            number /= 10;
            text.start -= 1;
            if number == 0 {
                break;
            }
        }
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.digits.get(self.start..).unwrap_or_default()
    }

    /// `u64::MAX` has so many digits.
    const MOST: usize = 20;
}

/// An IP address, as `Display` shows it.
#[derive(Clone, Copy, Debug)]
pub struct AddressText {
    bytes: [u8; Self::MOST],
    len: usize,
}

impl AddressText {
    /// The text of an address.
    pub fn of(address: IpAddr) -> Self {
        let mut text = Self {
            bytes: [0; Self::MOST],
            len: 0,
        };
        match address {
            IpAddr::V4(address) => {
                for (index, octet) in address.octets().into_iter().enumerate() {
                    if index > 0 {
                        text.push(b'.');
                    }
                    for unit in [100, 10, 1] {
                        if octet >= unit || unit == 1 {
                            text.push(b'0' + octet / unit % 10);
                        }
                    }
                }
            }
            IpAddr::V6(address) => {
                let written = write!(text, "{address}");
                debug_assert!(written.is_ok());
            }
        }
        text
    }

    /// The text.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }

    /// Appends a byte, if it fits.
    fn push(&mut self, byte: u8) {
        if let Some(slot) = self.bytes.get_mut(self.len) {
            *slot = byte;
            self.len += 1;
        }
    }

    /// The longest is an IPv6 address that ends with an IPv4 address.
    const MOST: usize = 45;
}

impl Write for AddressText {
    fn write_str(&mut self, part: &str) -> fmt::Result {
        part.bytes().for_each(|byte| self.push(byte));
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_longest_fit() {
        assert_eq!(Decimal::of(u64::MAX).as_bytes().len(), Decimal::MOST);
        for address in [
            "::ffff:255.255.255.255",
            "1111:2222:3333:4444:5555:6666:7777:8888",
        ] {
            let address: IpAddr = address.parse().unwrap();
            let text = AddressText::of(address);
            assert_eq!(text.as_bytes(), address.to_string().as_bytes());
        }
    }

    proptest! {
        #[test]
        fn numbers_are_shown_as_by_the_formatter(number: u64, shift in 0_u32..64) {
            let text = Decimal::of(number >> shift).as_bytes().to_vec();
            prop_assert_eq!(String::from_utf8(text).unwrap(), (number >> shift).to_string());
        }

        #[test]
        fn addresses_are_shown_as_by_the_formatter(address: IpAddr) {
            let text = AddressText::of(address).as_bytes().to_vec();
            prop_assert_eq!(String::from_utf8(text).unwrap(), address.to_string());
        }
    }
}
