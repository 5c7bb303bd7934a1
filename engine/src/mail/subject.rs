//! The base subject of RFC 5256, 2.1: a subject without reply and forward marks, for SORT and THREAD.
//!
//! Promises: bounded by the length that it is given (the caller cuts it). Never: folds case; comparing does.

/// The base subject of a decoded, unfolded subject, and whether it was a reply or forward.
pub(crate) fn base(subject: &str) -> (String, bool) {
    // Step 1: one space for every run of white space; decoding was done before.
    let collapsed = subject
        .split_ascii_whitespace()
        .collect::<Vec<_>>()
        .join(" ");
    let mut text = collapsed.as_str();
    let mut is_reply = false;
    loop {
        text = strip_trailers(text, &mut is_reply);
        loop {
            let before = text;
            text = strip_leader(text, &mut is_reply);
            text = strip_blob_before_text(text);
            if text == before {
                break;
            }
        }
        // Step 6: "[fwd: ... ]" around the whole.
        match strip_prefix(text, "[fwd:").and_then(|inner| inner.strip_suffix(']')) {
            Some(inner) => {
                is_reply = true;
                text = inner;
            }
            None => return (text.to_owned(), is_reply),
        }
    }
}

/// Step 2: subj-trailer = "(fwd)" / WSP, at the end, as often as it is there.
fn strip_trailers<'s>(mut text: &'s str, is_reply: &mut bool) -> &'s str {
    loop {
        text = text.trim_end_matches(' ');
        match text.len().checked_sub(5).and_then(|at| text.get(at..)) {
            Some(end) if end.eq_ignore_ascii_case("(fwd)") => {
                *is_reply = true;
                text = &text[..text.len() - 5];
            }
            _ => return text,
        }
    }
}

/// Step 3: subj-leader = (*subj-blob subj-refwd) / WSP
fn strip_leader<'s>(text: &'s str, is_reply: &mut bool) -> &'s str {
    let text = text.trim_start_matches(' ');
    let mut rest = text;
    while let Some(after) = strip_blob(rest) {
        rest = after;
    }
    let Some(word) = ["re", "fwd", "fw"]
        .into_iter()
        .find_map(|mark| strip_prefix(rest, mark))
    else {
        return text;
    };
    let word = word.trim_start_matches(' ');
    let word = strip_blob(word).unwrap_or(word);
    match word.strip_prefix(':') {
        Some(after) => {
            *is_reply = true;
            after
        }
        None => text,
    }
}

/// Step 4: a blob goes when text is left behind it.
fn strip_blob_before_text(text: &str) -> &str {
    strip_blob(text)
        .filter(|rest| !rest.is_empty())
        .unwrap_or(text)
}

/// subj-blob = "[" *BLOBCHAR "]" *WSP
fn strip_blob(text: &str) -> Option<&str> {
    let inside = text.strip_prefix('[')?;
    let end = inside.find(['[', ']'])?;
    Some(inside[end..].strip_prefix(']')?.trim_start_matches(' '))
}

/// Strips an ASCII prefix without regard to case.
fn strip_prefix<'s>(text: &'s str, prefix: &str) -> Option<&'s str> {
    let head = text.get(..prefix.len())?;
    head.eq_ignore_ascii_case(prefix)
        .then(|| &text[prefix.len()..])
}

#[cfg(test)]
mod tests {
    use expect_test::{Expect, expect};

    use super::*;

    fn check(subjects: &[&str], expected: Expect) {
        let shown: String = subjects
            .iter()
            .map(|s| format!("{s:?} -> {:?}\n", base(s)))
            .collect();
        expected.assert_eq(&shown);
    }

    #[test]
    fn reply_and_forward_marks_are_removed_as_rfc_5256_says() {
        check(
            &[
                "Re: hello",
                "RE : [list] Fwd: hello  (fwd) ",
                "[list] hello",
                "[list]",
                "[fwd: [a] re: hello]",
                "re[4]: hello",
                "Re: [x] [y]",
                "rehearsal",
                "",
                "Re:",
                "[a]b]",
                "äRe: é (FWD)",
            ],
            expect![[r#"
                "Re: hello" -> ("hello", true)
                "RE : [list] Fwd: hello  (fwd) " -> ("hello", true)
                "[list] hello" -> ("hello", false)
                "[list]" -> ("[list]", false)
                "[fwd: [a] re: hello]" -> ("hello", true)
                "re[4]: hello" -> ("hello", true)
                "Re: [x] [y]" -> ("[y]", true)
                "rehearsal" -> ("rehearsal", false)
                "" -> ("", false)
                "Re:" -> ("", true)
                "[a]b]" -> ("b]", false)
                "äRe: é (FWD)" -> ("äRe: é", true)
            "#]],
        );
    }
}
