//! What a process has used, as the kernel counts it in `/proc`: memory, processor time and bytes written.
//!
//! Never: guesses. A process that is gone, or a kernel without these files, ends the test with a sentence.

use std::fs;
use std::path::Path;
use std::time::Duration;

use crate::must::Must;

/// Memory of a process, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Memory {
    /// Resident now (VmRSS).
    pub resident: u64,
    /// The most that was ever resident (VmHWM).
    pub peak: u64,
}

/// What a process has written since it began, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Written {
    /// Pages of files made dirty, a page each time anew after it went to the disk (`write_bytes`).
    pub disk: u64,
    /// Handed to write calls, sockets included (`wchar`).
    pub calls: u64,
}

impl Written {
    /// What was written since `before`.
    pub fn since(self, before: Written) -> Written {
        Written {
            disk: self.disk.saturating_sub(before.disk),
            calls: self.calls.saturating_sub(before.calls),
        }
    }
}

/// The memory of a process.
///
/// # Panics
/// When it is gone.
pub fn memory(pid: u32) -> Memory {
    let text = read(pid, "status");
    Memory {
        resident: field(&text, "VmRSS") * 1024,
        peak: field(&text, "VmHWM") * 1024,
    }
}

/// What a process has written.
///
/// # Panics
/// When it is gone.
pub fn written(pid: u32) -> Written {
    let text = read(pid, "io");
    Written {
        disk: field(&text, "write_bytes"),
        calls: field(&text, "wchar"),
    }
}

/// Processor time of a process since it began, all its threads together.
///
/// # Panics
/// When it is gone.
pub fn processor(pid: u32) -> Duration {
    Duration::from_secs_f64(ticks(&read(pid, "stat")) / ticks_a_second())
}

/// User and system time in `/proc/PID/stat`; the name before them is in brackets and may have blanks.
fn ticks(stat: &str) -> f64 {
    let fields = stat.rsplit_once(") ").map(|(_, rest)| rest);
    let mut fields = fields.must("a name in /proc/PID/stat").split(' ').skip(11);
    let mut next = || fields.next().and_then(|field| field.parse::<f64>().ok());
    next().must("user time") + next().must("system time")
}

fn ticks_a_second() -> f64 {
    // 100 on all of Linux.
    rustix::param::clock_ticks_per_second() as f64
}

/// Bytes of all files below a directory; a file with several names counts once.
///
/// # Panics
/// When a directory cannot be read.
pub fn files(dir: &Path) -> u64 {
    let mut seen = std::collections::BTreeMap::new();
    collect(dir, &mut seen);
    seen.values().sum()
}

fn collect(dir: &Path, seen: &mut std::collections::BTreeMap<(u64, u64), u64>) {
    use std::os::unix::fs::MetadataExt;
    let entries = fs::read_dir(dir).must(&format!("reading {}", dir.display()));
    for entry in entries {
        let path = entry.must("reading a directory").path();
        // A file may be moved away between listing and looking.
        let Ok(about) = fs::symlink_metadata(&path) else {
            continue;
        };
        if about.is_dir() {
            collect(&path, seen);
        } else {
            seen.insert((about.dev(), about.ino()), about.len());
        }
    }
}

fn read(pid: u32, file: &str) -> String {
    let path = format!("/proc/{pid}/{file}");
    fs::read_to_string(&path).must(&format!("reading {path}"))
}

/// The number after `name:`.
fn field(text: &str, name: &str) -> u64 {
    let value = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))
        .and_then(|rest| rest.split_whitespace().next()?.parse().ok());
    value.must(&format!("{name} in /proc"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_and_writes_of_a_process_are_read_as_bytes() {
        let status = "Name:\tx\nVmHWM:\t    1024 kB\nVmRSS:\t     512 kB\n";
        assert_eq!(field(status, "VmHWM"), 1024);
        let io =
            "rchar: 1\nwchar: 70\nread_bytes: 3\nwrite_bytes: 4096\ncancelled_write_bytes: 5\n";
        assert_eq!((field(io, "wchar"), field(io, "write_bytes")), (70, 4096));
    }

    #[test]
    fn processor_time_is_that_of_user_and_system_whatever_the_name_is() {
        let stat = "7 (a) b) S 1 2 3 4 5 6 7 8 9 10 30 12 99 98 20\n";
        assert_eq!(ticks(stat), 42.0);
        let before = processor(std::process::id());
        let worked = std::time::Instant::now();
        while worked.elapsed() < Duration::from_millis(100) {
            std::hint::spin_loop();
        }
        assert!(processor(std::process::id()) > before);
    }

    #[test]
    fn a_file_with_two_names_counts_once() {
        let dir = crate::place::scratch("usage");
        fs::create_dir(dir.path().join("below")).must("a directory");
        fs::write(dir.path().join("one"), [0; 700]).must("a file");
        fs::hard_link(dir.path().join("one"), dir.path().join("below/two")).must("a link");
        fs::write(dir.path().join("below/three"), [0; 11]).must("a file");
        assert_eq!(files(dir.path()), 711);
    }

    #[test]
    fn what_this_process_keeps_in_memory_is_seen() {
        let before = memory(std::process::id()).resident;
        let kept = vec![1_u8; 64 << 20];
        let after = memory(std::process::id());
        assert!(after.resident >= before + (32 << 20), "{before} {after:?}");
        assert!(after.peak >= after.resident && kept.len() == 64 << 20);
    }
}
