//! Durations and sizes with their units.

use std::time::Duration;

/// Reads `500ms`, `30s`, `5m` or `12h`: digits and one unit, no sign, blank or fraction.
pub(crate) fn duration(text: &str) -> Option<Duration> {
    let (number, unit) = split(text)?;
    let milliseconds = match unit {
        "ms" => 1,
        "s" => SECOND,
        "m" => MINUTE,
        "h" => HOUR,
        _ => return None,
    };
    number.checked_mul(milliseconds).map(Duration::from_millis)
}

/// Reads `64KiB`, `1MiB` or `4GiB`, in bytes.
pub(crate) fn size(text: &str) -> Option<u64> {
    let (number, unit) = split(text)?;
    let bytes = match unit {
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return None,
    };
    number.checked_mul(bytes)
}

/// Writes a duration as [`duration`] reads it, in the largest unit that fits.
pub(crate) fn show(duration: Duration) -> String {
    let milliseconds = duration.as_millis();
    [(HOUR, "h"), (MINUTE, "m"), (SECOND, "s")]
        .into_iter()
        .map(|(length, unit)| (u128::from(length), unit))
        .find(|(length, _)| milliseconds.is_multiple_of(*length))
        .map_or_else(
            || format!("{milliseconds}ms"),
            |(length, unit)| match milliseconds / length {
                0 => "0s".to_owned(),
                number => format!("{number}{unit}"),
            },
        )
}

fn split(text: &str) -> Option<(u64, &str)> {
    let end = text.find(|character: char| !character.is_ascii_digit())?;
    let (digits, unit) = text.split_at_checked(end)?;
    Some((digits.parse().ok()?, unit))
}

/// The longest duration that can be configured: a year. Timers reach not much further.
pub(crate) const LONGEST: Duration = Duration::from_millis(8760 * HOUR);

const SECOND: u64 = 1000;
const MINUTE: u64 = 60 * SECOND;
const HOUR: u64 = 60 * MINUTE;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations_have_one_number_and_one_unit() {
        for (text, milliseconds) in [
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("5m", 300_000),
            ("12h", 43_200_000),
            ("007s", 7_000),
        ] {
            assert_eq!(
                duration(text),
                Some(Duration::from_millis(milliseconds)),
                "{text}"
            );
        }
        for text in [
            "",
            "5",
            "s",
            "5 s",
            " 5s",
            "5s ",
            "-5s",
            "+5s",
            "1.5s",
            "5d",
            "5S",
            "5min",
            "1h30m",
            "5é",
            "18446744073709551616s",
            "18446744073709551615h",
        ] {
            assert_eq!(duration(text), None, "{text}");
        }
    }

    #[test]
    fn sizes_are_binary() {
        assert_eq!(size("64KiB"), Some(65_536));
        assert_eq!(size("1MiB"), Some(1_048_576));
        assert_eq!(size("4GiB"), Some(1 << 32));
        for text in [
            "",
            "64",
            "64kb",
            "64KB",
            "64K",
            "KiB",
            "1TiB",
            "18446744073709551615KiB",
        ] {
            assert_eq!(size(text), None, "{text}");
        }
    }

    #[test]
    fn durations_are_shown_in_the_largest_unit() {
        for text in ["0s", "1ms", "1500ms", "90s", "5m", "90m", "24h", "8760h"] {
            assert_eq!(show(duration(text).unwrap()), text);
        }
    }
}
