//! The Huffman code of RFC 7541 Appendix B, which RFC 9204 §4.1.2 takes over.
//!
//! The code is canonical: sorted by length and symbol, each code is the one before plus one. So the
//! lengths are all that is written down, and the compiler makes the tables of them.

use bytes::{BufMut, BytesMut};

/// Appends what `input` decodes to; at most 8 bytes for 5. Nothing is left appended by a fault.
///
/// `None` for what no encoder makes (RFC 7541 §5.2): EOS, padding of 8 bits or more, and padding
/// other than by the first bits of EOS, which are ones.
pub(super) fn decode(input: &[u8], out: &mut BytesMut) -> Option<()> {
    let start = out.len();
    out.resize(start + most_decoded(input.len()), 0);
    let room = out.get_mut(start..).unwrap_or_default();
    let written = decode_into(input, room);
    out.truncate(start + written.unwrap_or(0));
    written.map(|_| ())
}

/// How many bytes `bytes` encode to.
pub(super) fn encoded_len(bytes: impl Iterator<Item = u8>) -> usize {
    let bits: usize = bytes.map(|byte| usize::from(code(byte).len)).sum();
    bits.div_ceil(8)
}

/// Appends the encoded `bytes`.
pub(super) fn encode(bytes: impl Iterator<Item = u8>, out: &mut impl BufMut) {
    // The bits that are not written yet are the lowest of the window, fewer than 32.
    let mut window = 0_u64;
    let mut bits = 0;
    for byte in bytes {
        let Code { code, len } = code(byte);
        window = window << len | u64::from(code);
        bits += u32::from(len);
        if bits >= 32 {
            bits -= 32;
            out.put_u32((window >> bits) as u32);
        }
    }
    while bits >= 8 {
        bits -= 8;
        out.put_u8((window >> bits) as u8);
    }
    if bits > 0 {
        // §5.2: padding is by ones.
        out.put_u8((window << (8 - bits)) as u8 | u8::MAX >> bits);
    }
}

/// The most bytes that `len` encoded ones can mean: no code is shorter than 5 bits.
fn most_decoded(len: usize) -> usize {
    len.saturating_mul(8) / 5
}

/// Decodes into `room`, which is large enough, and returns how much of it was used.
fn decode_into(input: &[u8], room: &mut [u8]) -> Option<usize> {
    let most = room.len();
    let mut room = room.iter_mut();
    let mut input = input.iter();
    // The bits that are not decoded yet are the highest of the window; zeros follow.
    let mut window = 0_u64;
    let mut bits = 0_u32;
    loop {
        if bits < LONGEST {
            for byte in input.by_ref().take(((64 - bits) / 8) as usize) {
                window |= u64::from(*byte) << (56 - bits);
                bits += 8;
            }
        }
        let (symbol, len) = first(window);
        if len > bits {
            break;
        }
        // §5.2: EOS is an error. It is the one symbol that is no byte.
        *room.next()? = u8::try_from(symbol).ok()?;
        window <<= len;
        bits -= len;
    }
    // What is left is no code: padding, of fewer than 8 ones.
    let padding = !(u64::MAX >> bits);
    (bits < 8 && window == padding).then(|| most - room.len())
}

/// The symbol that the window begins with, and the length of its code.
fn first(window: u64) -> (u16, u32) {
    if let Some((symbol, len)) = SHORT.get((window >> 56) as usize)
        && *len > 0
    {
        return (u16::from(*symbol), u32::from(*len));
    }
    let bits = (window >> 32) as u32;
    let ranks = || RANKS.iter().rev();
    // The first code of the first rank is 0, so that there is always one.
    ranks()
        .find(|rank| rank.first <= bits)
        .and_then(|rank| {
            let place = usize::from(rank.place) + ((bits - rank.first) >> (32 - rank.len)) as usize;
            Some((*SORTED.get(place)?, rank.len))
        })
        .unwrap_or((EOS, LONGEST))
}

fn code(byte: u8) -> Code {
    CODES.get(usize::from(byte)).copied().unwrap_or_default()
}

/// The lowest `len` bits of `code`.
#[derive(Clone, Copy, Default)]
struct Code {
    code: u32,
    len: u8,
}

