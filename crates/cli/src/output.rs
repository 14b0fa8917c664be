//! What the program says, and its exit code.

use std::error::Error;
use std::process::ExitCode;

/// `println!` whose reader may have gone, as behind `| head`: the program goes on, and what it writes is not lost.
macro_rules! say {
    ($($part:tt)*) => {{
        use std::io::Write;
        let _ = writeln!(std::io::stdout(), $($part)*);
    }};
}
pub(crate) use say;

pub type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

/// Exit code of a run stopped by Ctrl-C or a termination signal, as shells use it.
pub const INTERRUPTED: u8 = 130;

/// Prints an error with its causes; the exit code of the program.
pub fn exit(result: AnyResult<ExitCode>) -> ExitCode {
    match result {
        Ok(code) => code,
        Err(error) => {
            eprintln!("error: {error}");
            let mut cause = error.source();
            while let Some(inner) = cause {
                eprintln!("  caused by: {inner}");
                cause = inner.source();
            }
            ExitCode::FAILURE
        }
    }
}

/// A number of a table with four decimals; a dash where it is undefined.
pub fn number(value: Option<f64>) -> String {
    value.map_or("-".to_owned(), |value| format!("{value:.4}"))
}
