//! Request heads that two readers could read in two ways. `<auth>` stands for the credential's line,
//! so that nothing but the framing stands in their way.

/// What is replaced by an `Authorization` line.
pub(crate) const CREDENTIAL: &[u8] = b"<auth>";

/// Good messages, of the same make as those of the table.
pub(crate) fn controls() -> Vec<Vec<u8>> {
    let mut controls = vec![
        line("GET /poison HTTP/1.1"),
        field("X-Fine: a\tb \u{80}\u{ff}"),
        field("x-fine:"),
        field("X-Fine:   blanks   "),
        field("Content-Length: 0"),
        field("Accept: a\r\nAccept: b"),
        field("Connection: keep-alive"),
        body("Content-Length: 5", "hello"),
        body("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        body("transfer-encoding: Chunked", "5\r\nhello\r\n0\r\n\r\n"),
        line("GET /content/%41;a=b?q=[]{}|^`\"<>\\ HTTP/1.1"),
        line("PROPFIND /content/1/ HTTP/1.1"),
        line("GET https://connect.test/content/1/ HTTP/1.1"),
    ];
    controls.push(b"GET /content/1/ HTTP/1.1\r\n<auth>\r\nHost: connect.test\r\n\r\n".to_vec());
    controls
}

/// The corpus.
pub(crate) fn table() -> Vec<(&'static str, Vec<u8>)> {
    let mut table = Vec::new();
    table.extend(lengths());
    table.extend(codings());
    table.extend(hosts());
    table.extend(syntax());
    table.extend(start_lines());
    table.extend(targets());
    table
}

fn lengths() -> Vec<(&'static str, Vec<u8>)> {
    let hello = |fields: &str| body(fields, "hello");
    vec![
        ("cl_list_rejected", hello("Content-Length: 5, 5")),
        ("cl_list_without_blank", hello("Content-Length: 5,5")),
        ("cl_list_differing", hello("Content-Length: 5, 6")),
        (
            "cl_twice_equal",
            hello("Content-Length: 5\r\nContent-Length: 5"),
        ),
        (
            "cl_twice_differing",
            hello("Content-Length: 5\r\nContent-Length: 0"),
        ),
        (
            "cl_twice_by_case",
            hello("Content-Length: 5\r\ncontent-length: 6"),
        ),
        ("cl_plus", hello("Content-Length: +5")),
        ("cl_minus", hello("Content-Length: -5")),
        ("cl_minus_zero", hello("Content-Length: -0")),
        ("cl_empty", hello("Content-Length:")),
        ("cl_blank", hello("Content-Length:  ")),
        ("cl_hex", hello("Content-Length: 0x5")),
        ("cl_hex_digit", hello("Content-Length: 5a")),
        ("cl_float", hello("Content-Length: 5.0")),
        ("cl_exponent", hello("Content-Length: 5e0")),
        ("cl_underscore", hello("Content-Length: 1_0")),
        ("cl_inner_blank", hello("Content-Length: 1 0")),
        ("cl_inner_tab", hello("Content-Length: 1\t0")),
        ("cl_semicolon", hello("Content-Length: 5;")),
        ("cl_quoted", hello("Content-Length: \"5\"")),
        ("cl_trailing_comma", hello("Content-Length: 5,")),
        ("cl_leading_comma", hello("Content-Length: ,5")),
        (
            "cl_u64_overflow",
            hello("Content-Length: 18446744073709551616"),
        ),
        (
            "cl_wraps_to_five",
            hello("Content-Length: 18446744073709551621"),
        ),
        (
            "cl_very_long",
            hello(&format!("Content-Length: {}5", "1".repeat(400))),
        ),
        ("cl_word", hello("Content-Length: five")),
        ("cl_fullwidth_digit", hello("Content-Length: \u{95}5")),
        (
            "cl_twice_one_empty",
            hello("Content-Length: 5\r\nContent-Length:"),
        ),
    ]
}

fn codings() -> Vec<(&'static str, Vec<u8>)> {
    let chunks = |fields: &str| body(fields, "5\r\nhello\r\n0\r\n\r\n");
    let mut table = vec![
        (
            "te_cl_conflict_rejected",
            chunks("Content-Length: 5\r\nTransfer-Encoding: chunked"),
        ),
        (
            "te_cl_conflict_other_order",
            chunks("Transfer-Encoding: chunked\r\nContent-Length: 5"),
        ),
        (
            "te_cl_zero",
            chunks("Content-Length: 0\r\nTransfer-Encoding: chunked"),
        ),
        (
            "te_cl_true_length",
            chunks("Content-Length: 15\r\nTransfer-Encoding: chunked"),
        ),
        (
            "te_not_final_rejected",
            chunks("Transfer-Encoding: chunked, gzip"),
        ),
        (
            "te_gzip_then_chunked",
            chunks("Transfer-Encoding: gzip, chunked"),
        ),
        ("te_gzip", chunks("Transfer-Encoding: gzip")),
        ("te_identity", chunks("Transfer-Encoding: identity")),
        (
            "te_identity_and_cl",
            body("Transfer-Encoding: identity\r\nContent-Length: 5", "hello"),
        ),
        (
            "te_chunked_identity",
            chunks("Transfer-Encoding: chunked, identity"),
        ),
        (
            "te_chunked_twice_in_list",
            chunks("Transfer-Encoding: chunked, chunked"),
        ),
        (
            "te_twice",
            chunks("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked"),
        ),
        (
            "te_twice_by_case",
            chunks("Transfer-Encoding: chunked\r\ntransfer-encoding: identity"),
        ),
        ("te_empty", chunks("Transfer-Encoding:")),
        (
            "te_empty_then_chunked",
            chunks("Transfer-Encoding:\r\nTransfer-Encoding: chunked"),
        ),
        ("te_xchunked", chunks("Transfer-Encoding: xchunked")),
        ("te_chunkedx", chunks("Transfer-Encoding: chunkedx")),
        ("te_quoted", chunks("Transfer-Encoding: \"chunked\"")),
        ("te_parameter", chunks("Transfer-Encoding: chunked;q=1")),
        ("te_trailing_comma", chunks("Transfer-Encoding: chunked,")),
        ("te_leading_comma", chunks("Transfer-Encoding: ,chunked")),
        ("te_comma", chunks("Transfer-Encoding: ,")),
        ("te_inner_nul", chunks("Transfer-Encoding: chun\0ked")),
        ("te_vertical_tab", chunks("Transfer-Encoding: \x0bchunked")),
        ("te_form_feed", chunks("Transfer-Encoding: chunked\x0c")),
        (
            "te_no_break_space",
            chunks("Transfer-Encoding: \u{a0}chunked"),
        ),
        ("te_folded_value", chunks("Transfer-Encoding:\r\n chunked")),
        (
            "te_folded_value_tab",
            chunks("Transfer-Encoding:\r\n\tchunked"),
        ),
        (
            "te_space_before_colon",
            chunks("Transfer-Encoding : chunked"),
        ),
        (
            "te_tab_before_colon",
            chunks("Transfer-Encoding\t: chunked"),
        ),
        (
            "te_with_bare_cr",
            chunks("X-Fine: a\rTransfer-Encoding: chunked"),
        ),
        (
            "te_with_bare_lf",
            chunks("X-Fine: a\nTransfer-Encoding: chunked"),
        ),
        (
            "te_behind_lf_cr",
            chunks("X-Fine: a\n\rTransfer-Encoding: chunked"),
        ),
    ];
    let old = |fields: &str, body: &str| {
        raw(&format!(
            "POST /poison HTTP/1.0\r\nHost: connect.test\r\n<auth>\r\n{fields}\r\n\r\n{body}"
        ))
    };
    table.extend([
        (
            "te_http10_rejected",
            old("Transfer-Encoding: chunked", "5\r\nhello\r\n0\r\n\r\n"),
        ),
        (
            "te_http10_keep_alive",
            old(
                "Connection: keep-alive\r\nTransfer-Encoding: chunked",
                "0\r\n\r\n",
            ),
        ),
        (
            "te_http10_with_cl",
            old("Content-Length: 5\r\nTransfer-Encoding: chunked", "hello"),
        ),
    ]);
    table
}

fn hosts() -> Vec<(&'static str, Vec<u8>)> {
    let host = |fields: &str| {
        raw(&format!(
            "GET /poison HTTP/1.1\r\n<auth>\r\n{fields}\r\n\r\n"
        ))
    };
    vec![
        (
            "host_missing",
            raw("GET /poison HTTP/1.1\r\n<auth>\r\n\r\n"),
        ),
        (
            "host_missing_10",
            raw("GET /poison HTTP/1.0\r\n<auth>\r\n\r\n"),
        ),
        (
            "host_twice",
            host("Host: connect.test\r\nHost: connect.test"),
        ),
        (
            "host_twice_differing",
            host("Host: connect.test\r\nHost: evil.test"),
        ),
        (
            "host_twice_by_case",
            host("Host: connect.test\r\nhost: evil.test"),
        ),
        ("host_empty", host("Host:")),
        ("host_list", host("Host: connect.test, evil.test")),
        ("host_user_info", host("Host: alice@connect.test")),
        ("host_with_path", host("Host: connect.test/x")),
        ("host_with_query", host("Host: connect.test?x")),
        ("host_inner_blank", host("Host: connect.test evil.test")),
        ("host_empty_port", host("Host: connect.test:")),
        ("host_port_word", host("Host: connect.test:https")),
        ("host_port_zero", host("Host: connect.test:0")),
        ("host_port_plus", host("Host: connect.test:+443")),
        ("host_port_overflow", host("Host: connect.test:65979")),
        ("host_two_ports", host("Host: connect.test:443:443")),
        ("host_only_port", host("Host: :443")),
        ("host_bad_brackets", host("Host: [::1")),
        ("host_control", host("Host: connect.test\x01")),
        ("host_backslash", host("Host: connect.test\\evil.test")),
        ("host_folded", host("Host: connect.test\r\n .evil.test")),
        (
            "absolute_host_differs",
            raw("GET https://evil.test/poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\r\n"),
        ),
        (
            "absolute_port_differs",
            raw(
                "GET https://connect.test:444/poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\r\n",
            ),
        ),
        (
            "absolute_without_host",
            raw("GET https://connect.test/poison HTTP/1.1\r\n<auth>\r\n\r\n"),
        ),
        (
            "absolute_user_info",
            raw(
                "GET https://a@connect.test/poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\r\n",
            ),
        ),
    ]
}

fn syntax() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        ("space_before_colon", field("X-Fine : a")),
        ("tab_before_colon", field("X-Fine\t: a")),
        ("space_in_name", field("X Fine: a")),
        (
            "space_before_name",
            raw("GET /poison HTTP/1.1\r\n Host: connect.test\r\n<auth>\r\n\r\n"),
        ),
        ("obs_fold_space", field("X-Fine: a\r\n b")),
        ("obs_fold_tab", field("X-Fine: a\r\n\tb")),
        ("obs_fold_only_blank", field("X-Fine: a\r\n ")),
        (
            "fold_in_the_first_line",
            raw("GET /poison HTTP/1.1\r\n x\r\nHost: connect.test\r\n<auth>\r\n\r\n"),
        ),
        ("no_colon", field("X-Fine")),
        ("empty_name", field(": a")),
        ("name_with_nul", field("X-F\0ine: a")),
        ("name_with_control", field("X-F\x01ine: a")),
        ("name_with_del", field("X-F\x7fine: a")),
        ("name_with_cr", field("X-F\rine: a")),
        ("name_with_parenthesis", field("X-(Fine): a")),
        ("name_with_at_sign", field("X@Fine: a")),
        ("name_with_slash", field("X/Fine: a")),
        ("name_with_quote", field("X\"Fine: a")),
        ("name_with_high_byte", field("X-\u{e9}: a")),
        ("value_with_nul", field("X-Fine: a\0b")),
        ("value_with_control", field("X-Fine: a\x02b")),
        ("value_with_escape", field("X-Fine: \x1b[31m")),
        ("value_with_del", field("X-Fine: a\x7fb")),
        ("value_with_bare_cr", field("X-Fine: a\rb")),
        ("value_with_bare_lf", field("X-Fine: a\nX-Evil: b")),
        ("value_ends_with_cr", field("X-Fine: a\r")),
        (
            "lf_only",
            raw("GET /poison HTTP/1.1\nHost: connect.test\n<auth>\n\n"),
        ),
        (
            "lf_at_the_end",
            raw("GET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\n"),
        ),
        (
            "crlf_lf_end",
            raw("GET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\n\r\n"),
        ),
        (
            "cr_only",
            raw("GET /poison HTTP/1.1\rHost: connect.test\r<auth>\r\r\r\n\r\n"),
        ),
        (
            "cr_cr_lf",
            raw("GET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\r\n\r\n"),
        ),
    ]
}

