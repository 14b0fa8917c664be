//! Every flag of the programs of version 0.1 is there.

use std::process::Command;

fn help(subcommand: &str) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_venule"))
        .args([subcommand, "--help"])
        .output()
        .unwrap();
    assert!(output.status.success(), "{subcommand}");
    String::from_utf8(output.stdout).unwrap()
}

/// The subcommands with the flags that their programs had in version 0.1.
const FLAGS: [(&str, &[&str]); 11] = [
    (
        "segment",
        &[
            "--weights",
            "--fast",
            "--out",
            "--threshold",
            "--fov",
            "--full-frame",
            "--flips",
            "--threads",
            "--device",
        ],
    ),
    (
        "evaluate",
        &[
            "--weights",
            "--fast",
            "--dataset",
            "--split",
            "--threshold",
            "--choose-threshold",
            "--full-frame",
            "--no-fov",
            "--resize",
            "--fov-diameter",
            "--window",
            "--flips",
            "--json",
            "--markdown",
            "--csv",
            "--report",
            "--pictures",
            "--seed",
            "--threads",
            "--device",
        ],
    ),
    (
        "score",
        &[
            "--predictions",
            "--truth",
            "--fov",
            "--pattern",
            "--truth-pattern",
            "--threshold",
            "--seed",
            "--json",
        ],
    ),
    (
        "pretrain",
        &[
            "--data-dir",
            "--weight-decay",
            "--mask-ratio",
            "--crop",
            "--normalize-targets",
            "--vessel-weight",
            "--skip-unreadable",
            "--save-dir",
            "--config",
            "--preset",
            "--set",
            "--batch-size",
            "--crops-per-image",
            "--epochs",
            "--learning-rate",
            "--base-learning-rate",
            "--resume",
            "--max-minutes",
            "--max-steps",
            "--seed",
            "--threads",
            "--workers",
            "--device",
            "--tensorboard",
        ],
    ),
    (
        "finetune",
        &[
            "--dataset",
            "--train-images",
            "--train-masks",
            "--train-fovs",
            "--test-images",
            "--test-masks",
            "--test-fovs",
            "--pretrained-mae",
            "--freeze-encoder",
            "--unfreeze-every",
            "--loss",
            "--ema",
            "--threshold",
            "--full-frame",
            "--validate-every",
            "--save-dir",
            "--config",
            "--preset",
            "--set",
            "--batch-size",
            "--crops-per-image",
            "--epochs",
            "--learning-rate",
            "--base-learning-rate",
            "--resume",
            "--max-minutes",
            "--max-steps",
            "--seed",
            "--threads",
            "--workers",
            "--device",
            "--tensorboard",
        ],
    ),
    (
        "export",
        &[
            "--weights",
            "--out",
            "--threshold-on",
            "--threshold-split",
            "--fov-diameter",
            "--window",
        ],
    ),
    (
        "reconstruct",
        &["--run", "--data-dir", "--out", "--seed", "--threads"],
    ),
    ("runs", &["--json"]),
    ("plot", &[]),
    ("data", &["--dataset", "--skip-unreadable", "--json"]),
    ("sweep", &["--grid", "--save-dir", "--threads", "--json"]),
];

#[test]
fn no_flag_is_lost() {
    for (subcommand, flags) in FLAGS {
        let help = help(subcommand);
        for flag in flags {
            let found = help.split(|c: char| !(c.is_alphanumeric() || c == '-'));
            assert!(
                found.into_iter().any(|word| word == *flag),
                "{subcommand} {flag}"
            );
        }
        assert!(help.contains("Example"), "{subcommand}");
    }
}

#[test]
fn without_a_subcommand_the_program_says_what_to_do_first() {
    let output = Command::new(env!("CARGO_BIN_EXE_venule")).output().unwrap();
    assert!(output.status.success());
    let text = String::from_utf8(output.stdout).unwrap();
    assert!(text.contains("venule segment photo.jpg") && text.contains("Exit codes"));
}

#[test]
fn a_closed_pipe_is_no_error() {
    let mut child = Command::new(env!("CARGO_BIN_EXE_venule"))
        .args(["completions", "bash"])
        .stdout(std::process::Stdio::piped())
        .stderr(std::process::Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert!(
        output.status.success() && output.stderr.is_empty(),
        "{output:?}"
    );
}

#[cfg(target_os = "linux")]
#[test]
fn a_full_disk_behind_standard_output_is_an_error() {
    let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
    let output = Command::new(env!("CARGO_BIN_EXE_venule"))
        .stdout(full.unwrap())
        .output()
        .unwrap();
    let errors = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(1), "{errors}");
    assert!(
        errors.contains("cannot write to standard output"),
        "{errors}"
    );
}