/// All codes of one length.
#[derive(Clone, Copy)]
struct Rank {
    len: u32,
    /// The first, as the highest bits.
    first: u32,
    /// The place of its symbol in [`SORTED`].
    place: u16,
}

/// The symbols by length and value.
static SORTED: [u16; SYMBOLS] = sorted();

/// The codes by symbol.
static CODES: [Code; SYMBOLS] = codes();

/// Symbol and length by the first 8 bits, where those hold a whole code; else a length of 0.
static SHORT: [(u8, u8); 256] = short();

/// The codes by length.
static RANKS: [Rank; LONGEST as usize + 1] = ranks();

#[expect(
    clippy::indexing_slicing,
    reason = "by the compiler alone, which refuses what is out of bounds"
)]
const fn sorted() -> [u16; SYMBOLS] {
    let mut sorted = [0; SYMBOLS];
    let mut place = 0;
    let mut len = 0;
    while len <= LONGEST {
        let mut symbol = 0;
        while symbol < SYMBOLS {
            if LENGTHS[symbol] as u32 == len {
                sorted[place] = symbol as u16;
                place += 1;
            }
            symbol += 1;
        }
        len += 1;
    }
    sorted
}

#[expect(
    clippy::indexing_slicing,
    reason = "by the compiler alone, which refuses what is out of bounds"
)]
const fn codes() -> [Code; SYMBOLS] {
    let mut codes = [Code { code: 0, len: 0 }; SYMBOLS];
    let mut next = 0;
    let mut len = 0;
    let mut place = 0;
    while place < SYMBOLS {
        let symbol = SORTED[place] as usize;
        next <<= LENGTHS[symbol] - len;
        len = LENGTHS[symbol];
        codes[symbol] = Code { code: next, len };
        next += 1;
        place += 1;
    }
    codes
}

#[expect(
    clippy::indexing_slicing,
    reason = "by the compiler alone, which refuses what is out of bounds"
)]
const fn short() -> [(u8, u8); 256] {
    let codes = codes();
    let mut short = [(0, 0); 256];
    let mut symbol = 0;
    while symbol < 256 {
        let Code { code, len } = codes[symbol];
        if len <= 8 {
            let mut rest = 0;
            while rest < 1 << (8 - len) {
                short[(code << (8 - len)) as usize + rest] = (symbol as u8, len);
                rest += 1;
            }
        }
        symbol += 1;
    }
    short
}

#[expect(
    clippy::indexing_slicing,
    reason = "by the compiler alone, which refuses what is out of bounds"
)]
const fn ranks() -> [Rank; LONGEST as usize + 1] {
    let codes = codes();
    // Where there is no code of a length, all ones: those begin codes of the last rank only, which
    // is asked before.
    let mut ranks = [Rank {
        len: LONGEST,
        first: u32::MAX,
        place: 0,
    }; LONGEST as usize + 1];
    let mut place = SYMBOLS;
    while place > 0 {
        place -= 1;
        let Code { code, len } = codes[SORTED[place] as usize];
        ranks[len as usize] = Rank {
            len: len as u32,
            first: code << (32 - len as u32),
            place: place as u16,
        };
    }
    ranks
}

/// All bytes, and EOS.
const SYMBOLS: usize = 257;

/// The symbol that ends a string, and of which padding is made.
const EOS: u16 = 256;

/// The length of the longest codes, EOS among them.
const LONGEST: u32 = 30;

