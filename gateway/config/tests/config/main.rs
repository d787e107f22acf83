//! The crate as the process uses it: whole files in, configurations or faults out.

#![cfg(test)]

mod documentation;
mod faults;
mod files;
mod guard;
mod properties;
mod support;
mod values;
