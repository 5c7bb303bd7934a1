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
