//! H, I, J and L: folders, names, places and settings files.

use std::fs;

use venule::image::RgbImage;

use super::{DATA, EVALUATE, FINETUNE, SCORE, Set, refuse, save, says, succeed};

// H: folders.

#[test]
fn what_a_folder_holds_beside_photographs_is_counted_and_named() {
    let set = Set::plain();
    for name in ["a.webp", "b.webp", "c.webp", "d.webp", "e.webp"] {
        let path = set.path().join("set/images").join(name);
        fs::write(path, b"RIFF\x24\0\0\0WEBPVP8 ").unwrap();
    }
    let pretrain = "pretrain --data-dir set/images --preset tiny --max-steps 1 --save-dir runs/h";
    let line =
        "3 photographs; 5 left out: a.webp (WebP), b.webp (WebP), c.webp (WebP), d.webp (WebP)";
    says(
        pretrain,
        &succeed(set.path(), pretrain),
        &[&format!("{line} and 1 more")],
    );
    let verbose = format!("{pretrain} --verbose");
    says(
        &verbose,
        &succeed(set.path(), &verbose),
        &[&format!("{line}, e.webp (WebP)")],
    );
    for command in [DATA, EVALUATE, FINETUNE] {
        says(
            command,
            &succeed(set.path(), command),
            &["5 left out: a.webp (WebP)"],
        );
    }
    // The folder above holds the masks too.
    let above = verbose.replace("set/images", "set");
    says(
        &above,
        &succeed(set.path(), &above),
        &["3 photographs; 8 left out", "masks/ (3 files"],
    );
}

// I: names.

#[test]
fn names_pair_in_every_unicode_form() {
    let (twin, set) = (Set::plain(), Set::plain());
    let rename = |part: &str, name: &str| {
        let folder = set.path().join("set").join(part);
        fs::rename(folder.join("p0.png"), folder.join(name)).unwrap();
    };
    rename("images", "M\u{fc}ller_\u{e9}0.png");
    rename("masks", "Mu\u{308}ller_e\u{301}0.png");
    let (plain, said) = (succeed(twin.path(), DATA), succeed(set.path(), DATA));
    let pixels = |said: &str| -> Vec<String> {
        let lines = said.lines().filter(|line| line.contains("of them vessel"));
        lines.map(str::to_owned).collect()
    };
    // In one order, so that the same one validates.
    assert_eq!(pixels(&plain).len(), 2);
    assert_eq!(pixels(&plain), pixels(&said));
}

// J: writing.

#[test]
fn places_where_nothing_can_be_written_are_found_before_the_work() {
    let set = Set::plain();
    fs::write(set.path().join("file"), b"").unwrap();
    // Were any work begun, these would be missed first.
    let segment = "segment --weights nowhere.safetensors set/images/p0.png";
    for out in ["file", "file/x"] {
        let words = [out, "cannot create", "choose another path"];
        refuse(set.path(), &format!("{segment} --out {out}"), &words);
        refuse(
            set.path(),
            &format!("{FINETUNE} --save-dir {out}").replace("--save-dir runs/a ", ""),
            &words,
        );
        refuse(set.path(), &format!("{EVALUATE} --report {out}"), &words);
        refuse(set.path(), &format!("{EVALUATE} --pictures {out}"), &words);
    }
    let long = "a".repeat(245);
    fs::copy(
        set.path().join("set/images/p0.png"),
        set.path().join(format!("{long}.png")),
    )
    .unwrap();
    let command = format!("segment --weights nowhere.safetensors {long}.png");
    refuse(
        set.path(),
        &command,
        &[&long, "cannot write", "choose a shorter name"],
    );
    for command in [SCORE, DATA, EVALUATE] {
        refuse(
            set.path(),
            &format!("{command} --json file/x.json"),
            &["file", "cannot create"],
        );
        refuse(
            set.path(),
            &format!("{command} --json fovs"),
            &["fovs", "cannot write"],
        );
    }
    for flag in ["--markdown", "--csv"] {
        refuse(
            set.path(),
            &format!("{EVALUATE} {flag} file/x"),
            &["file", "cannot create"],
        );
    }
    let export = "export --weights nowhere.safetensors --out file/x";
    refuse(set.path(), export, &["file", "cannot create"]);
    let reconstruct = "reconstruct --run nowhere --out file/x.png";
    refuse(set.path(), reconstruct, &["file", "cannot create"]);
}