/// The lengths of the codes, by symbol (RFC 7541 Appendix B).
#[rustfmt::skip]
const LENGTHS: [u8; SYMBOLS] = [
    13, 23, 28, 28, 28, 28, 28, 28, 28, 24, 30, 28, 28, 30, 28, 28,
    28, 28, 28, 28, 28, 28, 30, 28, 28, 28, 28, 28, 28, 28, 28, 28,
    6, 10, 10, 12, 13, 6, 8, 11, 10, 10, 8, 11, 8, 6, 6, 6,
    5, 5, 5, 6, 6, 6, 6, 6, 6, 6, 7, 8, 15, 6, 12, 10,
    13, 6, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7, 7,
    7, 7, 7, 7, 7, 7, 7, 7, 8, 7, 8, 13, 19, 13, 14, 6,
    15, 5, 6, 5, 6, 5, 6, 6, 6, 5, 7, 7, 6, 6, 6, 5,
    6, 7, 6, 5, 5, 6, 7, 7, 7, 7, 7, 15, 11, 14, 13, 28,
    20, 22, 20, 20, 22, 22, 22, 23, 22, 23, 23, 23, 23, 23, 24, 23,
    24, 24, 22, 23, 24, 23, 23, 23, 23, 21, 22, 23, 22, 23, 23, 24,
    22, 21, 20, 22, 22, 23, 23, 21, 23, 22, 22, 24, 21, 22, 23, 23,
    21, 21, 22, 21, 23, 22, 23, 23, 20, 22, 22, 22, 23, 22, 22, 23,
    26, 26, 20, 19, 22, 23, 22, 25, 26, 26, 26, 27, 27, 26, 24, 25,
    19, 21, 26, 27, 27, 26, 27, 24, 21, 21, 26, 26, 28, 27, 27, 27,
    20, 24, 20, 21, 22, 21, 21, 23, 22, 22, 25, 25, 24, 24, 26, 23,
    26, 27, 26, 26, 27, 27, 27, 27, 27, 28, 27, 27, 27, 27, 27, 26,
    30,
];

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn decoded(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = BytesMut::from(&b"before"[..]);
        let good = decode(input, &mut out);
        let appended = out.strip_prefix(b"before").unwrap().to_vec();
        assert!(good.is_some() || appended.is_empty());
        good.map(|()| appended)
    }

    fn encoded(bytes: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        encode(bytes.iter().copied(), &mut out);
        assert_eq!(out.len(), encoded_len(bytes.iter().copied()));
        out
    }

    fn hex(text: &str) -> Vec<u8> {
        let digits: Vec<_> = text.bytes().filter(|byte| *byte != b' ').collect();
        let byte = |pair: &[u8]| u8::from_str_radix(str::from_utf8(pair).unwrap(), 16).unwrap();
        digits.chunks(2).map(byte).collect()
    }

    /// The bits of a text of zeros and ones, filled up by ones.
    fn bits(text: &str) -> Vec<u8> {
        let padded = format!(
            "{text}{}",
            "1".repeat(text.len().next_multiple_of(8) - text.len())
        );
        let byte = |digits: &[u8]| u8::from_str_radix(str::from_utf8(digits).unwrap(), 2).unwrap();
        padded.as_bytes().chunks(8).map(byte).collect()
    }

    /// One bit after the other, by the list of codes.
    fn naive(input: &[u8]) -> Option<Vec<u8>> {
        let mut out = Vec::new();
        let (mut code, mut len) = (0_u32, 0_u8);
        for bit in input
            .iter()
            .flat_map(|byte| (0..8).rev().map(move |at| byte >> at & 1))
        {
            code = code << 1 | u32::from(bit);
            len += 1;
            let found = CODES
                .iter()
                .position(|one| (one.code, one.len) == (code, len));
            if let Some(symbol) = found {
                out.push(u8::try_from(symbol).ok()?);
                (code, len) = (0, 0);
            }
        }
        (len < 8 && code == (1 << len) - 1).then_some(out)
    }

    /// RFC 7541 Appendix C.4 and C.6.
    #[test]
    fn the_examples_of_the_rfc_are_read_and_written() {
        for (text, bytes) in [
            ("www.example.com", "f1e3 c2e5 f23a 6ba0 ab90 f4ff"),
            ("no-cache", "a8eb 1064 9cbf"),
            ("custom-key", "25a8 49e9 5ba9 7d7f"),
            ("custom-value", "25a8 49e9 5bb8 e8b4 bf"),
            ("302", "6402"),
            ("private", "aec3 771a 4b"),
            (
                "Mon, 21 Oct 2013 20:13:21 GMT",
                "d07a be94 1054 d444 a820 0595 040b 8166 e082 a62d 1bff",
            ),
            (
                "https://www.example.com",
                "9d29 ad17 1863 c78f 0b97 c8e9 ae82 ae43 d3",
            ),
            ("307", "640e ff"),
            ("gzip", "9bd9 ab"),
            (
                "foo=ASDJKHQKBZXOQWEOPIUAXQWEOIU; max-age=3600; version=1",
                "94e7 821d d7f2 e6c7 b335 dfdf cd5b 3960 d5af 2708 7f36 72c1 ab27 0fb5 291f \
                 9587 3160 65c0 03ed 4ee5 b106 3d50 07",
            ),
        ] {
            assert_eq!(encoded(text.as_bytes()), hex(bytes), "{text}");
            assert_eq!(decoded(&hex(bytes)).unwrap(), text.as_bytes(), "{text}");
        }
    }

    /// A few lines of RFC 7541 Appendix B, of all lengths.
    #[test]
    fn the_codes_are_those_of_the_rfc() {
        for (symbol, code, len) in [
            (b'0', 0x0, 5),
            (b't', 0x9, 5),
            (b' ', 0x14, 6),
            (b'z', 0x7b, 7),
            (b'&', 0xf8, 8),
            (b'!', 0x3f8, 10),
            (b'|', 0x7fc, 11),
            (b'#', 0xffa, 12),
            (0, 0x1ff8, 13),
            (b'}', 0x3ffd, 14),
            (b'{', 0x7ffe, 15),
            (b'\\', 0x7fff0, 19),
            (226, 0xfffed, 20),
            (230, 0x1fffe8, 21),
            (233, 0x3fffeb, 22),
            (231, 0x7ffff3, 23),
            (237, 0xfffff5, 24),
            (235, 0x1ffffef, 25),
            (255, 0x3ffffee, 26),
            (254, 0x7fffff0, 27),
            (249, 0xffffffe, 28),
            (22, 0x3ffffffe, 30),
        ] {
            let found = super::code(symbol);
            assert_eq!((found.code, found.len), (code, len), "{symbol}");
        }
        let eos = CODES[256];
        assert_eq!((eos.code, eos.len), (0x3fff_ffff, 30));
    }

    #[test]
    fn every_symbol_stands_anywhere() {
        for symbol in 0..=u8::MAX {
            for before in 0..8 {
                let mut text = vec![b'a'; before];
                text.extend([symbol, b'z', symbol]);
                assert_eq!(decoded(&encoded(&text)).unwrap(), text);
            }
        }
    }

    #[test]
    fn eos_is_refused() {
        let eos = "1".repeat(30);
        for text in [eos.clone(), format!("00011{eos}"), format!("{eos}00011")] {
            assert_eq!(decoded(&bits(&text)), None, "{text}");
        }
    }

    #[test]
    fn padding_is_fewer_than_8_ones() {
        assert_eq!(decoded(&[]).unwrap(), b"");
        // One code of 5 bits, and 3 of padding.
        assert_eq!(decoded(&[0b0001_1111]).unwrap(), b"a");
        for padding in ["000", "110", "011", "101"] {
            assert_eq!(
                decoded(&bits(&format!("00011{padding}"))),
                None,
                "{padding}"
            );
        }
        assert_eq!(decoded(&[0b0001_1111, 0xff]), None);
        assert_eq!(decoded(&[0xff]), None);
        assert_eq!(decoded(&[0xff; 3]), None);
        // Two codes of 8 bits have no padding.
        assert_eq!(decoded(&[0xf8, 0xfd]).unwrap(), b"&Z");
        assert_eq!(decoded(&[0xf8, 0xfd, 0xff]), None);
    }

    proptest! {
        #[test]
        fn what_is_encoded_is_decoded(bytes in prop::collection::vec(any::<u8>(), 0..100)) {
            prop_assert_eq!(decoded(&encoded(&bytes)), Some(bytes));
        }

        #[test]
        fn any_bytes_are_judged_as_bit_by_bit(bytes in prop::collection::vec(any::<u8>(), 0..40)) {
            prop_assert_eq!(decoded(&bytes), naive(&bytes));
        }

        #[test]
        fn likely_bytes_are_judged_as_bit_by_bit(
            text in "[ -~]{0,40}",
            at in any::<prop::sample::Index>(),
            flip in any::<u8>(),
        ) {
            let mut bytes = encoded(text.as_bytes());
            if !bytes.is_empty() {
                let at = at.index(bytes.len());
                bytes[at] ^= flip;
            }
            let found = decoded(&bytes);
            prop_assert_eq!(&found, &naive(&bytes));
            // RFC 7541 §5.2: what is accepted has one encoding.
            if let Some(found) = found {
                prop_assert_eq!(encoded(&found), bytes);
            }
        }
    }
}
