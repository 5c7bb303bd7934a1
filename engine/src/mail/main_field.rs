//! The main fields: what people and mail clients ask for. They are kept hot with the message; all others (Received, DKIM-Signature,
//! ARC-*, Authentication-Results, X-*) are trace fields and stay with the body.

/// Names of the main fields, in lower case. From requests seen from Dovecot's imapc, Thunderbird, Apple Mail, Outlook, K-9,
/// Roundcube and Delta Chat, from RFC 5322, 3.6 without trace fields, and from what people filter by.
const MAIN_FIELDS: [&str; 53] = [
    "auto-submitted",
    "autocrypt",
    "bcc",
    "cc",
    "chat-version",
    "content-description",
    "content-disposition",
    "content-id",
    "content-language",
    "content-location",
    "content-transfer-encoding",
    "content-type",
    "date",
    "delivered-to",
    "disposition-notification-to",
    "followup-to",
    "from",
    "importance",
    "in-reply-to",
    "list-archive",
    "list-help",
    "list-id",
    "list-owner",
    "list-post",
    "list-subscribe",
    "list-unsubscribe",
    "list-unsubscribe-post",
    "mail-followup-to",
    "mail-reply-to",
    "message-id",
    "mime-version",
    "newsgroups",
    "organization",
    "precedence",
    "priority",
    "references",
    "reply-to",
    "resent-cc",
    "resent-date",
    "resent-from",
    "resent-message-id",
    "resent-sender",
    "resent-to",
    "return-path",
    "sender",
    "subject",
    "to",
    "user-agent",
    "x-mailer",
    "x-priority",
    "x-spam-flag",
    "x-spam-score",
    "x-spam-status",
];

/// Whether `name` is a main field, without regard to ASCII case.
pub fn is_main(name: &str) -> bool {
    is_main_bytes(name.as_bytes())
}

/// The number of a main field in their list: for as long as this process runs.
pub(crate) fn number(name: &str) -> Option<u8> {
    let name = name.to_ascii_lowercase();
    let at = MAIN_FIELDS.binary_search(&name.as_str()).ok()?;
    u8::try_from(at).ok()
}

/// The same for a name as it stands in a header.
pub(crate) fn is_main_bytes(name: &[u8]) -> bool {
    const LONGEST: usize = 32;
    name.len() <= LONGEST
        && MAIN_FIELDS
            .binary_search_by(|main| main.bytes().cmp(name.iter().map(u8::to_ascii_lowercase)))
            .is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_is_sorted_so_that_every_name_is_found() {
        assert!(MAIN_FIELDS.is_sorted());
        assert!(MAIN_FIELDS.iter().all(|name| is_main(name)));
    }

    #[test]
    fn case_does_not_matter_and_trace_fields_are_not_main() {
        assert!(is_main("SUBJECT") && is_main("Message-Id"));
        for trace in [
            "Received",
            "DKIM-Signature",
            "ARC-Seal",
            "Authentication-Results",
            "X-Received",
            "",
            "Subj",
        ] {
            assert!(!is_main(trace), "{trace}");
        }
    }
}
