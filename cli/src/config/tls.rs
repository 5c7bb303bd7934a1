//! The rules of TLS: what belongs together, and who may be listened to without it, or with a password that is not for others.

use std::path::PathBuf;

use coldpost_server::listen::Address;
use coldpost_server::tls::TlsFiles;

use super::check::wrong;
use super::value::Value;
use super::{Config, Imap, Lmtp};
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

impl Config {
    /// It opens every account: what other machines reach must not have it.
    ///
    /// # Errors
    /// They do.
    pub(super) fn check_dev_password(&self) -> Result<(), Failure> {
        let listened = [
            ("imap.listen", Some(&self.imap.listen)),
            ("imap.tls_listen", self.imap.tls_listen.as_ref()),
        ];
        let far = listened.into_iter().find_map(|(key, address)| {
            let Value(address) = address?;
            (!address.is_local()).then_some((key, address))
        });
        match far {
            Some((key, address)) if self.auth.dev_password.is_some() => wrong(
                "auth.dev_password",
                format_args!(
                    "it opens every account and is for this machine alone, and {key} {address} is reachable from others; take auth.passwd_file, auth.backend_password or coldpost account add --password, or listen on 127.0.0.1, [::1] or unix:/path"
                ),
            ),
            _ => Ok(()),
        }
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
