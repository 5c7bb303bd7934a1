//! Where a store is, as its address says.
//!
//! Promises: the one home of what an address may hold, for who opens it, prints a policy of it, or checks settings.

use std::path::Path;

use crate::error::{Error, Kind, Result};

/// What a bucket's name may have beside letters and digits.
const BUCKET: &str = "-._";
/// What a part of a prefix may have beside letters and digits. (A policy would take `*`, `?` and `$` for more than they are.)
const PREFIX: &str = "-._!'()+=@,~";

/// A directory, or a bucket and what everything in it begins with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place<'u> {
    /// `file:///path`, taken as it stands, nothing decoded.
    Directory(&'u Path),
    /// `s3://bucket/prefix`.
    Bucket {
        /// Its name.
        bucket: &'u str,
        /// Without a slash at its end; may be empty.
        prefix: &'u str,
    },
}

impl<'u> Place<'u> {
    /// What an address names.
    ///
    /// # Errors
    /// `Invalid`: it names nothing that can be used; says what can.
    pub fn of(url: &'u str) -> Result<Place<'u>> {
        let invalid = |words: String| Err(Error::new(Kind::Invalid, words));
        if let Some(path) = url.strip_prefix("file://").map(Path::new)
            && path.is_absolute()
        {
            return Ok(Place::Directory(path));
        }
        let Some(place) = url.strip_prefix("s3://").filter(|place| !place.is_empty()) else {
            return invalid(format!(
                "{url:?} is no store: write file:///path or s3://bucket/prefix"
            ));
        };
        let (bucket, prefix) = place.split_once('/').unwrap_or((place, ""));
        if !is_of(bucket, BUCKET) || bucket.starts_with('.') {
            return invalid(format!(
                "{bucket:?} is no bucket's name: it has letters, digits and {BUCKET}"
            ));
        }
        let prefix = prefix.strip_suffix('/').unwrap_or(prefix);
        let is_part = |part: &str| is_of(part, PREFIX) && part != "." && part != "..";
        if !prefix.is_empty() && !prefix.split('/').all(is_part) {
            return invalid(format!(
                "{prefix:?} is no prefix that can be used: letters, digits and {PREFIX}, in parts with one / between them"
            ));
        }
        Ok(Place::Bucket { bucket, prefix })
    }
}

fn is_of(name: &str, others: &str) -> bool {
    let mut all = name.chars();
    !name.is_empty() && all.all(|c| c.is_ascii_alphanumeric() || others.contains(c))
}

/// Of two addresses of the same host: whether one place is the other, or lies in it.
pub(super) fn overlap(one: &str, other: &str) -> bool {
    let [one, other] = [one, other].map(|place| place.trim_end_matches('/'));
    let below = |inner: &str, outer: &str| {
        let rest = inner.strip_prefix(outer);
        rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    };
    below(one, other) || below(other, one)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bucket_and_a_prefix_are_names_that_stores_and_policies_take_as_they_stand() {
        for (url, bucket, prefix) in [
            ("s3://mail", "mail", ""),
            ("s3://mail/", "mail", ""),
            ("s3://mail/a/b-c/", "mail", "a/b-c"),
            ("s3://my.bucket_1/x=1", "my.bucket_1", "x=1"),
        ] {
            assert_eq!(
                Place::of(url).unwrap(),
                Place::Bucket { bucket, prefix },
                "{url}"
            );
        }
        let directory = Place::of("file:///srv/a b").unwrap();
        assert_eq!(directory, Place::Directory(Path::new("/srv/a b")));
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
            "/srv/cold",
        ] {
            assert_eq!(*Place::of(url).unwrap_err().kind(), Kind::Invalid, "{url}");
        }
    }

    #[test]
    fn a_place_overlaps_with_itself_and_with_what_lies_in_it() {
        for (other, overlaps) in [
            ("s3://a/b", true),
            ("s3://a/b/c/", true),
            ("s3://a", true),
            ("s3://a/bc", false),
            ("s3://b/b", false),
        ] {
            assert_eq!(overlap("s3://a/b/", other), overlaps, "{other}");
        }
    }
}
