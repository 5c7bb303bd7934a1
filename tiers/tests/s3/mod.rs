//! A store in a bucket of SeaweedFS, for the tests that look at its requests.

use coldpost_testkit::seaweedfs::{ACCESS_KEY, BUCKET, SECRET_KEY};
use coldpost_tiers::cold::{ColdSettings, ColdStore};

/// Seconds since 1970.
pub(crate) fn now_s() -> i64 {
    let since = std::time::UNIX_EPOCH.elapsed().unwrap();
    i64::try_from(since.as_secs()).unwrap()
}

/// The store behind an address.
pub(crate) fn store(endpoint: std::net::SocketAddr) -> ColdStore {
    ColdStore::open(&settings_of(endpoint)).unwrap()
}

/// Its settings.
pub(crate) fn settings_of(endpoint: std::net::SocketAddr) -> ColdSettings {
    ColdSettings {
        url: format!("s3://{BUCKET}/mail/a"),
        endpoint: Some(format!("http://{endpoint}")),
        region: Some("us-east-1".to_owned()),
        access_key_id: Some(ACCESS_KEY.to_owned()),
        secret_access_key: Some(SECRET_KEY.to_owned()),
        allow_http: true,
        ..ColdSettings::default()
    }
}
