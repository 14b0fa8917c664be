use std::num::NonZeroUsize;

/// The variable that sizes the pool of threads which candle keeps for its own element-wise operations, apart from rayon's.
const VARIABLE: &str = "CANDLE_NUM_THREADS";

/// The variable that says how often a thread of that pool looks for work before it sleeps: 25,000 times if it is not set.
const SPINS: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";

/// Few enough that candle's threads do not take a core from rayon's while a kernel runs.
const FEW_SPINS: &str = "200";

/// Bounds candle's own pool of threads, which ignores the size of rayon's pool: left alone it has one for each core, and they wait by
/// spinning, on the cores where the kernels' threads work. Returns whether the bound holds.
///
/// Candle reads the bound from the environment, at its first operation. On Linux, where it can be told, `CANDLE_NUM_THREADS` and
/// `CANDLE_BARRIER_POOL_SPIN_LIMIT` are set if this thread is the only one of the process; to be called at the start of a program. Elsewhere
/// nothing is done, and what the user has set stays as it is.
///
/// ```
/// let one = std::num::NonZeroUsize::MIN;
/// let bounded = venule_nn::bound_candle_threads(one);
/// assert!(!bounded || std::env::var("CANDLE_NUM_THREADS").is_ok_and(|value| value == "1"));
/// ```
pub fn bound_candle_threads(threads: NonZeroUsize) -> bool {
    let threads = threads.to_string();
    if is_alone() {
        for (name, value) in [(VARIABLE, threads.as_str()), (SPINS, FEW_SPINS)] {
            if std::env::var_os(name).is_none() {
                // SAFETY: no other thread exists that could read or change the environment meanwhile.
                unsafe { std::env::set_var(name, value) };
            }
        }
    }
    std::env::var(VARIABLE).is_ok_and(|set| set == threads)
}

/// Whether this process surely has no other thread.
fn is_alone() -> bool {
    match std::fs::read_dir("/proc/self/task") {
        Ok(tasks) if cfg!(target_os = "linux") => tasks.count() == 1,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_with_other_threads_is_left_alone() {
        let before = std::env::var(VARIABLE).ok();
        std::thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || receive.recv());
            let bounded = bound_candle_threads(NonZeroUsize::MIN);
            assert_eq!(bounded, before.as_deref() == Some("1"));
            drop(send);
        });
        assert_eq!(std::env::var(VARIABLE).ok(), before);
    }
}
