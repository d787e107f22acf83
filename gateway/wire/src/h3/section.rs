//! From an encoded field section to a table of fields: the rules that requests, answers and
//! trailers share (RFC 9114 §4.2, §4.3).

use bytes::BytesMut;

use super::SectionError;
use super::qpack::{Decoder, Line};
use crate::grammar::{is_blank, is_text, is_token};
use crate::h1::HeadError;
use crate::h1::request::check_host;
use crate::head::{Field, Fields, Name, Span};

/// A head's field section, decoded into an arena, to which all spans belong.
///
/// Its field lines are those of an HTTP/1.1 head: `Host` is among them, from `:authority` where
/// that came, and `Cookie` is one line at most.
#[derive(Debug)]
pub(super) struct Section<'a> {
    arena: &'a mut BytesMut,
    table: Vec<Field>,
    pseudo: Pseudo,
    /// Whether a field line has come: no pseudo-header field may follow.
    is_in_fields: bool,
    /// Whether `host` has come as a field line.
    has_host: bool,
    crumbs: usize,
}

/// The pseudo-header fields of a section (RFC 9114 §4.3, RFC 8441 §4).
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Pseudo {
    pub(super) authority: Option<Span>,
    pub(super) method: Option<Span>,
    pub(super) path: Option<Span>,
    pub(super) protocol: Option<Span>,
    pub(super) scheme: Option<Span>,
    pub(super) status: Option<Span>,
}

impl<'a> Section<'a> {
    /// Decodes a section of at most `max_size`, counted as in RFC 9114 §4.2.2. The arena is
    /// emptied first, and `table` is recycled.
    pub(super) fn decode(
        encoded: &[u8],
        max_size: u64,
        arena: &'a mut BytesMut,
        mut table: Vec<Field>,
    ) -> Result<Self, SectionError> {
        arena.clear();
        table.clear();
        let mut section = Self {
            arena,
            table,
            pseudo: Pseudo::default(),
            is_in_fields: false,
            has_host: false,
            crumbs: 0,
        };
        let mut decoder = Decoder::new(encoded)?;
        let mut size = Size::new(max_size);
        while let Some(line) = decoder.next_line()? {
            section.add(line, &mut size)?;
        }
        section.join_runs();
        match section.table.len() {
            ..=Fields::MAX => Ok(section),
            _ => Err(SectionError::TooLarge),
        }
    }

    pub(super) fn pseudo(&self) -> Pseudo {
        self.pseudo
    }

    /// The bytes of a span.
    pub(super) fn bytes(&self, span: Span) -> &[u8] {
        span.of(self.arena)
    }

    /// Gives the request another method.
    pub(super) fn set_method(&mut self, method: &[u8]) {
        self.pseudo.method = Some(self.append(method));
    }

    /// Puts one field line in the place of all with that name.
    pub(super) fn set(&mut self, name: Name, value: &[u8]) -> Result<(), SectionError> {
        self.table.retain(|field| field.known != name);
        if self.table.len() >= Fields::MAX {
            return Err(SectionError::TooLarge);
        }
        let name_span = self.append(name.as_str().as_bytes());
        let value = self.append(value);
        self.table.push(Field {
            known: name,
            name: name_span,
            value,
        });
        Ok(())
    }

    /// The field lines with the arena's bytes.
    pub(super) fn finish(self) -> Fields {
        Fields {
            bytes: self.arena.split().freeze(),
            table: self.table,
        }
    }

    /// Decodes a line to the end of the arena, and judges it.
    fn add(&mut self, line: Line<'_>, size: &mut Size) -> Result<(), SectionError> {
        let start = self.arena.len();
        line.name.append_to(self.arena)?;
        let name = self.since(start);
        if name.of(self.arena).starts_with(b":") {
            return self.add_pseudo(line, name, size);
        }
        self.is_in_fields = true;
        let known = judge_name(name.of(self.arena))?;
        if known == Name::Cookie {
            return self.add_crumb(line, name, size);
        }
        let value = self.add_value(line, name, size)?;
        judge_value(known, value.of(self.arena))?;
        if known == Name::Host {
            self.judge_host(value)?;
            if self.pseudo.authority.is_some() {
                // It said the same, and has its line.
                self.arena.truncate(start);
                return Ok(());
            }
        }
        self.push(Field { known, name, value })
    }