#[cfg(target_os = "linux")]
#[test]
fn a_folder_that_may_not_be_written_to_is_named() {
    let set = Set::plain();
    // Nobody makes a folder in it, not even root.
    let out = "/proc/venule";
    let command = format!("segment --weights nowhere.safetensors set/images/p0.png --out {out}");
    let words = [out, "cannot create", "choose another one"];
    refuse(set.path(), &command, &words);
}

// L: settings files.

#[test]
fn a_windows_path_in_double_quotes_gets_a_hint() {
    let folder = tempfile::tempdir().unwrap();
    let run = "preset = 'tiny'\n[[data]]\nimages = \"C:\\Users\\eye\\images\"\nmasks = 'm'\n";
    fs::write(folder.path().join("run.toml"), run).unwrap();
    let words = [
        "run.toml",
        r"'C:\Users\eye\images' in single quotes",
        "C:/Users/eye/images",
    ];
    refuse(
        folder.path(),
        "finetune --config run.toml --save-dir runs/l",
        &words,
    );
}

#[test]
fn what_is_read_is_never_written_over() {
    let set = Set::plain();
    let folder = set.path();
    for name in ["a.png", "a_mask.png"] {
        save(folder.join(name), RgbImage::new(64, 64));
    }
    let before = fs::read(folder.join("a_mask.png")).unwrap();
    let words = ["a_mask.png", "would be overwritten", "--out"];
    refuse(folder, "segment --out . a.png a_mask.png", &words);
    refuse(folder, "segment --out . a.png --fov a_mask.png", &words);
    assert_eq!(fs::read(folder.join("a_mask.png")).unwrap(), before);
    // A label beside the photograph has the name of a mask.
    let words = ["a_mask.png", "beside the photograph", "--out"];
    refuse(folder, "segment --out . a.png", &words);
    // Tables are written over tables alone.
    let words = ["a_mask.png", "no table and no JSON"];
    for subcommand in [
        "segment --out o a.png --json a_mask.png",
        "score --predictions . --truth . --json a_mask.png",
        "evaluate --dataset folder=set --split all --json a_mask.png",
        "evaluate --dataset folder=set --split all --csv a_mask.png",
        "data --dataset folder=set --json a_mask.png",
        "runs . --json a_mask.png",
    ] {
        refuse(folder, subcommand, &words);
    }
    assert_eq!(fs::read(folder.join("a_mask.png")).unwrap(), before);
    fs::write(folder.join("weights.safetensors"), "weights").unwrap();
    let words = [
        "weights.safetensors",
        "would be overwritten",
        "another place",
    ];
    refuse(
        folder,
        "export --weights weights.safetensors --out ./weights.safetensors",
        &words,
    );
}

#[cfg(target_os = "linux")]
#[test]
fn results_of_names_that_are_not_utf_8_are_listed() {
    use std::ffi::OsStr;
    use std::os::unix::ffi::OsStrExt;
    let set = Set::plain();
    let folder = set.path();
    let name = OsStr::from_bytes(b"p\xe8_1.png");
    fs::rename(folder.join("set/images/p0.png"), folder.join(name)).unwrap();
    let output = std::process::Command::new(env!("CARGO_BIN_EXE_venule"))
        .args(["segment", "--fast", "--json", "rows.json"])
        .arg(name)
        .current_dir(folder)
        .output()
        .unwrap();
    assert!(output.status.success(), "{output:?}");
    let rows = fs::read_to_string(folder.join("rows.json")).unwrap();
    assert!(
        rows.contains("_1.png") && rows.contains("vessel_share"),
        "{rows}"
    );
}
