//! The data directory: what we make is closed to other users, what is there is left as it is.

use std::fs::{self, DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use coldpost_engine::settings::Settings;

use crate::failure::Failure;

/// Mail is read by its owner alone.
const PRIVATE: u32 = 0o700;
/// Directories above ours: as the umask says.
const OPEN: u32 = 0o777;

/// Makes the data directory when it is not there.
///
/// # Errors
/// When it cannot be made.
pub(crate) fn make(settings: &Settings) -> Result<(), Failure> {
    make_directory(&settings.data, PRIVATE).map_err(|error| {
        Failure::of(
            format_args!("cannot make {}", settings.data.display()),
            &error,
        )
    })
}

/// Makes `directory`, durably, and what is missing above it.
fn make_directory(directory: &Path, mode: u32) -> io::Result<()> {
    if directory.is_dir() {
        return Ok(());
    }
    let Some(above) = directory.parent() else {
        return fs::create_dir(directory);
    };
    make_directory(above, OPEN)?;
    match DirBuilder::new().mode(mode).create(directory) {
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists && directory.is_dir() => Ok(()),
        Err(error) => Err(error),
        Ok(()) => File::open(above)?.sync_all(),
    }
}
