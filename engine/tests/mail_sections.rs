//! Sections by the numbering rules of RFC 3501, 6.4.5, on generated trees: every part number leads to the bytes that were put there.

use std::ops::Range;

use coldpost_engine::mail::part::{Located, filter_header, locate};
use coldpost_engine::mail::text::{Scope, texts};
use coldpost_engine::mail::{Section, SectionText, describe};
use expect_test::expect;
use proptest::collection::vec;
use proptest::prelude::*;

/// A message or part as it is built.
#[derive(Clone, Debug)]
enum Tree {
    Leaf(String),
    Multipart(Vec<Tree>),
    Message(Box<Tree>),
}

fn tree() -> impl Strategy<Value = Tree> {
    let leaf = "[a-z \\r\\n]{0,30}"
        .prop_map(|text| Tree::Leaf(text.replace('\r', "").replace('\n', "\r\n")));
    leaf.prop_recursive(4, 24, 4, |inner| {
        prop_oneof![
            vec(inner.clone(), 1..4).prop_map(Tree::Multipart),
            inner.prop_map(|tree| Tree::Message(Box::new(tree)))
        ]
    })
}

/// What a section should give.
type Expected = (Vec<u32>, SectionText, Range<usize>);

/// Writes messages and remembers where everything went.
#[derive(Default)]
struct Builder {
    bytes: Vec<u8>,
    boundaries: usize,
    expected: Vec<Expected>,
}

impl Builder {
    fn add(&mut self, text: &str) {
        self.bytes.extend_from_slice(text.as_bytes());
    }

    /// A message at `path`, itself without a number.
    fn message(&mut self, path: &[u32], tree: &Tree) {
        let start = self.bytes.len();
        self.add("Subject: x\r\nX-Trace: y\r\n");
        let body = self.header_end(tree);
        self.body(path, tree, false);
        let end = self.bytes.len();
        if path.is_empty() {
            self.expect(path, SectionText::All, start..end);
        }
        self.expect(path, SectionText::Header, start..body);
        self.expect(path, SectionText::Text, body..end);
        if !matches!(tree, Tree::Multipart(_)) {
            let first = [path, &[1]].concat();
            self.expect(&first, SectionText::All, body..end);
            self.expect(&first, SectionText::Mime, start..body);
        }
    }

    fn header_end(&mut self, tree: &Tree) -> usize {
        match tree {
            Tree::Leaf(_) => self.add("Content-Type: text/plain\r\n\r\n"),
            Tree::Multipart(_) => self.add(&format!(
                "Content-Type: multipart/mixed; boundary=b{}e\r\n\r\n",
                self.boundaries
            )),
            Tree::Message(_) => self.add("Content-Type: message/rfc822\r\n\r\n"),
        }
        self.bytes.len()
    }

    /// The body of a part at `path`; of a message that is no multipart, part 1 is meant.
    fn body(&mut self, path: &[u32], tree: &Tree, is_part: bool) {
        match tree {
            Tree::Leaf(text) => self.add(text),
            Tree::Multipart(parts) => {
                let boundary = self.boundaries;
                self.boundaries += 1;
                self.add("preamble");
                for (number, part) in (1..).zip(parts) {
                    self.add(&format!("\r\n--b{boundary}e\r\n"));
                    let path = [path, &[number]].concat();
                    let start = self.bytes.len();
                    let body = self.header_end(part);
                    self.body(&path, part, true);
                    self.expect(&path, SectionText::All, body..self.bytes.len());
                    self.expect(&path, SectionText::Mime, start..body);
                }
                self.add(&format!("\r\n--b{boundary}e--\r\nepilogue"));
            }
            Tree::Message(inner) if is_part => self.message(path, inner),
            Tree::Message(inner) => self.message(&[path, &[1]].concat(), inner),
        }
    }

    fn expect(&mut self, path: &[u32], text: SectionText, range: Range<usize>) {
        self.expected.push((path.to_vec(), text, range));
    }
}

