//! The rules of docs/lanes.md, seen from outside: a request in, what the back-end gets out.

mod answers;
mod bypass;
mod cookies;
mod head;
mod lanes;
mod open_paths;
mod order;
mod origins;
mod properties;
mod spoofing;
