//! The convolution side's CPU kernels against candle's own composed operations.

use candle_core::{DType, Device, Module, Result, Tensor, Var};
use proptest::prelude::*;
use venule_nn::{
    Conv3x3, ConvNormRelu, GroupNorm, Noise, Norm, ParamStore, conv1x1, conv3x3, conv3x3_norm_relu,
    group_norm, group_norm_relu, max_pool2x2, upsample2x, upsample2x_cat,
    upsample2x_cat_conv3x3_norm_relu,
};

fn random(shape: &[usize], seed: u64) -> Result<Tensor> {
    let mut noise = Noise::keyed(&[seed]);
    let count = shape.iter().product();
    let values: Vec<f32> = (0..count).map(|_| noise.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

/// Largest difference over the largest value, or over 0.1 where all are smaller: a sum that cancels has no digits to compare.
fn relative(a: &Tensor, b: &Tensor) -> Result<f32> {
    let a = a.to_dtype(DType::F64)?;
    let b = b.to_dtype(DType::F64)?;
    let scale = b.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?.max(0.1);
    let difference = (a - b)?.abs()?.flatten_all()?.max(0)?.to_scalar::<f64>()?;
    Ok((difference / scale) as f32)
}

/// Value and gradients of the same function in f32 (kernels) and f64 (composed) for the same inputs and output gradient.
fn compare(inputs: &[Tensor], f: impl Fn(&[Tensor]) -> Result<Tensor>) -> Result<()> {
    let run = |dtype: DType| -> Result<(Tensor, Vec<Tensor>)> {
        let vars: Vec<Var> = inputs
            .iter()
            .map(|t| Var::from_tensor(&t.to_dtype(dtype)?))
            .collect::<Result<_>>()?;
        let tensors: Vec<Tensor> = vars.iter().map(|v| v.as_tensor().clone()).collect();
        let y = f(&tensors)?;
        let weight = random(y.dims(), 99)?.to_dtype(dtype)?;
        let grads = (&y * &weight)?.sum_all()?.backward()?;
        let grads = vars
            .iter()
            .map(|v| {
                Ok(grads
                    .get(v.as_tensor())
                    .expect("a gradient for every input")
                    .clone())
            })
            .collect::<Result<_>>()?;
        Ok((y, grads))
    };
    let (fast, fast_grads) = run(DType::F32)?;
    let (slow, slow_grads) = run(DType::F64)?;
    let error = relative(&fast, &slow)?;
    assert!(error < 1e-5, "value differs by {error}");
    for (i, (a, b)) in fast_grads.iter().zip(&slow_grads).enumerate() {
        let error = relative(a, b)?;
        assert!(error < 1e-4, "gradient {i} differs by {error}");
    }
    Ok(())
}

/// Normal values in a non-contiguous view: (B, C, H, W) of a tensor stored as (B, C, W, H).
fn transposed(shape: [usize; 4], seed: u64) -> Result<Tensor> {
    let [b, c, h, w] = shape;
    random(&[b, c, w, h], seed)?.transpose(2, 3)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn conv3x3_equals_candle(b in 1usize..3, c in 1usize..20, o in 1usize..20, h in 1usize..40, w in 1usize..70, seed: u64) {
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[o, c, 3, 3], seed ^ 1).unwrap();
        let bias = random(&[o], seed ^ 2).unwrap();
        compare(&[x.clone(), weight.clone()], |t| conv3x3(&t[0], &t[1], None)).unwrap();
        compare(&[x, weight, bias], |t| conv3x3(&t[0], &t[1], Some(&t[2]))).unwrap();
    }

    // Enough channels for Winograd's tiles.
    #[test]
    fn conv3x3_of_many_channels_equals_candle(b in 1usize..3, c in 20usize..40, o in 20usize..40, h in 1usize..24, w in 1usize..70, seed: u64) {
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[o, c, 3, 3], seed ^ 1).unwrap();
        let bias = random(&[o], seed ^ 2).unwrap();
        compare(&[x, weight, bias], |t| conv3x3(&t[0], &t[1], Some(&t[2]))).unwrap();
    }

    // Rows of more tiles than a run takes: pieces in the middle of a row, and over its end.
    #[test]
    fn conv3x3_of_many_channels_and_long_rows_equals_candle(c in 20usize..26, o in 20usize..26, h in 1usize..10, w in 180usize..420, seed: u64) {
        let x = random(&[1, c, h, w], seed).unwrap();
        let weight = random(&[o, c, 3, 3], seed ^ 1).unwrap();
        compare(&[x, weight], |t| conv3x3(&t[0], &t[1], None)).unwrap();
    }

    #[test]
    fn conv1x1_equals_f64(b in 1usize..4, c in 1usize..20, o in 1usize..20, h in 1usize..20, w in 1usize..40, seed: u64) {
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[o, c, 1, 1], seed ^ 1).unwrap();
        let bias = random(&[o], seed ^ 2).unwrap();
        compare(&[x, weight, bias], |t| conv1x1(&t[0], &t[1], Some(&t[2]))).unwrap();
    }

    // At least eight values per group: with fewer the variance may all but vanish, and f32 with it.
    #[test]
    fn group_norm_equals_f64(b in 1usize..4, groups in 1usize..4, per in 1usize..5, h in 1usize..40, w in 1usize..70, seed: u64) {
        prop_assume!(per * h * w >= 8);
        let c = groups * per;
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[c], seed ^ 1).unwrap();
        let bias = random(&[c], seed ^ 2).unwrap();
        compare(&[x, weight, bias], |t| group_norm(&t[0], groups, &t[1], &t[2], 1e-5)).unwrap();
    }

    // A ReLU's mask may turn with the last bit of its argument, so the biases keep arguments from 0: half the channels are
    // on, half are off.
    #[test]
    fn group_norm_relu_equals_f64(b in 1usize..4, groups in 1usize..4, h in 1usize..20, w in 1usize..40, seed: u64) {
        prop_assume!(h * w >= 8);
        let c = 4 * groups;
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[c], seed ^ 1).unwrap().affine(0.1, 0.0).unwrap();
        let signs: Vec<f32> = (0..c).map(|i| if i % 2 == 0 { 20.0 } else { -20.0 }).collect();
        let bias = Tensor::new(signs, &Device::Cpu).unwrap();
        compare(&[x, weight, bias], |t| group_norm_relu(&t[0], groups, &t[1], &t[2], 1e-5)).unwrap();
    }

    #[test]
    fn upsample2x_equals_f64(b in 1usize..4, c in 1usize..4, h in 1usize..30, w in 1usize..70, seed: u64) {
        let x = random(&[b, c, h, w], seed).unwrap();
        compare(&[x], |t| upsample2x(&t[0])).unwrap();
    }

    #[test]
    fn upsample2x_cat_equals_f64(b in 1usize..4, c in 1usize..4, s in 1usize..4, h in 1usize..30, w in 1usize..70, seed: u64) {
        let x = random(&[b, c, h, w], seed).unwrap();
        let others = random(&[b, s, 2 * h, 2 * w], seed ^ 1).unwrap();
        compare(&[x, others], |t| upsample2x_cat(&t[0], &t[1])).unwrap();
    }

    // The biases keep the ReLU's arguments from 0, as above; half of the channels pass, two at least, since the gradient for the weight
    // of a single one may cancel to nothing that f32 could measure.
    #[test]
    fn conv3x3_norm_relu_equals_f64(b in 1usize..3, c in 1usize..12, groups in 1usize..4, h in 1usize..20, w in 1usize..40, seed: u64) {
        prop_assume!(h * w >= 8);
        let o = 4 * groups;
        let x = random(&[b, c, h, w], seed).unwrap();
        let weight = random(&[o, c, 3, 3], seed ^ 1).unwrap();
        let conv_bias = random(&[o], seed ^ 2).unwrap();
        let norm_weight = random(&[o], seed ^ 3).unwrap().affine(0.1, 0.0).unwrap();
        let signs: Vec<f32> = (0..o).map(|i| if i % 2 == 0 { 20.0 } else { -20.0 }).collect();
        let norm_bias = Tensor::new(signs, &Device::Cpu).unwrap();
        fn norm<'a>(groups: usize, t: &'a [Tensor]) -> Norm<'a> {
            Norm { groups, weight: &t[2], bias: &t[3], eps: 1e-5 }
        }
        let four = [x, weight, norm_weight, norm_bias];
        compare(&four, |t| conv3x3_norm_relu(&t[0], &t[1], None, norm(groups, t))).unwrap();
        let [x, weight, norm_weight, norm_bias] = four;
        let five = [x, weight, norm_weight, norm_bias, conv_bias];
        compare(&five, |t| conv3x3_norm_relu(&t[0], &t[1], Some(&t[4]), norm(groups, t))).unwrap();
    }

    #[test]
    fn joined_conv3x3_norm_relu_equals_f64(
        b in 1usize..3, c in 1usize..6, s in 1usize..6, groups in 1usize..4, h in 2usize..10, w in 2usize..20, seed: u64,
    ) {
        let o = 4 * groups;
        let signs: Vec<f32> = (0..o).map(|i| if i % 2 == 0 { 20.0 } else { -20.0 }).collect();
        let six = [
            random(&[b, c, h, w], seed).unwrap(),
            random(&[b, s, 2 * h, 2 * w], seed ^ 1).unwrap(),
            random(&[o, c + s, 3, 3], seed ^ 2).unwrap(),
            random(&[o], seed ^ 3).unwrap().affine(0.1, 0.0).unwrap(),
            Tensor::new(signs, &Device::Cpu).unwrap(),
            random(&[o], seed ^ 4).unwrap(),
        ];
        let apply = |t: &[Tensor]| {
            let norm = Norm { groups, weight: &t[3], bias: &t[4], eps: 1e-5 };
            upsample2x_cat_conv3x3_norm_relu(&t[0], &t[1], &t[2], t.get(5), norm)
        };
        compare(&six, apply).unwrap();
        compare(&six[..5], apply).unwrap();
    }

    #[test]
    fn joined_in_one_op_or_two_or_in_place_the_bits_are_the_same(
        b in 1usize..3, c in 1usize..12, s in 1usize..12, h in 1usize..10, w in 1usize..20, seed: u64,
    ) {
        let store = ParamStore::new(seed, &Device::Cpu);
        let root = store.root();
        let conv = Conv3x3::new(c + s, 8, true, &root.pp("conv")).unwrap();
        let norm = GroupNorm::new(4, 8, 1e-5, &root.pp("norm")).unwrap();
        let layer = ConvNormRelu::new(conv, norm);
        let x = Var::from_tensor(&random(&[b, c, h, w], seed).unwrap()).unwrap();
        let others = Var::from_tensor(&random(&[b, s, 2 * h, 2 * w], !seed).unwrap()).unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let gradients = |y: &Tensor| -> Vec<Vec<f32>> {
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            let of = |var: &Var| values(gradients.get(var.as_tensor()).unwrap());
            let params = store.params();
            params.iter().map(|p| p.var()).chain([&x, &others]).map(of).collect()
        };
        let together = layer.forward_joined(&x, &others).unwrap();
        let apart = layer.forward(&upsample2x_cat(&x, &others).unwrap()).unwrap();
        prop_assert_eq!(values(&together), values(&apart));
        prop_assert_eq!(gradients(&together), gradients(&apart));
        let _frozen = store.no_grad();
        let frozen = layer.forward_joined(&x.detach(), &others.detach()).unwrap();
        prop_assert!(!frozen.track_op());
        prop_assert_eq!(values(&frozen), values(&together));
    }

    #[test]
    fn in_one_op_or_three_or_in_place_the_bits_are_the_same(b in 1usize..3, c in 1usize..12, h in 1usize..20, w in 1usize..40, seed: u64) {
        let store = ParamStore::new(seed, &Device::Cpu);
        let root = store.root();
        let conv = Conv3x3::new(c, 8, true, &root.pp("conv")).unwrap();
        let norm = GroupNorm::new(4, 8, 1e-5, &root.pp("norm")).unwrap();
        let both = ConvNormRelu::new(conv.clone(), norm);
        let x = random(&[b, c, h, w], seed).unwrap();
        let values = |t: &Tensor| t.flatten_all().unwrap().to_vec1::<f32>().unwrap();
        let gradients = |y: &Tensor| -> Vec<Vec<f32>> {
            let gradients = y.sqr().unwrap().sum_all().unwrap().backward().unwrap();
            store.params().iter().map(|p| values(gradients.get(p.var()).unwrap())).collect()
        };
        let together = both.forward(&x).unwrap();
        let [weight, bias] = ["norm.weight", "norm.bias"].map(|name| store.get(name).unwrap().tensor());
        let apart = group_norm_relu(&conv.forward(&x).unwrap(), 4, &weight, &bias, 1e-5).unwrap();
        prop_assert_eq!(values(&together), values(&apart));
        prop_assert_eq!(gradients(&together), gradients(&apart));
        let before = values(&x);
        let _frozen = store.no_grad();
        let frozen = both.forward(&x).unwrap();
        prop_assert!(!frozen.track_op());
        prop_assert_eq!(values(&frozen), values(&together));
        prop_assert_eq!(values(&x), before);
    }

    #[test]
    fn max_pool2x2_equals_f64(b in 1usize..4, c in 1usize..4, h in 1usize..15, w in 1usize..35, seed: u64) {
        let x = random(&[b, c, 2 * h, 2 * w], seed).unwrap();
        compare(&[x], |t| max_pool2x2(&t[0])).unwrap();
    }
}

