//! A store behind `object_store`: S3 and what speaks it; also the reading half of a directory.
//!
//! Promises: puts are conditional (`If-None-Match: *`). Never: retries; that is done above, once, where it is counted.

use std::ops::Range;
use std::sync::Arc;

use bytes::Bytes;
use futures::future::BoxFuture;
use futures::{FutureExt, StreamExt, TryStreamExt};
use object_store::aws::{AmazonS3, AmazonS3Builder, S3ConditionalPut};
use object_store::list::{PaginatedListOptions, PaginatedListStore};
use object_store::path::Path as Location;
use object_store::{
    ClientOptions, GetOptions, GetRange, GetResult, ObjectMeta, ObjectStore, ObjectStoreExt,
    PutMode, PutOptions, RetryConfig,
};

use super::backend::{Backend, Body, Failure, Page, Shown};
use super::patience::{ATTEMPT_MAX, CONNECT};
use super::question::{Answer, Asker, Question};
use super::store::ColdSettings;
use crate::error::{Error, Kind, Result};

/// An object store and the prefix below which everything lies.
#[derive(Debug)]
pub(crate) struct Bucket {
    store: Arc<dyn ObjectStore>,
    /// The same store, asked page by page; `None` where its directory lists it.
    pages: Option<Arc<AmazonS3>>,
    asker: Option<Asker>,
    prefix: Location,
}

impl Bucket {
    /// A store of `object_store` on this machine.
    pub(crate) fn local(store: Arc<dyn ObjectStore>, prefix: Location) -> Bucket {
        Bucket {
            store,
            pages: None,
            asker: None,
            prefix,
        }
    }

    /// Without a key in the settings, keys come from where S3 clients look for them (environment, instance role).
    pub(crate) fn s3(settings: &ColdSettings, bucket: &str, prefix: &str) -> Result<Bucket> {
        let prefix = Location::parse(prefix).map_err(|e| {
            Error::with_source(
                Kind::Invalid,
                format!("`{}` has a prefix that cannot be used", settings.url),
                e,
            )
        })?;
        let mut builder = match &settings.access_key_id {
            Some(id) => AmazonS3Builder::new().with_access_key_id(id),
            None => AmazonS3Builder::from_env(),
        };
        if let Some(secret) = &settings.secret_access_key {
            builder = builder.with_secret_access_key(secret);
        }
        if let Some(region) = &settings.region {
            builder = builder.with_region(region);
        }
        if let Some(endpoint) = &settings.endpoint {
            builder = builder
                .with_endpoint(endpoint)
                .with_virtual_hosted_style_request(false);
        }
        let client = ClientOptions::new()
            .with_allow_http(settings.allow_http)
            .with_connect_timeout(CONNECT)
            .with_timeout(ATTEMPT_MAX);
        let unusable = |e| {
            let words = "the settings under [cold] give no S3 client";
            Error::with_source(Kind::Invalid, words, e)
        };
        let store = builder
            .clone()
            .with_bucket_name(bucket)
            .with_conditional_put(S3ConditionalPut::ETagMatch)
            .with_disable_bulk_delete(true)
            .with_client_options(client.clone())
            .with_retry(RetryConfig {
                max_retries: 0,
                ..RetryConfig::default()
            })
            .build()
            .map_err(unusable)?;
        let asker = Asker::new(&builder, &store, &client, bucket).map_err(unusable)?;
        let store = Arc::new(store);
        Ok(Bucket {
            asker: Some(asker),
            pages: Some(Arc::clone(&store)),
            store,
            prefix,
        })
    }

    fn location(&self, name: &str) -> Location {
        self.prefix
            .parts()
            .chain(Location::from(name).parts())
            .collect()
    }

    /// Asks for bytes of an object; with the answer goes how many the whole object has, and how many the answer.
    async fn get(
        &self,
        name: &str,
        range: Option<Range<u64>>,
    ) -> Result<(u64, u64, GetResult), Failure> {
        let options = GetOptions {
            range: range.map(GetRange::Bounded),
            ..GetOptions::default()
        };
        let answer = self.store.get_opts(&self.location(name), options).await;
        let answer = answer.map_err(failure)?;
        let answer_bytes = answer.range.end.saturating_sub(answer.range.start);
        Ok((answer.meta.size, answer_bytes, answer))
    }

    fn shown(&self, item: ObjectMeta) -> Shown {
        let below = item.location.prefix_match(&self.prefix);
        let name: Option<Location> = below.map(Iterator::collect);
        Shown {
            name: name.unwrap_or(item.location).to_string(),
            size: item.size,
            modified: item.last_modified.timestamp(),
        }
    }
}

