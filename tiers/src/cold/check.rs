//! The check that a store can do what everything else rests on, permission by permission, and that nothing in it works against us.
//!
//! Promises: what it writes has a random name below `probes/` and is deleted again; each failure names the permission and what to
//! change. Never: touches an object that is not its own, changes a setting.

use bytes::Bytes;

use super::backend::{Backend, Failure};
use super::key::Key;
use super::question::{Answer, Question};
use super::request::{Caller, Verb, collect};
use super::store::{ColdStore, is_local};
use super::{key, rules};
use crate::error::{Error, Kind, Result};

/// What is put, and what must not replace it.
const FIRST: Bytes = Bytes::from_static(b"COLDPOST probe 1");
const SECOND: Bytes = Bytes::from_static(b"COLDPOST probe 2");
/// How both begin.
const SIGNED: &str = "COLDPOST probe ";
/// Difference of the clocks from which on S3 refuses requests, seconds.
const SKEW_ERROR_S: u64 = 15 * 60;
/// Difference of the clocks that is told, seconds.
const SKEW_WARNING_S: u64 = 60;

/// One thing that was looked at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// What: a permission or a setting.
    pub what: &'static str,
    /// How bad it is.
    pub severity: Severity,
    /// What is wrong and what to change; empty when nothing is.
    pub words: String,
}

/// How bad a finding is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It is as it must be.
    Fine,
    /// It is not known, or may become worse.
    Warning,
    /// Mail cannot be kept, read or erased as promised.
    Error,
}

impl Finding {
    pub(super) fn new(what: &'static str, severity: Severity, words: impl Into<String>) -> Finding {
        let words = words.into();
        Finding {
            what,
            severity,
            words,
        }
    }

    pub(super) fn fine(what: &'static str) -> Finding {
        Finding::new(what, Severity::Fine, "")
    }
}

impl ColdStore {
    /// Tries and asks everything, in a store that is there. `now_s` is this machine's clock, seconds since 1970.
    ///
    /// # Errors
    /// `Unavailable`: no answer; whatever was answered is a finding.
    pub async fn examine(&self, now_s: fn() -> i64) -> Result<Vec<Finding>> {
        examine_each(&self.each_copy(), now_s).await
    }

    /// The same of the stores that are no directories: those have no settings, and one that is being unmounted must not be written into.
    ///
    /// # Errors
    /// As [`ColdStore::examine`].
    pub async fn examine_buckets(&self, now_s: fn() -> i64) -> Result<Vec<Finding>> {
        let mut copies = self.each_copy();
        copies.retain(|copy| !is_local(copy.url()));
        examine_each(&copies, now_s).await
    }

    async fn examine_one(&self, now_s: fn() -> i64) -> Result<Vec<Finding>> {
        let mut check = Check::new(self);
        check.settings(now_s).await?;
        // Who is refused here has nothing more to find out.
        if let Some(probe) = check.puts().await? {
            let name = probe.to_string();
            check.reads(&name).await?;
            check.lists(&name).await?;
            check.deletes(&name).await?;
        }
        Ok(check.found)
    }

    /// The same before a store is made: a directory that is not there is made, and an error ends it.
    ///
    /// # Errors
    /// `Invalid`: the first finding that is an error. `Unavailable`: no answer.
    pub async fn check(&self, now_s: fn() -> i64) -> Result<Vec<Finding>> {
        let prepared = self.inner.backend.prepare().await;
        prepared.map_err(|f| self.error(f, "write", key::PROBES))?;
        let mut found = self.examine(now_s).await?;
        match found.iter().position(|f| f.severity == Severity::Error) {
            Some(at) => Err(Error::new(Kind::Invalid, found.swap_remove(at).words)),
            None => Ok(found),
        }
    }
}

async fn examine_each(copies: &[ColdStore], now_s: fn() -> i64) -> Result<Vec<Finding>> {
    let mut found = Vec::new();
    for copy in copies {
        found.extend(copy.examine_one(now_s).await?);
    }
    if let [first, mirror] = copies {
        found.extend(Check::new(mirror).apart_from(first).await?);
    }
    Ok(found)
}

struct Check<'s> {
    store: &'s ColdStore,
    found: Vec<Finding>,
}

