//! The command line.

use std::process::ExitCode;

fn main() -> ExitCode {
    if let Some(status) = deployrun::dispatch() {
        return ExitCode::from(u8::try_from(status).unwrap_or(1));
    }
    deployrun::cli::main()
}
