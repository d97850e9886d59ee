//! The command `ht`.

use std::process::ExitCode;

fn main() -> ExitCode {
    experiments::cli::main()
}
