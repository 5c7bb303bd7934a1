//! imap-codec as an independent reader of the same commands: what both take must mean the same to both.

mod wire;

use coldpost_engine::flags::{FlagAction, Flags, SystemFlags};
use coldpost_engine::mail::{Section, SectionText};
use coldpost_engine::query::DateField;
use coldpost_server::imap::ast::{self, CommandBody, FetchItem, Numbers, SearchKey, StatusItem};
use coldpost_server::imap::grammar;
use imap_codec::CommandCodec;
use imap_codec::decode::Decoder;
use imap_codec::imap_types::command::{self as theirs, FetchModifier, StoreModifier};
use imap_codec::imap_types::core::{AString, IString};
use imap_codec::imap_types::fetch::{
    Macro, MacroOrMessageDataItemNames, MessageDataItemName, Part, Section as TheirSection,
};
use imap_codec::imap_types::flag::{Flag, StoreResponse, StoreType};
use imap_codec::imap_types::mailbox::{ListMailbox, Mailbox};
use imap_codec::imap_types::search::SearchKey as TheirKey;
use imap_codec::imap_types::sequence::{SeqOrUid, Sequence, SequenceSet};
use imap_codec::imap_types::status::StatusDataItemName;
use proptest::prelude::*;

/// Their tree as ours.
fn body(command: theirs::CommandBody<'_>) -> CommandBody {
    use theirs::CommandBody as Theirs;
    match command {
        Theirs::Noop => CommandBody::Noop,
        Theirs::Login { username, password } => CommandBody::Login(ast::Login {
            user: astring(&username),
            password: ast::Secret(astring(password.declassify())),
        }),
        Theirs::Select { mailbox, .. } => select(ast::SelectMode::ReadWrite, &mailbox),
        Theirs::Examine { mailbox, .. } => select(ast::SelectMode::ReadOnly, &mailbox),
        Theirs::Create { mailbox } => CommandBody::Create {
            mailbox: name(&mailbox),
            special_use: Vec::new(),
        },
        Theirs::Delete { mailbox } => CommandBody::Delete(name(&mailbox)),
        Theirs::Subscribe { mailbox } => CommandBody::Subscribe(name(&mailbox)),
        Theirs::Rename { from, to } => CommandBody::Rename {
            from: name(&from),
            to: name(&to),
        },
        Theirs::Lsub {
            reference,
            mailbox_wildcard,
        } => CommandBody::Lsub {
            reference: name(&reference),
            pattern: pattern(&mailbox_wildcard),
        },
        Theirs::List {
            reference,
            mailbox_wildcard,
        } => CommandBody::List(ast::List {
            reference: name(&reference),
            patterns: vec![pattern(&mailbox_wildcard)],
            ..ast::List::default()
        }),
        Theirs::Status {
            mailbox,
            item_names,
        } => CommandBody::Status {
            mailbox: name(&mailbox),
            items: item_names.iter().map(status_item).collect(),
        },
        other => about_messages(other),
    }
}

/// The commands about messages.
fn about_messages(command: theirs::CommandBody<'_>) -> CommandBody {
    use theirs::CommandBody as Theirs;
    match command {
        Theirs::ExpungeUid { sequence_set } => CommandBody::Expunge(Some(set(&sequence_set))),
        Theirs::Search {
            charset,
            criteria,
            uid,
        } => CommandBody::Search(ast::Search {
            numbers: numbers(uid),
            returns: None,
            charset: charset.map(|charset| charset.as_ref().to_owned()),
            keys: flat(criteria.into_iter().map(key).collect()),
        }),
        Theirs::Fetch {
            sequence_set,
            macro_or_item_names,
            uid,
            modifiers,
        } => CommandBody::Fetch(ast::Fetch {
            numbers: numbers(uid),
            set: set(&sequence_set),
            items: items(macro_or_item_names),
            changed_since: modifiers.iter().find_map(|modifier| match modifier {
                FetchModifier::ChangedSince(modseq) => Some(modseq.get()),
                FetchModifier::Vanished => None,
            }),
            vanished: modifiers.contains(&FetchModifier::Vanished),
            page: None,
        }),
        Theirs::Store {
            sequence_set,
            kind,
            response,
            flags,
            uid,
            modifiers,
        } => CommandBody::Store(ast::Store {
            numbers: numbers(uid),
            set: set(&sequence_set),
            unchanged_since: modifiers
                .first()
                .map(|StoreModifier::UnchangedSince(modseq)| *modseq),
            action: match kind {
                StoreType::Replace => FlagAction::Replace,
                StoreType::Add => FlagAction::Add,
                StoreType::Remove => FlagAction::Remove,
            },
            silent: response == StoreResponse::Silent,
            flags: all_flags(&flags),
        }),
        Theirs::Copy {
            sequence_set,
            mailbox,
            uid,
        } => CommandBody::Copy(transfer(&sequence_set, &mailbox, uid)),
        Theirs::Move {
            sequence_set,
            mailbox,
            uid,
        } => CommandBody::Move(transfer(&sequence_set, &mailbox, uid)),
        other => panic!("not generated: {other:?}"),
    }
}

