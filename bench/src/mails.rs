//! The corpus as it is delivered.

use coldpost_testkit::corpus;
use mail_parser::MessageParser;

/// The first `count` messages of the corpus, with CRLF.
pub(crate) fn first(count: usize) -> Vec<Vec<u8>> {
    let all = corpus::spam_assassin();
    let mails = all.iter().take(count);
    mails.map(|(_, mail)| corpus::crlf(mail)).collect()
}

/// The newer half of the corpus by Date, in the order of the corpus: the dictionary of the hot rows was trained on the other one.
pub(crate) fn newer() -> Vec<Vec<u8>> {
    let all = first(usize::MAX);
    let parser = MessageParser::default();
    let sent = |mail: &Vec<u8>| {
        let headers = parser.parse_headers(mail);
        let date = headers.and_then(|headers| Some(headers.date()?.to_timestamp()));
        date.unwrap_or(0)
    };
    let mut by_date: Vec<(i64, usize)> = all.iter().map(sent).zip(0..).collect();
    by_date.sort_unstable();
    let mut newer: Vec<usize> = by_date[by_date.len() / 2..]
        .iter()
        .map(|(_, number)| *number)
        .collect();
    newer.sort_unstable();
    newer
        .into_iter()
        .map(|number| all[number].clone())
        .collect()
}

/// What a reader sees of a message's first text part.
pub(crate) fn body(mail: &[u8]) -> String {
    let parsed = MessageParser::default().parse(mail);
    let text = parsed.as_ref().and_then(|mail| mail.body_text(0));
    text.unwrap_or_default().into_owned()
}
