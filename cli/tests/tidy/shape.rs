//! Sizes, headers, names, and what must not be left behind.

use crate::tree::{Source, Tree};

/// Lines of a file, tests included.
const FILE_LINES_MAX: usize = 500;
/// Lines of a function, from `fn` to its closing brace.
const FUNCTION_LINES_MAX: usize = 70;
/// Tables and exhaustive matches that may be longer: `path::function`, each for a reason that its own comment gives.
const LONG_FUNCTIONS: &[&str] = &[
    "engine/src/op/codec.rs::write_op",
    "engine/src/op/codec.rs::read_op",
    "engine/src/op/outcome.rs::write",
    "engine/tests/model/steps.rs::op",
];

/// Words that say nothing about what a file is.
const EMPTY_WORDS: &[&str] = &[
    "utils", "util", "common", "helpers", "helper", "manager", "misc",
];

/// What must not stay in the code, and what to do instead.
const LEFTOVERS: &[(&str, &str)] = &[
    ("todo!(", "write it"),
    ("unimplemented!(", "write it"),
    ("dbg!(", "remove it"),
    ("#[allow(", "use #[expect(lint, reason = \"...\")]"),
    ("#![allow(", "use #![expect(lint, reason = \"...\")]"),
    (
        "#[ignore",
        "run it in the suite or under --long, or remove it",
    ),
    ("fn test_", "name the promise, without test_"),
    ("fn should_", "name the promise, without should_"),
];

/// Files and functions over their size.
pub(crate) fn sizes(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let lines = file.text.lines().count();
        if lines > FILE_LINES_MAX {
            found.push(format!(
                "{}: {lines} lines, the wall is {FILE_LINES_MAX}; split it along a seam",
                file.path
            ));
        }
        for (name, at, lines) in functions(file) {
            let exempt = LONG_FUNCTIONS.contains(&format!("{}::{name}", file.path).as_str());
            if lines > FUNCTION_LINES_MAX && !exempt {
                let place = file.place(at);
                found.push(format!("{place}: {name} has {lines} lines, at most {FUNCTION_LINES_MAX}; push a loop or a step down into a function"));
            }
        }
    }
    for name in LONG_FUNCTIONS {
        let there = tree.rust().any(|file| {
            functions(file).iter().any(|(f, _, lines)| {
                format!("{}::{f}", file.path) == **name && *lines > FUNCTION_LINES_MAX
            })
        });
        if !there {
            found.push(format!("cli/tests/tidy/shape.rs: {name} is exempt but not long any more; take it off the list"));
        }
    }
    found
}

/// Rust files that do not begin with `//!`.
pub(crate) fn headers(tree: &Tree) -> Vec<String> {
    let bare = tree.rust().filter(|file| !file.text.starts_with("//!"));
    bare.map(|file| {
        format!(
            "{}:1: begin with //! and say what it is, promises and never does",
            file.path
        )
    })
    .collect()
}

/// Files named with empty words or versions.
pub(crate) fn names(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust() {
        let parts = file
            .path
            .trim_end_matches(".rs")
            .split('/')
            .flat_map(|part| part.split(['_', '-']));
        for word in parts.filter(|word| EMPTY_WORDS.contains(word) || *word == "v2") {
            found.push(format!(
                "{}: \"{word}\" says nothing; use the field's word for what it is",
                file.path
            ));
        }
    }
    found
}

/// Stubs, bare `allow`s, ignored tests, sleeps in tests.
pub(crate) fn leftovers(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for file in tree.rust() {
        for (what, instead) in LEFTOVERS {
            let hits = file.code.match_indices(what);
            found.extend(hits.map(|(at, _)| format!("{}: {what}: {instead}", file.place(at))));
        }
        for mark in [concat!("FIX", "ME"), concat!("XX", "X:")] {
            let hits = file.text.match_indices(mark);
            found.extend(hits.map(|(at, _)| format!("{}: {mark}: settle it", file.place(at))));
        }
        if file.path.contains("/tests/") || file.path.ends_with("tests.rs") {
            // Under tokio's paused clock a sleep is a step.
            let stepped = ["start_paused", "time::pause()"]
                .into_iter()
                .any(|mark| file.code.contains(mark));
            let calls = ["thread::sleep(", "time::sleep("];
            let hits = calls
                .into_iter()
                .filter(|call| !stepped || call.starts_with("thread"))
                .flat_map(|call| file.words(call));
            found.extend(hits.map(|at| {
                format!(
                    "{}: wait for the condition instead of sleeping",
                    file.place(at)
                )
            }));
        }
    }
    found
}

/// The functions of a file: name, offset of `fn`, lines.
fn functions(file: &Source) -> Vec<(String, usize, usize)> {
    let code = file.code.as_bytes();
    let mut found = Vec::new();
    for at in file.words("fn") {
        let name: String = file.code[at + 2..]
            .trim_start()
            .chars()
            .take_while(|c| c.is_alphanumeric() || *c == '_')
            .collect();
        let Some(open) = body_start(code, at) else {
            continue;
        };
        let close = closing_brace(code, open);
        let lines = code[at..close]
            .iter()
            .filter(|byte| **byte == b'\n')
            .count()
            + 1;
        if !name.is_empty() {
            found.push((name, at, lines));
        }
    }
    found
}

/// Where a function's body opens; none for a declaration.
fn body_start(code: &[u8], from: usize) -> Option<usize> {
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(from) {
        match byte {
            b'(' | b'[' => depth += 1,
            b')' | b']' => depth -= 1,
            b'{' if depth == 0 => return Some(at),
            b';' if depth == 0 => return None,
            _ => {}
        }
    }
    None
}

fn closing_brace(code: &[u8], open: usize) -> usize {
    let mut depth = 0_i32;
    for (at, byte) in code.iter().enumerate().skip(open) {
        match byte {
            b'{' => depth += 1,
            b'}' => depth -= 1,
            _ => {}
        }
        if depth == 0 {
            return at;
        }
    }
    code.len()
}
