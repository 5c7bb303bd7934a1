//! What glibc's allocator may keep of memory that was given back.
//!
//! It keeps some for each *arena*, up to eight arenas a core, of which a new thread takes any, and raises what an arena keeps with every large piece that
//! is given back: to 32 MiB in each. With the threads of compaction and snapshots that came to 472 MiB after 90 seconds of load, and to 157 MiB with these
//! bounds (`docs/decisions/0013-bounds-for-the-allocator.md`).

/// Bytes from which on a piece is the kernel's own, and goes back to it at once.
#[cfg(target_env = "gnu")]
const MMAP_THRESHOLD: i32 = 1024 * 1024;
/// Bytes at the end of an arena that stay when they are free.
#[cfg(target_env = "gnu")]
const TRIM_THRESHOLD: i32 = 8 * 1024 * 1024;
/// Arenas.
#[cfg(target_env = "gnu")]
const ARENA_MAX: i32 = 4;

/// Before the first thread is made.
pub(crate) fn bound() {
    #[cfg(target_env = "gnu")]
    for (what, value) in [
        (libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD),
        (libc::M_TRIM_THRESHOLD, TRIM_THRESHOLD),
        (libc::M_ARENA_MAX, ARENA_MAX),
    ] {
        #[expect(
            unsafe_code,
            reason = "no crate wraps it, and a variable of the environment would have to be set by whoever starts us"
        )]
        // SAFETY: it takes two numbers, touches no memory of ours, and no other thread runs yet.
        let _ = unsafe { libc::mallopt(what, value) };
    }
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use std::hint::black_box;
    use std::sync::Barrier;

    const THREADS: usize = 12;
    const LARGE: usize = 16 * 1024 * 1024;

    /// VmRSS in bytes.
    fn resident() -> u64 {
        let status = std::fs::read_to_string("/proc/self/status").unwrap();
        let line = status.lines().find(|line| line.starts_with("VmRSS:"));
        let kibibytes = line.and_then(|line| line.split_whitespace().nth(1));
        kibibytes.unwrap().parse::<u64>().unwrap() * 1024
    }

    /// All of them at the same time, so that each has an arena of its own where there may be so many.
    #[test]
    fn what_threads_give_back_does_not_stay() {
        super::bound();
        let before = resident();
        let together = Barrier::new(THREADS + 1);
        let kept = std::thread::scope(|scope| {
            for _ in 0..THREADS {
                scope.spawn(|| {
                    for _ in 0..3 {
                        drop(black_box(vec![1_u8; LARGE]));
                        together.wait();
                    }
                    together.wait();
                });
            }
            for _ in 0..3 {
                together.wait();
            }
            let kept = resident().saturating_sub(before);
            together.wait();
            kept
        });
        let large = u64::try_from(LARGE).unwrap();
        assert!(kept < 2 * large, "{kept} bytes stay of {THREADS} threads");
    }
}
