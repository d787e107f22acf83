//! The header names that belong to the gateway: no client ever sets them (promise P1).

use wire::Folded;

use crate::App;

/// The built-in names of domain §9.1, which no configuration can switch off, and every identity
/// header name of every app.
#[derive(Clone, Debug)]
pub struct OwnedNames {
    configured: Box<[Box<[u8]>]>,
}

impl OwnedNames {
    /// The built-in names and those of all apps.
    pub fn new<'a>(apps: impl IntoIterator<Item = &'a App>) -> Self {
        let _ = apps;
        todo!()
    }

    /// Whether the gateway owns a field name, in whatever spelling.
    pub fn owns(&self, name: &Folded) -> bool {
        let _ = (name, &self.configured);
        todo!()
    }
}
