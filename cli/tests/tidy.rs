//! The rules of the house that a program can check: layers, sizes, headers, names, links, limits, settings.
//!
//! Promises: reads the tree only; each message names the file, the line and what to do.
//! `COLDPOST_BLESS=1` rewrites the table in `docs/limits.md` instead of comparing it.

#[path = "tidy/docs.rs"]
mod docs;
#[path = "tidy/layers.rs"]
mod layers;
#[path = "tidy/limits.rs"]
mod limits;
#[path = "tidy/settings.rs"]
mod settings;
#[path = "tidy/shape.rs"]
mod shape;
#[path = "tidy/tree.rs"]
mod tree;

use tree::Tree;

/// Fails with all findings, one a line.
#[track_caller]
fn expect_none(findings: Vec<String>) {
    assert!(
        findings.is_empty(),
        "{} findings:\n{}\n",
        findings.len(),
        findings.join("\n")
    );
}

#[test]
fn crates_know_only_those_above_them() {
    expect_none(layers::crates(&Tree::load()));
}

#[test]
fn modules_keep_to_their_stage() {
    expect_none(layers::modules(&Tree::load()));
}

#[test]
fn a_foreign_crate_has_one_home() {
    expect_none(layers::homes(&Tree::load()));
}

#[test]
fn files_and_functions_are_small() {
    expect_none(shape::sizes(&Tree::load()));
}

#[test]
fn every_file_says_what_it_is() {
    expect_none(shape::headers(&Tree::load()));
}

#[test]
fn files_have_names_of_the_field() {
    expect_none(shape::names(&Tree::load()));
}

#[test]
fn nothing_is_left_open_or_silenced() {
    expect_none(shape::leftovers(&Tree::load()));
}

#[test]
fn links_and_file_names_in_documents_resolve() {
    expect_none(docs::links(&Tree::load()));
}

#[test]
fn the_limits_page_is_the_code() {
    expect_none(limits::compare(&Tree::load()));
}

#[test]
fn the_configuration_page_is_the_code() {
    expect_none(settings::compare(&Tree::load()));
}

#[test]
fn the_checks_can_fail() {
    let tree = Tree::of(&[
        (
            "tiers/src/hot/row.rs",
            "use crate::cold::Store;\nuse coldpost_engine::X;\nfn a() { todo!() }\n",
        ),
        (
            "tiers/src/cold/utils.rs",
            "//! x\n#[allow(dead_code)]\nfn b() { redb::Database::open(); }\n",
        ),
        (
            "engine/src/apply/mod.rs",
            "//! x\nuse crate::journal::Journal;\n// crate::view is only a word here\n",
        ),
        (
            "engine/src/limits.rs",
            "//! x\n/// Bytes of it.\npub const A_MAX: usize = 2 * 1024;\n",
        ),
        ("docs/limits.md", "| crate | limit | value | meaning |\n"),
        (
            "docs/a.md",
            "[gone](b.md) and `engine/src/gone.rs`, [here](limits.md)\n",
        ),
    ]);
    assert_eq!(layers::crates(&tree).len(), 1);
    assert_eq!(layers::modules(&tree).len(), 2);
    assert_eq!(layers::homes(&tree).len(), 1);
    assert_eq!(shape::headers(&tree).len(), 1);
    assert_eq!(shape::names(&tree).len(), 1);
    assert_eq!(shape::leftovers(&tree).len(), 2);
    assert_eq!(docs::links(&tree).len(), 2);
    assert_eq!(limits::compare(&tree).len(), 1);
    let long = format!("//! x\nfn a() {{\n{}}}\n", "    b();\n".repeat(80));
    let found = shape::sizes(&Tree::of(&[("engine/src/a.rs", &long)]));
    assert!(
        found
            .iter()
            .any(|finding| finding.contains("a has 82 lines")),
        "{found:?}"
    );
}
