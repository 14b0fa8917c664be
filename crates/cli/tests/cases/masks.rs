//! A, B and C: labels, predictions and fields of view.

use std::fs;

use venule::image::{GrayImage, Luma};

use super::{DATA, EVALUATE, FINETUNE, SCORE, Set, line, marked, refuse, save, says, succeed};

// A: labels whose marked pixels are not white.

#[test]
fn labels_in_colour_count_as_their_white_twins_in_every_command() {
    let twin = Set::plain();
    for (colour, name) in [
        ([255, 0, 0], "255,0,0 (red)"),
        ([128, 0, 0], "128,0,0 (dark red)"),
    ] {
        let set = Set::new([0; 3], colour);
        let understood = format!("labels hold 0 and {name}; {name} counts as vessel (");
        let commands = [
            (SCORE, "f1 "),
            (DATA, "of them vessel"),
            (EVALUATE, "pooled: "),
            (FINETUNE, "best validation F1"),
        ];
        for (command, value) in commands {
            let (plain, said) = (succeed(twin.path(), command), succeed(set.path(), command));
            assert_eq!(line(&plain, value), line(&said, value), "{command}");
            says(command, &said, &[&understood]);
            assert!(!plain.contains("labels hold"), "{command}: {plain}");
        }
    }
}

#[test]
fn classes_are_refused_until_their_values_are_named() {
    let twin = Set::plain();
    let set = Set::plain();
    for index in 0..3 {
        let path = set.path().join(format!("set/masks/p{index}.png"));
        let label = venule::data::read_mask(&path).unwrap();
        // Arteries left, veins right.
        let classes = GrayImage::from_fn(128, 128, |x, y| {
            let class = if x < 64 { 1 } else { 2 };
            Luma([if marked(&label, x as usize, y as usize) {
                class
            } else {
                0
            }])
        });
        save(path, classes);
    }
    for command in [SCORE, DATA, EVALUATE, FINETUNE] {
        refuse(
            set.path(),
            command,
            &["masks", ".png", "several classes", "--label-value"],
        );
    }
    let values = "--label-value 1 --label-value 2";
    for (command, value) in [
        (SCORE, "f1 "),
        (DATA, "of them vessel"),
        (FINETUNE, "best validation F1"),
    ] {
        let said = succeed(set.path(), &format!("{command} {values}"));
        let plain = succeed(twin.path(), command);
        assert_eq!(line(&plain, value), line(&said, value), "{command}");
    }
    // The run file says it too, so that the run can be repeated.
    let run = fs::read_to_string(set.path().join("runs/a/run.toml")).unwrap();
    assert!(run.contains(r#"label_value = ["1", "2"]"#), "{run}");
    let with_file = |values: &str| {
        let run = format!(
            "preset = 'tiny'\n[[data]]\nimages = 'set/images'\nmasks = 'set/masks'\ntest = []\nlabel_value = {values}"
        );
        fs::write(set.path().join("run.toml"), run).unwrap();
        "finetune --config run.toml --max-steps 1 --save-dir runs/b"
    };
    let said = succeed(set.path(), with_file("[1, '2']"));
    let plain = succeed(twin.path(), FINETUNE);
    let score = "best validation F1";
    assert_eq!(line(&plain, score), line(&said, score));
    // No label has an artery of 3.
    refuse(
        set.path(),
        with_file("3"),
        &["masks", ".png", "--label-value"],
    );
    refuse(
        set.path(),
        with_file("'vessel'"),
        &["run.toml", "'vessel'", "a gray level (128)"],
    );
    refuse(
        set.path(),
        with_file("true"),
        &["run.toml", "a label value is a gray level"],
    );
}

#[test]
fn empty_labels_are_refused_until_they_are_meant() {
    let set = Set::plain();
    save(
        set.path().join("set/masks/p1.png"),
        GrayImage::new(128, 128),
    );
    for command in [SCORE, DATA, EVALUATE, FINETUNE] {
        refuse(
            set.path(),
            command,
            &["p1.png marks none", "--allow-empty-labels"],
        );
        succeed(set.path(), &format!("{command} --allow-empty-labels"));
    }
}

// B: predictions far below white.

#[test]
fn predictions_of_zero_and_one_score_as_masks_and_percent_is_refused() {
    let set = Set::plain();
    let ones = SCORE.replace("predictions predictions", "predictions ones");
    let (plain, said) = (succeed(set.path(), SCORE), succeed(set.path(), &ones));
    assert_eq!(line(&plain, "f1 "), line(&said, "f1 "));
    says(
        &ones,
        &said,
        &["predictions are masks of 0 and 1 (of 255); 1 counts as vessel"],
    );
    says(
        SCORE,
        &plain,
        &["predictions are probabilities from 0 to 255"],
    );
    for index in 0..3 {
        let percent = GrayImage::from_fn(128, 128, |x, y| Luma([((x + y) % 101) as u8]));
        save(set.path().join(format!("ones/p{index}.png")), percent);
    }
    refuse(
        set.path(),
        &ones,
        &["ones", "100 of 255", "store probabilities from 0 to 255"],
    );
}

// C: black and white exchanged.

#[test]
fn inverted_labels_are_refused_in_every_command() {
    let set = Set::new([255; 3], [0; 3]);
    for command in [SCORE, DATA, EVALUATE, FINETUNE] {
        let words = ["set/masks/p", " marks ", "are black and white exchanged?"];
        refuse(set.path(), command, &words);
        succeed(set.path(), &format!("{command} --allow-majority-labels"));
    }
}

#[test]
fn inverted_predictions_are_told_from_inverted_labels() {
    let set = Set::plain();
    let command = SCORE.replace("predictions predictions", "predictions inverted");
    let said = succeed(set.path(), &format!("{command} --json scores.json"));
    says(
        &command,
        &said,
        &["warning: ROC AUC is 0.", "the predictions seem inverted"],
    );
    let json = fs::read_to_string(set.path().join("scores.json")).unwrap();
    says("--json", &json, &["the predictions seem inverted"]);
    assert!(!succeed(set.path(), SCORE).contains("warning"));
    // The labels, where they are allowed to mark most.
    let set = Set::new([255; 3], [0; 3]);
    let said = succeed(set.path(), &format!("{SCORE} --allow-majority-labels"));
    says(SCORE, &said, &["the labels seem inverted"]);
}

#[test]
fn an_inverted_field_of_view_is_refused() {
    let set = Set::plain();
    let words = ["inverted_fovs/p0.png holds the four corners and not the centre"];
    refuse(
        set.path(),
        &SCORE.replace("--fov fovs", "--fov inverted_fovs"),
        &words,
    );
    let segment = "segment --fast set/images/p0.png --fov inverted_fovs/p0.png";
    refuse(set.path(), segment, &words);
    assert!(!set.path().join("out/segment/p0_mask.png").exists());
}
