//! A leaf of a message as plain text, for its preview: HTML is what a reader sees of it.
//!
//! Promises: bounded by what it is given, which may be the beginning of a body. Never: gives markup, attachments or what is no text.

use crate::mail::content::Content;
use crate::mail::decode;
use crate::mail::html::{Html, Wanted};

/// The text of a leaf with this header; `None` when it is none, or an attachment.
pub(crate) fn text_of_leaf(
    raw_header: &[u8],
    raw_body: &[u8],
    in_multipart: bool,
) -> Option<String> {
    let content = Content::read(raw_header, in_multipart);
    let is_attached = content.disposition.as_ref();
    if is_attached.is_some_and(|(kind, _)| kind.eq_ignore_ascii_case(b"attachment")) {
        return None;
    }
    let is = |subtype| {
        content
            .media
            .as_ref()
            .is_some_and(|media| media.is("text", subtype))
    };
    if !is("*") && content.media.is_some() {
        return None;
    }
    let mut text = String::new();
    let mut html = is("html").then(|| Html::new(Wanted::Shown));
    decode::body(raw_body, &content, &mut |piece| {
        match &mut html {
            Some(html) => {
                html.read(piece);
                html.text(|shown| text.push_str(shown));
            }
            None => text.push_str(piece),
        }
        true
    });
    if let Some(mut html) = html {
        html.end();
        html.text(|shown| text.push_str(shown));
    }
    Some(text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn text(header: &str, body: &str) -> Option<String> {
        let text = text_of_leaf(header.as_bytes(), body.as_bytes(), true)?;
        Some(text.split_whitespace().collect::<Vec<_>>().join(" "))
    }

    #[test]
    fn html_is_what_a_reader_sees_of_it() {
        let html = "<html><head><title>t</title><style>b{x:y}</style></head><body><!-- no --><div>Hello <b>wor</b>ld</div><div>a&amp;b</div><script>z()</script><td>c</td><td>d</td>";
        let read = text("Content-Type: text/html\n", html);
        assert_eq!(read.as_deref(), Some("Hello world a&b c d"));
    }

    #[test]
    fn attachments_and_what_is_no_text_have_none() {
        assert_eq!(text("Content-Type: image/png\n", "x"), None);
        let attached = "Content-Type: text/plain\nContent-Disposition: attachment; filename=x\n";
        assert_eq!(text(attached, "x"), None);
        assert_eq!(
            text("", "x"),
            Some("x".to_owned()),
            "text where nothing is said"
        );
        let encoded = "Content-Type: text/plain; charset=iso-8859-1\nContent-Transfer-Encoding: quoted-printable\n";
        assert_eq!(text(encoded, "=E9 =\r\nx"), Some("é x".to_owned()));
    }

    proptest! {
        #[test]
        fn any_page_is_read(html in "(<|>|/|!--|-->|&|;|#|style|p|é|\u{a0}| |\n|head|x){0,40}") {
            text("Content-Type: text/html; charset=utf-8\n", &html);
        }
    }
}
