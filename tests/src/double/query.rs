//! Query strings.

/// The decoded values of every parameter of this name, in order.
pub(super) fn values<'a>(query: &'a str, name: &'a str) -> impl Iterator<Item = Vec<u8>> + 'a {
    query.split('&').filter_map(move |pair| {
        let (key, value) = pair.split_once('=')?;
        (key == name).then(|| decode(value))
    })
}

/// The first value of a parameter, as text.
pub(super) fn first(query: &str, name: &str) -> Option<String> {
    values(query, name)
        .next()
        .and_then(|value| String::from_utf8(value).ok())
}

/// Undoes percent encoding; a percent sign without two digits stands for itself.
fn decode(text: &str) -> Vec<u8> {
    let mut rest = text.as_bytes();
    let mut decoded = Vec::with_capacity(rest.len());
    while let [byte, tail @ ..] = rest {
        match (byte, tail) {
            (b'%', [high, low, after @ ..])
                if high.is_ascii_hexdigit() && low.is_ascii_hexdigit() =>
            {
                decoded.push(digit(*high) << 4 | digit(*low));
                rest = after;
            }
            _ => {
                decoded.push(*byte);
                rest = tail;
            }
        }
    }
    decoded
}

fn digit(byte: u8) -> u8 {
    match byte {
        b'0'..=b'9' => byte - b'0',
        _ => byte.to_ascii_lowercase() - b'a' + 10,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_and_decodes() {
        let query = "filter=account_id:7&filter=name:a%20b&x=%4a%&y";
        let filters: Vec<_> = values(query, "filter").collect();
        assert_eq!(filters, [&b"account_id:7"[..], b"name:a b"]);
        assert_eq!(first(query, "x").unwrap(), "J%");
        assert_eq!(first(query, "y"), None);
        assert_eq!(first("x=%ff", "x"), None);
    }
}
