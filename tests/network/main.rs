//! The bridge network with real packets, in namespaces that each test makes for itself. Needs root.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod ipv6;
mod kill;
mod lab;
mod lifecycle;
mod networks;
mod reach;
mod refuse;
mod switch;
