//! `coldpost verify`: names every damaged range and every message that it touches, and what it could not look at.
//!
//! Exit codes: 3 when something is damaged; 1 when nothing is, but something could not be looked at.

use std::process::ExitCode;

use coldpost_engine::verify;
use coldpost_server::http::wire::VerifyLine;

use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::progress::Progress;
use crate::reach::{Reach, must_exist, runtime};

/// Exit code of a store with damage.
const DAMAGED: u8 = 3;

/// Verifies through the daemon or on the stopped data.
///
/// # Errors
/// When it cannot be verified to its end.
pub(crate) fn run(checked: &Checked, output: Output) -> Result<ExitCode, Failure> {
    let mut seen = Seen {
        output,
        progress: Progress::new(),
        end: None,
        unsaid: Ok(()),
    };
    match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.lines("/admin/verify", |line| seen.take(line))?,
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            let end = runtime()?.block_on(async {
                let target = verify::Target::Stopped(&checked.engine);
                verify::verify(target, &mut |event| seen.take(event.into())).await
            });
            seen.take(end.into());
        }
    }
    seen.unsaid?;
    match seen.end {
        Some(VerifyLine::Summary {
            damaged,
            unchecked,
            unchecked_entries,
            ..
        }) => Ok(match (damaged, unchecked, unchecked_entries) {
            (0, 0, 0) => ExitCode::SUCCESS,
            (0, ..) => ExitCode::FAILURE,
            _ => ExitCode::from(DAMAGED),
        }),
        Some(VerifyLine::Failed { error }) => Err(Failure::Failed(error)),
        _ => Err(Failure::Failed(
            "the verification broke off before its end".to_owned(),
        )),
    }
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
            VerifyLine::Damage { .. } | VerifyLine::Unchecked { .. } => self.say(&line),
            VerifyLine::Summary { .. } => {
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
