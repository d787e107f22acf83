//! Chunked bodies that are none; their heads are good.

/// Good ones, which all say `hello`.
pub(crate) fn controls() -> Vec<&'static [u8]> {
    vec![
        b"5\r\nhello\r\n0\r\n\r\n",
        b"005\r\nhello\r\n000\r\n\r\n",
        b"1\r\nh\r\n4\r\nello\r\n0\r\n\r\n",
        b"5;name=value\r\nhello\r\n0;x\r\n\r\n",
        b"5;name=\"quoted value\"\r\nhello\r\n0\r\n\r\n",
        b"5\r\nhello\r\n0\r\nX-Trailer: a\r\nX-Other: b\r\n\r\n",
    ]
}

/// Bad ones.
pub(crate) fn table() -> Vec<(&'static str, Vec<u8>)> {
    let mut table: Vec<(&str, Vec<u8>)> = Vec::new();
    for (name, bytes) in [
        ("size_word", &b"five\r\nhello\r\n0\r\n\r\n"[..]),
        ("size_empty", b"\r\nhello\r\n0\r\n\r\n"),
        ("size_prefix", b"0x5\r\nhello\r\n0\r\n\r\n"),
        ("size_plus", b"+5\r\nhello\r\n0\r\n\r\n"),
        ("size_minus", b"-5\r\nhello\r\n0\r\n\r\n"),
        ("size_underscore", b"0_5\r\nhello\r\n0\r\n\r\n"),
        ("size_blank_before", b" 5\r\nhello\r\n0\r\n\r\n"),
        ("size_tab_before", b"\t5\r\nhello\r\n0\r\n\r\n"),
        ("size_inner_blank", b"0 5\r\nhello\r\n0\r\n\r\n"),
        ("size_comma", b"5,5\r\nhello\r\n0\r\n\r\n"),
        ("size_overflow", b"10000000000000005\r\nhello\r\n0\r\n\r\n"),
        (
            "size_overflow_long",
            b"fffffffffffffffffffff\r\nhello\r\n0\r\n\r\n",
        ),
        ("size_max", b"ffffffffffffffff\r\nhello\r\n0\r\n\r\n"),
        ("size_nul", b"5\0\r\nhello\r\n0\r\n\r\n"),
        ("bare_lf_chunk_rejected", b"5\nhello\r\n0\r\n\r\n"),
        ("bare_lf_after_data", b"5\r\nhello\n0\r\n\r\n"),
        ("bare_lf_after_last", b"5\r\nhello\r\n0\n\r\n"),
        ("bare_lf_at_the_end", b"5\r\nhello\r\n0\r\n\n"),
        ("bare_cr_after_size", b"5\rhello\r\n0\r\n\r\n"),
        ("cr_cr_lf_after_size", b"5\r\r\nhello\r\n0\r\n\r\n"),
        ("data_too_long", b"4\r\nhello\r\n0\r\n\r\n"),
        ("data_too_short", b"6\r\nhello\r\n0\r\n\r\n"),
        ("data_without_end", b"5\r\nhello0\r\n\r\n"),
        ("data_with_other_end", b"5\r\nhelloXX0\r\n\r\n"),
        ("extension_with_lf", b"5;a=\n\r\nhello\r\n0\r\n\r\n"),
        ("extension_with_cr", b"5;a=\rb\r\nhello\r\n0\r\n\r\n"),
        ("extension_with_nul", b"5;a=\0\r\nhello\r\n0\r\n\r\n"),
        ("extension_control", b"5;a=\x01\r\nhello\r\n0\r\n\r\n"),
        ("trailer_with_lf", b"5\r\nhello\r\n0\r\nX: a\nY: b\r\n\r\n"),
        ("trailer_with_nul", b"5\r\nhello\r\n0\r\nX: a\0\r\n\r\n"),
        (
            "trailer_with_bare_cr",
            b"5\r\nhello\r\n0\r\nX: a\rb\r\n\r\n",
        ),
        ("http_instead_of_a_chunk", b"GET /poison HTTP/1.1\r\n\r\n"),
    ] {
        table.push((name, bytes.to_vec()));
    }
    let extension = "e".repeat(100_000);
    table.push((
        "extension_endless",
        format!("5;{extension}\r\nhello\r\n0\r\n\r\n").into_bytes(),
    ));
    let trailers = "X-Trailer: aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\r\n".repeat(2000);
    table.push((
        "trailers_endless",
        format!("5\r\nhello\r\n0\r\n{trailers}\r\n").into_bytes(),
    ));
    let zeros = "0".repeat(100_000);
    table.push((
        "size_endless_zeros",
        format!("{zeros}5\r\nhello\r\n0\r\n\r\n").into_bytes(),
    ));
    table
}
