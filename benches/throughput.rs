//! How long one forward pass or training step takes, as one JSON line: median, fastest and slowest of some runs after a
//! warm-up, and the peak memory.
//!
//! `cargo bench --bench throughput -- --task finetune --preset seed`

use std::error::Error;
use std::time::Instant;

use clap::{Parser, ValueEnum};
use serde_json::Value;
use venule::candle_core::{Device, Tensor};
use venule::data::Plane;
use venule::loss::Composite;
use venule::mae::{Mae, Masking};
use venule::nn::{Mode, Noise, ParamStore};
use venule::train::{AdamW, AdamWConfig, ParamGroup, peak_memory_mb};
use venule::{
    ModelConfig, PartConfig, PretrainRecipe, Registry, VesselModel, parse_device, set_threads,
};

/// Times one forward pass or training step on random images.
#[derive(Parser)]
struct Args {
    /// inference: a forward pass without gradients; pretrain, finetune: loss, backward and AdamW on all parameters
    #[arg(long)]
    task: Work,
    /// seed, compact, tiny, unet or another preset
    #[arg(long, default_value = "seed")]
    preset: String,
    /// Images in a batch
    #[arg(long, default_value_t = 1)]
    batch: usize,
    /// Side of the images
    #[arg(long, default_value_t = 512)]
    side: usize,
    /// Timed runs, after one that is not
    #[arg(long, default_value_t = 5)]
    runs: usize,
    /// CPU threads; 0 takes all
    #[arg(long, default_value_t = 2)]
    threads: usize,
    /// Inference as an application runs it, by `VesselModel::predict`: above a million pixels in tiles
    #[arg(long)]
    tiled: bool,
    /// Let the encoder see the whole image at once, also where the preset has windows; training always does
    #[arg(long)]
    whole: bool,
    /// Run each block of the encoder once more for its gradient instead of keeping its activations
    #[arg(long)]
    checkpoint: bool,
    /// cpu, cuda, cuda:N or metal
    #[arg(long, default_value = "cpu")]
    device: String,
    /// Only f32 is offered
    #[arg(long, default_value = "f32", value_parser = ["f32"])]
    dtype: String,
    /// What `cargo bench` adds
    #[arg(long, hide = true)]
    bench: bool,
}

#[derive(Clone, Copy, ValueEnum)]
enum Work {
    Inference,
    Pretrain,
    Finetune,
}

type AnyResult<T> = Result<T, Box<dyn Error + Send + Sync>>;

fn main() -> AnyResult<()> {
    let args = Args::parse();
    if args.tiled && (args.batch != 1 || !matches!(args.task, Work::Inference)) {
        return Err(
            "--tiled times the inference of one image; give --task inference --batch 1".into(),
        );
    }
    set_threads(args.threads)?;
    venule::nn::keep_freed_memory();
    let (batch, side) = (args.batch, args.side);
    let device = parse_device(&args.device)?;
    let images = uniform(batch, side, &device)?;
    // Smoothed noise above a threshold: about as many vessel pixels as a real label.
    let smooth = uniform(batch, side, &device)?.avg_pool2d_with_stride(5, 1)?;
    let target = smooth
        .pad_with_zeros(2, 2, 2)?
        .pad_with_zeros(3, 2, 2)?
        .gt(0.56)?;
    let target = target.to_dtype(images.dtype())?;

    let (parameters, mut step): (usize, Box<dyn FnMut(u64) -> AnyResult<()>>) = match args.task {
        Work::Pretrain => {
            let store = ParamStore::new(0, &device);
            let mut config = PretrainRecipe::preset(&args.preset)?.model;
            config.encoder = with_checkpoints(config.encoder, args.checkpoint);
            let encoder = Registry::built_in().masked_encoder(&config.encoder, &store.root())?;
            let mae = Mae::with_encoder(encoder, &config.decoder, &store.root())?;
            let mut optimizer = optimizer(&store)?;
            let (rows, columns) = mae.grid(&images)?;
            let step = move |seed| {
                let masking =
                    Masking::from_seed(seed, batch, rows * columns, 0.75, images.device())?;
                let predictions = mae.forward(&images, &masking, Mode::Train { seed })?;
                let loss = mae.loss(&images, &predictions, &masking, None)?;
                Ok(optimizer.step(&loss.backward()?, 1e-4)?)
            };
            (store.element_count(), Box::new(step))
        }
        work => {
            let mut config = ModelConfig::preset(&args.preset)?;
            config.encoder = with_checkpoints(config.encoder, args.checkpoint);
            if args.whole && config.encoder.config.contains_key("window") {
                config.encoder.config["window"] = Value::Null;
            }
            let model = VesselModel::new(&config, 0, &device)?;
            let parameters = model.store().element_count();
            let loss = Composite::preset("reference")?;
            let mut optimizer = optimizer(model.store())?;
            let training = matches!(work, Work::Finetune);
            let plane = match args.tiled {
                true => Some(Plane::new(side, side, images.flatten_all()?.to_vec1()?)?.into()),
                false => None,
            };
            let step = move |seed| {
                if let Some(plane) = &plane {
                    model.predict(plane)?;
                    return Ok(());
                }
                if !training {
                    let _frozen = model.store().no_grad();
                    model.forward(&images, Mode::Eval)?;
                    return Ok(());
                }
                let batch = (&images, &target);
                let (value, _) = model.training_loss(&loss, batch, None, Mode::Train { seed })?;
                Ok(optimizer.step(&value.backward()?, 1e-4)?)
            };
            (parameters, Box::new(step))
        }
    };

    step(0)?;
    device.synchronize()?;
    let mut seconds = Vec::with_capacity(args.runs);
    for run in 1..=args.runs.max(1) {
        let start = Instant::now();
        step(run as u64)?;
        // A GPU is only asked for the work until then.
        device.synchronize()?;
        seconds.push(start.elapsed().as_secs_f64());
    }
    seconds.sort_by(f64::total_cmp);
    let task = args.task.to_possible_value();
    let line = serde_json::json!({
        "engine": concat!("venule ", env!("CARGO_PKG_VERSION")),
        "task": task.map(|task| task.get_name().to_owned()),
        "preset": args.preset,
        "side": side,
        "tiled": args.tiled,
        "whole": args.whole,
        "checkpoint": args.checkpoint,
        "batch": batch,
        "dtype": args.dtype,
        "device": args.device,
        "threads": args.threads,
        "parameters": parameters,
        "median_s": seconds[seconds.len() / 2],
        "min_s": seconds[0],
        "max_s": seconds[seconds.len() - 1],
        "peak_rss_mb": peak_memory_mb(),
    });
    println!("{line}");
    Ok(())
}

/// A Vision Transformer that keeps only each block's input, if asked for.
fn with_checkpoints(mut encoder: PartConfig, wanted: bool) -> PartConfig {
    if wanted {
        let settings = &mut encoder.config;
        settings.insert("checkpoint_blocks".to_owned(), Value::Bool(true));
    }
    encoder
}

fn uniform(batch: usize, side: usize, device: &Device) -> AnyResult<Tensor> {
    let mut noise = Noise::keyed(&[batch as u64, side as u64]);
    let values: Vec<f32> = (0..batch * side * side).map(|_| noise.uniform()).collect();
    Ok(Tensor::from_vec(values, (batch, 1, side, side), device)?)
}

fn optimizer(store: &ParamStore) -> AnyResult<AdamW> {
    let group = ParamGroup {
        params: store.trainable(),
        weight_decay: 0.05,
        lr_scale: 1.0,
    };
    Ok(AdamW::new(vec![group], AdamWConfig::default())?)
}
