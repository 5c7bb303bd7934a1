//! One object for each mail: what a store does that keeps mail in a bucket as it comes.
//!
//! Promises: connections are kept and used again; each mail is compressed by zstd, and unpacked when it is read.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use coldpost_testkit::Must;
use coldpost_testkit::seaweedfs::{ACCESS_KEY, BUCKET, SECRET_KEY};
use futures::{StreamExt, stream};
use object_store::aws::{AmazonS3, AmazonS3Builder};
use object_store::path::Path;
use object_store::{ObjectStoreExt, PutPayload};
use tokio::runtime::Runtime;

/// zstd's level: its default, and what mdbox is measured with.
const LEVEL: i32 = 3;

/// A bucket with an object for each mail.
pub(super) struct Objects {
    runtime: Runtime,
    store: AmazonS3,
}

/// What was put, or got.
pub(super) struct Moved {
    /// Bytes of the objects.
    pub(super) bytes: u64,
    /// Time of each request.
    pub(super) took: Vec<Duration>,
}

impl Objects {
    /// With the store at `endpoint`.
    pub(super) fn open(endpoint: SocketAddr) -> Objects {
        let store = AmazonS3Builder::new()
            .with_bucket_name(BUCKET)
            .with_region("us-east-1")
            .with_endpoint(format!("http://{endpoint}"))
            .with_virtual_hosted_style_request(false)
            .with_allow_http(true)
            .with_access_key_id(ACCESS_KEY)
            .with_secret_access_key(SECRET_KEY)
            .build();
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .enable_all()
            .build();
        Objects {
            runtime: runtime.must("a runtime"),
            store: store.must("a client of the store"),
        }
    }

    /// Puts every mail, so many at once.
    pub(super) fn put(&self, mails: &[Vec<u8>], at_once: usize) -> Moved {
        let put = async |number: usize| {
            let packed = zstd::encode_all(mails[number].as_slice(), LEVEL).must("compressing");
            let (bytes, begun) = (packed.len() as u64, Instant::now());
            let (key, packed) = (key(number), PutPayload::from(packed));
            self.store.put(&key, packed).await.must("putting a mail");
            (bytes, begun.elapsed())
        };
        self.each(0..mails.len(), at_once, put)
    }

    /// Gets mails by their numbers, so many at once.
    pub(super) fn get(&self, numbers: &[usize], mails: &[Vec<u8>], at_once: usize) -> Moved {
        let get = async |number: usize| {
            let begun = Instant::now();
            let got = self.store.get(&key(number)).await.must("getting a mail");
            let packed = got.bytes().await.must("getting a mail");
            let mail = zstd::decode_all(packed.as_ref()).must("unpacking");
            assert!(mail == mails[number], "mail {number} is another one");
            (packed.len() as u64, begun.elapsed())
        };
        self.each(numbers.iter().copied(), at_once, get)
    }

    fn each<F: Future<Output = (u64, Duration)>>(
        &self,
        numbers: impl Iterator<Item = usize>,
        at_once: usize,
        work: impl Fn(usize) -> F,
    ) -> Moved {
        let all = stream::iter(numbers).map(work).buffered(at_once).collect();
        let done: Vec<(u64, Duration)> = self.runtime.block_on(all);
        Moved {
            bytes: done.iter().map(|(bytes, _)| bytes).sum(),
            took: done.into_iter().map(|(_, took)| took).collect(),
        }
    }
}

fn key(number: usize) -> Path {
    Path::from(format!("mails/{number:08}"))
}
