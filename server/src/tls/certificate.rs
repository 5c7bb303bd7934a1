//! A certificate and its key as they lie in their files: read, and held against each other.
//!
//! Promises: what is given back can be served: the key is that of the first certificate of the chain. Errors name the file and what to do.
//! Never: keeps a key in a form that could be shown.

use std::fs::{File, Metadata};
use std::io::{self, Read};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Arc;

use tokio_rustls::rustls;
use tokio_rustls::rustls::crypto::CryptoProvider;
use tokio_rustls::rustls::pki_types::pem::{self, PemObject};
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio_rustls::rustls::sign::CertifiedKey;
use x509_cert::Certificate;
use x509_cert::der::Decode;

use super::TlsFiles;
use crate::limits::TLS_FILE_MAX;

/// What stands in a key that wants a password.
const ENCRYPTED: &[u8] = b"ENCRYPTED";

/// A chain with its key.
#[derive(Debug)]
pub(super) struct Loaded {
    pub(super) certified: Arc<CertifiedKey>,
    /// From when to when the first certificate counts, seconds since 1970.
    pub(super) validity: Option<(i64, i64)>,
}

/// Which files they were: device, inode, size, time of the last change; of a missing one nothing.
pub(super) type Stamp = [Option<(u64, u64, u64, i64, i64)>; 2];

/// The files as they are now, without reading them.
pub(super) fn stamp(files: &TlsFiles) -> Stamp {
    let of = |file: &Metadata| {
        (
            file.dev(),
            file.ino(),
            file.size(),
            file.mtime(),
            file.mtime_nsec(),
        )
    };
    [&files.cert, &files.key].map(|path| path.metadata().ok().as_ref().map(of))
}

/// Reads both files.
pub(super) fn load(files: &TlsFiles, provider: &CryptoProvider) -> Result<Loaded, String> {
    let TlsFiles { cert, key } = files;
    let in_cert = |what: String| format!("tls_cert {}: {what}", cert.display());
    let in_key = |what: String| format!("tls_key {}: {what}", key.display());
    let chain = chain(&read(cert).map_err(in_cert)?).map_err(in_cert)?;
    let private = private(&read(key).map_err(in_key)?).map_err(in_key)?;
    let validity = chain.first().and_then(validity);
    let certified = CertifiedKey::from_der(chain, private, provider).map_err(|error| match error {
        rustls::Error::InconsistentKeys(_) => in_key(format!(
            "it is not the key of the first certificate in {}; give the two that were made together, the server's certificate before those of its issuers",
            cert.display()
        )),
        rustls::Error::InvalidCertificate(_) => in_cert(format!(
            "its first certificate cannot be read ({error}); ask its issuer for a new one"
        )),
        error => in_key(format!(
            "this kind of key cannot be used ({error}); take an ECDSA (P-256, P-384), Ed25519 or RSA key (2,048 bits and more)"
        )),
    })?;
    Ok(Loaded {
        certified: Arc::new(certified),
        validity,
    })
}

fn read(path: &Path) -> Result<Vec<u8>, String> {
    let whole = || {
        let mut bytes = Vec::new();
        File::open(path)?
            .take(TLS_FILE_MAX + 1)
            .read_to_end(&mut bytes)?;
        Ok::<_, io::Error>(bytes)
    };
    let bytes = whole().map_err(|error| {
        format!("cannot be read ({error}); the daemon's user must be able to read it")
    })?;
    match u64::try_from(bytes.len()) {
        Ok(length) if length <= TLS_FILE_MAX => Ok(bytes),
        _ => Err(format!(
            "is longer than {TLS_FILE_MAX} bytes; name the file of one certificate or key in PEM"
        )),
    }
}

fn chain(bytes: &[u8]) -> Result<Vec<CertificateDer<'static>>, String> {
    let chain = CertificateDer::pem_slice_iter(bytes)
        .collect::<Result<Vec<_>, pem::Error>>()
        .map_err(|error| format!("{}; copy it again from its issuer", no_pem(&error)))?;
    match chain.is_empty() {
        true => Err("has no certificate; it wants the chain in PEM (BEGIN CERTIFICATE)".to_owned()),
        false => Ok(chain),
    }
}

fn private(bytes: &[u8]) -> Result<PrivateKeyDer<'static>, String> {
    PrivateKeyDer::from_pem_slice(bytes).map_err(|error| match error {
        // PKCS#8 says so in its first line, older forms in their second (RFC 1421, 4.6.1.1).
        _ if bytes.windows(ENCRYPTED.len()).any(|words| words == ENCRYPTED) => "is encrypted, and nobody is there to type its password; decrypt it: openssl pkey -in OLD -out NEW".to_owned(),
        pem::Error::NoItemsFound => "has no private key in PEM (PKCS#8, PKCS#1 or SEC1); name the file that does".to_owned(),
        error => format!("{}; copy it again", no_pem(&error)),
    })
}

/// What the library says of it in numbers.
fn no_pem(error: &pem::Error) -> String {
    match error {
        pem::Error::MissingSectionEnd { .. } => "ends in the middle".to_owned(),
        error => format!("is no PEM ({error})"),
    }
}

/// From when to when a certificate counts.
fn validity(certificate: &CertificateDer<'_>) -> Option<(i64, i64)> {
    let certificate = Certificate::from_der(certificate).ok()?;
    let validity = certificate.tbs_certificate().validity();
    let seconds =
        |time: &x509_cert::time::Time| i64::try_from(time.to_unix_duration().as_secs()).ok();
    Some((
        seconds(&validity.not_before)?,
        seconds(&validity.not_after)?,
    ))
}
