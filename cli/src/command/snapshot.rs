//! `coldpost snapshot`: through the daemon or on the stopped data.

use bytesize::ByteSize;
use coldpost_server::http::wire::{Snapshot, SnapshotLine, Snapshots};

use crate::args;
use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::reach::{Reach, must_exist, with_engine};

/// Does what was asked of snapshots.
///
/// # Errors
/// No store, or one that cannot be reached; the object store refuses.
pub(crate) fn run(checked: &Checked, what: &args::Snapshot, output: Output) -> Result<(), Failure> {
    match what {
        args::Snapshot::Now => now(checked, output),
        args::Snapshot::List => list(checked, output),
    }
}

fn now(checked: &Checked, output: Output) -> Result<(), Failure> {
    let mut seen = Seen {
        output,
        progress: Progress::of_stages(),
        end: None,
        unsaid: Ok(()),
    };
    match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.lines("/admin/snapshot", |line| seen.take(line))?,
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            let end = with_engine(&checked.engine, async |engine| {
                Ok(engine
                    .snapshot_now(&mut |event| seen.take(event.into()))
                    .await)
            })?;
            seen.take(end.into());
        }
    }
    seen.unsaid?;
    match seen.end {
        Some(SnapshotLine::Done) => Ok(()),
        Some(SnapshotLine::Failed { error }) => Err(Failure::Failed(error)),
        _ => Err(Failure::Failed("it broke off before its end".to_owned())),
    }
}

struct Seen {
    output: Output,
    progress: Progress,
    end: Option<SnapshotLine>,
    /// The first answer that could not be written.
    unsaid: Result<(), Failure>,
}

impl Seen {
    fn take(&mut self, line: SnapshotLine) {
        match &line {
            SnapshotLine::Progress {
                shard,
                stage,
                done,
                total,
            } => {
                let what = match stage.as_str() {
                    "waiting" => format!("shard {shard}: waiting for uploads, {done} of {total}"),
                    stage => format!(
                        "shard {shard}: {stage}, {} of {}",
                        ByteSize(*done),
                        of(*total)
                    ),
                };
                self.progress.at_stage(what);
            }
            SnapshotLine::Taken(snapshot) => {
                let mut said = Ok(());
                self.progress
                    .aside(|| said = self.output.say(&line, text(snapshot)));
                if self.unsaid.is_ok() {
                    self.unsaid = said;
                }
            }
            SnapshotLine::Done | SnapshotLine::Failed { .. } => self.end = Some(line),
        }
    }
}

fn of(total: u64) -> String {
    match total {
        0 => "?".to_owned(),
        total => ByteSize(total).to_string(),
    }
}

fn list(checked: &Checked, output: Output) -> Result<(), Failure> {
    let Snapshots { snapshots } = match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.get("/admin/snapshot", &[])?,
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            with_engine(&checked.engine, async |engine| {
                let known = engine.snapshots()?;
                let snapshots = known.into_iter().map(Snapshot::from).collect();
                Ok(Snapshots { snapshots })
            })?
        }
    };
    if snapshots.is_empty() {
        return output.remark("there is no snapshot yet: coldpost snapshot now takes one");
    }
    for snapshot in &snapshots {
        output.say(snapshot, text(snapshot))?;
    }
    Ok(())
}

fn text(snapshot: &Snapshot) -> String {
    let Snapshot {
        shard,
        position,
        epoch,
        time,
        bytes,
        ranges,
        state,
    } = snapshot;
    format!(
        "shard {shard}\tposition {position}\tepoch {epoch}\t{time}\t{}\t{ranges} ranges\t{state}",
        ByteSize(*bytes)
    )
}
