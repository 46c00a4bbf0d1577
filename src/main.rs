//! The `kvadm` program: parse and exit; nothing else.

fn main() {}
