//! One written value and its place.

use std::ops::RangeInclusive;

use toml::Spanned;
use toml::de::DeValue;

use crate::context::{Context, Missing};
use crate::{Origin, units};

/// A value.
#[derive(Clone)]
pub(crate) struct Value<'a> {
    context: &'a Context<'a>,
    value: &'a DeValue<'a>,
    origin: Origin,
}

/// A text.
#[derive(Clone)]
pub(crate) struct Text<'a> {
    text: &'a str,
    origin: Origin,
}

impl<'a> Value<'a> {
    pub(crate) fn new(context: &'a Context<'a>, value: &'a DeValue<'a>, origin: Origin) -> Self {
        Self {
            context,
            value,
            origin,
        }
    }

    /// Records that something else was expected. The value itself is not repeated: it stands at
    /// the named line, and it may be a secret header name.
    pub(crate) fn unexpected(&self, expected: &str) -> Missing {
        self.context
            .fault(&self.origin, format!("expected {expected}"))
    }

    /// Its text.
    pub(crate) fn text(&self, expected: &str) -> Result<Text<'a>, Missing> {
        match self.value {
            DeValue::String(text) => Ok(Text {
                text,
                origin: self.origin.clone(),
            }),
            _ => Err(self.wrong_type(expected)),
        }
    }

    /// Its elements, if it is an array.
    pub(crate) fn elements(&self, expected: &str) -> Result<Vec<Self>, Missing> {
        let DeValue::Array(array) = self.value else {
            return Err(self.wrong_type(expected));
        };
        let element = |(index, value): (usize, &'a Spanned<DeValue<'a>>)| {
            let key = format!("{}[{index}]", self.origin.key);
            let origin = self.context.origin(&value.span(), key);
            Self::new(self.context, value.get_ref(), origin)
        };
        Ok(array.iter().enumerate().map(element).collect())
    }

    /// Its texts, if it is an array.
    pub(crate) fn texts(&self, expected: &str) -> Result<Vec<Text<'a>>, Missing> {
        let elements = self.elements(expected)?;
        // Collected in two steps, so that a fault does not hide the next.
        let texts: Vec<_> = elements.iter().map(|value| value.text(expected)).collect();
        texts.into_iter().collect()
    }

    /// Its truth.
    pub(crate) fn boolean(&self) -> Result<bool, Missing> {
        match self.value {
            DeValue::Boolean(value) => Ok(*value),
            _ => Err(self.wrong_type("true or false")),
        }
    }

    /// Its whole number.
    pub(crate) fn integer(&self, expected: &str) -> Result<i64, Missing> {
        match self.value {
            DeValue::Integer(integer) => i64::from_str_radix(integer.as_str(), integer.radix())
                .map_err(|_| self.unexpected(expected)),
            _ => Err(self.wrong_type(expected)),
        }
    }

    /// Whether it is a whole number.
    pub(crate) fn is_integer(&self) -> bool {
        matches!(self.value, DeValue::Integer(_))
    }

    /// Whether it is an array.
    pub(crate) fn is_array(&self) -> bool {
        matches!(self.value, DeValue::Array(_))
    }

    /// Its size in bytes: a number, or a text with a unit.
    pub(crate) fn size(&self, expected: &str, range: RangeInclusive<u64>) -> Result<u64, Missing> {
        let size = if self.is_integer() {
            u64::try_from(self.integer(expected)?).ok()
        } else {
            units::size(self.text(expected)?.as_str())
        };
        size.filter(|size| range.contains(size))
            .ok_or_else(|| self.unexpected(expected))
    }

    fn wrong_type(&self, expected: &str) -> Missing {
        let found = match self.value {
            DeValue::Array(_) => "an array",
            DeValue::Boolean(_) => "a boolean",
            DeValue::Datetime(_) => "a date or time",
            DeValue::Float(_) => "a fraction",
            DeValue::Integer(_) => "a number",
            DeValue::String(_) => "a text",
            DeValue::Table(_) => "a table",
        };
        self.context
            .fault(&self.origin, format!("expected {expected}, found {found}"))
    }
}

impl<'a> Text<'a> {
    pub(crate) fn as_str(&self) -> &'a str {
        self.text
    }

    /// Where its key stands.
    pub(crate) fn origin(&self) -> &Origin {
        &self.origin
    }
}