fn transfer(numbers_of: &SequenceSet, mailbox: &Mailbox<'_>, uid: bool) -> ast::Transfer {
    ast::Transfer {
        numbers: numbers(uid),
        set: set(numbers_of),
        mailbox: name(mailbox),
    }
}

/// imap-codec makes no difference between keys in parentheses and keys alone.
fn flat(keys: Vec<SearchKey>) -> Vec<SearchKey> {
    match <[SearchKey; 1]>::try_from(keys) {
        Ok([SearchKey::And(keys)]) => flat(keys),
        Ok([key]) => vec![key],
        Err(keys) => keys,
    }
}

fn select(mode: ast::SelectMode, mailbox: &Mailbox<'_>) -> CommandBody {
    CommandBody::Select(ast::Select {
        mode,
        mailbox: name(mailbox),
        condstore: false,
        qresync: None,
    })
}

fn numbers(uid: bool) -> Numbers {
    if uid { Numbers::Uid } else { Numbers::Sequence }
}

fn astring(text: &AString<'_>) -> Vec<u8> {
    text.as_ref().to_vec()
}

fn ascii(text: &AString<'_>) -> String {
    String::from_utf8(astring(text)).expect("generated in ASCII")
}

fn name(mailbox: &Mailbox<'_>) -> String {
    match mailbox {
        Mailbox::Inbox => "INBOX".to_owned(),
        Mailbox::Other(other) => {
            String::from_utf8(other.as_ref().to_vec()).expect("generated in ASCII")
        }
    }
}

fn pattern(pattern: &ListMailbox<'_>) -> String {
    let bytes = match pattern {
        ListMailbox::Token(token) => token.as_ref(),
        ListMailbox::String(IString::Quoted(quoted)) => quoted.as_ref().as_bytes(),
        ListMailbox::String(IString::Literal(literal)) => literal.as_ref(),
    };
    String::from_utf8(bytes.to_vec()).expect("generated in ASCII")
}

fn status_item(item: &StatusDataItemName) -> StatusItem {
    match item {
        StatusDataItemName::Messages => StatusItem::Messages,
        StatusDataItemName::Recent => StatusItem::Recent,
        StatusDataItemName::UidNext => StatusItem::UidNext,
        StatusDataItemName::UidValidity => StatusItem::UidValidity,
        StatusDataItemName::Unseen => StatusItem::Unseen,
        StatusDataItemName::HighestModSeq => StatusItem::HighestModSeq,
        other => panic!("not generated: {other:?}"),
    }
}

fn set(set: &SequenceSet) -> ast::SequenceSet {
    let number = |no: &SeqOrUid| match no {
        SeqOrUid::Value(value) => ast::SeqNo::Number(value.get()),
        SeqOrUid::Asterisk => ast::SeqNo::Star,
    };
    let range = |range: &Sequence| match range {
        Sequence::Single(no) => (number(no), number(no)),
        Sequence::Range(first, last) => (number(first), number(last)),
    };
    ast::SequenceSet(set.0.as_ref().iter().map(range).collect())
}

