use std::num::NonZeroUsize;

/// The variable that sizes the pool of threads which candle keeps for its own element-wise operations, apart from rayon's.
const VARIABLE: &str = "CANDLE_NUM_THREADS";

/// Bounds candle's own pool of threads, which ignores the size of rayon's pool: left alone it has one for each core, and they wait by
/// spinning. Returns whether the bound holds.
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
    if let Ok(set) = std::env::var(VARIABLE) {
        return set == threads.to_string();
    }
    if !is_alone() {
        return false;
    }
    // SAFETY: no other thread exists that could read or change the environment meanwhile.
    unsafe { std::env::set_var(VARIABLE, threads.to_string()) };
    true
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
