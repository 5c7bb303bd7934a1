//! `coldpost compact`: rewrites what was delivered into dense blocks, now.

use coldpost_server::http::wire::CompactLine;

use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::reach::{Reach, must_exist, with_engine};

/// Compacts through the daemon or on the stopped data.
///
/// # Errors
/// When it does not come to its end; what was done stays done.
pub(crate) fn run(checked: &Checked, output: Output) -> Result<(), Failure> {
    let progress = Progress::of_messages();
    let mut end = None;
    let mut take = |line: CompactLine| match line {
        CompactLine::Progress { done, total } => progress.at(done, total),
        line => end = Some(line),
    };
    match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.lines("/admin/compact", take)?,
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            let done = with_engine(&checked.engine, async |engine| {
                let report = engine
                    .compact_now(&mut |report| take(CompactLine::of(report)))
                    .await;
                Ok(report)
            })?;
            end = Some(done.into());
        }
    }
    drop(progress);
    match end {
        Some(CompactLine::Failed { error }) => Err(Failure::Failed(error)),
        Some(line @ CompactLine::Summary { .. }) => output.say(&line, text(&line)),
        _ => Err(Failure::Failed(
            "the compaction broke off before its end".to_owned(),
        )),
    }
}

fn text(line: &CompactLine) -> String {
    let CompactLine::Summary {
        objects,
        messages,
        moved,
        left,
        attachments,
        merged,
        bytes,
    } = line
    else {
        return String::new();
    };
    if *messages == 0 && *objects == 0 {
        return "nothing to compact".to_owned();
    }
    let mut text = format!(
        "{moved} messages of {objects} objects stand in {bytes} bytes now; {attachments} attachments taken out, of these {merged} were there already"
    );
    if *left > 0 {
        text.push_str(&format!(
            "; {left} messages could not be read or did not come out as they went in and stay where they were (the log names them; run coldpost verify)"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stayed_is_never_passed_over_in_silence() {
        let line = |left| CompactLine::Summary {
            objects: 2,
            messages: 10,
            moved: 10 - left,
            left,
            attachments: 3,
            merged: 1,
            bytes: 1_000,
        };
        assert!(text(&line(1)).contains("1 messages could not be read"));
        assert!(!text(&line(0)).contains("could not"));
    }
}
