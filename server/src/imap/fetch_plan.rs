//! What a FETCH needs of each message, decided once before the first one is read.

use coldpost_engine::mail::{Section, SectionText};
use coldpost_engine::view::{Patience, Reach};

use crate::imap::ast::{Fetch, FetchItem, FetchSection, Numbers, Partial};

/// A FETCH with everything implied spelled out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct FetchPlan {
    /// What stands in the answer, in this order.
    pub(crate) items: Vec<Item>,
    /// Whether rows of the hot tier are needed; flags and numbers do without.
    pub(crate) rows: bool,
    /// How much of the messages' bytes is read.
    pub(crate) reach: Reach,
    /// Whether previews are in it, and whether all of them are lazy.
    pub(crate) previews: Option<Patience>,
    /// Whether \Seen is set on messages whose bodies are sent.
    pub(crate) sets_seen: bool,
}

/// One item of an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Item {
    /// From the entry or the row.
    Plain(FetchItem),
    /// Octets of the message, decoded or not, or how many there are, under the name that the client used.
    Octets(FetchItem, Section, Option<Partial>),
}

impl FetchPlan {
    /// The plan of `fetch`. A mailbox opened by EXAMINE changes nothing, so no \Seen is set there.
    pub(crate) fn new(fetch: &Fetch, read_only: bool) -> FetchPlan {
        let mut asked: Vec<FetchItem> = Vec::with_capacity(fetch.items.len() + 2);
        let implied = [
            (fetch.numbers == Numbers::Uid).then_some(FetchItem::Uid),
            fetch.changed_since.is_some().then_some(FetchItem::ModSeq),
        ];
        for item in implied
            .into_iter()
            .flatten()
            .chain(fetch.items.iter().cloned())
        {
            if !asked.contains(&item) {
                asked.push(item);
            }
        }
        let eager = FetchItem::Preview { lazy: false };
        let previews = match asked.contains(&eager) {
            true => Some(Patience::Waits),
            false => asked
                .contains(&FetchItem::Preview { lazy: true })
                .then_some(Patience::Lazy),
        };
        let sets_seen = !read_only && asked.iter().any(reads_aloud);
        let items: Vec<Item> = asked.into_iter().map(Item::new).collect();
        let rows = items.iter().any(Item::needs_row);
        let reach = items.iter().map(Item::reach).max();
        FetchPlan {
            items,
            rows,
            reach: reach.unwrap_or(Reach::Nothing),
            previews,
            sets_seen,
        }
    }

    /// Whether the answer contains `item`.
    pub(crate) fn has(&self, item: &FetchItem) -> bool {
        self.items
            .iter()
            .any(|own| matches!(own, Item::Plain(plain) if plain == item))
    }
}

impl Item {
    fn new(item: FetchItem) -> Item {
        let whole = |text| Section {
            path: Vec::new(),
            text,
        };
        let section = match &item {
            FetchItem::Rfc822 => (whole(SectionText::All), None),
            FetchItem::Rfc822Header => (whole(SectionText::Header), None),
            FetchItem::Rfc822Text => (whole(SectionText::Text), None),
            FetchItem::Section(FetchSection {
                section, partial, ..
            })
            | FetchItem::Binary(FetchSection {
                section, partial, ..
            }) => (section.clone(), *partial),
            FetchItem::BinarySize(path) => {
                let section = Section {
                    path: path.clone(),
                    text: SectionText::All,
                };
                (section, None)
            }
            _ => return Item::Plain(item),
        };
        Item::Octets(item, section.0, section.1)
    }

    fn reach(&self) -> Reach {
        match self {
            Item::Plain(_) => Reach::Nothing,
            Item::Octets(_, section, _) if section.is_main_fields() => Reach::Nothing,
            Item::Octets(_, section, None)
                if section.path.is_empty()
                    && matches!(section.text, SectionText::All | SectionText::Text) =>
            {
                Reach::Whole
            }
            Item::Octets(..) => Reach::Start,
        }
    }

    fn needs_row(&self) -> bool {
        !matches!(
            self,
            Item::Plain(
                FetchItem::Uid | FetchItem::Flags | FetchItem::ModSeq | FetchItem::SaveDate
            )
        )
    }
}

/// Items that set \Seen (RFC 3501, 6.4.5).
fn reads_aloud(item: &FetchItem) -> bool {
    match item {
        FetchItem::Rfc822 | FetchItem::Rfc822Text => true,
        FetchItem::Section(section) | FetchItem::Binary(section) => !section.peek,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::imap::ast::{SeqNo, SequenceSet};

    fn plan(
        numbers: Numbers,
        changed_since: Option<u64>,
        items: &[FetchItem],
        read_only: bool,
    ) -> FetchPlan {
        let set = SequenceSet(vec![(SeqNo::Number(1), SeqNo::Star)]);
        let fetch = Fetch {
            numbers,
            set,
            items: items.to_vec(),
            changed_since,
            vanished: false,
            page: None,
        };
        FetchPlan::new(&fetch, read_only)
    }

    #[test]
    fn flags_and_numbers_need_no_row() {
        let asked = [
            FetchItem::Flags,
            FetchItem::Uid,
            FetchItem::ModSeq,
            FetchItem::SaveDate,
        ];
        assert!(!plan(Numbers::Uid, Some(3), &asked, false).rows);
        assert!(
            plan(
                Numbers::Uid,
                None,
                &[FetchItem::Flags, FetchItem::Envelope],
                false
            )
            .rows
        );
    }

    #[test]
    fn what_is_implied_is_said_once() {
        let plan = plan(
            Numbers::Uid,
            Some(3),
            &[FetchItem::Flags, FetchItem::Uid],
            false,
        );
        let wanted = [FetchItem::Uid, FetchItem::ModSeq, FetchItem::Flags].map(Item::Plain);
        assert_eq!(plan.items, wanted);
    }

    #[test]
    fn only_bodies_that_are_not_peeked_at_set_seen() {
        let section = |peek| {
            let section = Section {
                path: vec![1],
                text: SectionText::All,
            };
            FetchItem::Section(FetchSection {
                section,
                peek,
                partial: None,
            })
        };
        let sets = |item: FetchItem, read_only| {
            plan(Numbers::Sequence, None, &[item], read_only).sets_seen
        };
        assert!(
            sets(section(false), false)
                && sets(FetchItem::Rfc822, false)
                && sets(FetchItem::Rfc822Text, false)
        );
        assert!(
            !sets(section(true), false)
                && !sets(FetchItem::Rfc822Header, false)
                && !sets(FetchItem::Envelope, false)
        );
        assert!(!sets(section(false), true), "EXAMINE");
    }
}
