//! The page that the tables stand in, and how numbers and machines are written there.
//!
//! Promises: a table is put between its own two markers, or with them at the end of a page that has none for it; everything else on the page stays.

use std::fs;
use std::path::Path;

use coldpost_testkit::Must;

const END: &str = "<!-- end of table -->";

/// Prints the table of a command, and puts it between its markers on the page if one was given.
pub(crate) fn give(page: Option<&Path>, command: &str, table: &str) {
    println!("{table}");
    if let Some(page) = page {
        let text = fs::read_to_string(page).must("reading the page for the table");
        fs::write(page, with_table(&text, command, table)).must("writing the page");
    }
}

fn with_table(text: &str, command: &str, table: &str) -> String {
    let begin = format!("<!-- table of `coldpost-bench {command}` -->\n");
    let parts = text
        .split_once(&begin)
        .and_then(|(before, rest)| Some((before, rest.split_once(END)?.1)));
    match parts {
        Some((before, after)) => format!("{before}{begin}{table}{END}{after}"),
        None => format!("{text}\n### `{command}`\n\n{begin}{table}{END}\n"),
    }
}

/// Processor and memory of this machine.
pub(crate) fn machine() -> String {
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
    let model = value(&read("/proc/cpuinfo"), "model name");
    format!("{processors} cores of {model}, {} GiB", memory >> 20)
}

/// With a comma every three digits.
pub(crate) fn whole(value: f64) -> String {
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

/// A count as a number to calculate with.
pub(crate) fn number(count: u64) -> f64 {
    // Bytes and messages of a bench are far below 2^52.
    count as f64
}

/// Bytes in MiB.
pub(crate) fn mib(bytes: u64) -> f64 {
    number(bytes) / f64::from(1 << 20)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_table_replaces_the_one_between_its_own_markers() {
        let page = "a\n<!-- table of `coldpost-bench one` -->\nbefore\n<!-- end of table -->\nb\n\
            <!-- table of `coldpost-bench two` -->\nkept\n<!-- end of table -->\nc\n";
        let wanted = page.replace("before", "after");
        assert_eq!(with_table(page, "one", "after\n"), wanted);
    }

    #[test]
    fn a_table_that_the_page_does_not_know_is_put_at_its_end() {
        let with = with_table("a\n", "new", "one\n");
        assert!(with.starts_with("a\n\n### `new`\n"), "{with}");
        let again = with_table(&with, "new", "two\n");
        assert_eq!(again, with.replace("one", "two"));
    }

    #[test]
    fn digits_are_grouped_by_three() {
        assert_eq!(
            [0.0, 999.0, 1_000.0, 1_234_567.0].map(whole),
            ["0", "999", "1,000", "1,234,567"]
        );
    }
}
