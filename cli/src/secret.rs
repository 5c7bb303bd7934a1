//! Secrets that the first start makes: one file each in the data directory, readable by its owner alone.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

use crate::failure::Failure;

/// Characters that nobody mistakes for others and no shell looks at: 32, so that a random byte gives one without bias.
const ALPHABET: &[u8; 32] = b"abcdefghijkmnopqrstuvwxyz2345679";
/// Characters of a secret, five bits each.
const LENGTH: usize = 26;

/// The password of development, used while no `[auth]` is given.
pub(crate) const DEV_PASSWORD: &str = "dev-password";
/// What opens the administration over HTTP.
pub(crate) const HTTP_TOKEN: &str = "http-token";

/// The secret in `directory/name`; made now when there is none.
///
/// # Errors
/// When the file cannot be read or made, or is empty.
pub(crate) fn read_or_make(directory: &Path, name: &str) -> Result<String, Failure> {
    if let Some(secret) = read(directory, name)? {
        return Ok(secret);
    }
    let path = directory.join(name);
    let secret = random().map_err(|error| Failure::of("no random bytes", &error))?;
    write(&path, &secret).map_err(|error| {
        Failure::of(format_args!("{} cannot be written", path.display()), &error)
    })?;
    Ok(secret)
}

/// The secret in `directory/name`, if there is one.
///
/// # Errors
/// When the file cannot be read or is empty.
pub(crate) fn read(directory: &Path, name: &str) -> Result<Option<String>, Failure> {
    let path = directory.join(name);
    match fs::read_to_string(&path) {
        Ok(text) if text.trim().is_empty() => Err(Failure::Failed(format!(
            "{} is empty; remove it, the next start makes a new one",
            path.display()
        ))),
        Ok(text) => Ok(Some(text.trim().to_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Failure::of(
            format_args!("{} cannot be read", path.display()),
            &error,
        )),
    }
}

/// Random text.
///
/// # Errors
/// When the system gives no random bytes.
pub(crate) fn random() -> Result<String, getrandom::Error> {
    let mut bytes = [0; LENGTH];
    getrandom::fill(&mut bytes)?;
    Ok(bytes
        .iter()
        .map(|byte| char::from(ALPHABET[usize::from(byte % 32)]))
        .collect())
}

/// Through another name, so that a crash leaves a whole file or none.
fn write(path: &Path, secret: &str) -> io::Result<()> {
    let draft = path.with_extension("new");
    let mut file = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(true)
        .mode(0o600)
        .open(&draft)?;
    writeln!(file, "{secret}")?;
    file.sync_all()?;
    fs::rename(&draft, path)?;
    path.parent()
        .map_or(Ok(()), |directory| File::open(directory)?.sync_all())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt;

    #[test]
    fn a_secret_is_made_once_and_only_its_owner_reads_it() {
        let directory = tempfile::tempdir().expect("a directory");
        let made = read_or_make(directory.path(), DEV_PASSWORD).expect("made");
        assert_eq!(made.len(), LENGTH);
        assert_eq!(
            read_or_make(directory.path(), DEV_PASSWORD).expect("read"),
            made
        );
        assert_ne!(
            read_or_make(directory.path(), HTTP_TOKEN).expect("made"),
            made
        );
        let mode = fs::metadata(directory.path().join(DEV_PASSWORD))
            .expect("there")
            .permissions()
            .mode();
        assert_eq!(mode & 0o777, 0o600);
    }

    #[test]
    fn an_empty_file_is_no_secret() {
        let directory = tempfile::tempdir().expect("a directory");
        fs::write(directory.path().join(HTTP_TOKEN), "\n").expect("written");
        assert!(
            read_or_make(directory.path(), HTTP_TOKEN)
                .expect_err("empty")
                .to_string()
                .contains("is empty")
        );
    }
}
