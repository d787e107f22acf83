//! The document as written: tables and keys, each with its place.
//!
//! A table is read key by key. A key that nobody has asked for when the table is finished is
//! unknown, and the keys that were asked for are the accepted ones: no second list of them exists.
//! Unlike deserialising into structs, no fault hides the next.

use std::ops::RangeInclusive;
use std::time::Duration;

use toml::Spanned;
use toml::de::{DeTable, DeValue};

use crate::Origin;
use crate::context::{Context, Missing};
use crate::units;
use crate::value::{Text, Value};

/// A table that is being read.
pub(crate) struct Section<'a> {
    context: &'a Context<'a>,
    /// `None`: the table is not written, all its keys have their defaults.
    table: Option<&'a DeTable<'a>>,
    origin: Origin,
    asked: Vec<&'static str>,
}

impl<'a> Section<'a> {
    /// The document itself.
    pub(crate) fn root(context: &'a Context<'a>, table: &'a DeTable<'a>) -> Self {
        Self::new(context, Some(table), context.whole(String::new()))
    }

    pub(crate) fn context(&self) -> &'a Context<'a> {
        self.context
    }

    /// Where a key stands, or the table if it is not written.
    pub(crate) fn place(&self, key: &str) -> Origin {
        let path = self.path(key);
        match self.table.and_then(|table| table.get_key_value(key)) {
            Some((key, _)) => self.context.origin(&key.span(), path),
            None => Origin {
                key: path,
                ..self.origin.clone()
            },
        }
    }

    /// A key's value, if it is written.
    pub(crate) fn key(&mut self, key: &'static str) -> Option<Value<'a>> {
        // A key may be asked for again once it turns out to be mandatory.
        if !self.asked.contains(&key) {
            self.asked.push(key);
        }
        let value = self.table?.get(key)?.get_ref();
        Some(Value::new(self.context, value, self.place(key)))
    }

    /// A key's value; a fault if it is not written.
    pub(crate) fn mandatory(
        &mut self,
        key: &'static str,
        expected: &str,
    ) -> Result<Value<'a>, Missing> {
        match self.key(key) {
            Some(value) => Ok(value),
            None => {
                let message = format!("missing: expected {expected}");
                Err(self.context.fault(&self.place(key), message))
            }
        }
    }

