//! Losses by name: what a run file, a record and a command line may say, and what they may not.

use crate::{example, scalar};
use serde::{Deserialize, Serialize};
use serde_json::json;
use venule_loss::*;

const SHAPE: [usize; 4] = [2, 1, 10, 9];

fn build(json: serde_json::Value) -> Result<Composite> {
    let config: LossConfig = serde_json::from_value(json).unwrap();
    LossTable::built_in().build(&config)
}

fn refused(json: serde_json::Value) -> String {
    build(json).err().expect("an error").to_string()
}

/// What reading the configuration itself says.
fn unread(json: serde_json::Value) -> String {
    serde_json::from_value::<LossConfig>(json)
        .unwrap_err()
        .to_string()
}

fn value(loss: &dyn Loss) -> f64 {
    let (logits, target, valid) = example(3, &SHAPE);
    scalar(&loss.forward(&logits, &target, Some(&valid)).unwrap())
}

/// Every kind with every parameter off its default against the constructors.
#[test]
fn every_parameter_of_every_loss_can_be_named() {
    let pooled = Aggregation::Pooled;
    let cases: Vec<(serde_json::Value, Box<dyn Loss>)> = vec![
        (
            json!({"kind": "bce", "positive_weight": 3}),
            Box::new(Bce::with_positive_weight(3.0).unwrap()),
        ),
        (
            json!({"kind": "dice", "smooth": 2, "aggregation": "pooled"}),
            Box::new(
                Dice::new()
                    .with_smooth(2.0)
                    .unwrap()
                    .with_aggregation(pooled),
            ),
        ),
        (
            json!({"kind": "tversky", "alpha": 0.4, "beta": 0.5, "smooth": 2, "aggregation": "pooled"}),
            Box::new(
                Tversky::new(0.4, 0.5)
                    .and_then(|loss| loss.with_smooth(2.0))
                    .unwrap()
                    .with_aggregation(pooled),
            ),
        ),
        (
            json!({"kind": "focal_tversky", "alpha": 0.4, "beta": 0.5, "gamma": 2, "smooth": 2,
                   "aggregation": "pooled"}),
            Box::new(
                FocalTversky::new(0.4, 0.5, 2.0)
                    .and_then(|loss| loss.with_smooth(2.0))
                    .unwrap()
                    .with_aggregation(pooled),
            ),
        ),
        (
            json!({"kind": "focal", "gamma": 1, "alpha": 0.5}),
            Box::new(Focal::new(1.0, Some(0.5)).unwrap()),
        ),
        (
            json!({"kind": "focal", "alpha": "none"}),
            Box::new(Focal::new(2.0, None).unwrap()),
        ),
        (
            json!({"kind": "thin_bce", "thin_weight": 2}),
            Box::new(ThinBce::new(2.0).unwrap()),
        ),
        (
            json!({"kind": "cldice", "iterations": 2, "smooth": 2, "aggregation": "pooled"}),
            Box::new(
                SoftClDice::new(2)
                    .and_then(|loss| loss.with_smooth(2.0))
                    .unwrap()
                    .with_aggregation(pooled),
            ),
        ),
        (
            json!({"kind": "skeleton_recall", "radius": 1, "smooth": 2, "aggregation": "pooled"}),
            Box::new(
                SkeletonRecall::new(1)
                    .and_then(|loss| loss.with_smooth(2.0))
                    .unwrap()
                    .with_aggregation(pooled),
            ),
        ),
        (
            json!({"kind": "mcc", "aggregation": "pooled"}),
            Box::new(Mcc::new().with_aggregation(pooled)),
        ),
        (
            json!({"kind": "composite", "terms": [{"kind": "bce"}, {"kind": "mcc", "weight": 2}]}),
            Box::new(
                Composite::new(vec![
                    (1.0, Box::new(Bce::new()) as Box<dyn Loss>),
                    (2.0, Box::new(Mcc::new())),
                ])
                .unwrap(),
            ),
        ),
    ];
    let table = LossTable::built_in();
    for (term, expected) in cases {
        let kind = term["kind"].as_str().unwrap();
        for parameter in table.parameters(kind).unwrap().keys() {
            let named = term.get(parameter).is_some() || term["alpha"] == "none";
            assert!(named, "{kind}: {parameter} is not tried");
        }
        let loss = build(json!({"terms": [term]})).unwrap();
        assert_eq!(value(&loss), value(&*expected), "{term}");
        // The kind alone is the loss by its defaults.
        if kind != "composite" {
            let plain = table.build(&kind.parse().unwrap()).unwrap();
            assert_ne!(
                value(&plain),
                value(&loss),
                "{kind}: no parameter changes anything"
            );
        }
    }
}

#[test]
fn the_crate_page_lists_every_parameter_with_its_default() {
    let page = include_str!("../../README.md");
    let table = LossTable::built_in();
    let mut kinds: Vec<&str> = table.kinds().collect();
    kinds.dedup();
    assert_eq!(kinds.len(), 10);
    for kind in kinds {
        let start = format!("| `{kind}` |");
        let line = page
            .lines()
            .find(|line| line.starts_with(&start))
            .expect(kind);
        for (parameter, default) in table.parameters(kind).unwrap() {
            let text = format!("`{parameter} = {default}`");
            assert!(line.contains(&text), "{kind}: no {text} in {line}");
        }
    }
}

