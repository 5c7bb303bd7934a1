//! The rules of TLS: what belongs together, and who may be listened to without it.

use std::path::PathBuf;

use coldpost_server::listen::Address;
use coldpost_server::tls::TlsFiles;

use super::check::wrong;
use super::value::Value;
use super::{Imap, Lmtp};
use crate::failure::Failure;

impl Lmtp {
    /// Where the certificate of LMTP is, if it has one.
    pub(super) fn tls(&self) -> Result<Option<TlsFiles>, Failure> {
        files("lmtp", &self.tls_listen, &self.tls_cert, &self.tls_key)
    }
}

impl Imap {
    /// Where the certificate of IMAP is, if it has one. Without it, only this machine may be listened to.
    pub(super) fn tls(&self) -> Result<Option<TlsFiles>, Failure> {
        let tls = files("imap", &self.tls_listen, &self.tls_cert, &self.tls_key)?;
        let listen = &self.listen.0;
        if !listen.is_local() && tls.is_none() {
            return wrong(
                "imap.listen",
                format_args!(
                    "{listen} is reachable from other machines, where no password is accepted without TLS; give imap.tls_cert and imap.tls_key, or listen on 127.0.0.1, [::1] or unix:/path"
                ),
            );
        }
        Ok(tls)
    }
}

fn files(
    section: &str,
    listen: &Option<Value<Address>>,
    cert: &Option<PathBuf>,
    key: &Option<PathBuf>,
) -> Result<Option<TlsFiles>, Failure> {
    let absolute = |name: &str, path: &PathBuf| {
        std::path::absolute(path).or_else(|error| {
            let what = format!("{} is no file name: {error}", path.display());
            wrong(&format!("{section}.{name}"), what)
        })
    };
    match (cert, key) {
        (Some(cert), Some(key)) => Ok(Some(TlsFiles {
            cert: absolute("tls_cert", cert)?,
            key: absolute("tls_key", key)?,
        })),
        (Some(_), None) => wrong(
            &format!("{section}.tls_cert"),
            format_args!("its private key is missing; give {section}.tls_key"),
        ),
        (None, Some(_)) => wrong(
            &format!("{section}.tls_key"),
            format_args!("its certificate is missing; give {section}.tls_cert"),
        ),
        (None, None) => match listen {
            None => Ok(None),
            Some(_) => wrong(
                &format!("{section}.tls_listen"),
                format_args!(
                    "TLS wants a certificate; give {section}.tls_cert and {section}.tls_key"
                ),
            ),
        },
    }
}
