//! `coldpost status`: how the store is, from its daemon or from the stopped data.

use coldpost_server::http::wire::{Door, DoorTls, Status};

use crate::config::Checked;
use crate::failure::Failure;
use crate::output::Output;
use crate::reach::{Reach, must_exist, with_engine};

/// Asks and answers.
///
/// # Errors
/// When there is no store, it cannot be asked, or the answer cannot be written.
pub(crate) fn run(checked: &Checked, output: Output) -> Result<(), Failure> {
    let status: Status = match Reach::find(checked)? {
        Reach::Running(daemon) => daemon.get("/admin/status", &[])?,
        Reach::Stopped => {
            must_exist(&checked.engine.data)?;
            with_engine(&checked.engine, async |engine| {
                Ok(Status::new(engine.health(), false))
            })?
        }
    };
    output.say(&status, text(&status))
}

fn text(status: &Status) -> String {
    let daemon = if status.running { "running" } else { "stopped" };
    let ready = if status.ready { "ready" } else { "not ready" };
    let mut text = format!("coldpost {}: {daemon}, {ready}", status.version);
    for problem in &status.problems {
        text.push_str(&format!("\n! {problem}"));
    }
    let width = status
        .figures
        .iter()
        .map(|(name, _)| name.chars().count())
        .max()
        .unwrap_or(0);
    for (name, value) in &status.figures {
        text.push_str(&format!("\n{name:width$}  {value}"));
    }
    for door in &status.listeners {
        text.push_str(&format!("\n{}", in_words(door)));
    }
    if let Some(bucket) = &status.bucket {
        text.push_str(&format!("\n{}", bucket.text()));
    }
    if let Some(files) = status.open_files_max {
        text.push_str(&format!("\nopen files: at most {files}"));
    }
    text
}

/// A listener in a line.
fn in_words(door: &Door) -> String {
    let Door {
        protocol,
        address,
        connections,
        connections_max,
        ..
    } = door;
    let tls = match door.tls {
        DoorTls::No => "no TLS",
        DoorTls::StartTls => "STARTTLS",
        DoorTls::Implicit => "TLS",
    };
    let expires = match &door.certificate_expires {
        Some(time) => format!(", certificate until {time}"),
        None => String::new(),
    };
    format!("{protocol} {address}: {connections} of {connections_max} connections, {tls}{expires}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn problems_come_before_the_figures() {
        let status = Status {
            version: "1".to_owned(),
            running: true,
            ready: false,
            problems: vec!["the disk is full".to_owned()],
            figures: vec![
                ("journal position".to_owned(), "12".to_owned()),
                ("accounts".to_owned(), "3".to_owned()),
            ],
            listeners: vec![Door {
                protocol: "imap".to_owned(),
                address: "0.0.0.0:993".to_owned(),
                connections: 3,
                connections_max: 10_000,
                tls: DoorTls::Implicit,
                certificate_expires: Some("2090-01-01T00:00:00Z".to_owned()),
            }],
            open_files_max: Some(65_536),
            bucket: None,
        };
        let expected = "coldpost 1: running, not ready\n! the disk is full\njournal position  12\naccounts          3\n\
            imap 0.0.0.0:993: 3 of 10000 connections, TLS, certificate until 2090-01-01T00:00:00Z\nopen files: at most 65536";
        assert_eq!(text(&status), expected);
    }
}
