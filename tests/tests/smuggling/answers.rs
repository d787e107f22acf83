//! What a hostile back-end, or hosted content with a hold on it, could answer.

/// A script that finds this at the end of its answer leaves it out and closes the connection.
pub(crate) const CLOSE: &[u8] = b"<close>";

/// Answers that the gateway must not pass on.
pub(crate) fn table() -> Vec<(&'static str, Vec<u8>)> {
    let mut table: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, text) in [
        ("garbage", "poison\r\n\r\n<close>"),
        ("nothing", "<close>"),
        ("half_a_status_line", "HTTP/1.1 20<close>"),
        ("half_a_head", "HTTP/1.1 200 OK\r\nX-Poison: po<close>"),
        ("version_09", "poison<close>"),
        (
            "version_2",
            "HTTP/2.0 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "version_lower",
            "http/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "version_word",
            "HTTP/x.y 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_099",
            "HTTP/1.1 099 Low\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_600",
            "HTTP/1.1 600 High\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_999",
            "HTTP/1.1 999 High\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_two_digits",
            "HTTP/1.1 20 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_four_digits",
            "HTTP/1.1 2000 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_word",
            "HTTP/1.1 OK 200\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_missing",
            "HTTP/1.1\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "status_plus",
            "HTTP/1.1 +20 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "reason_with_nul",
            "HTTP/1.1 200 O\0K\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "reason_with_bare_cr",
            "HTTP/1.1 200 O\rK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "two_status_lines",
            "HTTP/1.1 200 OK\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "empty_line_first",
            "\r\nHTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison",
        ),
        ("lf_only", "HTTP/1.1 200 OK\nContent-Length: 6\n\npoison"),
        (
            "bare_lf_in_fields",
            "HTTP/1.1 200 OK\r\nX-A: a\nX-B: b\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "bare_cr_in_value",
            "HTTP/1.1 200 OK\r\nX-A: a\rSet-Cookie: poison\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "nul_in_value",
            "HTTP/1.1 200 OK\r\nX-A: a\0\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "control_in_value",
            "HTTP/1.1 200 OK\r\nX-A: \x01\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "space_before_colon",
            "HTTP/1.1 200 OK\r\nContent-Length : 6\r\n\r\npoison",
        ),
        (
            "space_in_name",
            "HTTP/1.1 200 OK\r\nX A: a\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "empty_name",
            "HTTP/1.1 200 OK\r\n: a\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "no_colon",
            "HTTP/1.1 200 OK\r\nX-A\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "obs_fold",
            "HTTP/1.1 200 OK\r\nX-A: a\r\n b\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "cl_twice",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "cl_twice_differing",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nContent-Length: 0\r\n\r\npoison",
        ),
        (
            "cl_list",
            "HTTP/1.1 200 OK\r\nContent-Length: 6, 6\r\n\r\npoison",
        ),
        (
            "cl_plus",
            "HTTP/1.1 200 OK\r\nContent-Length: +6\r\n\r\npoison",
        ),
        (
            "cl_minus",
            "HTTP/1.1 200 OK\r\nContent-Length: -6\r\n\r\npoison",
        ),
        (
            "cl_hex",
            "HTTP/1.1 200 OK\r\nContent-Length: 0x6\r\n\r\npoison",
        ),
        (
            "cl_empty",
            "HTTP/1.1 200 OK\r\nContent-Length:\r\n\r\npoison",
        ),
        (
            "cl_overflow",
            "HTTP/1.1 200 OK\r\nContent-Length: 18446744073709551622\r\n\r\npoison",
        ),
        (
            "te_and_cl",
            "HTTP/1.1 200 OK\r\nContent-Length: 6\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        ),
        (
            "te_gzip",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip\r\n\r\npoison<close>",
        ),
        (
            "te_gzip_chunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: gzip, chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        ),
        (
            "te_identity",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: identity\r\n\r\npoison<close>",
        ),
        (
            "te_twice",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        ),
        (
            "te_xchunked",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding: xchunked\r\n\r\npoison<close>",
        ),
        (
            "te_empty",
            "HTTP/1.1 200 OK\r\nTransfer-Encoding:\r\n\r\npoison<close>",
        ),
        (
            "te_http10",
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n<close>",
        ),
        (
            "te_on_204",
            "HTTP/1.1 204 No Content\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        ),
        (
            "cl_on_204",
            "HTTP/1.1 204 No Content\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "cl_on_103",
            "HTTP/1.1 103 Early Hints\r\nContent-Length: 6\r\n\r\npoison",
        ),
        (
            "te_on_100",
            "HTTP/1.1 100 Continue\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n",
        ),
        (
            "switching_unasked",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\npoison",
        ),
        (
            "switching_to_h2c",
            "HTTP/1.1 101 Switching Protocols\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\npoison",
        ),
        (
            "interim_then_nothing",
            "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n<close>",
        ),
    ] {
        table.push((name, text.as_bytes().to_vec()));
    }
    let long = "x".repeat(200_000);
    table.push((
        "head_endless",
        format!("HTTP/1.1 200 OK\r\nX-Long: {long}\r\n\r\n").into_bytes(),
    ));
    let many = "X-A: a\r\n".repeat(2000);
    table.push((
        "fields_too_many",
        format!("HTTP/1.1 200 OK\r\n{many}Content-Length: 6\r\n\r\npoison").into_bytes(),
    ));
    let interim = "HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n".repeat(5000);
    table.push(("interim_endless", format!("{interim}<close>").into_bytes()));
    table
}

/// Good heads before bodies that break.
pub(crate) fn broken_bodies() -> Vec<(&'static str, Vec<u8>)> {
    let chunked = |rest: &str| {
        format!("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n{rest}")
            .into_bytes()
    };
    vec![
        (
            "length_cut",
            b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhello<close>".to_vec(),
        ),
        ("chunks_cut", chunked("<close>")),
        ("chunks_cut_in_size", chunked("5<close>")),
        ("chunks_cut_in_data", chunked("9\r\nhello<close>")),
        ("chunks_cut_before_the_last_line", chunked("0\r\n<close>")),
        ("size_word", chunked("poison\r\npoison\r\n0\r\n\r\n")),
        ("size_plus", chunked("+6\r\npoison\r\n0\r\n\r\n")),
        (
            "size_overflow",
            chunked("10000000000000006\r\npoison\r\n0\r\n\r\n"),
        ),
        ("bare_lf", chunked("6\npoison\r\n0\r\n\r\n")),
        ("data_without_end", chunked("1\r\nxpoison\r\n0\r\n\r\n")),
        ("extension_with_nul", chunked("6;\0\r\npoison\r\n0\r\n\r\n")),
        (
            "trailer_with_bare_lf",
            chunked("0\r\nX: a\nY: poison\r\n\r\n"),
        ),
    ]
}

/// Whole answers with more behind them.
pub(crate) fn with_extra_bytes() -> Vec<(&'static str, Vec<u8>)> {
    let extra = "HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison";
    let with = |answer: &str| format!("{answer}{extra}").into_bytes();
    vec![
        (
            "behind_a_length",
            with("HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok"),
        ),
        (
            "behind_chunks",
            with("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nok\r\n0\r\n\r\n"),
        ),
        ("behind_204", with("HTTP/1.1 204 No Content\r\n\r\n")),
        (
            "behind_304",
            with("HTTP/1.1 304 Not Modified\r\nContent-Length: 45\r\n\r\n"),
        ),
        (
            "behind_length_zero",
            with("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"),
        ),
        (
            "head_with_a_body",
            b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\npoison".to_vec(),
        ),
        (
            "head_with_chunks",
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npoison\r\n0\r\n\r\n"
                .to_vec(),
        ),
        (
            "one_stray_byte",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nokx".to_vec(),
        ),
        (
            "stray_crlf",
            b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\nok\r\n".to_vec(),
        ),
    ]
}
