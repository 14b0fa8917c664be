use std::num::NonZeroUsize;

/// The variable that sizes the pool of threads which candle keeps for its own element-wise operations, apart from rayon's.
const THREADS: &str = "CANDLE_NUM_THREADS";

/// The variable that says how often a thread of that pool looks for work before it sleeps: 25,000 times if it is not set.
const SPINS: &str = "CANDLE_BARRIER_POOL_SPIN_LIMIT";

/// A few microseconds.
const FEW_SPINS: &str = "200";

/// Bounds candle's own pool of threads, which ignores the size of rayon's pool: left alone it has about one for each core, unless
/// `RAYON_NUM_THREADS` says otherwise. Returns whether the bound holds.
///
/// Candle reads the bound from the environment, at its first operation. On Linux, where it can be told, the variable is set if this
/// thread is the only one of the process; to be called at the start of a program. Elsewhere, and where the user has set
/// `CANDLE_NUM_THREADS`, nothing is done.
///
/// ```
/// let one = std::num::NonZeroUsize::MIN;
/// let bounded = venule_nn::bound_candle_threads(one);
/// assert!(!bounded || std::env::var("CANDLE_NUM_THREADS").is_ok_and(|value| value == "1"));
/// ```
pub fn bound_candle_threads(threads: NonZeroUsize) -> bool {
    let threads = threads.to_string();
    set_if_alone(THREADS, &threads);
    std::env::var(THREADS).is_ok_and(|set| set == threads)
}

/// Has the threads of candle's pool sleep after a few microseconds without work: left alone they look for it 25,000 times, on the cores
/// where the kernels' threads work meanwhile. Returns whether a limit is set, by this or by the user.
///
/// The variable is `CANDLE_BARRIER_POOL_SPIN_LIMIT`; when it is set and when not is as for [`bound_candle_threads`].
///
/// ```
/// let limited = venule_nn::let_candle_threads_sleep();
/// assert_eq!(limited, std::env::var_os("CANDLE_BARRIER_POOL_SPIN_LIMIT").is_some());
/// ```
pub fn let_candle_threads_sleep() -> bool {
    set_if_alone(SPINS, FEW_SPINS);
    std::env::var_os(SPINS).is_some()
}

/// Sets a variable of the environment that is not set yet, if no other thread could read it meanwhile.
fn set_if_alone(name: &str, value: &str) {
    if std::env::var_os(name).is_none() && is_alone() {
        // SAFETY: no other thread exists that could read or change the environment meanwhile.
        unsafe { std::env::set_var(name, value) };
    }
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
        let before = [THREADS, SPINS].map(|name| std::env::var(name).ok());
        std::thread::scope(|scope| {
            let (send, receive) = std::sync::mpsc::channel::<()>();
            scope.spawn(move || receive.recv());
            let bounded = bound_candle_threads(NonZeroUsize::MIN);
            assert_eq!(bounded, before[0].as_deref() == Some("1"));
            assert_eq!(let_candle_threads_sleep(), before[1].is_some());
            drop(send);
        });
        assert_eq!(
            [THREADS, SPINS].map(|name| std::env::var(name).ok()),
            before
        );
    }
}
