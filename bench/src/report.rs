//! The table: medians, their spread, ratios, and how much of it was the client.

use std::fmt::Write as _;
use std::fs;
use std::path::Path;
use std::process::Command;

use coldpost_testkit::Must;

use crate::measure::{Sample, median};
use crate::peer::{PEERS, Peer};

const BEGIN: &str = "<!-- table of `coldpost-bench compare` -->\n";
const END: &str = "<!-- end of table -->";

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
        "{}; {messages} messages, {runs} runs each, interleaved. ",
        machine()
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

/// Puts the table between the markers of a page.
pub(crate) fn write(page: &Path, table: &str) {
    let text = fs::read_to_string(page).must("reading the page for the table");
    let parts = text
        .split_once(BEGIN)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    let (before, after) = parts.must("the markers for the table");
    fs::write(page, format!("{before}{BEGIN}{table}{END}{after}")).must("writing the page");
}

/// Processor, memory, versions.
fn machine() -> String {
    let read = |path: &str| fs::read_to_string(path).unwrap_or_default();
    let value = |text: &str, key: &str| {
        let line = text
            .lines()
            .find(|line| line.starts_with(key))
            .map(str::to_owned);
        line.and_then(|line| {
            line.split_once(':')
                .map(|(_, value)| value.trim().to_owned())
        })
        .unwrap_or_default()
    };
    let processors = std::thread::available_parallelism().map_or(1, usize::from);
    let memory = value(&read("/proc/meminfo"), "MemTotal")
        .trim_end_matches(" kB")
        .parse::<u64>()
        .unwrap_or(0);
    let dovecot = Command::new("dovecot")
        .arg("--version")
        .output()
        .map(|out| out.stdout)
        .unwrap_or_default();
    let dovecot = String::from_utf8_lossy(&dovecot)
        .split_whitespace()
        .next()
        .unwrap_or("unknown")
        .to_owned();
    let model = value(&read("/proc/cpuinfo"), "model name");
    format!(
        "{processors} cores of {model}, {} GiB, Dovecot {dovecot}",
        memory >> 20
    )
}

/// With a comma every three digits.
fn whole(value: f64) -> String {
    let digits = format!("{value:.0}");
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
