use std::process::ExitCode;

use clap_complete::Shell;

use crate::output::{AnyResult, say};

/// Print the completions of a shell, to be sourced or saved where the shell looks for them.
#[derive(clap::Args)]
#[command(
    after_help = "Example:  venule completions bash > ~/.local/share/bash-completion/completions/venule"
)]
pub struct Args {
    /// The shell
    shell: Shell,
}

pub fn run(args: Args, mut command: clap::Command) -> AnyResult<ExitCode> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut command, "venule", &mut script);
    say!("{}", String::from_utf8_lossy(&script).trim_end());
    Ok(ExitCode::SUCCESS)
}
