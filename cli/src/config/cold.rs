//! The object store's settings, and those of its mirror.

use std::path::Path;

use coldpost_engine::settings::ColdSettings;

use super::Cold;
use super::check::wrong;
use super::value::{Secret, Value};
use super::word::Truth;
use crate::failure::Failure;

/// What a bucket's name may have beside letters and digits.
const BUCKET: &str = "-._";
/// What a part of a prefix may have beside letters and digits.
const PREFIX: &str = "-._!'()+=@,~";

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
        let mirror = self.mirror()?;
        if let Some(mirror) = &mirror
            && mirror.endpoint == self.endpoint
            && is_within(&url, &mirror.url)
        {
            let words = format!(
                "{:?} and {url:?} are in the same place; name another store",
                mirror.url
            );
            return wrong("cold.mirror", words);
        }
        Ok(ColdSettings {
            url,
            endpoint: self.endpoint.clone(),
            region: self.region.clone(),
            access_key_id: self.access_key_id.clone(),
            secret_access_key: plain(self.secret_access_key.as_ref()),
            allow_http: is_true(self.allow_http.as_ref()),
            cache: self.cache.0.0,
            mirror: mirror.map(Box::new),
        })
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
    if url.starts_with("file:///") {
        return Ok(());
    }
    let Some(place) = url.strip_prefix("s3://").filter(|at| !at.is_empty()) else {
        let words = format!("{url:?} is no store: write file:///path or s3://bucket/prefix");
        return wrong(key, words);
    };
    let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
    let is_of = |name: &str, others: &str| {
        let mut all = name.chars();
        !name.is_empty() && all.all(|c| c.is_ascii_alphanumeric() || others.contains(c))
    };
    if !is_of(bucket, BUCKET) || bucket.starts_with('.') {
        let words = format!("{bucket:?} is no bucket's name: it has letters, digits and {BUCKET}");
        return wrong(key, words);
    }
    let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
    let is_part = |part: &str| is_of(part, PREFIX) && part != "." && part != "..";
    if !prefix.is_empty() && !prefix.split('/').all(is_part) {
        // (A policy would take `*`, `?` and `$` for more than they are.)
        let words = format!(
            "{prefix:?} is no prefix that can be used: letters, digits and {PREFIX}, in parts with one / between them"
        );
        return wrong(key, words);
    }
    Ok(())
}

/// Of two places: whether one is the other, or lies in it.
fn is_within(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|place| place.trim_end_matches('/'));
    let below = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
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
        for (mirror, is_right) in [
            ("s3://a/b", false),
            ("s3://a/b/c/", false),
            ("s3://a", false),
            ("s3://a/bc", true),
            ("s3://b/b", true),
        ] {
            cold.mirror_region = None;
            cold.mirror = Some(mirror.to_owned());
            let checked = cold.check(Path::new("/data"));
            assert_eq!(checked.is_ok(), is_right, "{mirror}");
        }
        cold.mirror = Some("http://x".to_owned());
        let refused = cold.check(Path::new("/data")).expect_err("no store");
        assert!(refused.to_string().starts_with("cold.mirror:"));
    }

    #[test]
    fn a_bucket_and_a_prefix_are_names_that_stores_and_policies_take_as_they_stand() {
        for url in [
            "s3://mail",
            "s3://mail/",
            "s3://mail/a/b-c/",
            "s3://my.bucket_1/x=1",
            "file:///srv/a b",
        ] {
            assert!(must_be_a_store("cold.url", url).is_ok(), "{url}");
        }
        for url in [
            "s3://",
            "s3:///a",
            "s3://a b/c",
            "s3://mail/t*",
            "s3://mail/a?b",
            "s3://mail/${aws:username}",
            "s3://mail/../x",
            "s3://mail//a",
            "s3://mail/a//b",
            "s3://mail/x#z",
            "s3://m\u{e4}il/x",
            "file://srv",
        ] {
            let refused = must_be_a_store("cold.url", url).expect_err(url);
            assert!(refused.to_string().starts_with("cold.url:"), "{refused}");
        }
    }
}
