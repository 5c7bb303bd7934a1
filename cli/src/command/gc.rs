//! `coldpost gc`: what nobody needs any more, in the bucket and here; deleted with `--apply`.

use std::process::ExitCode;

use coldpost_server::http::wire::{Collected, Garbage};

use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::{Reach, must_exist, with_engine};

/// Says what could go, or deletes it, through the daemon or on the stopped data.
///
/// # Errors
/// When the store does not answer. What went before something failed is said with it; as JSON both are one answer.
pub(crate) fn run(checked: &Checked, apply: bool, output: Output) -> Result<ExitCode, Failure> {
    let reach = Reach::find(checked)?;
    if let Reach::Stopped = reach {
        must_exist(&checked.engine.data)?;
    }
    if apply {
        let done: Collected = match reach {
            Reach::Running(daemon) => daemon.post_patiently("/admin/gc")?,
            Reach::Stopped => with_engine(&checked.engine, async |engine| {
                Ok(engine.delete_now().await.into())
            })?,
        };
        let text = format!(
            "{} objects condemned, {} deleted ({} bytes), {} wait for their grace (cold.grace) to pass",
            done.condemned, done.deleted, done.bytes, done.waiting
        );
        output.say(&done, text)?;
        return match done.error {
            None => Ok(ExitCode::SUCCESS),
            Some(error) => output.said_as_json(Failure::Failed(error)),
        };
    }
    let garbage: Garbage = match reach {
        Reach::Running(daemon) => daemon.get("/admin/gc", &[])?,
        Reach::Stopped => with_engine(&checked.engine, async |engine| {
            Ok(engine.garbage().await?.into())
        })?,
    };
    output.say(&garbage, text(&garbage))?;
    Ok(ExitCode::SUCCESS)
}

fn text(garbage: &Garbage) -> String {
    let mut lines: Vec<String> = Vec::new();
    for object in &garbage.objects {
        lines.push(format!(
            "{}  {} bytes  {}",
            object.key, object.bytes, object.next
        ));
    }
    let goes = garbage.objects.iter().filter(|object| object.goes);
    let (count, bytes) = goes.fold((0, 0), |(n, sum), o| (n + 1, sum + o.bytes));
    lines.push(match count {
        0 => "nothing to do now".to_owned(),
        _ => format!("{count} objects with {bytes} bytes: coldpost gc --apply goes on with them, and with what is free by that"),
    });
    lines.join("\n")
}