    /// A pseudo-header field (§4.3): known, before all field lines, and once.
    fn add_pseudo(
        &mut self,
        line: Line<'_>,
        name: Span,
        size: &mut Size,
    ) -> Result<(), SectionError> {
        let value = self.add_value(line, name, size)?;
        let slot = match name.of(self.arena) {
            b":authority" => &mut self.pseudo.authority,
            b":method" => &mut self.pseudo.method,
            b":path" => &mut self.pseudo.path,
            b":protocol" => &mut self.pseudo.protocol,
            b":scheme" => &mut self.pseudo.scheme,
            b":status" => &mut self.pseudo.status,
            _ => return Err(HeadError::PseudoHeader.into()),
        };
        if self.is_in_fields || slot.is_some() {
            return Err(HeadError::PseudoHeader.into());
        }
        *slot = Some(value);
        if name.of(self.arena) == b":authority" {
            check_host(value.of(self.arena), None)?;
            let name = self.append(Name::Host.as_str().as_bytes());
            return self.push(Field {
                known: Name::Host,
                name,
                value,
            });
        }
        Ok(())
    }

    /// A crumb of `Cookie` (§4.2.1: they are to be joined). One that follows another is joined to
    /// it where it is; so that `Cookie` has one line for each run of crumbs.
    fn add_crumb(
        &mut self,
        line: Line<'_>,
        name: Span,
        size: &mut Size,
    ) -> Result<(), SectionError> {
        self.crumbs += 1;
        if self.crumbs > MAX_CRUMBS {
            return Err(SectionError::TooLarge);
        }
        let run = self.table.last_mut();
        let Some(run) = run.filter(|field| field.known == Name::Cookie) else {
            let value = self.add_value(line, name, size)?;
            judge_value(Name::Cookie, value.of(self.arena))?;
            return self.push(Field {
                known: Name::Cookie,
                name,
                value,
            });
        };
        // Nothing came between, so that the run is the end of the arena. An empty crumb is none:
        // joined it would leave a blank at an end.
        let end = self.arena.len() - name.len();
        self.arena.truncate(end);
        debug_assert_eq!(run.value, Span::at(end - run.value.len(), run.value.len()));
        if run.value.len() > 0 {
            self.arena.extend_from_slice(JOINT);
        }
        let before = self.arena.len();
        line.value.append_to(self.arena)?;
        let value = Span::at(before, self.arena.len() - before);
        size.note(name.len() + value.len())?;
        judge_value(Name::Cookie, value.of(self.arena))?;
        match value.len() {
            0 => self.arena.truncate(end),
            _ => run.value = run.value.to(value),
        }
        Ok(())
    }

    /// §4.3.1: where both came, `host` says what `:authority` says.
    fn judge_host(&mut self, host: Span) -> Result<(), HeadError> {
        if std::mem::replace(&mut self.has_host, true) {
            return Err(HeadError::Host);
        }
        let authority = self.pseudo.authority.map(|span| span.of(self.arena));
        check_host(host.of(self.arena), authority)
    }

    /// Decodes the value of a line whose name is in the arena.
    fn add_value(
        &mut self,
        line: Line<'_>,
        name: Span,
        size: &mut Size,
    ) -> Result<Span, SectionError> {
        let start = self.arena.len();
        line.value.append_to(self.arena)?;
        let value = self.since(start);
        size.note(name.len() + value.len())?;
        Ok(value)
    }

    /// Adds a line. Beyond the bound of a head is room for the runs of crumbs that are joined at
    /// the end: no two follow each other.
    fn push(&mut self, field: Field) -> Result<(), SectionError> {
        if self.table.len() > 2 * Fields::MAX {
            return Err(SectionError::TooLarge);
        }
        self.table.push(field);
        Ok(())
    }

