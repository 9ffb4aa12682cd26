//! Figures of the broker.
fn main() {}
