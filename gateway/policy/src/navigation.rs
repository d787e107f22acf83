//! Who can use which form of answer (docs/lanes.md).

use wire::{Fields, Head, Method, Name};

use crate::Form;

/// HTML for a navigating browser, Connect's JSON for everything else: `Sec-Fetch-Mode: navigate`,
/// or a GET that accepts `text/html`, not JSON, and shows no sign of a script; never an upgrade and never a
/// path with `/__api__/` in it.
pub(crate) fn form(head: &Head, websocket: bool) -> Form {
    let fields = head.fields();
    let navigates = match fields.only(Name::SecFetchMode) {
        Some(mode) => mode.eq_ignore_ascii_case(b"navigate"),
        None => {
            head.method() == Method::Get
                && !fields.contains(Name::SecFetchMode)
                && !fields.contains(Name::XRequestedWith)
                && accepts(fields, b"text/html")
                && !accepts(fields, b"application/json")
        }
    };
    match navigates && !websocket && !mentions_api(head.path()) {
        true => Form::Html,
        false => Form::Json,
    }
}

/// Whether the path lies under Connect's API, under whatever mount: the answer may come before the
/// mount is known.
fn mentions_api(path: &[u8]) -> bool {
    let api = b"/__api__/";
    path.windows(api.len()).any(|part| part == api)
}

/// Whether `Accept` names a media type (RFC 9110 §12.5.1). A range that merely includes it (`*/*`)
/// is what every script sends.
fn accepts(fields: &Fields, media_type: &[u8]) -> bool {
    let ranges = fields
        .all(Name::Accept)
        .flat_map(|value| value.split(|byte| *byte == b','));
    ranges
        .filter_map(|range| range.split(|byte| *byte == b';').next())
        .any(|media| media.trim_ascii().eq_ignore_ascii_case(media_type))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::parse;

    fn form_of(line: &str, fields: &[&str]) -> Form {
        let mut text = format!("{line} HTTP/1.1\r\nHost: a.example\r\n");
        for field in fields {
            text += &format!("{field}\r\n");
        }
        form(&parse(&(text + "\r\n")).head, false)
    }

    #[test]
    fn navigating_browsers_get_pages() {
        let browser = "Accept: text/html,application/xhtml+xml,*/*;q=0.8";
        for fields in [
            &["Sec-Fetch-Mode: navigate", browser][..],
            &["Sec-Fetch-Mode: navigate"],
            &[browser],
            &["Accept: image/png", "Accept: TEXT/HTML;level=1"],
        ] {
            assert_eq!(form_of("GET /content/1/", fields), Form::Html, "{fields:?}");
        }
        let posted = form_of("POST /x", &["Sec-Fetch-Mode: navigate"]);
        assert_eq!(posted, Form::Html);
    }

    #[test]
    fn everything_else_gets_json() {
        let browser = "Accept: text/html,*/*;q=0.8";
        for (line, fields) in [
            ("GET /x", &[][..]),
            ("GET /x", &["Accept: */*"]),
            ("GET /x", &["Accept: application/json"]),
            ("GET /x", &["Accept: application/json", "Accept: text/html"]),
            ("GET /x", &["Accept: text/htmlx"]),
            ("POST /x", &[browser]),
            ("HEAD /x", &[browser]),
            ("GET /x", &[browser, "X-Requested-With: XMLHttpRequest"]),
            ("GET /x", &[browser, "Sec-Fetch-Mode: cors"]),
            (
                "GET /x",
                &[browser, "Sec-Fetch-Mode: navigate", "Sec-Fetch-Mode: cors"],
            ),
            (
                "GET /__api__/v1/user",
                &[browser, "Sec-Fetch-Mode: navigate"],
            ),
            ("GET /rsc/__api__/v1/user", &[browser]),
        ] {
            assert_eq!(form_of(line, fields), Form::Json, "{line} {fields:?}");
        }
        let upgrade = parse("GET /x HTTP/1.1\r\nHost: a\r\nSec-Fetch-Mode: navigate\r\n\r\n");
        assert_eq!(form(&upgrade.head, true), Form::Json);
    }
}
