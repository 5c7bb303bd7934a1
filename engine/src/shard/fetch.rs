//! Segments that are only in the bucket, as files, for a hot tier that is rebuilt.
//!
//! Promises: whoever finds that the bytes are wrong gets those of each store, one after the other. A crash leaves: `fetched.seg`, which
//! the next one writes over.

use std::fs::File;
use std::io::Write;
use std::iter;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use coldpost_tiers::cold::{Caller, ColdStore, Key, key};
use coldpost_tiers::limits::COLD_GET_MAX;
use coldpost_tiers::segment::Lineage;
use futures::TryStreamExt;
use tokio::runtime::Handle;

use crate::cold;
use crate::error::{Error, Kind, Result};
use crate::ids::{Epoch, Position};

/// Gives the segment that holds a position, as a file in a directory.
pub(crate) type FetchSegments = Arc<dyn Fn(Position, &Path) -> Copies + Send + Sync>;

/// Each copy of it; the file of one is written over by the next.
pub(crate) type Copies = Box<dyn Iterator<Item = Result<Fetched>>>;

/// A segment as a file.
pub(crate) struct Fetched {
    /// Where it is until it is removed.
    pub path: PathBuf,
    /// What it is in the object store: for errors.
    pub name: PathBuf,
}

/// From a store; of two, from the one that answers, then from each by itself.
pub(crate) fn fetch_segments(cold: ColdStore, lineage: Lineage, handle: Handle) -> FetchSegments {
    Arc::new(move |position: Position, dir: &Path| {
        let (path, handle) = (dir.join("fetched.seg"), handle.clone());
        let mut others = cold::copies(&cold, Caller::Recover);
        let is_one = others.len() == 1;
        if is_one {
            others.clear();
        }
        let stores = iter::once((cold.clone(), Caller::Recover)).chain(others);
        let copies = stores.enumerate().map(move |(number, asked)| {
            let (key, store) = (holding(&asked, lineage, position), &asked.0);
            let key = handle.block_on(key)?;
            handle.block_on(download(&asked, &key, &path))?;
            Ok(Fetched {
                path: path.clone(),
                // Which of two gave the first one is not known.
                name: PathBuf::from(match number == 0 && !is_one {
                    true => key.to_string(),
                    false => format!("{key} in {}", store.url()),
                }),
            })
        });
        Box::new(copies)
    })
}

/// An object as a file, whatever its size.
async fn download((cold, caller): &(ColdStore, Caller), key: &Key, path: &Path) -> Result<()> {
    let failed = |e| {
        let text = format!("cannot write {}", path.display());
        Error::with_source(Kind::Unavailable, text, e)
    };
    let missing = || Error::new(Kind::Corrupt, format!("{key} is not in {}", cold.url()));
    let size = cold.head(key, *caller).await?.ok_or_else(missing)?;
    let mut file = File::create(path).map_err(failed)?;
    let mut at = 0;
    while at < size.size {
        let end = size.size.min(at + COLD_GET_MAX / 8);
        let piece = cold.get_range(key, at..end, *caller).await?;
        file.write_all(&piece).map_err(failed)?;
        at = end;
    }
    Ok(())
}

/// The segment in the bucket that holds a position: the last one that begins at or before it.
async fn holding(
    (cold, caller): &(ColdStore, Caller),
    lineage: Lineage,
    position: Position,
) -> Result<Key> {
    let mut listed = cold.list(&key::segments(lineage.shard), *caller);
    let mut best: Option<(Position, Epoch)> = None;
    while let Some(object) = listed.try_next().await? {
        if let Some(Key::Segment { epoch, first, .. }) = object.key
            && first <= position
        {
            best = best.max(Some((first, epoch)));
        }
    }
    let missing = || {
        let text = format!(
            "no segment in {} holds entry {} of shard {}",
            cold.url(),
            position.0,
            lineage.shard.0
        );
        Error::new(Kind::Corrupt, text)
    };
    let (first, epoch) = best.ok_or_else(missing)?;
    Ok(Key::Segment {
        shard: lineage.shard,
        epoch,
        first,
    })
}