#[test]
fn presets_are_their_terms() {
    let terms = |loss: &Composite| -> Vec<(f64, String)> {
        let terms = loss.terms();
        terms
            .map(|(weight, term)| (weight, term.name().to_owned()))
            .collect()
    };
    let thin = [
        (0.5, "bce"),
        (1.0, "dice"),
        (2.5, "thin_bce"),
        (1.0, "focal"),
    ];
    let named = |terms: &[(f64, &str)]| -> Vec<(f64, String)> {
        terms
            .iter()
            .map(|(weight, name)| (*weight, (*name).to_owned()))
            .collect()
    };
    for spelling in ["thin-vessels", "thin_vessels"] {
        assert_eq!(terms(&build(json!(spelling)).unwrap()), named(&thin));
    }
    let mut reference = thin.to_vec();
    reference.insert(2, (2.5, "tversky"));
    assert_eq!(
        terms(&Composite::preset("reference").unwrap()),
        named(&reference)
    );
    let plain = named(&[(1.0, "bce"), (0.5, "dice")]);
    assert_eq!(terms(&Composite::preset("bce_dice").unwrap()), plain);
    assert_eq!(LossConfig::presets().count(), 3);
}

#[test]
fn files_of_version_0_1_are_read() {
    let old = json!({"terms": {"bce": 0.5, "dice": 1.0, "tversky": 2.5, "thin": 2.5, "focal": 1}});
    let loss = build(old).unwrap();
    assert_eq!(
        value(&loss),
        value(&Composite::preset("reference").unwrap())
    );
    let one = build(json!({"terms": {"thin": 2.0, "bce": 0.0}})).unwrap();
    let terms: Vec<_> = one
        .terms()
        .map(|(weight, term)| (weight, term.name()))
        .collect();
    assert_eq!(terms, [(2.0, "thin_bce")]);
    let text = unread(json!({"terms": {"mcc": 1.0}}));
    assert!(
        text.contains("unknown field `mcc`") && text.contains("focal"),
        "{text}"
    );
    assert_eq!(build(json!({"terms": {}})).err(), Some(Error::NoTerms));
}

#[test]
fn toml_json_and_text_hold_the_same() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Run {
        loss: LossConfig,
    }
    let toml = r#"loss = { terms = [
        { kind = "tversky", weight = 2.5, alpha = 0.2, beta = 1 },
        { kind = "focal", alpha = "none" },
        { kind = "composite", weight = 2, terms = [{ kind = "bce", positive_weight = 2.0 }] },
    ] }"#;
    let run: Run = toml::from_str(toml).unwrap();
    let inner = TermConfig::new("bce").with("positive_weight", 2.0);
    let expected = LossConfig::Terms(vec![
        TermConfig::new("tversky")
            .with_weight(2.5)
            .with("alpha", 0.2)
            .with("beta", 1),
        TermConfig::new("focal").with("alpha", "none"),
        TermConfig::new("composite")
            .with_weight(2.0)
            .with("terms", vec![serde_json::to_value(inner).unwrap()]),
    ]);
    // The inner term's weight is not written in the file.
    let loss = LossTable::built_in().build(&run.loss).unwrap();
    assert_eq!(
        value(&loss),
        value(&LossTable::built_in().build(&expected).unwrap())
    );
    let named = Run {
        loss: "bce_dice".parse().unwrap(),
    };
    assert_eq!(named.loss.to_string(), "bce-dice");
    for run in [run, named] {
        let again: Run = toml::from_str(&toml::to_string(&run).unwrap()).unwrap();
        assert_eq!(again, run);
        let again: Run = serde_json::from_str(&serde_json::to_string(&run).unwrap()).unwrap();
        assert_eq!(again, run);
        assert_eq!(run.loss.to_string().parse(), Ok(run.loss));
    }
}

#[test]
fn numbers_of_toml_that_are_none_are_refused() {
    for number in ["nan", "inf"] {
        let text = format!("terms = [{{ kind = \"focal\", alpha = {number} }}]");
        let config: LossConfig = toml::from_str(&text).unwrap();
        let error = LossTable::built_in()
            .build(&config)
            .err()
            .unwrap()
            .to_string();
        assert!(
            error.contains("focal: parameter `alpha`") && error.contains("finite"),
            "{error}"
        );
        let text = format!("terms = [{{ kind = \"focal\", weight = {number} }}]");
        let config: LossConfig = toml::from_str(&text).unwrap();
        let error = LossTable::built_in().build(&config).err();
        assert!(matches!(error, Some(Error::Weight { .. })), "{error:?}");
    }
}

