//! Looks once after every start whether the object store is as it must be; what is wrong stands in `status`.
//!
//! Never: delays anything; a store that is away is looked at when it is back.

use std::sync::{Arc, PoisonError};

use coldpost_tiers::cold::{Finding, Severity};

use super::{Progress, tick};
use crate::open::{Engine, Health};

/// Until it was answered.
pub(super) async fn look(engine: Engine, progress: Arc<Progress>) {
    let cold = &engine.inner.cold;
    if cold.url().starts_with("file://") {
        // A directory has no settings, and one that is being unmounted must not be written into: `coldpost cold check` tries it.
        return;
    }
    // Nothing is tried, and nothing written, where what answers may not be ours: a directory that is not mounted.
    while !progress.is_confirmed() {
        tokio::time::sleep(tick()).await;
    }
    let found = loop {
        match cold.examine(crate::clock::now_s).await {
            Ok(found) => break found,
            Err(e) => tracing::debug!("the object store is looked at later: {e}"),
        }
        tokio::time::sleep(tick() * 50).await;
    };
    tell(&progress, found);
}

/// To the log, and for `status`.
pub(super) fn tell(progress: &Progress, found: Vec<Finding>) {
    let mut words = Vec::new();
    for finding in found {
        match finding.severity {
            Severity::Fine => continue,
            Severity::Warning => tracing::warn!("{}", finding.words),
            Severity::Error => tracing::error!("{}", finding.words),
        }
        words.push(finding.words);
    }
    let findings = progress.findings.lock();
    *findings.unwrap_or_else(PoisonError::into_inner) = words;
}

pub(super) fn report(progress: &Progress, health: &mut Health) {
    let findings = progress.findings.lock();
    let findings = findings.unwrap_or_else(PoisonError::into_inner);
    health.problems.extend(findings.iter().cloned());
}
