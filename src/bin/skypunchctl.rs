//! The operator's tool: see `skypunch::cli`.

use std::process::ExitCode;

fn main() -> ExitCode {
    skypunch::cli::main()
}
