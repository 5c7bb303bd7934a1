//! What is asked about a bucket and not about an object: settings that its owner may have made, which `object_store` has no words for.
//!
//! Promises: signed by `object_store`'s own signer with its own keys; an answer is read up to a bound. Never: changes a setting.

use std::fmt;
use std::time::UNIX_EPOCH;

use bytes::{Bytes, BytesMut};
use futures::TryStreamExt;
use object_store::ClientOptions;
use object_store::aws::{
    AmazonS3, AmazonS3Builder, AmazonS3ConfigKey, AwsAuthorizer, AwsCredentialProvider,
};
use object_store::client::{
    HttpClient, HttpConnector, HttpRequest, HttpRequestBody, ReqwestConnector,
};

use super::backend::Failure;
use crate::limits::BUCKET_ANSWER_MAX;

/// A setting of a bucket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Question {
    /// Whether what is deleted stays.
    Versioning,
    /// What the store deletes or moves by itself.
    Lifecycle,
    /// What cannot be deleted.
    ObjectLock,
}

/// An answer of whatever status.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// The store's clock, seconds since 1970.
    pub(crate) date_s: Option<i64>,
    pub(crate) body: Bytes,
}

/// Who asks one bucket.
pub(crate) struct Asker {
    client: HttpClient,
    credentials: AwsCredentialProvider,
    region: String,
    bucket_url: String,
}

impl Question {
    /// The subresource, as S3 names it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Question::Versioning => "versioning",
            Question::Lifecycle => "lifecycle",
            Question::ObjectLock => "object-lock",
        }
    }

    /// Which permission it needs.
    pub(crate) fn action(self) -> &'static str {
        match self {
            Question::Versioning => "s3:GetBucketVersioning",
            Question::Lifecycle => "s3:GetLifecycleConfiguration",
            Question::ObjectLock => "s3:GetBucketObjectLockConfiguration",
        }
    }
}

impl Asker {
    /// Asks the bucket that `store` was built for.
    pub(super) fn new(
        builder: &AmazonS3Builder,
        store: &AmazonS3,
        client: &ClientOptions,
        bucket: &str,
    ) -> object_store::Result<Asker> {
        let value = |key| builder.get_config_value(&key);
        let region = value(AmazonS3ConfigKey::Region).unwrap_or_else(|| "us-east-1".to_owned());
        let endpoint = value(AmazonS3ConfigKey::S3Endpoint)
            .or_else(|| value(AmazonS3ConfigKey::Endpoint))
            .unwrap_or_else(|| format!("https://s3.{region}.amazonaws.com"));
        Ok(Asker {
            client: ReqwestConnector::default().connect(client)?,
            credentials: store.credentials().clone(),
            region,
            bucket_url: format!("{}/{bucket}", endpoint.trim_end_matches('/')),
        })
    }

    pub(super) async fn ask(&self, question: Question) -> Result<Answer, Failure> {
        let away = |error: Box<dyn std::error::Error + Send + Sync>| Failure::Away(error);
        let url = format!("{}?{}", self.bucket_url, question.name());
        let mut request = HttpRequest::new(HttpRequestBody::empty());
        *request.uri_mut() = url
            .parse()
            .map_err(|_| Failure::Refused(format!("`{url}` is no address").into()))?;
        let credential = self.credentials.get_credential().await;
        let credential = credential.map_err(super::bucket::failure)?;
        AwsAuthorizer::new(&credential, "s3", &self.region)
            .try_authorize(&mut request, None)
            .map_err(super::bucket::failure)?;
        let answer = self.client.execute(request).await;
        let answer = answer.map_err(|e| away(e.into()))?;
        let (status, date) = (answer.status().as_u16(), answer.headers().get("date"));
        let date_s = date.and_then(|date| {
            let date = httpdate::parse_http_date(date.to_str().ok()?).ok()?;
            i64::try_from(date.duration_since(UNIX_EPOCH).ok()?.as_secs()).ok()
        });
        // 501 says that it will never know; the others that it does not now.
        if status >= 500 && status != 501 {
            return Err(away(format!("status {status}").into()));
        }
        let mut body = BytesMut::new();
        let mut pieces = answer.into_body().bytes_stream();
        while let Some(piece) = pieces.try_next().await.map_err(|e| away(e.into()))? {
            if body.len() + piece.len() > BUCKET_ANSWER_MAX {
                let words = format!("an answer of more than {BUCKET_ANSWER_MAX} bytes");
                return Err(Failure::Refused(words.into()));
            }
            body.extend_from_slice(&piece);
        }
        Ok(Answer {
            status,
            date_s,
            body: body.freeze(),
        })
    }
}

impl fmt::Debug for Asker {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Asker")
            .field("bucket_url", &self.bucket_url)
            .finish_non_exhaustive()
    }
}
