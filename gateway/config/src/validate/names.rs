//! The names by which tables refer to each other.

use std::collections::HashMap;

use crate::context::{Context, Missing};
use crate::raw::Section;
use crate::value::Text;

/// The names of one kind of table, by index.
pub(super) struct Names<'a> {
    kind: &'static str,
    names: Vec<Option<&'a str>>,
    first: HashMap<&'a str, usize>,
}

impl<'a> Names<'a> {
    pub(super) fn new(kind: &'static str) -> Self {
        Self {
            kind,
            names: Vec::new(),
            first: HashMap::new(),
        }
    }

    /// Reads the `name` of the next table. A name at fault can still be referred to, so that one
    /// slip does not cause a second fault.
    pub(super) fn read(&mut self, section: &mut Section<'a>) -> Result<&'a str, Missing> {
        let index = self.names.len();
        let text = section.text("name", EXPECTED);
        self.names.push(text.as_ref().ok().map(Text::as_str));
        let text = text?;
        let name = text.as_str();
        let first = *self.first.entry(name).or_insert(index);
        let fault = |message: String| Err(section.context().fault(text.origin(), message));
        if !is_name(name) {
            fault(format!("expected {EXPECTED}"))
        } else if first != index {
            fault(format!("{}[{first}] has this name already", self.kind))
        } else {
            Ok(name)
        }
    }

    /// The index of the table to which a text refers.
    pub(super) fn find(&self, context: &Context<'_>, text: &Text<'_>) -> Result<usize, Missing> {
        match self.first.get(text.as_str()) {
            Some(index) => Ok(*index),
            None => {
                let names: Vec<&str> = self.names.iter().flatten().copied().collect();
                let message = match names.as_slice() {
                    [] => format!("no {} has a name", self.kind),
                    names => format!(
                        "no {} has this name: expected one of {}",
                        self.kind,
                        names.join(", ")
                    ),
                };
                Err(context.fault(text.origin(), message))
            }
        }
    }

    /// How many tables there are.
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }
}

fn is_name(name: &str) -> bool {
    let allowed = |byte: u8| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'-');
    (1..=32).contains(&name.len()) && name.bytes().all(allowed)
}

const EXPECTED: &str = "a name of 1 to 32 characters of a-z, 0-9 and -";
