//! Where the TOML itself is broken.

use std::ops::Range;

use crate::context::{Context, Missing};

/// Records what the parser found. Its message alone names no key, so the key is read off the text.
pub(crate) fn fault(context: &Context<'_>, text: &str, error: &toml::de::Error) -> Missing {
    let span = error.span().unwrap_or(Range {
        start: text.len(),
        end: text.len(),
    });
    let origin = context.origin(&span, key_at(text, span.start));
    context.fault(&origin, format!("not TOML: {}", error.message()))
}

/// The path of the key on the line of an offset, judged by the lines alone: a hint for the reader.
fn key_at(text: &str, offset: usize) -> String {
    let before = text.get(..offset).unwrap_or(text);
    let start = before
        .rfind('\n')
        .map_or(0, |newline| newline.saturating_add(1));
    let (above, rest) = text.split_at_checked(start).unwrap_or((text, ""));
    let line = rest.lines().next().unwrap_or_default();
    match line.split_once('=') {
        Some((key, _)) if is_plain(key.trim()) => match table_of(above) {
            Some(table) => format!("{table}.{}", key.trim()),
            None => key.trim().to_owned(),
        },
        _ => table_of(line)
            .or_else(|| table_of(above))
            .unwrap_or_default(),
    }
}

/// The path of the last table header; how often `[[name]]` was written says which one it is.
fn table_of(text: &str) -> Option<String> {
    let header = |line: &str| {
        let line = line.split('#').next().unwrap_or_default().trim();
        let name = line.strip_prefix('[')?.strip_suffix(']')?;
        match name
            .strip_prefix('[')
            .and_then(|name| name.strip_suffix(']'))
        {
            Some(name) => is_plain(name).then(|| (name.to_owned(), true)),
            None => is_plain(name).then(|| (name.to_owned(), false)),
        }
    };
    let headers: Vec<(String, bool)> = text.lines().filter_map(header).collect();
    let (last, _) = headers.last()?;
    let mut path = String::new();
    let mut name = String::new();
    // Counting starts anew below each parent.
    let mut scope = headers.as_slice();
    for part in last.split('.') {
        if !path.is_empty() {
            path.push('.');
            name.push('.');
        }
        path.push_str(part);
        name.push_str(part);
        let is_element = |(other, array): &(String, bool)| *array && *other == name;
        let count = scope.iter().filter(|header| is_element(header)).count();
        if let Some(index) = count.checked_sub(1) {
            path.push_str(&format!("[{index}]"));
            let begin = scope.iter().rposition(is_element).unwrap_or_default();
            scope = scope.get(begin..).unwrap_or_default();
        }
    }
    Some(path)
}

fn is_plain(key: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'_' | b'-' | b'.');
    !key.is_empty() && key.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_is_found_from_the_lines() {
        let text = "top = 1\n[gateway] # here\ndrain = x\n[[pool]]\n[[pool.server]]\n[[pool]]\n\
                    name = !\n[[pool.server]]\nurl = \"a\n[pool.server.x]\n  oops\n";
        for (needle, key) in [
            ("1", "top"),
            ("x", "gateway.drain"),
            ("!", "pool[1].name"),
            ("\"a", "pool[1].server[0].url"),
            ("oops", "pool[1].server[0].x"),
            ("gateway", "gateway"),
        ] {
            assert_eq!(key_at(text, text.find(needle).unwrap()), key, "{needle}");
        }
        assert_eq!(key_at("", 0), "");
        assert_eq!(key_at("é", 1), "");
    }
}
