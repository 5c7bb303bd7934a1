//! Which names LIST and LSUB show: decided on the list of mailboxes alone.
//!
//! Promises: other sessions go on meanwhile, and it ends in a bounded time, whatever the names and patterns are.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use coldpost_engine::view::MailboxInfo;
use tokio::task::yield_now;

use crate::imap::ast::List;
use crate::imap::completion::{Completion, Outcome};
use crate::imap::pattern::{Pattern, SEPARATOR};
use crate::imap::reply::Code;
use crate::limits::{IMAP_LIST_PATTERNS_MAX, IMAP_LIST_STEPS, IMAP_LIST_WILDCARDS_MAX};

/// A name that LIST shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Listed {
    pub(crate) info: MailboxInfo,
    /// It is selected itself, not only something below it.
    pub(crate) is_selected: bool,
    /// \Subscribed is told of it.
    pub(crate) tells_subscribed: bool,
    /// CHILDINFO: something below it matches the selection (RFC 5258, 3.5).
    pub(crate) subscribed_below: bool,
}

/// The patterns as they are matched, as long as they can be matched in a bounded time.
///
/// # Errors
/// `NO [LIMIT]` for more than [`IMAP_LIST_PATTERNS_MAX`] or for one of more than [`IMAP_LIST_WILDCARDS_MAX`] wild cards.
fn bounded<'a>(
    reference: &str,
    patterns: impl ExactSizeIterator<Item = &'a str>,
) -> Outcome<Vec<Pattern>> {
    let limit = |text: String| Err(Completion::no(Code::Limit, text).into());
    if patterns.len() > IMAP_LIST_PATTERNS_MAX {
        return limit(format!(
            "a LIST has at most {IMAP_LIST_PATTERNS_MAX} patterns"
        ));
    }
    let made: Vec<Pattern> = patterns
        .map(|pattern| Pattern::new(reference, pattern))
        .collect();
    if made
        .iter()
        .any(|pattern| pattern.wildcards() > IMAP_LIST_WILDCARDS_MAX)
    {
        return limit(format!(
            "a pattern has at most {IMAP_LIST_WILDCARDS_MAX} wild cards"
        ));
    }
    Ok(made)
}

/// The names that `asked` selects, in the order of their names.
///
/// # Errors
/// `NO [LIMIT]`: too many patterns or wild cards, or it would take too long.
pub(crate) async fn list(
    mailboxes: &[MailboxInfo],
    asked: &List,
    pace: &mut Pace,
) -> Outcome<Vec<Listed>> {
    let patterns = bounded(&asked.reference, asked.patterns.iter().map(String::as_str))?;
    let weight: usize = patterns.iter().map(Pattern::weight).sum();
    let select = asked.select;
    let selected = |info: &MailboxInfo| {
        (!select.subscribed || info.subscribed)
            && (!select.special_use || info.special_use.is_some())
            // What is only subscribed is no mailbox: shown where subscriptions are asked for.
            && (select.subscribed || info.id.is_some() || info.has_children)
    };
    let mut names: BTreeMap<&str, Option<&MailboxInfo>> = mailboxes
        .iter()
        .map(|info| (info.name.as_str(), Some(info)))
        .collect();
    let mut above: BTreeSet<&str> = BTreeSet::new();
    if select.recursive_match {
        for info in mailboxes.iter().filter(|info| selected(info)) {
            pace.spend(info.name.len()).await?;
            above.extend(parents(&info.name));
        }
        for parent in &above {
            names.entry(parent).or_default();
        }
    }
    let mut listed = Vec::new();
    for (name, info) in names {
        pace.spend(name.len() * weight).await?;
        let subscribed_below = above.contains(name);
        let is_selected = info.is_some_and(selected);
        if (is_selected || subscribed_below) && patterns.iter().any(|pattern| pattern.matches(name))
        {
            listed.push(Listed {
                info: info.cloned().unwrap_or_else(|| nonexistent(name)),
                is_selected,
                tells_subscribed: select.subscribed || asked.returns.subscribed,
                subscribed_below,
            });
        }
    }
    Ok(listed)
}