#[test]
fn what_cannot_be_meant_is_refused() {
    let term = |term: serde_json::Value| refused(json!({"terms": [term]}));
    let text = term(json!({"kind": "tversy"}));
    assert!(text.contains("`tversy` (did you mean `tversky`?)") && text.contains("register"));
    assert!(
        text.contains("bce, dice, tversky, focal_tversky, focal, thin_bce, cldice"),
        "{text}"
    );
    let text = refused(json!("referense"));
    assert!(
        text.contains("did you mean `reference`?") && text.contains("bce-dice"),
        "{text}"
    );
    let text = term(json!({"kind": "dice", "alpha": 1.0}));
    assert!(
        text.contains("unknown parameter `alpha`") && text.contains("smooth"),
        "{text}"
    );
    let text = term(json!({"kind": "tversky", "beta": 0.5, "alpha": "much"}));
    assert!(
        text.contains("tversky: parameter `alpha`") && text.contains("much"),
        "{text}"
    );
    let text = term(json!({"kind": "cldice", "iterations": 2.5}));
    assert!(text.contains("parameter `iterations`"), "{text}");
    let text = term(json!({"kind": "cldice", "iterations": -1}));
    assert!(text.contains("parameter `iterations`"), "{text}");
    let text = term(json!({"kind": "mcc", "aggregation": "mean"}));
    assert!(
        text.contains("parameter `aggregation`") && text.contains("pooled"),
        "{text}"
    );
    let text = term(json!({"kind": "focal", "alpha": null}));
    assert!(
        text.contains("parameter `alpha`") && text.contains("null"),
        "{text}"
    );
    let text = term(json!({"kind": "focal", "alpha": "some"}));
    assert!(text.contains("expected a number or \"none\""), "{text}");
    let text = term(json!({"kind": "tversky", "alpha": 0, "beta": 0}));
    assert!(text.contains("the larger of alpha and beta"), "{text}");
    let text = term(json!({"kind": "thin_bce", "thin_weight": 0.5}));
    assert!(
        text.contains("thin_bce: thin_weight must be finite and at least 1"),
        "{text}"
    );
    let text = term(json!({"kind": "bce", "weight": -1}));
    assert!(text.contains("the weight of term `bce`"), "{text}");

    assert_eq!(build(json!({"terms": []})).err(), Some(Error::NoTerms));
    let nested = json!({"terms": [{"kind": "composite"}]});
    assert_eq!(build(nested).err(), Some(Error::NoTerms));

    assert!(unread(json!({"terms": [{"weight": 1}]})).contains("missing field `kind`"));
    assert!(unread(json!({"terms": [{"kind": 3}]})).contains("expected a string"));
    assert!(unread(json!({"terms": [{"kind": "bce", "weight": "1"}]})).contains("f64"));
    assert!(unread(json!({"terms": ["bce"]})).contains("a term such as"));
    assert!(unread(json!({"kind": "bce"})).contains("expected `terms`"));
    assert!(unread(json!({})).contains("missing field `terms`"));
    assert!(unread(json!(3)).contains("the name of a loss"));
    for text in [
        "",
        " ",
        "{",
        "{\"terms\": [{\"kind\": \"bce\", \"kind\": \"mcc\"}]}",
    ] {
        let error = text.parse::<LossConfig>().unwrap_err().to_string();
        assert!(error.contains("cannot read the loss"), "{error}");
    }
}

#[test]
fn a_loss_of_ones_own_is_named_like_the_others() {
    struct Zero;
    impl Loss for Zero {
        fn name(&self) -> &str {
            "zero"
        }
        fn forward(
            &self,
            logits: &candle_core::Tensor,
            _: &candle_core::Tensor,
            _: Option<&candle_core::Tensor>,
        ) -> candle_core::Result<candle_core::Tensor> {
            logits.zeros_like()?.sum_all()
        }
    }
    #[derive(Default, Serialize, Deserialize)]
    struct Nothing {}

    let mut table = LossTable::built_in();
    table.register("zero", |(): ()| Ok(Zero)).unwrap();
    table.register("nothing", |Nothing {}| Ok(Zero)).unwrap();
    for kind in ["zero", "nothing"] {
        assert_eq!(value(&table.build(&kind.parse().unwrap()).unwrap()), 0.0);
        let config = LossConfig::Terms(vec![TermConfig::new(kind).with("a", 1)]);
        let text = table.build(&config).err().unwrap().to_string();
        assert!(
            text.contains("unknown parameter `a`: expected no parameter at all"),
            "{text}"
        );
        assert!(table.parameters(kind).unwrap().is_empty());
    }
    for taken in ["zero", "bce", "composite", "reference", "bce_dice"] {
        let error = table.register(taken, |(): ()| Ok(Zero)).unwrap_err();
        assert!(error.to_string().contains(&format!("`{taken}`")), "{error}");
        assert!(matches!(error, Error::Registered { .. }));
    }
    let error = table.register("number", |_: f64| Ok(Zero)).unwrap_err();
    assert!(matches!(error, Error::ParameterStruct { .. }), "{error}");
    assert_eq!(table.kinds().last(), Some("nothing"));
}
