//! The device program: Mender's update module `docker`, and docker's words for a person.
fn main() {}
