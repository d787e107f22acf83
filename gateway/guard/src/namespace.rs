//! Network namespaces.

use std::io;
use std::path::Path;

/// The cookie of the namespace that a file names; of this thread's for `None`.
pub(crate) fn cookie(namespace: Option<&Path>) -> io::Result<u64> {
    let _ = namespace;
    todo!()
}

/// Runs something in the namespace that a file names, on a thread of its own.
pub(crate) fn inside<T: Send>(
    namespace: Option<&Path>,
    work: impl FnOnce() -> io::Result<T> + Send,
) -> io::Result<T> {
    let _ = (namespace, work);
    todo!()
}
