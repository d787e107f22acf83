//! The digests of a body, taken while it passes.

use aws_lc_rs::digest::{Context, SHA256};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use md5::{Digest, Md5};

/// What is kept of a body: its length, its digests and its first bytes.
#[derive(Clone, Debug, Default)]
pub(super) struct Summary {
    pub(super) length: u64,
    /// SHA-256, in hex.
    pub(super) sha256: String,
    /// MD5, in base64 as `X-Content-Checksum` has it; empty unless it was asked for.
    pub(super) md5: String,
    /// The first bytes of the body, at most 64 KiB.
    pub(super) prefix: Vec<u8>,
}

/// Takes a body in, piece by piece.
pub(super) struct Summarizer {
    length: u64,
    sha256: Context,
    md5: Option<Md5>,
    prefix: Vec<u8>,
}

impl Summarizer {
    /// Starts with an empty body; MD5 costs more than all the rest, so it is taken on demand.
    pub(super) fn new(with_md5: bool) -> Self {
        Self {
            length: 0,
            sha256: Context::new(&SHA256),
            md5: with_md5.then(Md5::new),
            prefix: Vec::new(),
        }
    }

    /// Takes the next piece in.
    pub(super) fn update(&mut self, piece: &[u8]) {
        self.length += piece.len() as u64;
        self.sha256.update(piece);
        if let Some(md5) = &mut self.md5 {
            md5.update(piece);
        }
        let room = PREFIX_LIMIT.saturating_sub(self.prefix.len());
        self.prefix.extend(piece.iter().take(room));
    }

    /// What came.
    pub(super) fn finish(self) -> Summary {
        Summary {
            length: self.length,
            sha256: hex(self.sha256.finish().as_ref()),
            md5: self
                .md5
                .map(|md5| STANDARD.encode(md5.finalize()))
                .unwrap_or_default(),
            prefix: self.prefix,
        }
    }
}

/// Lower-case hexadecimal digits.
pub(super) fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

const PREFIX_LIMIT: usize = 64 << 10;