#[test]
fn views_equal_f64() -> Result<()> {
    let ramp = random(&[6], 7)?;
    let x = transposed([2, 6, 10, 14], 5)?;
    assert!(!x.is_contiguous());
    // `compare` makes its variables contiguous: the view is taken inside.
    let stored = x.transpose(2, 3)?.contiguous()?;
    let view = |t: &Tensor| t.transpose(2, 3);
    compare(std::slice::from_ref(&stored), |t| upsample2x(&view(&t[0])?))?;
    compare(std::slice::from_ref(&stored), |t| {
        max_pool2x2(&view(&t[0])?)
    })?;
    compare(&[stored, ramp.clone(), ramp], |t| {
        group_norm(&view(&t[0])?, 3, &t[1], &t[2], 1e-5)
    })
}

#[test]
fn a_relu_at_zero_has_no_gradient() -> Result<()> {
    // weight 0 and bias 0: every argument of the ReLU is 0
    let x = random(&[1, 2, 3, 3], 1)?;
    let weight = Tensor::zeros(2, DType::F32, &Device::Cpu)?;
    let bias = Var::zeros(2, DType::F32, &Device::Cpu)?;
    let grads = group_norm_relu(&x, 1, &weight, bias.as_tensor(), 1e-5)?
        .sum_all()?
        .backward()?;
    assert_eq!(grads.get(&bias).unwrap().to_vec1::<f32>()?, [0.0, 0.0]);
    Ok(())
}