fn all_flags(flags: &[Flag<'_>]) -> Flags {
    let mut all = Flags::default();
    for flag in flags {
        let system = match flag {
            Flag::Answered => SystemFlags::ANSWERED,
            Flag::Deleted => SystemFlags::DELETED,
            Flag::Draft => SystemFlags::DRAFT,
            Flag::Flagged => SystemFlags::FLAGGED,
            Flag::Seen => SystemFlags::SEEN,
            Flag::Keyword(name) => {
                all.keywords.insert(name.as_ref().to_owned());
                continue;
            }
            other => panic!("not generated: {other:?}"),
        };
        all.system = all.system.union(system);
    }
    all
}

fn items(items: MacroOrMessageDataItemNames<'_>) -> Vec<FetchItem> {
    let fast = [
        FetchItem::Flags,
        FetchItem::InternalDate,
        FetchItem::Rfc822Size,
    ];
    match items {
        MacroOrMessageDataItemNames::Macro(Macro::Fast) => fast.to_vec(),
        MacroOrMessageDataItemNames::Macro(Macro::All) => {
            [&fast[..], &[FetchItem::Envelope]].concat()
        }
        MacroOrMessageDataItemNames::Macro(_) => {
            [&fast[..], &[FetchItem::Envelope, FetchItem::Body]].concat()
        }
        MacroOrMessageDataItemNames::MessageDataItemNames(names) => {
            names.into_iter().map(item).collect()
        }
    }
}

fn item(name: MessageDataItemName<'_>) -> FetchItem {
    match name {
        MessageDataItemName::Body => FetchItem::Body,
        MessageDataItemName::BodyStructure => FetchItem::BodyStructure,
        MessageDataItemName::Envelope => FetchItem::Envelope,
        MessageDataItemName::Flags => FetchItem::Flags,
        MessageDataItemName::InternalDate => FetchItem::InternalDate,
        MessageDataItemName::Rfc822 => FetchItem::Rfc822,
        MessageDataItemName::Rfc822Header => FetchItem::Rfc822Header,
        MessageDataItemName::Rfc822Size => FetchItem::Rfc822Size,
        MessageDataItemName::Rfc822Text => FetchItem::Rfc822Text,
        MessageDataItemName::Uid => FetchItem::Uid,
        MessageDataItemName::ModSeq => FetchItem::ModSeq,
        MessageDataItemName::BodyExt {
            section,
            partial,
            peek,
        } => FetchItem::Section(ast::FetchSection {
            section: section.map_or(
                Section {
                    path: Vec::new(),
                    text: SectionText::All,
                },
                whole,
            ),
            peek,
            partial: partial.map(|(origin, count)| ast::Partial {
                origin: origin.into(),
                count: count.get().into(),
            }),
        }),
        other => panic!("not generated: {other:?}"),
    }
}

fn whole(section: TheirSection<'_>) -> Section {
    let (part, text) = match section {
        TheirSection::Part(part) => (Some(part), SectionText::All),
        TheirSection::Header(part) => (part, SectionText::Header),
        TheirSection::HeaderFields(part, names) => (
            part,
            SectionText::HeaderFields(names.as_ref().iter().map(ascii).collect()),
        ),
        TheirSection::HeaderFieldsNot(part, names) => (
            part,
            SectionText::HeaderFieldsNot(names.as_ref().iter().map(ascii).collect()),
        ),
        TheirSection::Text(part) => (part, SectionText::Text),
        TheirSection::Mime(part) => (Some(part), SectionText::Mime),
    };
    let path = part.map(|Part(numbers)| numbers.as_ref().iter().map(|no| no.get()).collect());
    Section {
        path: path.unwrap_or_default(),
        text,
    }
}

fn key(key: TheirKey<'_>) -> SearchKey {
    let field = |name: &str, text| SearchKey::Header(name.to_owned(), astring(&text));
    let days = |date: imap_codec::imap_types::datetime::NaiveDate| {
        let text = date.as_ref().signed_duration_since(Default::default());
        i32::try_from(text.num_days()).expect("a year of four digits")
    };
    match key {
        TheirKey::And(keys) => SearchKey::And(keys.into_iter().map(self::key).collect()),
        TheirKey::SequenceSet(numbers) => SearchKey::Sequence(set(&numbers)),
        TheirKey::Uid(numbers) => SearchKey::Uid(set(&numbers)),
        TheirKey::All => SearchKey::All,
        TheirKey::Seen => SearchKey::Flag(SystemFlags::SEEN),
        TheirKey::Undraft => SearchKey::NotFlag(SystemFlags::DRAFT),
        TheirKey::New => SearchKey::New,
        TheirKey::Bcc(text) => field("BCC", text),
        TheirKey::From(text) => field("FROM", text),
        TheirKey::Subject(text) => field("SUBJECT", text),
        TheirKey::Header(name, text) => SearchKey::Header(ascii(&name), astring(&text)),
        TheirKey::Body(text) => SearchKey::Body(astring(&text)),
        TheirKey::Text(text) => SearchKey::Text(astring(&text)),
        TheirKey::Keyword(name) => SearchKey::Keyword(name.as_ref().to_owned()),
        TheirKey::Unkeyword(name) => SearchKey::NotKeyword(name.as_ref().to_owned()),
        TheirKey::Larger(octets) => SearchKey::Larger(octets.into()),
        TheirKey::Smaller(octets) => SearchKey::Smaller(octets.into()),
        TheirKey::Before(date) => SearchKey::Before(DateField::Internal, days(date)),
        TheirKey::On(date) => SearchKey::On(DateField::Internal, days(date)),
        TheirKey::SentSince(date) => SearchKey::Since(DateField::Sent, days(date)),
        TheirKey::ModSequence { modseq, .. } => SearchKey::ModSeq(modseq),
        TheirKey::Not(inner) => SearchKey::Not(Box::new(self::key(*inner))),
        TheirKey::Or(a, b) => {
            let mut any = Vec::new();
            for key in [self::key(*a), self::key(*b)] {
                match key {
                    SearchKey::Or(more) => any.extend(more),
                    key => any.push(key),
                }
            }
            SearchKey::Or(any)
        }
        other => panic!("not generated: {other:?}"),
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, failure_persistence: None, ..ProptestConfig::default() })]
    #[test]
    fn both_readers_of_a_command_agree(body_wire in wire::command()) {
        let wire = format!("A.1 {body_wire}");
        let ours = grammar::parse(wire.as_bytes());
        let line = format!("{wire}\r\n");
        let (rest, theirs) = CommandCodec::new().decode(line.as_bytes()).map_err(|error| TestCaseError::fail(format!("theirs: {error:?} {wire:?}")))?;
        prop_assert!(rest.is_empty());
        let mut ours = ours.map_err(|refusal| TestCaseError::fail(format!("ours: {refusal:?} {wire:?}")))?;
        prop_assert_eq!(ours.tag.as_str(), theirs.tag.as_ref());
        if let CommandBody::Search(search) = &mut ours.body {
            search.keys = flat(std::mem::take(&mut search.keys));
        }
        prop_assert_eq!(ours.body, body(theirs.body), "{:?}", wire);
    }
}