impl<'s> Check<'s> {
    fn new(store: &'s ColdStore) -> Check<'s> {
        Check {
            store,
            found: Vec::new(),
        }
    }

    /// Whether a mirror is a store of its own: two hosts may lead to one bucket, and one loss would be the loss of both.
    async fn apart_from(mut self, first: &ColdStore) -> Result<Vec<Finding>> {
        let name = random_probe()?.to_string();
        let probe = Check::new(first);
        // Who may not put was told so before.
        match probe.put(&name, FIRST).await {
            Ok(()) | Err(Failure::Exists) => {}
            Err(Failure::Refused(_) | Failure::Missing) => return Ok(self.found),
            Err(failure) => return Err(first.error(failure, "put", &name)),
        }
        let seen = self.size(&name).await;
        let delete = || probe.backend().delete(&name);
        let deleted = first
            .request(Verb::Delete, Caller::Start, (&name, 0), delete)
            .await;
        match (seen, deleted) {
            (Ok(_), _) => self.tell(
                "mirror",
                format_args!(
                    "shows what was put into {} alone: both are one store, and no mirror. Name another bucket in [cold] mirror",
                    first.url()
                ),
            ),
            (Err(Failure::Away(cause)), _) => {
                return Err(self.store.error(Failure::Away(cause), "find", &name));
            }
            (_, Err(Failure::Away(cause))) => {
                return Err(first.error(Failure::Away(cause), "delete", &name));
            }
            _ => self.found.push(Finding::fine("mirror")),
        }
        Ok(self.found)
    }

    fn backend(&self) -> &dyn Backend {
        &*self.store.inner.backend
    }

    fn tell(&mut self, what: &'static str, words: impl std::fmt::Display) {
        let words = format!("{}: {words}", self.store.url());
        self.found.push(Finding::new(what, Severity::Error, words));
    }

    /// Fine, refused (a finding), or no answer (an error).
    fn settle<T>(
        &mut self,
        what: &'static str,
        action: &str,
        done: Result<T, Failure>,
    ) -> Result<Option<T>> {
        match done {
            Ok(done) => {
                self.found.push(Finding::fine(what));
                return Ok(Some(done));
            }
            Err(Failure::Refused(cause)) => self.tell(
                what,
                format_args!(
                    "{what} is refused: check the key and allow {action} ([cold]; `coldpost cold policy` prints all that is needed): {cause}"
                ),
            ),
            Err(Failure::Missing) => self.tell(
                what,
                format_args!("{what} finds nothing: the bucket is not there (make it, or correct [cold] url), or does not keep what it takes"),
            ),
            Err(failure) => return Err(self.store.error(failure, what, "probes/")),
        }
        Ok(None)
    }

    /// The clock and the bucket's settings; a directory has none.
    async fn settings(&mut self, now_s: fn() -> i64) -> Result<()> {
        let mut answers: Vec<(Question, Answer)> = Vec::new();
        for question in [
            Question::Versioning,
            Question::Lifecycle,
            Question::ObjectLock,
        ] {
            let ask = || self.backend().ask(question);
            match self
                .store
                .request(Verb::Get, Caller::Start, (question.name(), 0), ask)
                .await
            {
                Ok(Some(answer)) => {
                    if answers.is_empty() {
                        self.clock(&answer, now_s());
                    }
                    answers.push((question, answer));
                }
                Ok(None) => return Ok(()),
                // An answer that cannot be used is one that does not say.
                Err(Failure::Refused(cause)) => self.found.push(Finding::new(
                    question.name(),
                    Severity::Warning,
                    format!(
                        "the bucket does not say its {} setting: {cause}",
                        question.name()
                    ),
                )),
                Err(failure) => return Err(self.store.error(failure, "ask", question.name())),
            }
        }
        let prefix = self.backend().prefix();
        let judged = rules::judge(&answers, &prefix).into_iter();
        self.found
            .extend(judged.map(|finding| match finding.severity {
                Severity::Fine => finding,
                _ => Finding {
                    words: format!("{}: {}", self.store.url(), finding.words),
                    ..finding
                },
            }));
        Ok(())
    }

    fn clock(&mut self, answer: &Answer, now_s: i64) {
        let Some(date_s) = answer.date_s else { return };
        let skew = now_s.abs_diff(date_s);
        let severity = match skew {
            SKEW_ERROR_S.. => Severity::Error,
            SKEW_WARNING_S.. => Severity::Warning,
            _ => return self.found.push(Finding::fine("clock")),
        };
        let words = format!(
            "{}: its clock and this machine's are {skew} seconds apart; from {SKEW_ERROR_S} on requests are refused. Set the clock (NTP)",
            self.store.url()
        );
        self.found.push(Finding::new("clock", severity, words));
    }

    /// The probe, when it could be put.
    async fn puts(&mut self) -> Result<Option<Key>> {
        let probe = random_probe()?;
        let name = probe.to_string();
        // An answer may have been lost: nobody else knows this name.
        let first = match self.put(&name, FIRST).await {
            Err(Failure::Exists) => Ok(()),
            put => put,
        };
        if self.settle("put", "s3:PutObject", first)?.is_none() {
            return Ok(None);
        }
        match self.put(&name, SECOND).await {
            Err(Failure::Exists) => self.found.push(Finding::fine("conditional put")),
            Ok(()) => self.tell(
                "conditional put",
                "overwrites objects though it is told not to (`If-None-Match: *`): two writers could destroy each other's mail. Use a \
                 store with conditional puts (AWS S3, SeaweedFS, MinIO, Ceph, R2), or switch them on",
            ),
            failed => drop(self.settle("conditional put", "s3:PutObject", failed)?),
        }
        Ok(Some(probe))
    }

    async fn put(&self, name: &str, bytes: Bytes) -> Result<(), Failure> {
        let put = || self.backend().put_new(name, bytes.clone());
        self.store
            .request(Verb::Put, Caller::Start, (name, 0), put)
            .await
    }

    async fn reads(&mut self, name: &str) -> Result<()> {
        let whole = u64::try_from(FIRST.len()).expect("a length fits 64 bits");
        for (what, range, expected) in [
            // (Of a store that overwrites it is the second, which was told already.)
            ("get", None, SIGNED.as_bytes()),
            ("range", Some(9..14), &SIGNED.as_bytes()[9..14]),
        ] {
            let length = range
                .as_ref()
                .map_or(whole, |r: &std::ops::Range<u64>| r.end - r.start);
            let get = || async {
                let body = self.backend().read(name, range.clone()).await?;
                collect(body, length).await
            };
            let got = self
                .store
                .request(Verb::Get, Caller::Start, (name, length), get)
                .await;
            let got = self.settle(what, "s3:GetObject", got)?;
            if got.is_some_and(|bytes| !bytes.starts_with(expected)) {
                self.found.pop();
                self.tell(
                    what,
                    "gives wrong bytes: use a store that knows GET and ranges",
                );
            }
        }
        let size = self.size(name).await;
        if self
            .settle("head", "s3:GetObject", size)?
            .is_some_and(|size| size != whole)
        {
            self.found.pop();
            self.tell("head", "states a wrong size");
        }
        // Without the right to list, S3 says 403 where there is nothing.
        match self.size(&random_probe()?.to_string()).await {
            Err(Failure::Missing) => {}
            Ok(_) => self.tell(
                "head of nothing",
                "says that an object is there which is not: something answers in its place",
            ),
            failed => drop(self.settle("head of nothing", "s3:ListBucket", failed)?),
        }
        Ok(())
    }

    async fn size(&self, name: &str) -> Result<u64, Failure> {
        let head = || self.backend().size(name);
        self.store
            .request(Verb::Head, Caller::Start, (name, 0), head)
            .await
    }

    async fn lists(&mut self, name: &str) -> Result<()> {
        let list = || self.backend().list_page(key::PROBES, None, None);
        let page = self
            .store
            .request(Verb::List, Caller::Start, (key::PROBES, 0), list)
            .await;
        let Some(page) = self.settle("list", "s3:ListBucket", page)? else {
            return Ok(());
        };
        if page.next.is_none() && !page.objects.iter().any(|shown| shown.name == name) {
            self.found.pop();
            self.tell(
                "list",
                "does not list what was put a moment ago: a start would not see its own mail",
            );
        }
        Ok(())
    }

    async fn deletes(&mut self, name: &str) -> Result<()> {
        let delete = || self.backend().delete(name);
        let deleted = self
            .store
            .request(Verb::Delete, Caller::Start, (name, 0), delete)
            .await;
        let deleted = match deleted {
            // The answer was lost.
            Err(Failure::Missing) => Ok(()),
            deleted => deleted,
        };
        let action = "s3:DeleteObject below probes/ (and below all of the prefix for gc)";
        if self.settle("delete", action, deleted)?.is_some() {
            match self.size(name).await {
                Err(Failure::Away(cause)) => {
                    return Err(self.store.error(Failure::Away(cause), "find", name));
                }
                Err(_) => {}
                Ok(_) => {
                    self.found.pop();
                    self.tell(
                        "delete",
                        "says yes to a delete and keeps the object: mail could not be erased",
                    );
                }
            }
        }
        Ok(())
    }
}

#[expect(
    clippy::disallowed_methods,
    reason = "the name of a probe goes with the probe: nothing is ever compared with it"
)]
fn random_probe() -> Result<Key> {
    let mut id = [0; 16];
    getrandom::fill(&mut id)
        .map_err(|e| Error::with_source(Kind::Internal, "no randomness from the system", e))?;
    Ok(Key::Probe { id })
}
