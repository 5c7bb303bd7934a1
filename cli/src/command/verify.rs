//! `coldpost verify`: names every damaged range and every message that it touches, and what it could not look at.
//!
//! With `--bucket` what the store lists and what is referred to, both ways, and with `--repair` that is mended.
//!
//! Exit codes: 3 when something is damaged; 1 when nothing is, but something could not be looked at.

mod bucket;

use std::process::ExitCode;

use coldpost_engine::verify;
use coldpost_server::http::wire::{BucketCompared, VerifyLine};

use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::reach::{Reach, must_exist, runtime, with_engine};

/// Exit code of a store with damage.
const DAMAGED: u8 = 3;

/// What is verified.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum What {
    /// Everything, by reading it.
    Contents,
    /// The store's listing against what is referred to.
    Bucket,
    /// The same, and every object read and mended.
    Repair,
}

/// Verifies through the daemon or on the stopped data.
///
/// # Errors
/// When it cannot be verified to its end.
pub(crate) fn run(checked: &Checked, what: What, output: Output) -> Result<ExitCode, Failure> {
    let mut seen = Seen {
        output,
        progress: Progress::new(),
        end: None,
        unsaid: Ok(()),
    };
    match Reach::find(checked)? {
        Reach::Running(daemon) => {
            let path = match what {
                What::Contents => "/admin/verify",
                What::Bucket => "/admin/verify?bucket=true",
                What::Repair => "/admin/verify?bucket=true&repair=true",
            };
            daemon.lines(path, |line| seen.take(line))?;
        }
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            let end = stopped(checked, what, &mut seen)?;
            seen.take(end);
        }
    }
    seen.unsaid?;
    let code = |damaged, unchecked| match (damaged, unchecked) {
        (0, 0) => ExitCode::SUCCESS,
        (0, _) => ExitCode::FAILURE,
        _ => ExitCode::from(DAMAGED),
    };
    match seen.end {
        Some(VerifyLine::Summary {
            damaged,
            unchecked,
            unchecked_entries,
            ..
        }) => Ok(code(damaged, unchecked.saturating_add(unchecked_entries))),
        Some(VerifyLine::Bucket(BucketCompared {
            damaged, unchecked, ..
        })) => Ok(code(damaged, unchecked)),
        Some(VerifyLine::Failed { error }) => Err(Failure::Failed(error)),
        _ => Err(Failure::Failed(
            "the verification broke off before its end".to_owned(),
        )),
    }
}

/// Mending needs a store that starts: whose it is and who else writes it is asked there.
fn stopped(checked: &Checked, what: What, seen: &mut Seen) -> Result<VerifyLine, Failure> {
    let settings = &checked.engine;
    let mut report = |event: verify::Event| seen.take(event.into());
    if what == What::Repair {
        return with_engine(settings, async |engine| {
            Ok(verify::bucket::repair(engine, &mut report).await.into())
        });
    }
    let target = verify::Target::Stopped(settings);
    runtime()?.block_on(async {
        Ok(match what {
            What::Contents => verify::verify(target, &mut report).await.into(),
            _ => verify::bucket::compare(target, &mut report).await.into(),
        })
    })
}

struct Seen {
    output: Output,
    progress: Progress,
    end: Option<VerifyLine>,
    /// The first answer that could not be written: whoever asked must not take what there is for all.
    unsaid: Result<(), Failure>,
}

impl Seen {
    fn take(&mut self, line: VerifyLine) {
        match &line {
            VerifyLine::Progress { done, total } => self.progress.at(*done, *total),
            VerifyLine::Damage { .. }
            | VerifyLine::Unchecked { .. }
            | VerifyLine::Unknown(_)
            | VerifyLine::Foreign(_)
            | VerifyLine::Unconfirmed(_)
            | VerifyLine::Mended(_)
            | VerifyLine::Totals(_) => self.say(&line),
            VerifyLine::Summary { .. } | VerifyLine::Bucket(_) => {
                self.say(&line);
                self.end = Some(line);
            }
            VerifyLine::Failed { .. } => self.end = Some(line),
        }
    }

    fn say(&mut self, line: &VerifyLine) {
        let mut said = Ok(());
        self.progress
            .aside(|| said = self.output.say(line, text(line)));
        if self.unsaid.is_ok() {
            self.unsaid = said;
        }
    }
}

