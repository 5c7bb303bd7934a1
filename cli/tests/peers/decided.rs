//! A small message for each class of what Dovecot finds otherwise, and who finds it (`docs/search.md`).

use coldpost_testkit::imap::Imap;

/// Who is asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Side {
    Here,
    There,
}

const PARTS: &str = "Subject: p\r\nMIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=ab\r\n\r\n\
     --ab\r\nX-Of-Part: parted\r\n\r\nx\r\n--ab\r\nContent-Type: message/rfc822\r\n\r\nSubject: multiplied\r\n\r\nx\r\n--ab--\r\n";
const HTML: &str = "Subject: h\r\nMIME-Version: 1.0\r\nContent-Type: text/html; charset=utf-8\r\n\r\n\
     <p width=10>Rech<b>nung</b> f&uuml;r<!-- a comment --><script>var script</script>\
     <td>one cell<td>another\r\n";
const LATIN: &str = "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=iso-8859-1\r\n\
     Content-Transfer-Encoding: quoted-printable\r\n\r\nto=80day=85\r\n";
const FROM: &str = "From: jm@example.org (Justin Mason)\r\nSubject: f\r\n\r\nx\r\n";

/// A message, a search by key and needle, and who alone finds it.
const DECIDED: &[(&str, &str, &str, Side)] = &[
    // White space.
    (
        "Subject: w\r\n\r\nthe end of a\r\nline and   the next\r\n",
        "BODY",
        "of a line and the",
        Side::Here,
    ),
    (
        "Subject: w\r\nX-Trace: by one\r\n    (by two)\r\n\r\nx\r\n",
        "TEXT",
        "one (by",
        Side::Here,
    ),
    // Headers of parts.
    (PARTS, "BODY", "X-Of-Part: parted", Side::Here),
    (PARTS, "BODY", "multiplied", Side::Here),
    // HTML as it is read.
    (HTML, "BODY", "Rechnung f\u{fc}r", Side::Here),
    (HTML, "TEXT", "one cell another", Side::Here),
    // Markup, comments, scripts.
    (HTML, "BODY", "<b>", Side::There),
    (HTML, "BODY", "width=", Side::There),
    (HTML, "TEXT", "a comment", Side::There),
    (HTML, "BODY", "var script", Side::There),
    // Addresses.
    (FROM, "FROM", "(Justin", Side::Here),
    (FROM, "FROM", "Mason\" <jm@", Side::There),
    // Parts that only one of the two sees.
    (
        "Content-Type: multipart/mixed; boundary=ab\r\n\r\nNo parts\r\n",
        "BODY",
        "parts",
        Side::Here,
    ),
    (
        "Content-Type: multipart/mixed\r\n boundary=ab\r\n\r\n--ab\r\nX-Of-Part: parted\r\n\r\nx\r\n--ab--\r\n",
        "TEXT",
        "parted",
        Side::Here,
    ),
    // An encoding that is none.
    (
        "MIME-Version: 1.0\r\nContent-Type: text/plain\r\nContent-Transfer-Encoding: 8 bit\r\n\r\nplain text\r\n",
        "BODY",
        "plain",
        Side::Here,
    ),
    // Charsets.
    (
        "MIME-Version: 1.0\r\nContent-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\na=FF=FFb\r\n",
        "BODY",
        "a\u{fffd}\u{fffd}b",
        Side::Here,
    ),
    (LATIN, "BODY", "to\u{20ac}day...", Side::Here),
    (LATIN, "BODY", "to\u{80}day\u{85}", Side::There),
];

/// What this side finds though it should not, and the other way about.
pub(crate) fn wrong(imap: &mut Imap, side: Side) -> String {
    let mut wrong = String::new();
    for (number, (message, key, needle, alone)) in DECIDED.iter().enumerate() {
        let mailbox = format!("Decided{number}");
        imap.command(&format!("CREATE {mailbox}")).ok();
        imap.append(&mailbox, "", message.as_bytes());
        imap.command(&format!("SELECT {mailbox}")).ok();
        let length = needle.len();
        let command = format!("SEARCH CHARSET UTF-8 {key} {{{length}+}}\r\n{needle}");
        let is_found = !imap.command(&command).ok().search().is_empty();
        if is_found != (*alone == side) {
            wrong += &format!("{key} {needle:?}: found {is_found}\n");
        }
    }
    wrong
}
