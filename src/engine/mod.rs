//! The engine: containers, from a record to a running process and back.

pub mod network;
pub mod spec;
