//! The `kvadm` program.

use std::process::ExitCode;

fn main() -> ExitCode {
    kvadm::run(std::env::args_os())
}