#[test]
fn a_nan_shows_in_the_result_of_kernel_and_composed_form() -> Result<()> {
    let (weight, bias) = (Tensor::ones(2, DType::F32, &Device::Cpu)?, random(&[2], 3)?);
    let mut values = random(&[1, 2, 5, 7], 1)?.flatten_all()?.to_vec1::<f32>()?;
    values[40] = f32::NAN;
    for dtype in [DType::F32, DType::F64] {
        let x = Tensor::from_vec(values.clone(), (1, 2, 5, 7), &Device::Cpu)?.to_dtype(dtype)?;
        let (weight, bias) = (weight.to_dtype(dtype)?, bias.to_dtype(dtype)?);
        let y = group_norm_relu(&x, 2, &weight, &bias, 1e-5)?.to_dtype(DType::F32)?;
        let nan: Vec<bool> = y
            .flatten_all()?
            .to_vec1::<f32>()?
            .iter()
            .map(|v| v.is_nan())
            .collect();
        // The group of the second channel.
        assert_eq!(nan, [vec![false; 35], vec![true; 35]].concat(), "{dtype:?}");

        // Pooling keeps it wherever in its square it lies, and gives it the gradient; more than a vector of squares.
        for at in 0..4 {
            let mut squares = random(&[2, 80], 5)?.flatten_all()?.to_vec1::<f32>()?;
            let place = at / 2 * 80 + 36 + at % 2;
            squares[place] = f32::NAN;
            let x = Tensor::from_vec(squares, (1, 1, 2, 80), &Device::Cpu)?.to_dtype(dtype)?;
            let x = Var::from_tensor(&x)?;
            let y = max_pool2x2(x.as_tensor())?;
            let flat = |t: &Tensor| t.to_dtype(DType::F32)?.flatten_all()?.to_vec1::<f32>();
            let nan: Vec<usize> = (0..)
                .zip(flat(&y)?)
                .filter(|(_, v)| v.is_nan())
                .map(|(i, _)| i)
                .collect();
            assert_eq!(nan, [18], "{dtype:?}, place {at}");
            let gradients = y.sum_all()?.backward()?;
            let gradient = flat(gradients.get(&x).unwrap())?;
            assert_eq!(gradient.iter().sum::<f32>(), 40.0, "{dtype:?}, place {at}");
            assert_eq!(gradient[place], 1.0, "{dtype:?}, place {at}");
        }
    }
    Ok(())
}

