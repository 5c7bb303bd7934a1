//! Links and file names in documents and comments lead somewhere.

use crate::tree::{Source, Tree};

/// Directories of the root; a name in backticks that begins with one of them is taken for a path.
const ROOTS: &[&str] = &[
    "testkit/", "tiers/", "search/", "engine/", "server/", "cli/", "bench/", "docs/", "deploy/",
    "fuzz/", ".ci/",
];

/// Links, headings and paths that are not there.
pub(crate) fn links(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.files.iter().filter(|file| file.path.ends_with(".md")) {
        for (at, target) in targets(&file.text) {
            if let Some(problem) = broken(tree, file, target) {
                found.push(format!("{}: {problem}", file.place(at)));
            }
        }
        found.extend(paths(tree, file));
    }
    for file in tree.rust() {
        found.extend(paths(tree, file));
    }
    found
}

/// `](target)` of every link outside code fences.
fn targets(text: &str) -> Vec<(usize, &str)> {
    let mut found = Vec::new();
    let (mut at, mut fenced) = (0, false);
    for line in text.split_inclusive('\n') {
        fenced ^= line.trim_start().starts_with("```");
        if !fenced {
            for (start, _) in line.match_indices("](") {
                let rest = &line[start + 2..];
                if let Some(end) = rest.find(')') {
                    found.push((at + start, rest[..end].trim()));
                }
            }
        }
        at += line.len();
    }
    found
}

fn broken(tree: &Tree, from: &Source, target: &str) -> Option<String> {
    if target.contains("://") || target.starts_with("mailto:") {
        return None;
    }
    let (path, anchor) = target.split_once('#').unwrap_or((target, ""));
    let path = if path.is_empty() {
        from.path.clone()
    } else {
        resolve(&from.path, path)
    };
    if !tree.has(&path) {
        return Some(format!(
            "the link to {target} leads nowhere ({path} is not there); mend or remove it"
        ));
    }
    let headings = tree.file(&path).map(|file| {
        file.text
            .lines()
            .filter(|line| line.starts_with('#'))
            .map(slug)
            .collect::<Vec<_>>()
    });
    let missing = !anchor.is_empty()
        && headings.is_some_and(|list| !list.iter().any(|heading| heading == anchor));
    missing.then(|| format!("{path} has no heading #{anchor}; mend the link"))
}

/// A heading's anchor, as code forges make it.
fn slug(heading: &str) -> String {
    let text = heading.trim_start_matches('#').trim().to_lowercase();
    let kept = text
        .chars()
        .filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.map(|c| if c == ' ' { '-' } else { c }).collect()
}

fn resolve(from: &str, target: &str) -> String {
    let mut parts: Vec<&str> = from.split('/').collect();
    parts.pop();
    for part in target.split('/') {
        match part {
            "" | "." => {}
            ".." => {
                parts.pop();
            }
            other => parts.push(other),
        }
    }
    parts.join("/")
}

/// Names in backticks that look like paths of this repository and are none. Names with patterns (`*`, `{`, `<`, `…`) are left alone.
fn paths(tree: &Tree, file: &Source) -> Vec<String> {
    let mut found = Vec::new();
    let mut at = 0;
    for (number, piece) in file.text.split('`').enumerate() {
        let name = piece.split(['#', ':']).next().unwrap_or_default();
        let comment = !file.path.ends_with(".rs") || in_comment(&file.text, at);
        let plain = name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "._/-".contains(c))
            && !name.contains("NNNN");
        if number % 2 == 1
            && comment
            && plain
            && ROOTS.iter().any(|root| name.starts_with(root))
            && !tree.has(name)
        {
            found.push(format!(
                "{}: `{name}` is not there; name the file as it is called now",
                file.place(at)
            ));
        }
        at += piece.len() + 1;
    }
    found
}

fn in_comment(text: &str, at: usize) -> bool {
    let start = text[..at.min(text.len())]
        .rfind('\n')
        .map_or(0, |newline| newline + 1);
    text[start..].trim_start().starts_with("//")
}