    /// A mandatory text.
    pub(crate) fn text(&mut self, key: &'static str, expected: &str) -> Result<Text<'a>, Missing> {
        self.mandatory(key, expected)?.text(expected)
    }

    /// A table below this one; all defaults if it is not written.
    pub(crate) fn section(&mut self, key: &'static str) -> Self {
        // A table at fault is read as one that is not written: its fault is recorded.
        let section = self.optional_section(key).ok().flatten();
        section.unwrap_or_else(|| Self::new(self.context, None, self.place(key)))
    }

    /// A table below this one, if it is written.
    pub(crate) fn optional_section(&mut self, key: &'static str) -> Result<Option<Self>, Missing> {
        self.asked.push(key);
        let Some(value) = self.table.and_then(|table| table.get(key)) else {
            return Ok(None);
        };
        let origin = self.place(key);
        match value.get_ref() {
            DeValue::Table(table) => Ok(Some(Self::new(self.context, Some(table), origin))),
            _ => Err(self.context.fault(&origin, "expected a table")),
        }
    }

    /// The tables of an array (`[[key]]`); a fault if there is none.
    pub(crate) fn sections(&mut self, key: &'static str) -> Vec<Self> {
        let sections = self.optional_sections(key);
        if sections.is_empty() {
            let origin = self.place(key);
            let message = format!("missing: expected at least one [[{}]]", header(&origin.key));
            self.context.fault(&origin, message);
        }
        sections.into_iter().filter_map(Result::ok).collect()
    }

    /// The tables of an array (`[[key]]`); what is no table is missing, so that nothing at fault
    /// looks as if it were not written.
    pub(crate) fn optional_sections(&mut self, key: &'static str) -> Vec<Result<Self, Missing>> {
        self.asked.push(key);
        let origin = self.place(key);
        let values: &[Spanned<DeValue<'a>>] = match self
            .table
            .and_then(|table| table.get(key))
            .map(Spanned::get_ref)
        {
            None => &[],
            Some(DeValue::Array(array)) => array,
            Some(_) => {
                let message = format!("expected tables [[{}]]", header(&origin.key));
                return vec![Err(self.context.fault(&origin, message))];
            }
        };
        let table = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let key = format!("{}[{index}]", origin.key);
            let origin = self.context.origin(&value.span(), key);
            match value.get_ref() {
                DeValue::Table(table) => Ok(Self::new(self.context, Some(table), origin)),
                _ => Err(self.context.fault(&origin, "expected a table")),
            }
        };
        values.iter().enumerate().map(table).collect()
    }

    /// An optional switch.
    pub(crate) fn switch(&mut self, key: &'static str, default: bool) -> Result<bool, Missing> {
        self.key(key).map_or(Ok(default), |value| value.boolean())
    }

    /// An optional whole number.
    pub(crate) fn number(
        &mut self,
        key: &'static str,
        default: u32,
        range: RangeInclusive<u32>,
    ) -> Result<u32, Missing> {
        self.key(key).map_or(Ok(default), |value| {
            let expected = format!("a number from {} to {}", range.start(), range.end());
            let number = value.integer(&expected)?;
            u32::try_from(number)
                .ok()
                .filter(|number| range.contains(number))
                .ok_or_else(|| value.unexpected(&expected))
        })
    }

    /// An optional duration, at most [`units::LONGEST`].
    pub(crate) fn duration(
        &mut self,
        key: &'static str,
        default: Duration,
        least: Duration,
    ) -> Result<Duration, Missing> {
        self.key(key).map_or(Ok(default), |value| {
            let expected = format!(
                r#"a duration from {} to {}, as "500ms", "30s", "5m" or "12h""#,
                units::show(least),
                units::show(units::LONGEST),
            );
            let text = value.text(&expected)?;
            units::duration(text.as_str())
                .filter(|duration| (least..=units::LONGEST).contains(duration))
                .ok_or_else(|| value.unexpected(&expected))
        })
    }

    /// One of several words; mandatory without a default.
    pub(crate) fn choice<T: Copy>(
        &mut self,
        key: &'static str,
        default: Option<T>,
        choices: &[(&str, T)],
    ) -> Result<T, Missing> {
        let words: Vec<String> = choices
            .iter()
            .map(|(word, _)| format!("{word:?}"))
            .collect();
        let expected = words.join(" or ");
        let value = match (self.key(key), default) {
            (Some(value), _) => value,
            (None, Some(default)) => return Ok(default),
            (None, None) => self.mandatory(key, &expected)?,
        };
        let text = value.text(&expected)?;
        choices
            .iter()
            .find(|(word, _)| *word == text.as_str())
            .map(|(_, choice)| *choice)
            .ok_or_else(|| value.unexpected(&expected))
    }

    /// Reports every key that was not asked for.
    pub(crate) fn finish(self) {
        for key in self.table.into_iter().flat_map(DeTable::keys) {
            let name = key.get_ref().as_ref();
            if !self.asked.contains(&name) {
                let accepted = self.asked.join(", ");
                self.context.fault(
                    &self.place(name),
                    format!("unknown key: expected one of {accepted}"),
                );
            }
        }
    }

    fn new(context: &'a Context<'a>, table: Option<&'a DeTable<'a>>, origin: Origin) -> Self {
        Self {
            context,
            table,
            origin,
            asked: Vec::new(),
        }
    }

    fn path(&self, key: &str) -> String {
        if self.origin.key.is_empty() {
            key.to_owned()
        } else {
            format!("{}.{key}", self.origin.key)
        }
    }
}

/// The header by which the tables of a path are written: `pool[0].server` is `[[pool.server]]`.
fn header(path: &str) -> String {
    let mut inside = false;
    path.chars()
        .filter(|character| {
            inside |= *character == '[';
            let shown = !inside;
            inside &= *character != ']';
            shown
        })
        .collect()
}
