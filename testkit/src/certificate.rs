//! Certificates for tests: made anew each time, for this machine, trusted by nobody but who is told to.

use std::fs;
use std::path::{Path, PathBuf};

use rcgen::{CertificateParams, KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_RSA_SHA256, RsaKeySize};

use crate::must::Must;

/// What kind of key a certificate has.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum KeyKind {
    /// ECDSA over P-256.
    Ec,
    /// RSA with 2,048 bits.
    Rsa,
}

/// A certificate that signs itself, for `localhost`, `127.0.0.1` and `::1`.
#[derive(Debug)]
pub struct Certificate {
    cert: rcgen::Certificate,
    key: KeyPair,
}

impl Certificate {
    /// A new one with a key of its own.
    ///
    /// # Panics
    /// When there is no randomness.
    pub fn make(kind: KeyKind) -> Certificate {
        let key = match kind {
            KeyKind::Ec => KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256),
            KeyKind::Rsa => KeyPair::generate_rsa_for(&PKCS_RSA_SHA256, RsaKeySize::_2048),
        };
        let key = key.must("making a key");
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let mut params = CertificateParams::new(names).must("a certificate's names");
        params.not_before = rcgen::date_time_ymd(2020, 1, 1);
        params.not_after = rcgen::date_time_ymd(2090, 1, 1);
        let cert = params.self_signed(&key).must("signing a certificate");
        Certificate { cert, key }
    }

    /// The certificate in PEM.
    pub fn pem(&self) -> String {
        self.cert.pem()
    }

    /// The certificate in DER.
    pub fn der(&self) -> Vec<u8> {
        self.cert.der().to_vec()
    }

    /// The key in PEM, as PKCS#8.
    pub fn key_pem(&self) -> String {
        self.key.serialize_pem()
    }

    /// The key in DER, as PKCS#8.
    pub fn key_der(&self) -> Vec<u8> {
        self.key.serialize_der()
    }

    /// Puts both into `dir`, over what is there, each whole or not at all, as ACME clients do; the paths of certificate and key.
    ///
    /// # Panics
    /// When the disk refuses.
    pub fn write(&self, dir: &Path) -> [PathBuf; 2] {
        [("cert.pem", self.pem()), ("key.pem", self.key_pem())].map(|(name, text)| {
            let (draft, path) = (dir.join(format!("{name}.new")), dir.join(name));
            fs::write(&draft, text).must("writing a certificate");
            fs::rename(&draft, &path).must("naming a certificate");
            path
        })
    }
}
