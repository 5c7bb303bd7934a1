//! Looks once after every start whether the object store is as it must be; what is wrong stands in `status`.
//!
//! Never: delays anything; a store that is away is looked at when it is back.

use std::sync::{Arc, PoisonError};

use coldpost_tiers::cold::{Caller, Finding, Severity};

use super::{Progress, tick};
use crate::cold;
use crate::error::Result;
use crate::open::{Engine, Health};

/// Until it was answered; one of two stores that lacks this one until it has it.
pub(super) async fn look(engine: Engine, progress: Arc<Progress>) {
    let cold = &engine.inner.cold;
    // Nothing is tried, and nothing written, where what answers may not be ours: a directory that is not mounted.
    while !progress.is_confirmed() {
        tokio::time::sleep(tick()).await;
    }
    // A directory has no settings, and one that is being unmounted must not be written into: `coldpost cold check` tries it.
    let found = loop {
        match cold.examine_buckets(crate::clock::now_s).await {
            Ok(found) => break found,
            Err(e) => tracing::debug!("the object store is looked at later: {e}"),
        }
        tokio::time::sleep(tick() * 50).await;
    };
    tell(&progress, &found);
    if cold.copies() > 1 {
        look_whether_each_has_it(&engine, &progress, found).await;
    }
}

async fn look_whether_each_has_it(engine: &Engine, progress: &Progress, found: Vec<Finding>) {
    let mut told = None;
    let mut pause = tick() * 20;
    loop {
        match without_this_store(engine).await {
            Ok(lacks) => {
                if told != lacks {
                    let lacks = lacks.iter().map(|words| Finding {
                        what: "mirror",
                        severity: Severity::Warning,
                        words: words.clone(),
                    });
                    let all: Vec<_> = found.iter().cloned().chain(lacks).collect();
                    tell(progress, &all);
                }
                if lacks.is_none() {
                    return;
                }
                told = lacks;
            }
            Err(e) => tracing::debug!("the mirror is looked at later: {e}"),
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(tick() * 60);
    }
}

/// One of two stores that does not have this one: it was added and not filled yet, or a directory is not mounted.
async fn without_this_store(engine: &Engine) -> Result<Option<String>> {
    for (copy, caller) in cold::copies(&engine.inner.cold, Caller::Start) {
        for shard in &engine.inner.shards {
            if let Some(lacks) = cold::lacks(&copy, shard.lineage(), caller).await? {
                return Ok(Some(format!(
                    "{lacks}: what is put meanwhile may be in the other store alone. Check [cold] url and mirror, and whether a directory is mounted; `coldpost verify --bucket --repair` fills a mirror that was added"
                )));
            }
        }
    }
    Ok(None)
}

/// To the log, and for `status`.
pub(super) fn tell(progress: &Progress, found: &[Finding]) {
    let mut words = Vec::new();
    for finding in found {
        match finding.severity {
            Severity::Fine => continue,
            Severity::Warning => tracing::warn!("{}", finding.words),
            Severity::Error => tracing::error!("{}", finding.words),
        }
        words.push(finding.words.clone());
    }
    let findings = progress.findings.lock();
    *findings.unwrap_or_else(PoisonError::into_inner) = words;
}

pub(super) fn report(progress: &Progress, health: &mut Health) {
    let findings = progress.findings.lock();
    let findings = findings.unwrap_or_else(PoisonError::into_inner);
    health.problems.extend(findings.iter().cloned());
}