#[test]
fn maps_without_channels_give_empty_results_or_errors() -> Result<()> {
    let none = |shape: &[usize]| Tensor::zeros(shape, DType::F32, &Device::Cpu);
    assert_eq!(
        upsample2x(&none(&[1, 0, 2, 3])?).map_or(0, |y| y.elem_count()),
        0
    );
    let (x, weight) = (
        Var::zeros((1, 0, 4, 5), DType::F32, &Device::Cpu)?,
        Var::zeros((3, 0, 3, 3), DType::F32, &Device::Cpu)?,
    );
    let y = conv3x3(x.as_tensor(), weight.as_tensor(), None)?;
    assert_eq!(y.dims(), [1, 3, 4, 5]);
    assert_eq!(y.sum_all()?.to_scalar::<f32>()?, 0.0);
    y.sum_all()?.backward()?;
    let beyond = conv3x3(
        &none(&[1, 0, 2, 2])?,
        &none(&[(1 << 62) + 1, 0, 3, 3])?,
        None,
    );
    assert!(beyond.unwrap_err().to_string().contains("addresses"));
    let (image, to_none) = (random(&[1, 3, 4, 5], 1)?, none(&[0, 3, 3, 3])?);
    assert_eq!(conv3x3(&image, &to_none, None)?.dims(), [1, 0, 4, 5]);
    let vector = none(&[0])?;
    let norm = Norm {
        groups: 1,
        weight: &vector,
        bias: &vector,
        eps: 1e-5,
    };
    let nothing = conv3x3_norm_relu(&image, &to_none, None, norm);
    assert_eq!(nothing.map_or(0, |y| y.elem_count()), 0);
    let (half, fine) = (random(&[1, 1, 2, 2], 2)?, random(&[1, 2, 4, 4], 3)?);
    let nothing = upsample2x_cat_conv3x3_norm_relu(&half, &fine, &to_none, None, norm);
    assert_eq!(nothing.map_or(0, |y| y.elem_count()), 0);
    Ok(())
}

