//! Without the test harness, whose threads would forbid it: candle's own pool has as many threads as said.

use std::num::NonZeroUsize;

use candle_core::{Device, Tensor};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    if !cfg!(target_os = "linux") || std::env::var_os("CANDLE_NUM_THREADS").is_some() {
        println!("skipped: only on Linux, and without CANDLE_NUM_THREADS");
        return Ok(());
    }
    let three = NonZeroUsize::new(3).ok_or("not 0")?;
    assert!(venule_nn::bound_candle_threads(three));
    let limit = || std::env::var("CANDLE_BARRIER_POOL_SPIN_LIMIT").ok();
    let users = limit();
    assert!(venule_nn::let_candle_threads_sleep());
    assert_eq!(limit(), users.or(Some("200".to_owned())));
    let map = Tensor::ones((64, 256, 256), candle_core::DType::F32, &Device::Cpu)?;
    let sum = (&map + &map)?.sum_all()?.to_scalar::<f32>()?;
    assert_eq!(sum, 2.0 * 64.0 * 256.0 * 256.0);
    let mut workers = 0;
    for task in std::fs::read_dir("/proc/self/task")? {
        let name = std::fs::read_to_string(task?.path().join("comm"))?;
        workers += usize::from(name.starts_with("candle-bp"));
    }
    // The caller is the third.
    assert_eq!(workers, 2);
    // What is set already stays.
    assert!(!venule_nn::bound_candle_threads(NonZeroUsize::MIN));
    println!("candle's pool has {workers} threads beside the caller");
    Ok(())
}
