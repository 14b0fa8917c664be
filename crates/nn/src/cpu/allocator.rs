/// Tells the C library's allocator (glibc, on Linux) to keep freed memory for the next request instead of handing it back to
/// the system. Elsewhere it does nothing.
///
/// A training step frees and asks for the same large maps again and again; by default each comes as freshly mapped, zeroed
/// pages, which costs about a third of a small model's step. A process that calls this keeps its peak memory until it ends:
/// meant for the start of a training program.
///
/// ```
/// venule_nn::keep_freed_memory();
/// ```
pub fn keep_freed_memory() {
    #[cfg(all(target_os = "linux", target_env = "gnu"))]
    // SAFETY: `mallopt` only changes parameters of the allocator and may be called at any time.
    unsafe {
        libc::mallopt(libc::M_MMAP_MAX, 0);
        libc::mallopt(libc::M_TRIM_THRESHOLD, i32::MAX);
    }
}