    /// Joins the runs of crumbs, where there are several, at the place of the first.
    fn join_runs(&mut self) {
        let is_run = |field: &&Field| field.known == Name::Cookie;
        if self.table.iter().filter(is_run).count() < 2 {
            return;
        }
        let start = self.arena.len();
        for run in self.table.iter().filter(is_run) {
            if run.value.len() > 0 && self.arena.len() > start {
                self.arena.extend_from_slice(JOINT);
            }
            let end = self.arena.len();
            self.arena.resize(end + run.value.len(), 0);
            if let Some((before, copy)) = self.arena.split_at_mut_checked(end) {
                for (to, from) in copy.iter_mut().zip(run.value.of(before)) {
                    *to = *from;
                }
            }
        }
        let joined = self.since(start);
        let mut is_first = true;
        self.table.retain_mut(|field| {
            if field.known != Name::Cookie {
                return true;
            }
            field.value = joined;
            std::mem::take(&mut is_first)
        });
    }

    fn append(&mut self, bytes: &[u8]) -> Span {
        let start = self.arena.len();
        self.arena.extend_from_slice(bytes);
        self.since(start)
    }

    /// The end of the arena, from `start` on.
    fn since(&self, start: usize) -> Span {
        Span::at(start, self.arena.len() - start)
    }
}

/// Decodes and checks a trailer section, of a request or an answer, which is then dropped as
/// HTTP/1.1's are: trailers must never become headers (promise P1). `max_size` is that of
/// [`parse_request`](super::parse_request).
///
/// # Errors
///
/// See [`SectionError`]; pseudo-header fields are malformed (RFC 9114 §4.3).
pub fn check_trailers(section: &[u8], max_size: u64) -> Result<(), SectionError> {
    let mut decoder = Decoder::new(section)?;
    let mut size = Size::new(max_size);
    let mut name = BytesMut::new();
    let mut value = BytesMut::new();
    while let Some(line) = decoder.next_line()? {
        name.clear();
        value.clear();
        line.name.append_to(&mut name)?;
        line.value.append_to(&mut value)?;
        size.note(name.len() + value.len())?;
        if name.starts_with(b":") {
            return Err(HeadError::PseudoHeader.into());
        }
        judge_value(judge_name(&name)?, &value)?;
    }
    Ok(())
}

/// The most `cookie` lines of a request (RFC 9114 §4.2.1), which clients split for the sake of
/// compression. Joined they count as one field line.
pub const MAX_CRUMBS: usize = 512;

/// What is left of a section's size (RFC 9114 §4.2.2).
struct Size {
    left: u64,
}

impl Size {
    fn new(most: u64) -> Self {
        Self {
            left: most.min(MAX_SIZE),
        }
    }

    fn note(&mut self, len: usize) -> Result<(), SectionError> {
        let size = (len as u64).saturating_add(FIELD_OVERHEAD);
        self.left = self.left.checked_sub(size).ok_or(SectionError::TooLarge)?;
        Ok(())
    }
}

fn judge_name(name: &[u8]) -> Result<Name, HeadError> {
    // §4.2: upper case is malformed.
    if name.iter().any(u8::is_ascii_uppercase) {
        return Err(HeadError::UpperCase);
    }
    // §10.3, RFC 9110 §5.1.
    if !is_token(name) {
        return Err(HeadError::Syntax);
    }
    match Name::of(name) {
        // §4.2: and so is what belongs to connections of HTTP/1.1.
        Name::Connection
        | Name::KeepAlive
        | Name::ProxyConnection
        | Name::TransferEncoding
        | Name::Upgrade => Err(HeadError::ConnectionSpecific),
        known => Ok(known),
    }
}

fn judge_value(known: Name, value: &[u8]) -> Result<(), HeadError> {
    // RFC 9110 §5.5: blanks at the ends are no part of a value; HTTP/3 has no syntax in which they
    // could stand around it, so that they were taken for a part of it.
    let has_blanks = [value.first(), value.last()]
        .into_iter()
        .flatten()
        .any(|byte| is_blank(*byte));
    // §10.3.
    if has_blanks || !is_text(value) {
        return Err(HeadError::Syntax);
    }
    // §4.2.
    if known == Name::Te && !value.eq_ignore_ascii_case(b"trailers") {
        return Err(HeadError::ConnectionSpecific);
    }
    Ok(())
}

/// Spans are 32 bits wide, and joined crumbs are in the arena twice.
const MAX_SIZE: u64 = 1 << 30;

/// What a field counts beyond its bytes (RFC 9114 §4.2.2).
pub(super) const FIELD_OVERHEAD: u64 = 32;

/// Between two crumbs (RFC 9114 §4.2.1).
const JOINT: &[u8] = b"; ";

#[cfg(test)]
mod tests;
