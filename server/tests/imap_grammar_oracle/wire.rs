//! Commands as clients could write them, in every form that both readers know.

use proptest::prelude::*;

fn text() -> impl Strategy<Value = String> {
    prop_oneof![
        "[a-zA-Z0-9.+/_-]{1,8}",
        Just("InBox".to_owned()),
        "([a-z %*(){]|\\\\[\"\\\\]){0,8}".prop_map(|inner| format!("\"{inner}\"")),
        "[ -%'-~]{0,8}".prop_map(|text| format!("{{{}}}\r\n{text}", text.len())),
        "[a-z\"]{0,8}".prop_map(|text| format!("{{{}+}}\r\n{text}", text.len())),
    ]
}

fn numbers_wire() -> impl Strategy<Value = String> {
    let number = prop_oneof![
        "[1-9][0-9]{0,3}",
        Just("*".to_owned()),
        Just("4294967295".to_owned())
    ];
    let range = prop_oneof![
        number.clone(),
        (number.clone(), number).prop_map(|(first, last)| format!("{first}:{last}")),
    ];
    proptest::collection::vec(range, 1..4).prop_map(|ranges| ranges.join(","))
}

fn list_of(item: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    proptest::collection::vec(item, 1..4).prop_map(|items| format!("({})", items.join(" ")))
}

fn one_of(words: &'static [&'static str]) -> impl Strategy<Value = String> + Clone {
    proptest::sample::select(words).prop_map(str::to_owned)
}

fn fetch_wire() -> impl Strategy<Value = String> {
    let plain = one_of(&[
        "UID",
        "flags",
        "INTERNALDATE",
        "ENVELOPE",
        "BODY",
        "BODYSTRUCTURE",
        "RFC822",
        "RFC822.SIZE",
        "RFC822.HEADER",
        "Rfc822.Text",
        "MODSEQ",
        "BODY[]",
        "BODY.PEEK[1.2.3]",
        "body[TEXT]<0.10>",
        "BODY[4.MIME]",
        "BODY.PEEK[1.HEADER]<5.1>",
    ]);
    let fields = (one_of(&["", ".NOT"]), list_of(text()))
        .prop_map(|(not, names)| format!("BODY.PEEK[HEADER.FIELDS{not} {names}]"));
    let items = prop_oneof![
        one_of(&["ALL", "fast", "FULL"]),
        plain.clone(),
        list_of(prop_oneof![plain, fields])
    ];
    (
        one_of(&["FETCH", "UID FETCH"]),
        numbers_wire(),
        items,
        one_of(&["", " (CHANGEDSINCE 12)"]),
    )
        .prop_map(|(name, set, items, modifier)| format!("{name} {set} {items}{modifier}"))
}

fn search_wire() -> impl Strategy<Value = String> {
    let leaf = prop_oneof![
        one_of(&[
            "ALL",
            "seen",
            "UNDRAFT",
            "NEW",
            "KEYWORD $a",
            "UNKEYWORD b",
            "LARGER 0",
            "SMALLER 9",
            "MODSEQ 7"
        ]),
        one_of(&[
            "BEFORE 1-Feb-1994",
            "ON \"29-Feb-2000\"",
            "SENTSINCE 03-dec-1969",
            "MODSEQ \"/flags/\\\\draft\" all 3"
        ]),
        (
            one_of(&["BCC", "FROM", "subject", "BODY", "TEXT", "HEADER x-y"]),
            text()
        )
            .prop_map(|(name, text)| format!("{name} {text}")),
        numbers_wire(),
        numbers_wire().prop_map(|set| format!("UID {set}")),
    ];
    let key = leaf.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            inner.clone().prop_map(|key| format!("NOT {key}")),
            (inner.clone(), inner.clone()).prop_map(|(a, b)| format!("OR {a} {b}")),
            proptest::collection::vec(inner, 2..4).prop_map(|keys| format!("({})", keys.join(" "))),
        ]
    });
    let keys = proptest::collection::vec(key, 1..4);
    (
        one_of(&["SEARCH", "UID SEARCH"]),
        one_of(&["", " CHARSET UTF-8"]),
        keys,
    )
        .prop_map(|(name, charset, keys)| format!("{name}{charset} {}", keys.join(" ")))
}

pub(crate) fn command() -> impl Strategy<Value = String> {
    let flags = list_of(one_of(&[
        "\\Seen",
        "\\DELETED",
        "\\answered",
        "\\Flagged",
        "\\Draft",
        "$Fwd",
        "work",
    ]));
    prop_oneof![
        Just("NOOP".to_owned()),
        (text(), text()).prop_map(|(user, password)| format!("LOGIN {user} {password}")),
        (
            one_of(&["SELECT", "EXAMINE", "CREATE", "DELETE", "SUBSCRIBE"]),
            text()
        )
            .prop_map(|(name, mailbox)| format!("{name} {mailbox}")),
        (one_of(&["RENAME", "LIST", "LSUB"]), text(), text())
            .prop_map(|(name, a, b)| format!("{name} {a} {b}")),
        (one_of(&["LIST \"\"", "LSUB x"]), "[a-z%*]{1,5}")
            .prop_map(|(name, pattern)| format!("{name} {pattern}")),
        (
            text(),
            one_of(&[
                "(MESSAGES)",
                "(UIDNEXT unseen HIGHESTMODSEQ)",
                "(RECENT UIDVALIDITY)"
            ])
        )
            .prop_map(|(mailbox, items)| format!("STATUS {mailbox} {items}")),
        (
            one_of(&["COPY", "UID COPY", "MOVE", "UID MOVE"]),
            numbers_wire(),
            text()
        )
            .prop_map(|(name, set, mailbox)| format!("{name} {set} {mailbox}")),
        numbers_wire().prop_map(|set| format!("UID EXPUNGE {set}")),
        (
            one_of(&["STORE", "UID STORE"]),
            numbers_wire(),
            one_of(&["", " (UNCHANGEDSINCE 320162338)"]),
            one_of(&["FLAGS", "+flags", "-FLAGS.SILENT"]),
            flags
        )
            .prop_map(|(name, set, modifier, action, flags)| format!(
                "{name} {set}{modifier} {action} {flags}"
            )),
        fetch_wire(),
        search_wire(),
    ]
}