#[test]
fn a_group_norm_that_cannot_be_says_why() {
    let error = |groups, eps| {
        let store = ParamStore::new(1, &Device::Cpu);
        let error = GroupNorm::new(groups, 20, eps, &store.root()).unwrap_err();
        error.to_string()
    };
    assert_eq!(
        error(4, -1.0),
        "group_norm_eps is -1, but must be finite and not negative (usually 1e-5)"
    );
    assert_eq!(
        error(8, 1e-5),
        "groups is 8 for 20 channels, but must divide the number of channels"
    );
}

#[test]
fn a_1x1_convolution_to_no_channels_is_empty() -> Result<()> {
    let y = conv1x1(&random(&[2, 3, 4, 5], 1)?, &random(&[0, 3, 1, 1], 2)?, None)?;
    assert_eq!(y.dims(), [2, 0, 4, 5]);
    Ok(())
}

#[test]
fn thread_counts_give_the_same_bits() -> Result<()> {
    let run = |threads: usize| -> Result<Vec<Vec<f32>>> {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads).build();
        pool.unwrap().install(|| {
            let x = Var::from_tensor(&random(&[2, 8, 66, 130], 1)?)?;
            let narrow = Var::from_tensor(&random(&[32, 8, 3, 3], 4)?)?;
            let wide = Var::from_tensor(&random(&[8, 32, 3, 3], 5)?)?;
            let square = Var::from_tensor(&random(&[32, 32, 3, 3], 6)?)?;
            let weight = Var::from_tensor(&random(&[8], 2)?)?;
            let bias = Var::from_tensor(&random(&[8], 3)?)?;
            let point = Var::from_tensor(&random(&[32, 32, 1, 1], 7)?)?;
            let y = conv3x3(x.as_tensor(), narrow.as_tensor(), None)?;
            let y = conv3x3(&y, square.as_tensor(), None)?;
            let y = conv1x1(&y, point.as_tensor(), None)?;
            let y = conv3x3(&y, wide.as_tensor(), None)?;
            let y = group_norm_relu(&y, 2, weight.as_tensor(), bias.as_tensor(), 1e-5)?;
            let y = max_pool2x2(&upsample2x(&y)?)?;
            let grads = y.sqr()?.sum_all()?.backward()?;
            [&x, &narrow, &square, &point, &wide, &weight, &bias]
                .iter()
                .map(|v| grads.get(v.as_tensor()).unwrap().clone())
                .chain([y])
                .map(|t| t.flatten_all()?.to_vec1::<f32>())
                .collect()
        })
    };
    assert_eq!(run(1)?, run(2)?);
    Ok(())
}

