//! The corpus as it is delivered.

use coldpost_testkit::corpus;

/// The first `count` messages of the corpus, with CRLF.
pub(crate) fn first(count: usize) -> Vec<Vec<u8>> {
    let all = corpus::spam_assassin();
    let mails = all.iter().take(count);
    mails.map(|(_, mail)| corpus::crlf(mail)).collect()
}
