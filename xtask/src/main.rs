//! `cargo xtask`: the container workflow of this repository.

use std::process::ExitCode;

fn main() -> ExitCode {
    workflow::main()
}
