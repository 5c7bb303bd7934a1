//! Around every call of redb: a page that it cannot make sense of, by an error or by a panic, is damage of the file, and remembered.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::error::{Error, Kind, Result};

/// The object that errors about a damaged hot tier name.
pub const OBJECT: &str = "hot.redb";

/// See the module.
#[derive(Clone, Default)]
pub(super) struct Guard(Arc<AtomicBool>);

impl Guard {
    pub(super) fn has_met_damage(&self) -> bool {
        self.0.load(Ordering::Acquire)
    }

    pub(super) fn run<T, E: Into<redb::Error>>(
        &self,
        what: &str,
        call: impl FnOnce() -> std::result::Result<T, E>,
    ) -> Result<T> {
        // redb checks no page on its way in: a damaged one may as well make it panic. Nothing of ours is in `call`.
        let error = match catch_unwind(AssertUnwindSafe(call)) {
            Ok(Ok(value)) => return Ok(value),
            Ok(Err(e)) => e.into(),
            Err(_) => redb::Error::Corrupted("redb does not understand a page".to_owned()),
        };
        if !matches!(error, redb::Error::Corrupted(_)) {
            let context = format!("hot tier: {what}");
            return Err(Error::with_source(Kind::Unavailable, context, error));
        }
        self.0.store(true, Ordering::Release);
        let object = OBJECT.to_owned();
        Err(Error::with_source(
            Kind::Corrupt { object, offset: 0 },
            format!(
                "hot tier: {what} is damaged; it is rebuilt from the journal at the next start"
            ),
            error,
        ))
    }
}

pub(super) type Rows<'a> = redb::Range<'a, &'static [u8], &'static [u8]>;
type RowRef<'a> = (
    redb::AccessGuard<'a, &'static [u8]>,
    redb::AccessGuard<'a, &'static [u8]>,
);
/// Keys and values of a scan, in key order.
pub type Scan<'a> = Box<dyn Iterator<Item = Result<(Vec<u8>, Vec<u8>)>> + 'a>;
type Item<'a> = Option<std::result::Result<RowRef<'a>, redb::StorageError>>;

impl Guard {
    /// A row that `step` gives, and whose bytes are where they should be.
    pub(super) fn row<'a>(
        &self,
        what: &str,
        step: impl FnOnce() -> Item<'a>,
    ) -> Result<Option<RowRef<'a>>> {
        self.run(what, || {
            let row = step().transpose()?;
            if let Some((k, v)) = &row {
                std::hint::black_box((k.value().len(), v.value().len()));
            }
            Ok::<_, redb::StorageError>(row)
        })
    }

    pub(super) fn value<'a>(
        &self,
        what: &str,
        get: impl FnOnce() -> std::result::Result<
            Option<redb::AccessGuard<'a, &'static [u8]>>,
            redb::StorageError,
        >,
    ) -> Result<Option<redb::AccessGuard<'a, &'static [u8]>>> {
        self.run(what, || {
            let value = get()?;
            if let Some(value) = &value {
                std::hint::black_box(value.value().len());
            }
            Ok::<_, redb::StorageError>(value)
        })
    }

    /// The rest of `rows`, copied; it ends behind an error.
    pub(super) fn copied<'a>(
        &self,
        mut rows: Rows<'a>,
        name: &'static str,
        step: fn(&mut Rows<'a>) -> Item<'a>,
    ) -> Scan<'a> {
        let guard = self.clone();
        let mut ended = false;
        Box::new(std::iter::from_fn(move || {
            if ended {
                return None;
            }
            let row = guard.row(name, || step(&mut rows)).transpose();
            ended = !matches!(row, Some(Ok(_)));
            row.map(|row| row.map(|(k, v)| (k.value().to_vec(), v.value().to_vec())))
        }))
    }
}
