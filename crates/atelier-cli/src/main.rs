//! The `atelier` command.
fn main() {}