/// A coarse and a fine map, a weight for both joined, and the vectors of its normalisation.
fn joined_operands() -> Result<[Var; 5]> {
    let var = |shape: &[usize], seed| Var::from_tensor(&random(shape, seed)?);
    Ok([
        var(&[2, 3, 4, 5], 1)?,
        var(&[2, 2, 8, 10], 2)?,
        var(&[4, 5, 3, 3], 3)?,
        var(&[4], 4)?,
        var(&[4], 5)?,
    ])
}

fn joined(t: &[Tensor]) -> Result<Tensor> {
    let norm = Norm {
        groups: 2,
        weight: &t[3],
        bias: &t[4],
        eps: 1e-5,
    };
    upsample2x_cat_conv3x3_norm_relu(&t[0], &t[1], &t[2], None, norm)
}

#[test]
fn whatever_is_frozen_the_other_gradients_of_a_joined_convolution_are_the_same() -> Result<()> {
    let vars = joined_operands()?;
    let gradients = |tracked: &[usize]| -> Result<Vec<Option<Vec<f32>>>> {
        let operand = |(i, var): (usize, &Var)| match tracked.contains(&i) {
            true => var.as_tensor().clone(),
            false => var.as_tensor().detach(),
        };
        let operands: Vec<Tensor> = vars.iter().enumerate().map(operand).collect();
        let gradients = joined(&operands)?.sqr()?.sum_all()?.backward()?;
        let of = |operand: &Tensor| gradients.get(operand).map(|g| g.flatten_all()?.to_vec1());
        operands
            .iter()
            .map(|operand| of(operand).transpose())
            .collect()
    };
    let all = gradients(&[0, 1, 2, 3, 4])?;
    for tracked in [&[0][..], &[1], &[0, 1], &[2, 3, 4], &[3], &[1, 2]] {
        let some = gradients(tracked)?;
        for (i, (gradient, expected)) in some.iter().zip(&all).enumerate() {
            // Candle joins the parameters, and keeps the gradients of all three if one is asked for.
            let parameters = i > 1 && tracked.iter().any(|tracked| *tracked > 1);
            match tracked.contains(&i) {
                true => assert_eq!(gradient, expected, "operand {i} of {tracked:?}"),
                false => assert!(
                    gradient.is_none() || parameters,
                    "operand {i} of {tracked:?}"
                ),
            }
        }
    }
    Ok(())
}

#[test]
fn a_joined_convolution_says_which_operand_does_not_fit() -> Result<()> {
    let operands = joined_operands()?.map(|var| var.as_tensor().clone());
    assert_eq!(joined(&operands)?.dims(), [2, 4, 8, 10]);
    for (wrong, shape, expected) in [
        (1, &[2, 2, 8, 9][..], "twice its size"),
        (0, &[1, 3, 4, 5], "twice its size"),
        (2, &[4, 4, 3, 3], "5 channels needs a weight"),
        (2, &[3, 5, 3, 3], "group norm"),
        (3, &[2, 2], "group norm"),
        (4, &[3], "group norm"),
    ] {
        let mut operands = operands.clone();
        operands[wrong] = random(shape, 6)?;
        let error = joined(&operands).unwrap_err().to_string();
        assert!(error.contains(expected), "{error}");
    }
    Ok(())
}
