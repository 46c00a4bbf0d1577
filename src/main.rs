//! The `kvadm` program: parse and exit; nothing else.

use std::process::ExitCode;

fn main() -> ExitCode {
    kvadm::run(std::env::args_os())
}
