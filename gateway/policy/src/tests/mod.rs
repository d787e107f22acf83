//! The rules of domain §3 and §9, seen from outside: a request in, what the back-end gets out.

mod answers;
mod bypass;
mod cookies;
mod head;
mod lanes;
mod open_paths;
mod order;
mod properties;
mod spoofing;
