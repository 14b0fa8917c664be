//! Layers of candle over a parameter store: what they take is named, ordered, seeded, given and refused as for our own.

use std::collections::HashMap;

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use candle_nn::init::{DEFAULT_KAIMING_UNIFORM, FanInOut, Init, NonLinearity, NormalOrUniform};
use candle_nn::{Conv2dConfig, VarBuilder, conv2d, group_norm, linear};
use venule_nn::{Linear, ParamStore};

fn values(tensor: &Tensor) -> Vec<f32> {
    tensor.flatten_all().unwrap().to_vec1().unwrap()
}

fn store(seed: u64) -> ParamStore {
    ParamStore::new(seed, &Device::Cpu)
}

/// A convolution, a normalisation and a linear map of candle's.
fn net(vb: &VarBuilder<'_>) -> Result<impl Fn(&Tensor) -> Result<Tensor> + use<>> {
    let conv = conv2d(1, 4, 3, Conv2dConfig::default(), vb.pp("conv"))?;
    let norm = group_norm(2, 4, 1e-5, vb.pp("norm"))?;
    let head = linear(4, 3, vb.pp("head"))?;
    Ok(move |x: &Tensor| {
        let x = x.apply(&conv)?.apply(&norm)?.relu()?;
        x.mean((2, 3))?.apply(&head)
    })
}

fn names(store: &ParamStore) -> Vec<String> {
    let params = store.params();
    params.iter().map(|p| p.name().to_owned()).collect()
}

#[test]
fn variables_come_in_order_under_their_prefix_by_seed_and_name() {
    let first = store(3);
    drop(net(&first.root().pp("a").pp(0).var_builder()).unwrap());
    let expected = ["conv", "norm", "head"].map(|layer| {
        let of = |part| format!("a.0.{layer}.{part}");
        [of("weight"), of("bias")]
    });
    assert_eq!(names(&first), expected.concat());

    // Others before it change nothing, another seed does.
    let (second, third) = (store(3), store(4));
    Linear::new(2, 2, true, &second.root().pp("before")).unwrap();
    for other in [&second, &third] {
        drop(net(&other.root().pp("a").pp(0).var_builder()).unwrap());
    }
    let of = |store: &ParamStore| values(store.get("a.0.conv.weight").unwrap().var());
    assert_eq!(of(&first), of(&second));
    assert_ne!(of(&first), of(&third));

    // Kernels and matrices decay, vectors do not.
    let decays: Vec<bool> = first.params().iter().map(|p| p.decays()).collect();
    assert_eq!(decays, [true, false, false, false, true, false]);
}

#[test]
fn a_builder_has_the_stores_root_and_full_prefix() {
    let store = store(1);
    let vb = store.root().pp("encoder").var_builder();
    assert_eq!(vb.pp("stem").prefix(), "encoder.stem");
    assert!(!vb.contains_tensor("weight"));
    let shared = vb.get((2, 3), "weight").unwrap();
    assert!(vb.contains_tensor("weight"));
    assert!(vb.root().contains_tensor("encoder.weight"));
    // One variable, whoever asks.
    let ours = Linear::new(3, 2, false, &store.root().pp("encoder")).unwrap();
    let param = store.get("encoder.weight").unwrap();
    assert_eq!(store.params().len(), 1);
    param.var().set(&param.var().ones_like().unwrap()).unwrap();
    assert_eq!(values(&shared), [1.0; 6]);
    let x = Tensor::ones((1, 3), DType::F32, &Device::Cpu).unwrap();
    assert_eq!(values(&ours.forward(&x).unwrap()), [3.0; 2]);
}

#[test]
fn what_was_saved_comes_back_and_trains() -> Result<()> {
    let first = store(5);
    let net_of = |store: &ParamStore| net(&store.root().pp("net").var_builder());
    let x = Tensor::arange(0f32, 50.0, &Device::Cpu)?.reshape((2, 1, 5, 5))?;
    let expected = net_of(&first)?(&x)?;
    let saved: HashMap<String, Tensor> = first.tensors().into_iter().collect();
    let second = ParamStore::from_values(saved, &Device::Cpu);
    let loaded = net_of(&second)?;
    assert!(second.unused_values().is_empty());
    assert_eq!(values(&loaded(&x)?), values(&expected));

    let gradients = loaded(&x)?.sqr()?.sum_all()?.backward()?;
    for (name, var) in second.trainable() {
        let gradient = values(gradients.get(&var).unwrap_or_else(|| panic!("{name}")));
        assert!(gradient.iter().all(|g| g.is_finite()), "{name}");
        assert!(gradient.iter().any(|g| *g != 0.0), "{name}");
    }
    // The layers hold the variables: what is set shows in them.
    let bias = second.get("net.head.bias").unwrap();
    bias.var().set(&(bias.var().as_tensor() + 1.0)?)?;
    let moved = (loaded(&x)? - &expected)?;
    assert!(values(&moved).iter().all(|d| (d - 1.0).abs() < 1e-5));
    Ok(())
}

