//! Who can use which form of answer (domain §5.6).

use wire::Head;

use crate::Form;

/// HTML for a navigating browser, Connect's JSON for everything else: `Sec-Fetch-Mode: navigate`,
/// or a GET that accepts `text/html` and shows no sign of a script; never an upgrade and never a
/// path under `/__api__/` (`under_api`).
pub(crate) fn form(head: &Head, websocket: bool, under_api: bool) -> Form {
    let _ = (head, websocket, under_api);
    todo!()
}
