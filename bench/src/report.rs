//! The table: medians, their spread, ratios, and how much of it was the client.

use std::fmt::Write as _;
use std::process::Command;

use crate::measure::{Sample, median};
use crate::page::{machine, whole};
use crate::peer::{PEERS, Peer};

/// All samples of one row.
#[derive(Clone, Debug)]
pub(crate) struct Measured {
    /// The row's name.
    pub(crate) name: &'static str,
    /// By server, in the order of the runs.
    pub(crate) samples: Vec<(Peer, Sample)>,
}

impl Measured {
    fn rates(&self, peer: Peer) -> Vec<f64> {
        self.samples
            .iter()
            .filter(|(of, _)| *of == peer)
            .map(|(_, sample)| sample.rate())
            .collect()
    }

    /// Of the server with which the client was busiest.
    fn client_share(&self) -> f64 {
        let of = |peer: &Peer| -> Vec<f64> {
            self.samples
                .iter()
                .filter(|(of, _)| of == peer)
                .map(|(_, sample)| sample.client_share())
                .collect()
        };
        PEERS
            .iter()
            .map(|peer| median(of(peer)))
            .fold(0.0, f64::max)
    }
}

/// As Markdown.
pub(crate) fn table(rows: &[Measured], runs: usize, messages: usize) -> String {
    let mut text = format!(
        "{}, Dovecot {}; {messages} messages, {runs} runs each, interleaved. ",
        machine(),
        dovecot()
    );
    text.push_str("Messages a second, median (lowest to highest); ratios of medians, over 1 is faster than Dovecot.\n\n");
    text.push_str("| |");
    PEERS
        .iter()
        .for_each(|peer| text.push_str(&format!(" {} |", peer.title())));
    text.push_str(
        " to maildir | to mdbox | client's CPU |\n| --- | --- | --- | --- | --- | --- | --- |\n",
    );
    for row in rows {
        let _ = write!(text, "| {} |", row.name);
        for peer in PEERS {
            let rates = row.rates(peer);
            let lowest = rates.iter().copied().fold(f64::INFINITY, f64::min);
            let highest = rates.iter().copied().fold(0.0, f64::max);
            let _ = write!(
                text,
                " {} ({} to {}) |",
                whole(median(rates)),
                whole(lowest),
                whole(highest)
            );
        }
        let ours = median(row.rates(Peer::Coldpost));
        for peer in [Peer::Maildir, Peer::Mdbox] {
            let _ = write!(text, " {:.2} |", ours / median(row.rates(peer)).max(1e-9));
        }
        let _ = writeln!(text, " {:.0} % |", row.client_share() * 100.0);
    }
    text
}

/// The version of the Dovecot beside us.
fn dovecot() -> String {
    let said = Command::new("dovecot")
        .arg("--version")
        .output()
        .map(|out| out.stdout)
        .unwrap_or_default();
    String::from_utf8_lossy(&said)
        .split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned()
}