#[test]
fn errors_of_the_store_name_the_variable() {
    let first = store(5);
    drop(net(&first.root().var_builder()).unwrap());
    let mut saved: HashMap<String, Tensor> = first.tensors().into_iter().collect();
    let error = |saved: &HashMap<String, Tensor>| {
        let store = ParamStore::from_values(saved.clone(), &Device::Cpu);
        let result = net(&store.root().var_builder());
        result.err().map(|error| error.to_string()).unwrap()
    };
    let weight = saved["head.weight"].t().unwrap().contiguous().unwrap();
    saved.insert("head.weight".to_owned(), weight);
    let found = error(&saved);
    assert!(found.contains("`head.weight` has shape [4, 3]"), "{found}");
    saved.remove("head.weight");
    let found = error(&saved);
    assert!(
        found.contains("missing, the first is `head.weight`"),
        "{found}"
    );

    let vb = first.root().var_builder();
    let known = vb.get_unchecked("norm.weight").unwrap();
    assert_eq!(values(&known), [1.0; 4]);
    let found = vb.get_unchecked("norm.scale").unwrap_err().to_string();
    assert!(
        found.contains("missing, the first is `norm.scale`"),
        "{found}"
    );
    let half = vb.to_dtype(DType::F16).get(4, "norm.half");
    let found = half.unwrap_err().to_string();
    assert!(found.contains("`norm.half` is asked for as F16"), "{found}");
    let found = linear(0, 5, vb.pp("none")).unwrap_err().to_string();
    assert!(
        found.contains("`none.weight`") && found.contains("not finite"),
        "{found}"
    );
    assert_eq!(first.params().len(), 6);
}

/// Mean, standard deviation and largest value of 40 000 draws.
fn moments(hint: Init) -> (f32, f32, f32) {
    let store = store(9);
    let drawn = store.root().var_builder();
    let drawn = values(&drawn.get_with_hints((100, 400), "w", hint).unwrap());
    let count = drawn.len() as f32;
    let mean = drawn.iter().sum::<f32>() / count;
    let squares = drawn.iter().map(|v| (v - mean).powi(2)).sum::<f32>();
    let largest = drawn.iter().fold(f32::MIN, |a, v| a.max(*v));
    (mean, (squares / count).sqrt(), largest)
}

#[test]
fn hints_have_the_moments_that_they_say() {
    // 40 000 draws: the standard error of the mean is a 200th of the deviation, that of the deviation less.
    let check = |hint, mean: f32, deviation: f32| {
        let (found, spread, largest) = moments(hint);
        assert!((found - mean).abs() < 0.02 * deviation, "{hint:?}: {found}");
        assert!(
            (spread / deviation - 1.0).abs() < 0.02,
            "{hint:?}: {spread}"
        );
        largest
    };
    let (mean, stdev) = (0.5, 0.25);
    check(Init::Randn { mean, stdev }, 0.5, 0.25);
    // A uniform distribution of width 3 deviates by 3 / √12 = 0.866.
    let largest = check(Init::Uniform { lo: -1.0, up: 2.0 }, 0.5, 0.866);
    assert!(largest < 2.0);
    // √(2 / 400) for a fan in of 400, in ±√3 times that: 0.1225.
    let largest = check(DEFAULT_KAIMING_UNIFORM, 0.0, 0.0707);
    assert!(largest < 0.1225);
    let kaiming = Init::Kaiming {
        dist: NormalOrUniform::Normal,
        fan: FanInOut::FanOut,
        non_linearity: NonLinearity::Linear,
    };
    // √(1 / 100) for a fan out of 100.
    let largest = check(kaiming, 0.0, 0.1);
    assert!(largest > 0.3);
    let (mean, spread, _) = moments(Init::Const(0.25));
    assert_eq!((mean, spread), (0.25, 0.0));
}

#[test]
fn a_frozen_layer_of_candle_is_left_out_but_still_builds_a_graph() -> Result<()> {
    let store = store(1);
    let theirs = linear(2, 2, store.root().pp("theirs").var_builder())?;
    let ours =
        Linear::new(2, 2, true, &store.root().pp("ours")).map_err(candle_core::Error::wrap)?;
    let x = Tensor::ones((1, 2), DType::F32, &Device::Cpu)?;
    let _frozen = store.no_grad();
    assert!(store.trainable().is_empty());
    assert!(!ours.forward(&x)?.track_op());
    assert!(theirs.forward(&x)?.track_op());
    // Its values are those of the store all the same.
    let weight: Var = store.get("theirs.weight").unwrap().var().clone();
    weight.set(&weight.zeros_like()?)?;
    let bias = values(store.get("theirs.bias").unwrap().var());
    assert_eq!(values(&theirs.forward(&x)?), bias);
    Ok(())
}
