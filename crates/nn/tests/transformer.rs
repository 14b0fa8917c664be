//! The transformer block against PyTorch, and its gradients as a trainer sees them.

use std::collections::HashMap;
use std::path::Path;

use candle_core::{DType, Device, ModuleT, Result, Tensor, Var};
use venule_nn::{Block, BlockConfig, Mode, ParamStore};

const CONFIG: BlockConfig = BlockConfig {
    width: 24,
    heads: 3,
    mlp_ratio: 2.0,
    qkv_bias: true,
    layer_norm_eps: 1e-6,
    drop_path: 0.0,
};

/// timm 1's block with random parameters, input, output and gradients: fixtures/transformer.py.
fn golden() -> HashMap<String, Tensor> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fixtures/transformer.safetensors");
    candle_core::safetensors::load(path, &Device::Cpu).unwrap()
}

fn close(name: &str, found: &Tensor, expected: &Tensor, tolerance: f64) -> Result<()> {
    let flat = |t: &Tensor| t.to_dtype(DType::F64)?.flatten_all()?.to_vec1::<f64>();
    assert_eq!(found.shape(), expected.shape(), "{name}");
    let (found, expected) = (flat(found)?, flat(expected)?);
    let largest = expected.iter().fold(0f64, |a, v| a.max(v.abs()));
    for (a, b) in found.iter().zip(&expected) {
        assert!((a - b).abs() <= tolerance * largest, "{name}: {a}, not {b}");
    }
    Ok(())
}

#[test]
fn block_matches_timm_in_values_and_gradients() -> Result<()> {
    // f32 runs the kernels, f64 the composed ops.
    for (dtype, tolerance) in [(DType::F32, 2e-5), (DType::F64, 2e-6)] {
        let golden = golden();
        let store = ParamStore::with_dtype(1, dtype, &Device::Cpu).unwrap();
        let block = Block::new(&CONFIG, &store.root()).unwrap();
        let names: Vec<String> = store.params().iter().map(|p| p.name().to_owned()).collect();
        let values = names.iter().map(|n| (n.clone(), golden[n].clone()));
        store.load_tensors(&values.collect()).unwrap();

        let x = Var::from_tensor(&golden["x"].to_dtype(dtype)?)?;
        let y = block.forward(&x, Mode::Eval)?;
        close("y", &y, &golden["y"], tolerance)?;
        let loss = (y * golden["along"].to_dtype(dtype)?)?.sum_all()?;
        let grads = loss.backward()?;
        close("x", grads.get(&x).unwrap(), &golden["x.grad"], tolerance)?;
        for (name, var) in store.trainable() {
            let expected = &golden[&format!("{name}.grad")];
            close(&name, grads.get(&var).unwrap(), expected, tolerance)?;
        }
        assert_eq!(names.len(), 12);
    }
    Ok(())
}

#[test]
fn a_frozen_block_builds_no_graph() -> Result<()> {
    let store = ParamStore::new(1, &Device::Cpu);
    let block = Block::new(&CONFIG, &store.root()).unwrap();
    let x = Tensor::ones((1, 5, 24), DType::F32, &Device::Cpu)?;
    assert!(block.forward(&x, Mode::Eval)?.track_op());
    let frozen = store.no_grad();
    assert!(!block.forward(&x, Mode::Eval)?.track_op());
    drop(frozen);
    Ok(())
}

#[test]
fn a_block_is_a_module_that_asks_for_a_seed_where_it_needs_one() -> Result<()> {
    let x = Tensor::ones((1, 2, 24), DType::F32, &Device::Cpu)?;
    let plain = Block::new(&CONFIG, &ParamStore::new(1, &Device::Cpu).root()).unwrap();
    let expected = plain.forward(&x, Mode::Eval)?;
    for train in [false, true] {
        close("y", &plain.forward_t(&x, train)?, &expected, 0.0)?;
    }
    let config = BlockConfig {
        drop_path: 0.5,
        ..CONFIG
    };
    let dropping = Block::new(&config, &ParamStore::new(1, &Device::Cpu).root()).unwrap();
    close("y", &dropping.forward_t(&x, false)?, &expected, 0.0)?;
    let error = dropping.forward_t(&x, true).unwrap_err().to_string();
    assert!(error.contains("Mode::Train"), "{error}");
    Ok(())
}

#[test]
fn drop_path_repeats_by_seed_and_rests_in_evaluation() -> Result<()> {
    let config = BlockConfig {
        drop_path: 0.5,
        ..CONFIG
    };
    let store = ParamStore::new(1, &Device::Cpu);
    let block = Block::new(&config, &store.root()).unwrap();
    let plain = Block::new(&CONFIG, &store.root()).unwrap();
    let x = noise((16, 5, 24))?;
    let values = |y: Tensor| y.flatten_all()?.to_vec1::<f32>();
    let train = |seed| values(block.forward(&x, Mode::Train { seed })?);
    assert_eq!(train(3)?, train(3)?);
    assert_ne!(train(3)?, train(4)?);
    let expected = values(plain.forward(&x, Mode::Eval)?)?;
    assert_eq!(values(block.forward(&x, Mode::Eval)?)?, expected);
    Ok(())
}

fn noise(shape: (usize, usize, usize)) -> Result<Tensor> {
    let mut stream = venule_nn::Noise::keyed(&[5]);
    let count = shape.0 * shape.1 * shape.2;
    let values: Vec<f32> = (0..count).map(|_| stream.normal()).collect();
    Tensor::from_vec(values, shape, &Device::Cpu)
}

#[test]
fn refuses_configurations_that_cannot_work() {
    let store = ParamStore::new(1, &Device::Cpu);
    let bad = [
        BlockConfig { heads: 5, ..CONFIG },
        BlockConfig { heads: 0, ..CONFIG },
        BlockConfig {
            mlp_ratio: f64::NAN,
            ..CONFIG
        },
        BlockConfig {
            layer_norm_eps: -1.0,
            ..CONFIG
        },
        BlockConfig {
            drop_path: 1.0,
            ..CONFIG
        },
    ];
    for config in bad {
        assert!(Block::new(&config, &store.root()).is_err(), "{config:?}");
    }
}