fn start_lines() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "empty_line_first",
            raw("\r\nGET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\r\n"),
        ),
        (
            "lf_first",
            raw("\nGET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\r\n"),
        ),
        (
            "blank_first",
            raw(" GET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n\r\n"),
        ),
        ("version_09", raw("GET /poison\r\n\r\n")),
        ("version_missing", line("GET /poison")),
        ("version_11_lower", line("GET /poison http/1.1")),
        ("version_2", line("GET /poison HTTP/2.0")),
        ("version_12", line("GET /poison HTTP/1.2")),
        ("version_111", line("GET /poison HTTP/1.11")),
        ("version_1", line("GET /poison HTTP/1")),
        ("version_comma", line("GET /poison HTTP/1,1")),
        ("version_space", line("GET /poison HTTP/ 1.1")),
        ("version_trailing_blank", line("GET /poison HTTP/1.1 ")),
        ("version_other_protocol", line("GET /poison ICAP/1.0")),
        ("http2_preface", raw("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")),
        ("two_blanks", line("GET  /poison HTTP/1.1")),
        ("two_blanks_behind", line("GET /poison  HTTP/1.1")),
        ("tabs", line("GET\t/poison\tHTTP/1.1")),
        ("vertical_tab", line("GET\x0b/poison HTTP/1.1")),
        ("four_words", line("GET /poison x HTTP/1.1")),
        ("two_versions", line("GET /poison HTTP/1.1 HTTP/1.1")),
        ("method_missing", line("/poison HTTP/1.1")),
        ("method_with_colon", line("GET: /poison HTTP/1.1")),
        ("method_with_nul", line("GE\0T /poison HTTP/1.1")),
        ("method_with_brace", line("{GET} /poison HTTP/1.1")),
        ("method_high_byte", line("G\u{c9}T /poison HTTP/1.1")),
        (
            "connect_rejected",
            line("CONNECT connect.test:443 HTTP/1.1"),
        ),
        ("connect_with_path", line("CONNECT /poison HTTP/1.1")),
    ]
}

