//! The program `venule`.

#![forbid(unsafe_code)]

mod commands;
mod output;
mod ranks;
mod reading;
mod run_args;
mod support;
mod system;

use std::process::ExitCode;

use clap::{CommandFactory, Parser, Subcommand};

use commands::{
    adapt, completions, data, evaluate, export, finetune, plot, pretrain, reconstruct, runs, score,
    segment, sweep,
};

/// Finds blood vessels in photographs of the retina; trains and evaluates models for it.
#[derive(Parser)]
#[command(
    name = "venule",
    version,
    subcommand_required = false,
    after_help = "Begin with:  venule segment photo.jpg\n\n\
        Exit codes: 0 all done; 1 something failed, and is said on standard error; 2 the command line is not understood; \
        130 stopped by Ctrl-C, with everything saved."
)]
struct Program {
    #[command(subcommand)]
    command: Option<Command>,
}

#[derive(Subcommand)]
enum Command {
    Segment(segment::Args),
    Evaluate(evaluate::Args),
    Score(score::Args),
    Pretrain(pretrain::Args),
    Finetune(Box<finetune::Args>),
    Adapt(adapt::Args),
    Sweep(sweep::Args),
    Runs(runs::Args),
    Plot(plot::Args),
    Reconstruct(reconstruct::Args),
    Export(export::Args),
    Data(data::Args),
    Completions(completions::Args),
}

fn main() -> ExitCode {
    output::exit(match Program::parse().command {
        Some(Command::Segment(args)) => segment::run(args),
        Some(Command::Evaluate(args)) => evaluate::run(args),
        Some(Command::Score(args)) => score::run(args),
        Some(Command::Pretrain(args)) => pretrain::run(args),
        Some(Command::Finetune(args)) => finetune::run(*args),
        Some(Command::Adapt(args)) => adapt::run(args),
        Some(Command::Sweep(args)) => sweep::run(args),
        Some(Command::Runs(args)) => runs::run(args),
        Some(Command::Plot(args)) => plot::run(args),
        Some(Command::Reconstruct(args)) => reconstruct::run(args),
        Some(Command::Export(args)) => export::run(args),
        Some(Command::Data(args)) => data::run(args),
        Some(Command::Completions(args)) => completions::run(args, Program::command()),
        None => {
            output::say!("{}", Program::command().render_help());
            Ok(ExitCode::SUCCESS)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_sound() {
        Program::command().debug_assert();
    }
}
