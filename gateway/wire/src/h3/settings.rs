//! SETTINGS (RFC 9114 §7.2.4).

use bytes::BufMut;

use super::frame;
use super::streams::CONTROL;
use super::varint::{push_varint, split_varint, varint_len};
use super::{Code, Error};

/// What an endpoint says of itself, as far as the gateway or its peers use it.
///
/// The capacity of the dynamic table of QPACK is 0, and so is the number of blocked streams: both
/// are the defaults (RFC 9204 §5), and are not written. What a peer says of its own table is of no
/// use, since no insertion is ever made.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Settings {
    /// SETTINGS_MAX_FIELD_SECTION_SIZE (RFC 9114 §4.2.2): bytes of names and values, and 32 for
    /// each field. Without it there is no bound. Below 2^62.
    pub max_field_section_size: Option<u64>,
    /// SETTINGS_ENABLE_CONNECT_PROTOCOL (RFC 9220 §3): extended CONNECT is served.
    pub enable_connect_protocol: bool,
}

impl Settings {
    /// Appends what a control stream begins with: its type and the SETTINGS frame (§6.2.1).
    pub fn push_control_stream(&self, out: &mut impl BufMut) {
        push_varint(out, CONTROL);
        let lines = || {
            let size = self.max_field_section_size;
            let size = size.map(|size| (MAX_FIELD_SECTION_SIZE, size));
            let connect = self
                .enable_connect_protocol
                .then_some((ENABLE_CONNECT_PROTOCOL, 1));
            size.into_iter().chain(connect)
        };
        let len: usize = lines()
            .map(|(id, value)| varint_len(id) + varint_len(value))
            .sum();
        frame::push_header(out, frame::SETTINGS, len as u64);
        for (id, value) in lines() {
            push_varint(out, id);
            push_varint(out, value);
        }
    }

    /// Parses the payload of a SETTINGS frame. Unknown settings are passed over (§7.2.4).
    pub(super) fn parse(payload: &[u8]) -> Result<Self, Error> {
        let mut settings = Self::default();
        let mut seen = [0; MAX_COUNT];
        let mut count = 0;
        let mut rest = payload;
        while !rest.is_empty() {
            let (id, after_id) = split_varint(rest).ok_or(CUT_OFF)?;
            let (value, after_value) = split_varint(after_id).ok_or(CUT_OFF)?;
            rest = after_value;
            // §7.2.4: no setting comes twice, which a receiver may refuse.
            if seen.iter().take(count).any(|one| *one == id) {
                return Err(fault("a setting comes twice"));
            }
            *seen.get_mut(count).ok_or(TOO_MANY)? = id;
            count += 1;
            match (id, value) {
                (MAX_FIELD_SECTION_SIZE, _) => settings.max_field_section_size = Some(value),
                // RFC 8441 §3, by RFC 9220 §3.
                (ENABLE_CONNECT_PROTOCOL, 0 | 1) => settings.enable_connect_protocol = value == 1,
                (ENABLE_CONNECT_PROTOCOL, _) => return Err(fault("a switch is neither 0 nor 1")),
                // §7.2.4.1, §11.2.2.
                (0x00 | 0x02..=0x05, _) => return Err(fault("a setting of HTTP/2")),
                _ => {}
            }
        }
        Ok(settings)
    }
}

const fn fault(why: &'static str) -> Error {
    Error::connection(Code::SettingsError, why)
}

const CUT_OFF: Error = Error::connection(Code::FrameError, "SETTINGS end within a setting");

const TOO_MANY: Error = Error::connection(Code::ExcessiveLoad, "too many settings");

/// More settings than anybody has.
const MAX_COUNT: usize = 64;

const MAX_FIELD_SECTION_SIZE: u64 = 0x06;

const ENABLE_CONNECT_PROTOCOL: u64 = 0x08;

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(lines: &[(u64, u64)]) -> Result<Settings, Code> {
        let mut payload = Vec::new();
        for (id, value) in lines {
            push_varint(&mut payload, *id);
            push_varint(&mut payload, *value);
        }
        Settings::parse(&payload).map_err(|error| {
            assert!(error.ends_connection());
            error.code()
        })
    }

    #[test]
    fn what_is_known_is_read_and_the_rest_passed_over() {
        for (lines, size, connect) in [
            (&[][..], None, false),
            (&[(0x06, 16_384)], Some(16_384), false),
            (&[(0x06, 0)], Some(0), false),
            (&[(0x08, 1)], None, true),
            (&[(0x08, 0)], None, false),
            // What a browser sends: its dynamic table, datagrams, a setting to be passed over.
            (
                &[
                    (1, 65_536),
                    (6, 262_144),
                    (7, 100),
                    (0x33, 1),
                    (0x1f * 9 + 0x21, 5),
                ],
                Some(262_144),
                false,
            ),
        ] {
            let settings = parse(lines).unwrap();
            assert_eq!(settings.max_field_section_size, size, "{lines:?}");
            assert_eq!(settings.enable_connect_protocol, connect, "{lines:?}");
        }
    }

    #[test]
    fn settings_of_http_2_are_refused() {
        for id in [0x00, 0x02, 0x03, 0x04, 0x05] {
            assert_eq!(parse(&[(id, 1)]), Err(Code::SettingsError), "{id:#x}");
        }
    }

    #[test]
    fn no_setting_comes_twice() {
        for id in [0x01, 0x06, 0x08, 0x4242] {
            let lines = [(id, 1), (0x07, 1), (id, 1)];
            assert_eq!(parse(&lines), Err(Code::SettingsError), "{id:#x}");
        }
    }

    #[test]
    fn a_switch_is_0_or_1() {
        assert_eq!(parse(&[(0x08, 2)]), Err(Code::SettingsError));
    }

    #[test]
    fn settings_flood() {
        let lines = |count: u64| (0x100..0x100 + count).map(|id| (id, 0)).collect::<Vec<_>>();
        assert_eq!(parse(&lines(64)), Ok(Settings::default()));
        assert_eq!(parse(&lines(65)), Err(Code::ExcessiveLoad));
    }

    #[test]
    fn a_setting_is_whole() {
        let payload = [0x06, 0x40, 0x64];
        assert!(Settings::parse(&payload).is_ok());
        for cut in 1..payload.len() {
            let error = Settings::parse(&payload[..cut]).unwrap_err();
            assert_eq!(error.code(), Code::FrameError);
        }
    }

    #[test]
    fn what_is_written_is_read() {
        for max_field_section_size in [None, Some(0), Some(65_536), Some((1 << 62) - 1)] {
            for enable_connect_protocol in [false, true] {
                let settings = Settings {
                    max_field_section_size,
                    enable_connect_protocol,
                };
                let mut out = Vec::new();
                settings.push_control_stream(&mut out);
                assert_eq!(out[..2], [0x00, 0x04]);
                assert_eq!(usize::from(out[2]), out.len() - 3);
                assert_eq!(Settings::parse(&out[3..]), Ok(settings));
            }
        }
    }
}
