//! Looks once after every start whether the object store is as it must be; what is wrong stands in `status`.
//!
//! Never: delays anything; a store that is away is looked at when it is back.

use std::sync::{Arc, PoisonError};

use coldpost_tiers::cold::{Caller, ColdStore, Finding, Severity};

use super::{Progress, tick};
use crate::cold;
use crate::error::Result;
use crate::open::{Engine, Health};

/// Until it was answered; a mirror without this store until it has it.
pub(super) async fn look(engine: Engine, progress: Arc<Progress>) {
    let cold = &engine.inner.cold;
    // A directory has no settings, and one that is being unmounted must not be written into: `coldpost cold check` tries it.
    let is_tried = !cold.url().starts_with("file://");
    if !is_tried && cold.copies() == 1 {
        return;
    }
    // Nothing is tried, and nothing written, where what answers may not be ours: a directory that is not mounted.
    while !progress.is_confirmed() {
        tokio::time::sleep(tick()).await;
    }
    let found = match is_tried {
        true => examined(cold).await,
        false => Vec::new(),
    };
    tell(&progress, &found);
    if cold.copies() == 1 {
        return;
    }
    let mut told = None;
    loop {
        match without_this_store(&engine).await {
            Ok(lacks) => {
                if told != lacks {
                    let lacks = lacks.iter().map(|words| Finding {
                        what: "mirror",
                        severity: Severity::Warning,
                        words: words.clone(),
                    });
                    let all: Vec<_> = found.iter().cloned().chain(lacks).collect();
                    tell(&progress, &all);
                }
                if lacks.is_none() {
                    return;
                }
                told = lacks;
            }
            Err(e) => tracing::debug!("the mirror is looked at later: {e}"),
        }
        tokio::time::sleep(tick() * 20).await;
    }
}

async fn examined(cold: &ColdStore) -> Vec<Finding> {
    loop {
        match cold.examine(crate::clock::now_s).await {
            Ok(found) => return found,
            Err(e) => tracing::debug!("the object store is looked at later: {e}"),
        }
        tokio::time::sleep(tick() * 50).await;
    }
}

/// A store beside the first that does not have this one: it was added and not filled yet, or a directory is not mounted. What is put goes there
/// all the same.
async fn without_this_store(engine: &Engine) -> Result<Option<String>> {
    let copies = cold::copies(&engine.inner.cold, Caller::Start);
    for (copy, caller) in copies.into_iter().skip(1) {
        for shard in engine.mail_shards() {
            if let Some(lacks) = cold::lacks(&copy, cold::lineage(shard), caller).await? {
                return Ok(Some(format!(
                    "the mirror {lacks}: `coldpost verify --bucket --repair` fills one that was added; if it is a directory, is it mounted?"
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