fn targets() -> Vec<(&'static str, Vec<u8>)> {
    vec![
        (
            "target_authority_form",
            line("GET connect.test:443 HTTP/1.1"),
        ),
        ("target_asterisk_get", line("GET * HTTP/1.1")),
        ("target_without_slash", line("GET poison HTTP/1.1")),
        ("target_only_query", line("GET ?poison HTTP/1.1")),
        ("target_fragment", line("GET /poison#x HTTP/1.1")),
        ("target_fragment_in_query", line("GET /poison?a#b HTTP/1.1")),
        ("target_backslash", line("GET /poison\\x HTTP/1.1")),
        ("target_leading_backslash", line("GET \\poison HTTP/1.1")),
        ("target_nul", line("GET /poi\0son HTTP/1.1")),
        ("target_control", line("GET /poi\x01son HTTP/1.1")),
        ("target_del", line("GET /poi\x7fson HTTP/1.1")),
        ("target_tab", line("GET /poi\tson HTTP/1.1")),
        (
            "target_high_byte_in_path",
            line("GET /poi\u{e9}son HTTP/1.1"),
        ),
        ("target_quote_in_path", line("GET /poi\"son HTTP/1.1")),
        ("target_angle_in_path", line("GET /poi<son> HTTP/1.1")),
        ("target_brace_in_path", line("GET /poi{son} HTTP/1.1")),
        ("target_pipe_in_path", line("GET /poi|son HTTP/1.1")),
        ("target_caret_in_path", line("GET /poi^son HTTP/1.1")),
        ("target_backtick_in_path", line("GET /poi`son HTTP/1.1")),
        ("target_bad_percent", line("GET /poi%son HTTP/1.1")),
        ("target_percent_at_end", line("GET /poison% HTTP/1.1")),
        ("target_half_percent", line("GET /poison%2 HTTP/1.1")),
        ("target_percent_not_hex", line("GET /poison%zz HTTP/1.1")),
        ("target_percent_u", line("GET /poison%u002f HTTP/1.1")),
        (
            "target_control_in_query",
            line("GET /poison?a\x01b HTTP/1.1"),
        ),
        (
            "target_other_scheme",
            line("GET ftp://connect.test/poison HTTP/1.1"),
        ),
        (
            "target_javascript",
            line("GET javascript:alert(1) HTTP/1.1"),
        ),
    ]
}

/// A GET with this start line.
fn line(start: &str) -> Vec<u8> {
    raw(&format!("{start}\r\nHost: connect.test\r\n<auth>\r\n\r\n"))
}

/// A GET with these further fields.
fn field(fields: &str) -> Vec<u8> {
    raw(&format!(
        "GET /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n{fields}\r\n\r\n"
    ))
}

/// A POST with these fields and this body.
fn body(fields: &str, body: &str) -> Vec<u8> {
    raw(&format!(
        "POST /poison HTTP/1.1\r\nHost: connect.test\r\n<auth>\r\n{fields}\r\n\r\n{body}"
    ))
}

/// Each character is one byte.
fn raw(text: &str) -> Vec<u8> {
    text.chars()
        .map(|c| u8::try_from(u32::from(c)).expect("Latin-1"))
        .collect()
}
