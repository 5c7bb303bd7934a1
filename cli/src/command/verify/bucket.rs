//! What `verify --bucket` says to people.

use coldpost_server::http::wire::{BucketCompared, Listed, Totals};

/// An object that is no damage.
pub(super) fn object(state: &str, listed: &Listed) -> String {
    let Listed {
        store,
        object,
        bytes,
        modified,
        what,
    } = listed;
    let written = match modified {
        Some(modified) => format!(", written {modified}"),
        None => String::new(),
    };
    // A name that is not ours may hold anything.
    let object = object.escape_debug();
    format!("{object} {state} ({bytes} bytes{written}, {store}): {what}")
}

/// What a store has of one kind.
pub(super) fn totals(totals: &Totals) -> String {
    let Totals {
        store,
        kind,
        objects,
        bytes,
        referenced,
        referenced_bytes,
        unknown,
        unknown_bytes,
    } = totals;
    format!(
        "{store} {kind}: {objects} objects, {bytes} bytes; referred to: {referenced}, {referenced_bytes} bytes; unknown: {unknown}, {unknown_bytes} bytes"
    )
}

/// The end.
pub(super) fn end(end: &BucketCompared) -> String {
    let found = match (end.damaged, end.unchecked) {
        (0, 0) => "nothing is missing".to_owned(),
        (0, _) => "nothing is missing in what was compared".to_owned(),
        (damaged, _) => format!(
            "{damaged} objects are missing or damaged, {} messages cannot be read because of it",
            end.victims
        ),
    };
    let mut text = format!(
        "{} objects, {} bytes listed: {found}; {} unknown objects ({} bytes), {} foreign ones ({} bytes)",
        end.objects, end.bytes, end.unknown, end.unknown_bytes, end.foreign, end.foreign_bytes
    );
    if end.unconfirmed > 0 {
        text.push_str(&format!(
            "; {} objects that the journal does not call stored: --repair confirms them",
            end.unconfirmed
        ));
    }
    if end.mended > 0 {
        text.push_str(&format!("; {} objects mended", end.mended));
    }
    if end.unchecked > 0 {
        text.push_str(&format!(
            "; NOT CHECKED: {} objects or stores",
            end.unchecked
        ));
    }
    let requests = end.requests.iter();
    let requests: Vec<_> = requests.map(|(kind, n)| format!("{n} {kind}")).collect();
    format!("{text}; requests: {}", requests.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    fn ended(damaged: u64, unchecked: u64, mended: u64) -> BucketCompared {
        BucketCompared {
            objects: 4,
            bytes: 100,
            damaged,
            victims: damaged,
            unchecked,
            unknown: 1,
            unknown_bytes: 7,
            foreign: 0,
            foreign_bytes: 0,
            unconfirmed: 0,
            mended,
            requests: [("head".to_owned(), 2), ("list".to_owned(), 1)].into(),
        }
    }

    #[test]
    fn the_end_calls_nothing_whole_that_was_not_looked_at() {
        expect!["4 objects, 100 bytes listed: nothing is missing; 1 unknown objects (7 bytes), 0 foreign ones (0 bytes); requests: 2 head, 1 list"]
            .assert_eq(&end(&ended(0, 0, 0)));
        let text = end(&ended(0, 1, 3));
        assert!(text.contains("in what was compared"), "{text}");
        assert!(text.contains("NOT CHECKED: 1"), "{text}");
        assert!(text.contains("3 objects mended"), "{text}");
        assert!(end(&ended(2, 0, 0)).contains("2 objects are missing or damaged, 2 messages"));
    }

    #[test]
    fn a_strange_name_does_not_reach_the_terminal_as_it_is() {
        let listed = Listed {
            store: "s3://b".to_owned(),
            object: "a\u{1b}[2J".to_owned(),
            bytes: 1,
            modified: Some("2026-01-02T03:04:05+00:00".to_owned()),
            what: "not ours".to_owned(),
        };
        expect![[r#"a\u{1b}[2J is foreign (1 bytes, written 2026-01-02T03:04:05+00:00, s3://b): not ours"#]]
            .assert_eq(&object("is foreign", &listed));
    }
}
