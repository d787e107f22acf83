//! Pure decisions about requests and answers: no I/O, no clock, no randomness.
//!
//! [`Policy::decide`] takes a parsed request and yields a [`Step`]: a [`Decision`], or a
//! [`Question`] that only the process can answer (is this password right? is this session
//! alive?), with which the decision resumes. Each rule of the gateway lives in one place here and
//! is the same for every protocol version.

#![forbid(unsafe_code)]

mod answer;
mod app;
mod credentials;
mod decide;
mod decision;
mod header_name;
mod identity;
mod inject;
mod lane;
mod lanes;
mod navigation;
mod net;
mod origin;
mod owned;
mod path;
mod place;
mod reply;
mod sanitise;
mod session;
#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
mod url;

pub use answer::{KeptAnswer, OwnFields};
pub use app::{ApiCredentials, App, Apps, Discovery, IdentityHeaders, Kind, LaneRules, Match};
pub use decide::{Pending, Policy, Request, Spoofed};
pub use decision::{
    Decision, Fault, Form, Forward, Outcome, Question, RateKey, Reason, Refusal, Step,
};
pub use header_name::{HeaderName, InvalidHeaderName};
pub use identity::{Identity, InvalidIdentity, Username};
pub use inject::RequestId;
pub use lane::Lane;
pub use net::{InvalidNet, IpNet};
pub use origin::{InvalidOrigin, WebOrigin, WebsocketOrigins};
pub use owned::OwnedNames;
pub use path::{AmbiguousPath, DecisionPath};
pub use reply::Reply;
pub use sanitise::{Kept, Stripped};
pub use session::{InvalidRealm, Realm, SessionToken};
pub use url::{InvalidPathPrefix, InvalidPublicUrl, Mount, PathPrefix, PublicUrl};