proptest! {
    #[test]
    fn every_section_of_a_generated_tree_is_the_bytes_that_were_put_there(tree in tree(), lf_only in any::<bool>()) {
        let mut builder = Builder::default();
        builder.message(&[], &tree);
        let crlf = builder.bytes;
        let message: Vec<u8> = if lf_only { crlf.iter().copied().filter(|b| *b != b'\r').collect() } else { crlf.clone() };
        let at = |offset: usize| {
            let dropped = if lf_only { crlf[..offset].iter().filter(|b| **b == b'\r').count() } else { 0 };
            u64::try_from(offset - dropped).unwrap()
        };
        let parts = describe(&message).parts;
        for (path, text, range) in builder.expected {
            let section = Section { path, text };
            let found = locate(&parts, &section);
            prop_assert_eq!(&found, &Located::Range(at(range.start)..at(range.end)), "{:?}", section);
            let beyond = Section { path: [&section.path[..], &[99]].concat(), ..section };
            prop_assert_eq!(locate(&parts, &beyond), Located::Absent);
        }
    }
}

#[test]
fn the_part_that_a_structure_names_for_a_multipart_without_parts_is_empty() {
    for (before, path) in [
        ("", vec![1]),
        ("Content-Type: message/rfc822\r\n\r\n", vec![1, 1]),
    ] {
        let message = format!(
            "{before}MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\nno parts\r\n"
        );
        let description = describe(message.as_bytes());
        let end = message.len() as u64;
        for (text, expected) in [
            (SectionText::All, Located::Range(end..end)),
            (SectionText::Mime, Located::Range(end..end)),
            (SectionText::Text, Located::Absent),
        ] {
            let path = path.clone();
            assert_eq!(
                locate(&description.parts, &Section { path, text }),
                expected
            );
        }
        let mut found = false;
        let _ = texts(
            message.as_bytes(),
            &description.parts,
            Scope::Body,
            &mut |piece| {
                found |= piece.text.contains("no parts");
                std::ops::ControlFlow::Continue(())
            },
        );
        assert!(found, "its text is searched");
    }
}

#[test]
fn sections_that_the_rfc_does_not_know_are_absent() {
    let parts = describe(b"Subject: x\r\n\r\ntext\r\n").parts;
    let located = |path: &[u32], text| {
        locate(
            &parts,
            &Section {
                path: path.to_vec(),
                text,
            },
        )
    };
    assert_eq!(located(&[], SectionText::Mime), Located::Absent);
    assert_eq!(located(&[0], SectionText::All), Located::Absent);
    assert_eq!(located(&[2], SectionText::All), Located::Absent);
    assert_eq!(located(&[u32::MAX; 100], SectionText::All), Located::Absent);
    assert_eq!(located(&[1], SectionText::Header), Located::Absent);
    assert_eq!(located(&[1, 1], SectionText::All), Located::Absent);
    let names = vec!["Subject".to_owned()];
    assert_eq!(
        located(&[], SectionText::HeaderFields(names.clone())),
        Located::Filtered(0..14, names.clone(), true)
    );
    assert_eq!(
        located(&[], SectionText::HeaderFieldsNot(names.clone())),
        Located::Filtered(0..14, names, false)
    );
    assert_eq!(
        locate(
            &[],
            &Section {
                path: vec![1],
                text: SectionText::All
            }
        ),
        Located::Absent
    );
}

#[test]
fn header_fields_come_as_they_are_with_an_empty_line_behind_them() {
    let header = b"Subject: a\r\n b\r\nTO: c\r\njunk\r\nto : d\r\nCc: e\r\n\r\n";
    let names: Vec<String> = ["to", "SUBJECT", "x"].map(String::from).to_vec();
    let shown = |keep| {
        filter_header(header, &names, keep)
            .escape_ascii()
            .to_string()
    };
    expect![[r"Subject: a\r\n b\r\nTO: c\r\nto : d\r\n\r\n"]].assert_eq(&shown(true));
    expect![[r"junk\r\nCc: e\r\n\r\n"]].assert_eq(&shown(false));
    assert_eq!(
        filter_header(b"a: b", &["a".to_owned()], true),
        b"a: b\r\n\r\n"
    );
    assert_eq!(
        filter_header(b"a: b\nc: d\n\n", &["a".to_owned()], true),
        b"a: b\n\n"
    );
    assert_eq!(filter_header(b"", &["a".to_owned()], true), b"\r\n");
}
