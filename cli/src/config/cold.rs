//! The object store's settings, and those of its mirror.

use std::path::Path;

use coldpost_engine::cold::Place;
use coldpost_engine::settings::ColdSettings;

use super::Cold;
use super::check::wrong;
use super::value::{Secret, Value};
use super::word::Truth;
use crate::failure::Failure;

impl Cold {
    /// Where the store is; in the data directory when nothing is said.
    pub(super) fn check(&self, data: &Path) -> Result<ColdSettings, Failure> {
        let url = match (&self.url, data.join("cold").to_str()) {
            (Some(url), _) => url.clone(),
            (None, Some(path)) => format!("file://{path}"),
            (None, None) => {
                let words = "the data directory's name is no UTF-8; give cold.url";
                return wrong("cold.url", words);
            }
        };
        must_be_a_store("cold.url", &url)?;
        Ok(ColdSettings {
            url,
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: plain(self.secret_access_key.as_ref()),
            allow_http: is_true(self.allow_http.as_ref()),
            cache: self.cache.0.0,
            mirror: self.mirror()?.map(Box::new),
        })
    }

    /// Where a segment becomes an object without being read into memory.
    pub(super) fn is_one_directory(&self) -> bool {
        let url = self.url.as_deref().unwrap_or("file://");
        url.starts_with("file://") && self.mirror.is_none()
    }

    fn mirror(&self) -> Result<Option<ColdSettings>, Failure> {
        let Some(url) = &self.mirror else {
            let is_set = [
                ("mirror_endpoint", self.mirror_endpoint.is_some()),
                ("mirror_region", self.mirror_region.is_some()),
                ("mirror_access_key_id", self.mirror_access_key_id.is_some()),
                (
                    "mirror_secret_access_key",
                    self.mirror_secret_access_key.is_some(),
                ),
                ("mirror_allow_http", self.mirror_allow_http.is_some()),
            ];
            return match is_set.into_iter().find(|(_, is_set)| *is_set) {
                Some((key, _)) => wrong(&format!("cold.{key}"), "there is no cold.mirror; name it"),
                None => Ok(None),
            };
        };
        must_be_a_store("cold.mirror", url)?;
        Ok(Some(ColdSettings {
            url: url.clone(),
            endpoint: self.mirror_endpoint.clone(),
            region: self.mirror_region.clone(),
            access_key_id: self.mirror_access_key_id.clone(),
            secret_access_key: plain(self.mirror_secret_access_key.as_ref()),
            allow_http: is_true(self.mirror_allow_http.as_ref()),
            ..ColdSettings::default()
        }))
    }
}

fn must_be_a_store(key: &str, url: &str) -> Result<(), Failure> {
    match Place::of(url) {
        Ok(_) => Ok(()),
        Err(e) => wrong(key, e.to_string()),
    }
}

fn plain(secret: Option<&Value<Secret>>) -> Option<String> {
    secret.map(|Value(Secret(key))| key.clone())
}

fn is_true(value: Option<&Value<Truth>>) -> bool {
    matches!(value, Some(Value(Truth::True)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn segments_are_read_into_memory_for_a_bucket_and_for_two_stores() {
        let cold = |url: Option<&str>, mirror: Option<&str>| Cold {
            url: url.map(str::to_owned),
            mirror: mirror.map(str::to_owned),
            ..Cold::default()
        };
        assert!(cold(None, None).is_one_directory());
        assert!(cold(Some("file:///srv/cold"), None).is_one_directory());
        assert!(!cold(Some("s3://mail"), None).is_one_directory());
        assert!(!cold(None, Some("file:///srv/mirror")).is_one_directory());
    }

    #[test]
    fn a_mirror_has_settings_of_its_own_and_none_without_its_address() {
        let mut cold = Cold {
            url: Some("s3://a/b".to_owned()),
            access_key_id: Some("first".to_owned()),
            mirror: Some("file:///srv/mirror".to_owned()),
            mirror_region: Some("r".to_owned()),
            ..Cold::default()
        };
        let checked = cold.check(Path::new("/data")).expect("right");
        let mirror = checked.mirror.expect("given");
        assert_eq!(mirror.url, "file:///srv/mirror");
        assert_eq!(mirror.region.as_deref(), Some("r"));
        assert_eq!(mirror.access_key_id, None);
        cold.mirror = None;
        let refused = cold.check(Path::new("/data")).expect_err("no mirror");
        assert!(refused.to_string().starts_with("cold.mirror_region:"));
        cold.mirror = Some("http://x".to_owned());
        let refused = cold.check(Path::new("/data")).expect_err("no store");
        assert!(refused.to_string().starts_with("cold.mirror:"));
    }
}
