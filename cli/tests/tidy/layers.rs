//! Who may know whom: crates, stages inside a crate, homes of foreign crates (`docs/architecture.md`).

use crate::tree::{Source, Tree};

/// Crates of ours that a crate may name in its product code.
const CRATES: &[(&str, &[&str])] = &[
    ("testkit", &[]),
    ("tiers", &[]),
    ("search", &[]),
    ("engine", &["coldpost_tiers", "coldpost_search"]),
    ("server", &["coldpost_engine"]),
    ("cli", &["coldpost_server", "coldpost_engine"]),
    ("bench", &["coldpost_testkit"]),
    (
        "fuzz",
        &[
            "coldpost_testkit",
            "coldpost_tiers",
            "coldpost_search",
            "coldpost_engine",
            "coldpost_server",
            "coldpost_cli",
        ],
    ),
];

/// Modules that a stage must not name: (files below, forbidden, why).
const STAGES: &[(&str, &[&str], &str)] = &[
    (
        "tiers/src/hot",
        &["segment", "block", "blob", "cold"],
        SIBLINGS,
    ),
    (
        "tiers/src/segment",
        &["hot", "block", "blob", "cold"],
        SIBLINGS,
    ),
    (
        "tiers/src/block",
        &["hot", "segment", "blob", "cold"],
        SIBLINGS,
    ),
    (
        "tiers/src/blob",
        &["hot", "segment", "block", "cold"],
        SIBLINGS,
    ),
    (
        "tiers/src/cold",
        &["hot", "segment", "block", "blob"],
        SIBLINGS,
    ),
    (
        "engine/src/apply",
        &["journal", "router", "view", "upkeep"],
        "apply is a function of entry and state",
    ),
    (
        "engine/src/view",
        &["journal", "upkeep"],
        "a view reads; changes go through the write path",
    ),
    (
        "engine/src/upkeep",
        &["apply"],
        "upkeep changes mail by sending ops only",
    ),
];
const SIBLINGS: &str = "hot, segment, block, blob and cold are siblings; combine them in fetch, compaction, gc or snapshot";

/// A foreign crate, and the paths below which it may be named.
const HOMES: &[(&str, &[&str])] = &[
    ("redb", &["tiers/src/hot"]),
    ("object_store", &["tiers/src/cold", "bench/src/cold"]),
    ("quick_xml", &["tiers/src/cold"]),
    ("moka", &["tiers/src/cache"]),
    (
        "zstd",
        &["tiers/src/frame", "search/src/text", "bench/src/cold"],
    ),
    ("tantivy", &["search/src/words"]),
    ("mail_parser", &["engine/src/mail", "bench/src/mails"]),
    ("html5ever", &["engine/src/mail"]),
    ("winnow", &["server/src"]),
    ("axum", &["server/src/http"]),
    ("clap", &["cli/src", "bench/src"]),
    ("figment", &["cli/src"]),
    ("ureq", &["cli/src"]),
    ("tokio_rustls", &["server/src/tls", "testkit/src"]),
    ("x509_cert", &["server/src/tls"]),
    ("sd_notify", &["cli/src"]),
];

/// Foreign names that `apply` must not meet.
const NOT_IN_APPLY: &[&str] = &[
    "tokio",
    "SystemTime",
    "Instant",
    "HashMap",
    "HashSet",
    "getrandom",
];

/// Where such a name is harmless after all: the file, the name, and why.
const HARMLESS: &[(&str, &str, &str)] = &[(
    "engine/src/apply/window.rs",
    "HashMap",
    "looked up by fingerprint, never iterated",
)];

/// Crates that name a crate they must not know, in code or in their manifest.
pub(crate) fn crates(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (dir, allowed) in CRATES {
        let forbidden = CRATES
            .iter()
            .map(|(other, _)| format!("coldpost_{other}"))
            .filter(|name| !allowed.contains(&name.as_str()));
        for name in forbidden.filter(|name| name != &format!("coldpost_{dir}")) {
            for file in tree
                .product()
                .filter(|file| below(file, &format!("{dir}/src")))
            {
                let hits = file.words(&name).into_iter();
                found.extend(hits.map(|at| {
                    format!(
                        "{}: {dir} must not know {name}; move the code or hand the part in",
                        file.place(at)
                    )
                }));
            }
            let manifest = tree.file(&format!("{dir}/Cargo.toml"));
            let product = manifest.map(|file| {
                file.text
                    .split("[dev-dependencies]")
                    .next()
                    .unwrap_or_default()
            });
            if product
                .is_some_and(|text| text.contains(&format!("{}.workspace", name.replace('_', "-"))))
            {
                found.push(format!(
                    "{dir}/Cargo.toml: {dir} must not depend on {name}; see the rules of the map"
                ));
            }
        }
    }
    found
}

/// Modules that name a module they must not know.
pub(crate) fn modules(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (dir, forbidden, why) in STAGES {
        for file in tree.product().filter(|file| below(file, dir)) {
            for name in *forbidden {
                let hits = ["crate", "super"].map(|from| format!("{from}::{name}"));
                for at in hits.iter().flat_map(|path| file.words(path)) {
                    found.push(format!(
                        "{}: {dir} must not use {name}: {why}",
                        file.place(at)
                    ));
                }
            }
        }
    }
    for file in tree
        .product()
        .filter(|file| below(file, "engine/src/apply"))
    {
        let harmless = |name: &str| {
            HARMLESS
                .iter()
                .any(|(path, known, _)| file.path == *path && name == *known)
        };
        for name in NOT_IN_APPLY.iter().filter(|name| !harmless(name)) {
            let hits = file.words(name).into_iter();
            found.extend(hits.map(|at| {
                format!(
                    "{}: apply must not see {name}; take time, ids and order from the op",
                    file.place(at)
                )
            }));
        }
    }
    found
}

/// Foreign crates named outside their home.
pub(crate) fn homes(tree: &Tree) -> Vec<String> {
    let mut found = Vec::new();
    for (name, homes) in HOMES {
        for file in tree
            .product()
            .filter(|file| !homes.iter().any(|home| below(file, home)))
        {
            let hits = file
                .words(&format!("{name}::"))
                .into_iter()
                .chain(file.words(&format!("use {name}")));
            found.extend(hits.map(|at| {
                format!(
                    "{}: {name} lives in {}; ask that module instead",
                    file.place(at),
                    homes.join(" and ")
                )
            }));
        }
    }
    found
}

/// Whether a file is the module `dir` or lies in it.
fn below(file: &Source, dir: &str) -> bool {
    file.path
        .strip_prefix(dir)
        .is_some_and(|rest| rest.starts_with('/') || rest == ".rs")
}
