//! Directories: scratch ones that go away, and the cache that stays between runs.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use tempfile::TempDir;

use crate::must::Must;

/// A scratch directory that other users may enter (mail servers drop their rights); gone when dropped.
pub fn scratch(name: &str) -> TempDir {
    let dir = tempfile::Builder::new()
        .prefix(&format!("coldpost-{name}-"))
        .tempdir()
        .must("making a scratch directory");
    open_to_all(dir.path());
    dir
}

/// Lets everybody enter and read a directory.
pub fn open_to_all(dir: &Path) {
    fs::set_permissions(dir, Permissions::from_mode(0o755)).must("opening a directory to all");
}

/// Lets everybody write to a directory or socket.
pub fn writable_by_all(path: &Path) {
    fs::set_permissions(path, Permissions::from_mode(0o777)).must("making a path writable for all");
}

/// All files below a directory, in the order of their paths; none where it is not there.
pub fn files(dir: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(dir).into_iter().flatten() {
        let path = entry.must("an entry").path();
        match path.is_dir() {
            true => found.extend(files(&path)),
            false => found.push(path),
        }
    }
    found.sort();
    found
}

/// Cargo's target directory: the one above the running program in which cargo notes its compiler. (`CACHEDIR.TAG` is there only when
/// cargo made the directory itself, which is not so after `./test.sh` installed a tool into it.)
pub fn target_dir() -> PathBuf {
    let exe = std::env::current_exe().must("asking for the running program's path");
    let marks = [".rustc_info.json", "CACHEDIR.TAG"];
    let found = exe
        .ancestors()
        .find(|dir| marks.iter().any(|mark| dir.join(mark).is_file()));
    found.map_or_else(
        || std::env::temp_dir().join("coldpost-target"),
        Path::to_path_buf,
    )
}

/// What is fetched once and kept for the next run.
pub fn cache_dir(name: &str) -> PathBuf {
    let dir = target_dir().join("testkit-cache").join(name);
    fs::create_dir_all(&dir).must("making the cache directory");
    dir
}

/// The workspace's root: the directory above the crate whose tests run that has `Cargo.lock`.
pub fn workspace() -> PathBuf {
    let start = std::env::var_os("CARGO_MANIFEST_DIR").map(PathBuf::from);
    let start = start
        .or_else(|| std::env::current_dir().ok())
        .must("asking for the current directory");
    let root = start
        .ancestors()
        .find(|dir| dir.join("Cargo.lock").is_file())
        .must("finding the workspace's Cargo.lock");
    root.to_path_buf()
}
