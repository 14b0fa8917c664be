//! The program `venule`.

#![forbid(unsafe_code)]

mod commands;
mod output;
mod ranks;
mod reading;
mod run_args;
mod support;
mod system;

use std::path::Path;
use std::process::ExitCode;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use clap::{CommandFactory, Parser, Subcommand};
use venule::data::looks_like_image;

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
    let program = Program::try_parse().unwrap_or_else(|error| {
        let hint = hint(&error);
        // Help comes this way too, and has none; the code stays clap's.
        let _ = error.print();
        if let Some(hint) = hint {
            eprintln!("\n  tip: {hint}");
        }
        std::process::exit(error.exit_code())
    });
    output::exit(match program.command {
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

/// What is meant by a command line that is not understood, where that can be told.
fn hint(error: &clap::Error) -> Option<String> {
    let said = |kind| match error.get(kind) {
        Some(ContextValue::String(text)) => Some(text.as_str()),
        _ => None,
    };
    match error.kind() {
        ErrorKind::InvalidSubcommand => {
            let photograph = said(ContextKind::InvalidSubcommand)?;
            let quote = if photograph.contains(' ') { "\"" } else { "" };
            looks_like_image(Path::new(photograph)).then(|| {
                format!(
                    "venule segment {quote}{photograph}{quote} finds the vessels in a photograph"
                )
            })
        }
        ErrorKind::ValueValidation => {
            let (whole, part) = said(ContextKind::InvalidValue)?.split_once(',')?;
            let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
            // Three digits may as well be thousands.
            (digits(whole) && digits(part) && !part.is_empty() && part.len() != 3)
                .then(|| format!("a decimal number has a point, not a comma: {whole}.{part}"))
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_meant_is_said() {
        for (line, meant) in [
            (&["venule", "eye.jpg"][..], Some("venule segment eye.jpg")),
            (
                &["venule", "an eye.TIF"],
                Some("venule segment \"an eye.TIF\""),
            ),
            (&["venule", "run.toml"], None),
            (&["venule", "segmnt"], None),
            (
                &["venule", "segment", "a.png", "--threshold", "0,4"],
                Some("0.4"),
            ),
            (&["venule", "segment", "a.png", "--threshold", "much"], None),
            (&["venule", "--help"], None),
        ] {
            let error = Program::try_parse_from(line).err().unwrap();
            let hint = hint(&error);
            match meant {
                Some(meant) => assert!(hint.as_ref().unwrap().contains(meant), "{hint:?}"),
                None => assert_eq!(hint, None, "{line:?}"),
            }
        }
    }

    #[test]
    fn the_command_line_is_sound() {
        Program::command().debug_assert();
    }
}