impl Backend for Bucket {
    fn put_new<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let options = PutOptions {
                mode: PutMode::Create,
                ..PutOptions::default()
            };
            self.store
                .put_opts(&self.location(name), bytes.into(), options)
                .await
                .map(drop)
                .map_err(|error| match error {
                    object_store::Error::AlreadyExists { .. }
                    | object_store::Error::Precondition { .. } => Failure::Exists,
                    error => failure(error),
                })
        }
        .boxed()
    }

    fn put_over<'a>(&'a self, name: &'a str, bytes: Bytes) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            let put = self.store.put(&self.location(name), bytes.into()).await;
            put.map(drop).map_err(failure)
        }
        .boxed()
    }

    fn read<'a>(
        &'a self,
        name: &'a str,
        range: Option<Range<u64>>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        async move {
            let ranged = range.is_some();
            let (object_bytes, answer_bytes, answer) = self.get(name, range).await?;
            // A range is small: one read of it, where a stream of a file would come in crumbs.
            let pieces = match ranged {
                true => futures::stream::once(answer.bytes())
                    .map_err(failure)
                    .boxed(),
                false => answer.into_stream().map_err(failure).boxed(),
            };
            Ok(Body {
                object_bytes,
                answer_bytes,
                pieces,
            })
        }
        .boxed()
    }

    fn stream<'a>(
        &'a self,
        name: &'a str,
        range: Range<u64>,
    ) -> BoxFuture<'a, Result<Body, Failure>> {
        async move {
            let (object_bytes, answer_bytes, answer) = self.get(name, Some(range)).await?;
            let pieces = answer.into_stream().map_err(failure).boxed();
            Ok(Body {
                object_bytes,
                answer_bytes,
                pieces,
            })
        }
        .boxed()
    }

    fn size<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<u64, Failure>> {
        async move {
            Ok(self
                .store
                .head(&self.location(name))
                .await
                .map_err(failure)?
                .size)
        }
        .boxed()
    }

    fn list_page<'a>(
        &'a self,
        folder: &'a str,
        after: Option<&'a str>,
        token: Option<&'a str>,
    ) -> BoxFuture<'a, Result<Page, Failure>> {
        async move {
            let folder = self.location(folder);
            let after = after.map(|name| self.location(name));
            let Some(pages) = &self.pages else {
                return Err(Failure::Refused("it gives no pages".into()));
            };
            // What begins with the folder's name may be another folder.
            let below = Some(format!("{folder}/")).filter(|folder| folder.len() > 1);
            let options = PaginatedListOptions {
                offset: after.map(String::from),
                page_token: token.map(str::to_owned),
                ..PaginatedListOptions::default()
            };
            let page = pages.list_paginated(below.as_deref(), options).await;
            let page = page.map_err(list_failure)?;
            let found = page.result.objects.into_iter();
            Ok(Page {
                objects: found.map(|item| self.shown(item)).collect(),
                next: page.page_token,
            })
        }
        .boxed()
    }

    fn ask(&self, question: Question) -> BoxFuture<'_, Result<Option<Answer>, Failure>> {
        async move {
            match &self.asker {
                Some(asker) => asker.ask(question).await.map(Some),
                None => Ok(None),
            }
        }
        .boxed()
    }

    fn prefix(&self) -> String {
        self.prefix.to_string()
    }

    fn delete<'a>(&'a self, name: &'a str) -> BoxFuture<'a, Result<(), Failure>> {
        async move {
            self.store
                .delete(&self.location(name))
                .await
                .map_err(failure)
        }
        .boxed()
    }
}

/// The same of a listing, where `object_store` has no kind for a refusal: its words say the status.
fn list_failure(error: object_store::Error) -> Failure {
    match error.to_string().contains("status code: 403 ") {
        true => Failure::Refused(error.into()),
        false => failure(error),
    }
}

/// What an error of `object_store` means to us; that something exists is an answer to a put alone.
pub(crate) fn failure(error: object_store::Error) -> Failure {
    use object_store::Error as E;
    match error {
        E::NotFound { .. } => Failure::Missing,
        E::PermissionDenied { .. }
        | E::Unauthenticated { .. }
        | E::NotImplemented { .. }
        | E::NotSupported { .. }
        | E::InvalidPath { .. }
        | E::UnknownConfigurationKey { .. } => Failure::Refused(error.into()),
        error if is_behind_end(&error) => Failure::Short(error.into()),
        error => Failure::Away(error.into()),
    }
}

/// Whether it says that the object ends before what was asked for, where `object_store` has no kind for that: S3 says 416.
fn is_behind_end(error: &object_store::Error) -> bool {
    let words = error.to_string();
    words.contains("status code: 416 ") || words.contains("Requested range was invalid")
}