fn text(line: &VerifyLine) -> String {
    match line {
        VerifyLine::Damage {
            object,
            offset,
            what,
            victims,
        } => {
            let mut text = format!(
                "{object} at byte {offset}: {what}. Affected messages: {}",
                victims.len()
            );
            for victim in victims {
                text.push_str(&format!(
                    "\n  {} {:?} UID {} of {}",
                    victim.account, victim.mailbox, victim.uid, victim.internal_date
                ));
            }
            text
        }
        VerifyLine::Unchecked { object, what, .. } => format!("{object} was not checked: {what}"),
        VerifyLine::Unknown(listed) => bucket::object("is unknown", listed),
        VerifyLine::Foreign(listed) => bucket::object("is foreign", listed),
        VerifyLine::Unconfirmed(listed) => bucket::object("is not confirmed", listed),
        VerifyLine::Mended(listed) => bucket::object("was mended", listed),
        VerifyLine::Totals(totals) => bucket::totals(totals),
        VerifyLine::Bucket(end) => bucket::end(end),
        VerifyLine::Summary { .. } => summary(line),
        VerifyLine::Progress { .. } | VerifyLine::Failed { .. } => String::new(),
    }
}

fn summary(line: &VerifyLine) -> String {
    let VerifyLine::Summary {
        objects,
        bytes,
        messages,
        damaged,
        victims,
        unchecked,
        unchecked_messages,
        unchecked_entries,
    } = line
    else {
        return String::new();
    };
    let read = format!("{objects} objects, {messages} messages, {bytes} bytes read");
    let is_all = *unchecked == 0 && *unchecked_entries == 0;
    let found = match (damaged, is_all) {
        (0, true) => "no damage".to_owned(),
        (0, false) => "no damage in what was read".to_owned(),
        (_, true) => format!(
            "{damaged} damaged ranges, {victims} messages affected; everything else is readable"
        ),
        (_, false) => format!("{damaged} damaged ranges, {victims} messages known to be affected"),
    };
    if is_all {
        return format!("{read}: {found}");
    }
    format!(
        "{read}: {found}; NOT CHECKED: {unchecked} objects or files with {unchecked_messages} messages that were found nowhere else, \
         and {unchecked_entries} entries of the journal"
    )
}

#[cfg(test)]
mod tests {
    use super::*;
    use coldpost_server::http::wire::Victim;
    use expect_test::expect;

    #[test]
    fn damage_is_told_with_every_message_that_it_touches() {
        let victim = Victim {
            account: "anna@example.org".to_owned(),
            mailbox: "Lists/Rust".to_owned(),
            uid: 17,
            internal_date: "2026-01-02T03:04:05+01:00".to_owned(),
        };
        let damage = VerifyLine::Damage {
            object: "segments/1/1/812".to_owned(),
            offset: 81_920,
            what: "wrong checksum".to_owned(),
            victims: vec![victim],
        };
        expect![[r#"
            segments/1/1/812 at byte 81920: wrong checksum. Affected messages: 1
              anna@example.org "Lists/Rust" UID 17 of 2026-01-02T03:04:05+01:00"#]]
        .assert_eq(&text(&damage));
    }
    /// It said "everything else is readable" of a store whose bucket nobody could ask.
    #[test]
    fn what_was_not_checked_is_not_called_readable() {
        let summary = |damaged: u64, unchecked: u64| VerifyLine::Summary {
            objects: 4,
            bytes: 100,
            messages: 7,
            damaged,
            victims: damaged,
            unchecked,
            unchecked_messages: unchecked,
            unchecked_entries: 0,
        };
        expect!["4 objects, 7 messages, 100 bytes read: no damage"]
            .assert_eq(&text(&summary(0, 0)));
        expect!["4 objects, 7 messages, 100 bytes read: 1 damaged ranges, 1 messages affected; everything else is readable"]
            .assert_eq(&text(&summary(1, 0)));
        for damaged in [0, 1] {
            let text = text(&summary(damaged, 2));
            assert!(text.contains("NOT CHECKED: 2 objects"), "{text}");
            assert!(
                !text.contains("readable") && !text.ends_with("no damage"),
                "{text}"
            );
        }
    }
}
