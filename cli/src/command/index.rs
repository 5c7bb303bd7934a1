//! `coldpost index`: how text and words of messages are, reading them through, and making them again.
//!
//! Exit codes: 0; 3 when a check found damage; 1 when it failed.

use std::process::ExitCode;

use coldpost_server::http::wire::{IndexLine, IndexStanding};

use crate::args;
use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::reach::{Reach, must_exist, with_engine};

/// Exit code when something is wrong with the index.
const DAMAGED: u8 = 3;

/// Does what was asked of the index, through the daemon or on the stopped data.
///
/// # Errors
/// No store, or one that cannot be reached or read.
pub(crate) fn run(
    checked: &Checked,
    what: &args::Index,
    output: Output,
) -> Result<ExitCode, Failure> {
    let reach = Reach::find(checked)?;
    if let Reach::Stopped = reach {
        must_exist(&checked.engine.data)?;
    }
    if let args::Index::Status = what {
        return standing(checked, reach, output);
    }
    let progress = Progress::of_messages();
    let mut end = None;
    let mut take = |line: IndexLine| match line {
        IndexLine::Progress { done, total } => progress.at(done, total),
        line => end = Some(line),
    };
    let is_rebuild = matches!(what, args::Index::Rebuild);
    match reach {
        Reach::Running(daemon) => {
            let path = match is_rebuild {
                true => "/admin/index/rebuild",
                false => "/admin/index/check",
            };
            daemon.lines(path, &mut take)?;
        }
        Reach::Stopped => {
            let ended = with_engine(&checked.engine, async |engine| {
                let mut tell = |now| take(IndexLine::from(now));
                Ok(match is_rebuild {
                    true => IndexLine::from(engine.rebuild_index(&mut tell).await),
                    false => IndexLine::from(engine.check_index(&mut tell).await),
                })
            })?;
            end = Some(ended);
        }
    }
    drop(progress);
    match end {
        Some(IndexLine::Failed { error }) => Err(Failure::Failed(error)),
        Some(line) => {
            output.say(&line, text(&line))?;
            Ok(match line {
                IndexLine::Checked { damage, .. } if !damage.is_empty() => ExitCode::from(DAMAGED),
                _ => ExitCode::SUCCESS,
            })
        }
        None => Err(Failure::Failed("it broke off before its end".to_owned())),
    }
}

fn standing(checked: &Checked, reach: Reach, output: Output) -> Result<ExitCode, Failure> {
    let standing: IndexStanding = match reach {
        Reach::Running(daemon) => daemon.get("/admin/index", &[])?,
        Reach::Stopped => with_engine(&checked.engine, async |engine| {
            Ok(IndexStanding {
                figures: engine.index_figures(),
            })
        })?,
    };
    let width = standing.figures.iter().map(|(name, _)| name.len()).max();
    let lines = standing.figures.iter().map(|(name, figure)| {
        let width = width.unwrap_or(0);
        format!("{name:width$}  {figure}")
    });
    let text = lines.collect::<Vec<_>>().join("\n");
    output.say(&standing, text)?;
    Ok(ExitCode::SUCCESS)
}

fn text(line: &IndexLine) -> String {
    match line {
        IndexLine::Rebuilt { left: 0 } => {
            "text and words of all messages are made again".to_owned()
        }
        IndexLine::Rebuilt { left } => format!(
            "text and words are made again but for {left} stretches with mail that could not be read (the log says why): it is tried again later, and searches read it themselves"
        ),
        IndexLine::Checked {
            files,
            messages,
            waiting,
            damage,
        } => {
            let mut text = format!(
                "{messages} messages in {files} files of text, {waiting} that wait for theirs"
            );
            for damaged in damage {
                text.push('\n');
                text.push_str(damaged);
            }
            text.push_str(match damage.is_empty() {
                true => "; all as it was written",
                false => "\nwhat is damaged is set aside and made again; searches read that mail themselves until then",
            });
            text
        }
        _ => String::new(),
    }
}
