//! `docs/limits.md` is the constants of every `limits.rs`, of a crate or of a part of it: name, value, meaning.

use std::collections::BTreeMap;
use std::fs;

use crate::tree::{Source, Tree};

const PAGE: &str = "docs/limits.md";
const BEGIN: &str =
    "<!-- limits: written by COLDPOST_BLESS=1 cargo test -p coldpost --test tidy -->\n";
const END: &str = "<!-- end of limits -->";

/// Differences between the page and the code; with `COLDPOST_BLESS=1` the page is rewritten first.
pub(crate) fn compare(tree: &Tree) -> Vec<String> {
    let table = table(tree);
    let page = tree
        .file(PAGE)
        .map(|file| file.text.clone())
        .unwrap_or_default();
    let Some((before, after)) = between(&page, BEGIN, END) else {
        return vec![format!(
            "{PAGE}: it needs the lines {BEGIN:?} and {END:?} around its table"
        )];
    };
    if std::env::var_os("COLDPOST_BLESS").is_some() && tree.root.is_dir() {
        fs::write(tree.root.join(PAGE), format!("{before}{table}{after}"))
            .expect("writing docs/limits.md");
        return vec![];
    }
    let written = &page[before.len()..page.len() - after.len()];
    let difference = |from: &str, to: &str| -> Vec<String> {
        let other: Vec<&str> = to.lines().collect();
        from.lines()
            .filter(|line| !other.contains(line))
            .map(str::to_owned)
            .collect()
    };
    let missing = difference(&table, written)
        .into_iter()
        .map(|line| format!("{PAGE}: missing or changed: {line}"));
    let stale = difference(written, &table)
        .into_iter()
        .map(|line| format!("{PAGE}: not so in the code: {line}"));
    let mut found: Vec<String> = missing.chain(stale).collect();
    if !found.is_empty() {
        found.push(
            "COLDPOST_BLESS=1 cargo test -p coldpost --test tidy rewrites the page".to_owned(),
        );
    }
    found
}

/// What stands before and from the markers on.
pub(crate) fn between<'a>(page: &'a str, begin: &str, end: &str) -> Option<(&'a str, &'a str)> {
    let start = page.find(begin)? + begin.len();
    let stop = start + page[start..].find(end)?;
    Some((&page[..start], &page[stop..]))
}

fn table(tree: &Tree) -> String {
    let mut text = String::from("| crate | limit | value | meaning |\n| --- | --- | --- | --- |\n");
    let is_home = |path: &str| path.contains("/src/") && path.ends_with("/limits.rs");
    for file in tree.rust().filter(|file| is_home(&file.path)) {
        let home = file.path.trim_end_matches("/limits.rs").replace("/src", "");
        let mut known = BTreeMap::new();
        for (name, expression, meaning) in constants(file) {
            let value = evaluate(&expression, &known);
            if let Some(value) = value {
                known.insert(name.clone(), value);
            }
            let shown = value.map_or_else(|| format!("`{expression}`"), grouped);
            text.push_str(&format!("| {home} | `{name}` | {shown} | {meaning} |\n"));
        }
    }
    text
}

/// `pub const NAME: T = expression;` with the doc comment before it.
fn constants(file: &Source) -> Vec<(String, String, String)> {
    let mut found = Vec::new();
    let (mut doc, mut statement) = (String::new(), String::new());
    for line in file.text.lines().map(str::trim) {
        if let Some(more) = line.strip_prefix("///") {
            doc.push_str(more);
            continue;
        }
        if !statement.is_empty()
            || line.starts_with("pub const ")
            || line.starts_with("pub(crate) const ")
        {
            statement.push_str(line.split("//").next().unwrap_or_default());
            statement.push(' ');
            if !statement.trim_end().ends_with(';') {
                continue;
            }
            let parts = statement
                .split_once("const ")
                .and_then(|(_, rest)| rest.split_once('='));
            if let Some((name, value)) = parts {
                let name = name.split(':').next().unwrap_or_default().trim().to_owned();
                let value = value.trim().trim_end_matches(';').trim().to_owned();
                found.push((name, value, doc.trim().replace('|', "\\|")));
            }
            statement.clear();
        }
        doc.clear();
    }
    found
}

/// Integer arithmetic with `*`, `+`, `-`, `<<`, parentheses and constants named before; none for anything else.
fn evaluate(expression: &str, known: &BTreeMap<String, u128>) -> Option<u128> {
    let mut tokens = Vec::new();
    let mut word = String::new();
    for c in expression.chars().chain([' ']) {
        if c.is_alphanumeric() || c == '_' {
            word.push(c);
            continue;
        }
        if !word.is_empty() {
            tokens.push(std::mem::take(&mut word));
        }
        if !c.is_whitespace() {
            tokens.push(c.to_string());
        }
    }
    let mut at = 0;
    let value = sum(&tokens, &mut at, known)?;
    (at == tokens.len()).then_some(value)
}

fn sum(tokens: &[String], at: &mut usize, known: &BTreeMap<String, u128>) -> Option<u128> {
    let mut value = product(tokens, at, known)?;
    loop {
        match tokens.get(*at).map(String::as_str) {
            Some("+") => {
                *at += 1;
                value = value.checked_add(product(tokens, at, known)?)?;
            }
            Some("-") => {
                *at += 1;
                value = value.checked_sub(product(tokens, at, known)?)?;
            }
            Some("<") => {
                *at += 2;
                value = value.checked_shl(u32::try_from(product(tokens, at, known)?).ok()?)?;
            }
            _ => return Some(value),
        }
    }
}

fn product(tokens: &[String], at: &mut usize, known: &BTreeMap<String, u128>) -> Option<u128> {
    let mut value = factor(tokens, at, known)?;
    while tokens.get(*at).is_some_and(|token| token == "*") {
        *at += 1;
        value = value.checked_mul(factor(tokens, at, known)?)?;
    }
    Some(value)
}

fn factor(tokens: &[String], at: &mut usize, known: &BTreeMap<String, u128>) -> Option<u128> {
    let token = tokens.get(*at)?;
    *at += 1;
    if token == "(" {
        let value = sum(tokens, at, known)?;
        *at += 1;
        return Some(value);
    }
    let digits: String = token
        .chars()
        .take_while(|c| c.is_ascii_digit() || *c == '_')
        .filter(|c| *c != '_')
        .collect();
    digits.parse().ok().or_else(|| known.get(token).copied())
}

/// With a comma every three digits.
fn grouped(value: u128) -> String {
    let digits = value.to_string();
    let mut out = String::new();
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