/// The names that LSUB shows, and whether they are mailboxes that can be selected.
///
/// # Errors
/// As of [`list`].
pub(crate) async fn lsub(
    mailboxes: &[MailboxInfo],
    reference: &str,
    pattern: &str,
    pace: &mut Pace,
) -> Outcome<BTreeMap<String, bool>> {
    let patterns = bounded(reference, [pattern].into_iter())?;
    let mut names = BTreeMap::new();
    for info in mailboxes.iter().filter(|info| info.subscribed) {
        for pattern in &patterns {
            pace.spend(info.name.len() * pattern.weight()).await?;
            let mut levels = Vec::new();
            pattern.matching_levels(&info.name, |end| levels.push(&info.name[..end]));
            if levels.last() == Some(&info.name.as_str()) {
                names.insert(info.name.clone(), info.id.is_some());
            } else if pattern.has_percent() {
                // With `%` a subscribed name deeper down shows its parent, \Noselect (RFC 3501, 6.3.9).
                for parent in levels {
                    names.entry(parent.to_owned()).or_insert(false);
                }
            }
        }
    }
    Ok(names)
}

/// How long matching may go on: it lets others run again and again, and comes to an end.
#[derive(Debug)]
pub(crate) struct Pace {
    spent: usize,
    until: Instant,
}

impl Pace {
    /// From now on, for `time`.
    pub(crate) fn new(time: Duration) -> Pace {
        Pace {
            spent: 0,
            until: Instant::now() + time,
        }
    }

    /// Says that the next `steps` are to be made.
    pub(crate) async fn spend(&mut self, steps: usize) -> Outcome<()> {
        self.spent += steps;
        if self.spent < IMAP_LIST_STEPS {
            return Ok(());
        }
        self.spent = 0;
        if Instant::now() > self.until {
            let text =
                "Too many mailboxes for so many patterns: the time for matching them is over";
            return Err(Completion::no(Code::Limit, text).into());
        }
        yield_now().await;
        Ok(())
    }
}

/// The parents of a name, from the root down.
fn parents(name: &str) -> impl Iterator<Item = &str> {
    name.match_indices(SEPARATOR).map(|(at, _)| &name[..at])
}

fn nonexistent(name: &str) -> MailboxInfo {
    MailboxInfo {
        name: name.to_owned(),
        id: None,
        has_children: false,
        subscribed: false,
        special_use: None,
    }
}

#[cfg(test)]
mod tests {
    use coldpost_engine::ids::MailboxId;
    use coldpost_engine::view::SpecialUse;

    use super::*;
    use crate::imap::ast::{ListReturn, ListSelect};
    use crate::imap::completion::Failure;

    /// INBOX, a parent that is no mailbox, one that is only subscribed.
    fn mailboxes() -> Vec<MailboxInfo> {
        let info = |name: &str, id: u32, has_children, subscribed| MailboxInfo {
            name: name.to_owned(),
            id: (id > 0).then_some(MailboxId(id)),
            has_children,
            subscribed,
            special_use: (name == "Sent").then_some(SpecialUse::Sent),
        };
        vec![
            info("Gone/Deep", 0, false, true),
            info("INBOX", 1, false, true),
            info("Lists", 0, true, false),
            info("Lists/rust", 2, false, true),
            info("Sent", 3, false, false),
        ]
    }

    fn asked(patterns: &[impl AsRef<str>], select: ListSelect) -> List {
        List {
            reference: String::new(),
            patterns: patterns
                .iter()
                .map(|pattern| pattern.as_ref().to_owned())
                .collect(),
            select,
            returns: ListReturn::default(),
            extended: true,
        }
    }

    fn pace() -> Pace {
        Pace::new(Duration::from_secs(60))
    }

    /// What a future gives that may only let others run in between.
    fn now<T>(future: impl Future<Output = T>) -> T {
        let runtime = tokio::runtime::Builder::new_current_thread().build();
        runtime.expect("a runtime").block_on(future)
    }

    fn listed(pattern: &str, select: ListSelect) -> Vec<String> {
        now(list(&mailboxes(), &asked(&[pattern], select), &mut pace()))
            .expect("within the bounds")
            .into_iter()
            .map(|l| {
                format!(
                    "{}{}",
                    l.info.name,
                    if l.subscribed_below { " below" } else { "" }
                )
            })
            .collect()
    }

    fn subscribed(pattern: &str) -> Vec<String> {
        let names = now(lsub(&mailboxes(), "", pattern, &mut pace())).expect("within the bounds");
        let names = names.into_iter();
        names
            .map(|(name, selectable)| {
                if selectable {
                    name
                } else {
                    format!("{name} -")
                }
            })
            .collect()
    }

    #[test]
    fn list_shows_mailboxes_and_their_parents_and_no_mere_subscriptions() {
        assert_eq!(
            listed("*", ListSelect::default()),
            ["INBOX", "Lists", "Lists/rust", "Sent"]
        );
        assert_eq!(
            listed("%", ListSelect::default()),
            ["INBOX", "Lists", "Sent"]
        );
    }

    #[test]
    fn list_can_select_by_subscription_and_special_use() {
        let subscribed = ListSelect {
            subscribed: true,
            ..ListSelect::default()
        };
        assert_eq!(
            listed("*", subscribed),
            ["Gone/Deep", "INBOX", "Lists/rust"]
        );
        assert_eq!(listed("%", subscribed), ["INBOX"]);
        let recursive = ListSelect {
            recursive_match: true,
            ..subscribed
        };
        assert_eq!(
            listed("%", recursive),
            ["Gone below", "INBOX", "Lists below"]
        );
        assert_eq!(
            listed(
                "*",
                ListSelect {
                    special_use: true,
                    ..ListSelect::default()
                }
            ),
            ["Sent"]
        );
    }

    #[test]
    fn lsub_shows_the_parent_of_a_deeper_subscription_as_noselect_for_a_percent_only() {
        assert_eq!(subscribed("*"), ["Gone/Deep -", "INBOX", "Lists/rust"]);
        assert_eq!(subscribed("%"), ["Gone -", "INBOX", "Lists -"]);
        assert_eq!(subscribed("Lists"), Vec::<String>::new());
        assert_eq!(subscribed("Lists/%"), ["Lists/rust"]);
    }

    /// The story: 1,500 such mailboxes and 60 such patterns held up every session for minutes.
    fn many() -> (Vec<MailboxInfo>, String) {
        let info = |number: usize| MailboxInfo {
            name: format!("{}{number}", "a".repeat(185)),
            id: Some(MailboxId(1)),
            has_children: false,
            subscribed: true,
            special_use: None,
        };
        ((0..1_500).map(info).collect(), "*a".repeat(100) + "*")
    }

    fn refused<T: std::fmt::Debug>(outcome: Outcome<T>) -> String {
        match outcome {
            Err(Failure::Refused(completion)) => {
                let mut line = Vec::new();
                completion.tagged(&mut line, "a1");
                String::from_utf8(line).expect("ASCII")
            }
            other => panic!("{other:?} is no refusal"),
        }
    }

    #[tokio::test]
    async fn others_run_while_many_names_are_matched() {
        let (mailboxes, pattern) = many();
        let mut pace = pace();
        let turns = std::rc::Rc::new(std::cell::Cell::new(0));
        let other = async {
            loop {
                turns.set(turns.get() + 1);
                yield_now().await;
            }
        };
        let asked = asked(&[&pattern; 5], ListSelect::default());
        let listed = tokio::select! {
            listed = list(&mailboxes, &asked, &mut pace) => listed.expect("within the bounds"),
            () = other => unreachable!("it never ends"),
        };
        assert_eq!(listed.len(), 1_500);
        let steps = mailboxes.iter().map(|info| info.name.len()).sum::<usize>() * 4 * 5;
        assert!(
            turns.get() >= steps / IMAP_LIST_STEPS,
            "{} turns",
            turns.get()
        );
    }

    #[test]
    fn what_would_take_too_long_is_refused() {
        let (mailboxes, pattern) = many();
        let mut over = Pace::new(Duration::ZERO);
        let asked = asked(&[&pattern; 60], ListSelect::default());
        let list = refused(now(list(&mailboxes, &asked, &mut over)));
        assert!(list.starts_with("a1 NO [LIMIT] "), "{list}");
        let lsub = refused(now(lsub(&mailboxes, "", &pattern, &mut over)));
        assert!(lsub.starts_with("a1 NO [LIMIT] "), "{lsub}");
    }

    fn of(patterns: &[impl AsRef<str>]) -> Outcome<Vec<Listed>> {
        let asked = asked(patterns, ListSelect::default());
        now(list(&mailboxes(), &asked, &mut pace()))
    }

    #[test]
    fn patterns_and_their_wild_cards_are_counted() {
        let most = usize::try_from(IMAP_LIST_WILDCARDS_MAX).expect("small");
        assert!(of(&vec!["*a".repeat(most); IMAP_LIST_PATTERNS_MAX]).is_ok());
        assert!(
            of(&[&"*%".repeat(most + 1)]).is_ok(),
            "neighbours count as one"
        );
        let wild = refused(of(&[&"*a".repeat(most + 1)]));
        assert!(
            wild.starts_with("a1 NO [LIMIT] a pattern has at most"),
            "{wild}"
        );
        let many = refused(of(&["%"; IMAP_LIST_PATTERNS_MAX + 1]));
        assert!(
            many.starts_with("a1 NO [LIMIT] a LIST has at most"),
            "{many}"
        );
    }
}
