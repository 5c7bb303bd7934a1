//! What each op does to an account of the model.

use coldpost_engine::apply::At;
use coldpost_engine::flags::FlagAction;
use coldpost_engine::op::{
    Add, CopyUids, ExpungeUids, How, Op, Outcome, Refusal, SetFlags, Target, TargetOutcome,
};
use std::collections::BTreeSet;

use super::*;

impl Account {
    pub(super) fn add(&mut self, at: At, add: &Add, target: &Target, now: i64) -> TargetOutcome {
        let mailbox = match &target.how {
            How::Name(name) => self.named(name).or_else(|| self.named("INBOX")),
            How::Mailbox(id) => Some(id.0).filter(|id| self.live(*id).is_some()),
        };
        let Some(mailbox) = mailbox else {
            return TargetOutcome::Refused(Refusal::Mailbox);
        };
        self.modseq += 1;
        let mut uids = Vec::new();
        for ((number, message), placed) in (0..).zip(&add.messages).zip(&target.placed) {
            let id = (at.epoch.0, at.position.0, number);
            let carried = |o: Option<coldpost_tiers::hot::row::Origin>| {
                o.map(|o| (o.message.epoch.0, o.message.position.0, o.message.number))
            };
            let email_id = carried(placed.carried.email_id).unwrap_or(id);
            let known = message
                .thread_keys
                .iter()
                .find_map(|key| self.threads.get(key).copied());
            let thread_id = carried(placed.carried.thread_id).unwrap_or(known.unwrap_or(email_id));
            if placed.carried.thread_id.is_none() {
                for key in message.thread_keys.iter().filter(|key| **key != 0) {
                    self.threads.entry(*key).or_insert(thread_id);
                }
            }
            self.messages
                .insert(id, (message.size, email_id, thread_id));
            let save_date = if placed.save_date == 0 {
                now
            } else {
                placed.save_date
            };
            let to = self.mailboxes.get_mut(&mailbox).unwrap();
            let keywords = to.spell(&placed.flags.keywords);
            let held = Held {
                message: id,
                flags: placed.flags.system.0,
                keywords,
                modseq: self.modseq,
                save_date,
            };
            uids.push(to.push(held));
        }
        if let Some(group) = add.group {
            self.groups
                .insert((group.0, at.position.0), (mailbox, uids.clone()));
        }
        TargetOutcome::Stored {
            mailbox: coldpost_engine::ids::MailboxId(mailbox),
            uid_validity: self.mailboxes[&mailbox].uid_validity,
            uids: uids.into_iter().collect(),
            modseq: self.modseq,
        }
    }

    pub(super) fn change(&mut self, at: At, op: &Op, now: i64) -> Outcome {
        match op {
            Op::Flags(set) => self.flags(set),
            Op::Expunge(expunge) => self.expunge(expunge),
            Op::Copy(copy) => self.copy(at, copy, now, false),
            Op::Move(copy) => self.copy(at, copy, now, true),
            Op::Purge { entries, .. } => {
                self.purge(entries.iter().map(|(mailbox, uid)| (mailbox.0, *uid)))
            }
            Op::BeginGroup { group, .. } => {
                self.groups.insert((group.0, 0), (0, Vec::new()));
                Outcome::Done { modseq: 0 }
            }
            Op::EndGroup { group, .. } => {
                self.groups.retain(|key, _| key.0 != group.0);
                Outcome::Done { modseq: 0 }
            }
            Op::Create {
                name, special_use, ..
            } => {
                if self.named(name).is_some() {
                    return refused(Refusal::Exists);
                }
                self.modseq += 1;
                let (mailbox, uid_validity) = self.make(name, *special_use, now);
                Outcome::Created {
                    mailbox: coldpost_engine::ids::MailboxId(mailbox),
                    uid_validity,
                }
            }
            Op::Delete { mailbox, .. } => {
                let modseq = self.modseq + 1;
                match self.live(mailbox.0) {
                    None => return refused(Refusal::Mailbox),
                    Some(gone) if gone.name == "INBOX" => return refused(Refusal::Invalid),
                    Some(gone) => (gone.deleted, gone.highest) = (true, modseq),
                }
                self.modseq = modseq;
                self.mailboxes
                    .retain(|_, m| !m.deleted || !m.held.is_empty());
                Outcome::Done { modseq }
            }
            Op::Rename { from, to, .. } => self.rename(from, to),
            Op::Subscribe { name, on, .. } => {
                let changed = if *on {
                    self.subscriptions.insert(name.clone())
                } else {
                    self.subscriptions.remove(name)
                };
                self.modseq += u64::from(changed);
                Outcome::Done {
                    modseq: self.modseq,
                }
            }
            _ => unreachable!("no op of one account"),
        }
    }

    fn flags(&mut self, set: &SetFlags) -> Outcome {
        let modseq = self.modseq + 1;
        let Some(mailbox) = self.live(set.mailbox.0) else {
            return refused(Refusal::Mailbox);
        };
        let (mut modified, mut changed) = (Vec::new(), Vec::new());
        let wanted: BTreeSet<String> = set
            .flags
            .keywords
            .iter()
            .map(|k| k.to_ascii_lowercase())
            .collect();
        for uid in mailbox.among(&set.uids) {
            let held = mailbox.held.get_mut(&uid).unwrap();
            if set.unchanged_since.is_some_and(|since| held.modseq > since) {
                modified.push(uid);
                continue;
            }
            let (flags, keywords) = match set.action {
                FlagAction::Replace => (set.flags.system.0, wanted.clone()),
                FlagAction::Add => (held.flags | set.flags.system.0, &held.keywords | &wanted),
                FlagAction::Remove => (held.flags & !set.flags.system.0, &held.keywords - &wanted),
            };
            if (flags, &keywords) != (held.flags, &held.keywords) {
                (held.flags, held.keywords, held.modseq) = (flags, keywords, modseq);
                changed.push(uid);
            }
        }
        if !changed.is_empty() {
            mailbox.highest = modseq;
            if set.action != FlagAction::Remove {
                mailbox.spell(&set.flags.keywords);
            }
            self.modseq = modseq;
        }
        Outcome::Flagged {
            modified: modified.into_iter().collect(),
            changed: changed.into_iter().collect(),
            modseq: self.modseq,
        }
    }

    fn expunge(&mut self, op: &ExpungeUids) -> Outcome {
        let modseq = self.modseq + 1;
        let Some(mailbox) = self.live(op.mailbox.0) else {
            return refused(Refusal::Mailbox);
        };
        let mut uids = mailbox.among(&op.uids);
        uids.retain(|uid| !op.only_deleted || mailbox.held[uid].flags & 8 != 0);
        if !uids.is_empty() {
            self.modseq = modseq;
            self.take(
                op.mailbox.0,
                &uids,
                modseq,
                if op.only_deleted { 1 } else { 3 },
            );
        }
        Outcome::Expunged {
            uids: uids.into_iter().collect(),
            modseq: self.modseq,
        }
    }

    fn purge(&mut self, entries: impl Iterator<Item = (u32, u32)>) -> Outcome {
        let mut count = 0;
        for key in entries {
            let mailbox = self.mailboxes.get_mut(&key.0);
            if let Some((_, modseq, _)) = self.expunged.remove(&key) {
                count += 1;
                if let Some(mailbox) = mailbox {
                    mailbox.forgotten = mailbox.forgotten.max(modseq);
                }
            } else if let Some(mailbox) = mailbox.filter(|m| m.deleted) {
                count += u64::from(mailbox.held.remove(&key.1).is_some());
            }
        }
        self.mailboxes
            .retain(|_, m| !m.deleted || !m.held.is_empty());
        self.sweep();
        Outcome::Counted(count)
    }

    fn copy(&mut self, at: At, op: &CopyUids, now: i64, moves: bool) -> Outcome {
        let modseq = self.modseq + 1;
        let Some(from) = self.live(op.from.0).map(|m| m.among(&op.uids)) else {
            return refused(Refusal::Mailbox);
        };
        let source = self.mailboxes[&op.from.0].clone();
        let Some(uid_validity) = self.live(op.to.0).map(|m| m.uid_validity) else {
            return refused(Refusal::Mailbox);
        };
        let mut to = Vec::new();
        if !from.is_empty() {
            self.modseq = modseq;
            let entries = match moves {
                true => self.take(op.from.0, &from, modseq, 2),
                false => from.iter().map(|uid| source.held[uid].clone()).collect(),
            };
            let target = self.mailboxes.get_mut(&op.to.0).unwrap();
            for held in entries {
                let spelled = source
                    .keywords
                    .iter()
                    .filter(|k| held.keywords.contains(&k.to_ascii_lowercase()));
                let mut spelled: Vec<&String> = spelled.collect();
                spelled.sort();
                let keywords = target.spell(spelled);
                to.push(target.push(Held {
                    keywords,
                    modseq,
                    save_date: now,
                    ..held
                }));
            }
            if let (false, Some(group)) = (moves, op.group) {
                self.groups
                    .insert((group.0, at.position.0), (op.to.0, to.clone()));
            }
        }
        Outcome::Copied {
            uid_validity,
            from: from.into_iter().collect(),
            to: to.into_iter().collect(),
            modseq: self.modseq,
        }
    }

    fn rename(&mut self, from: &str, to: &str) -> Outcome {
        let below = format!("{from}/");
        if to == "INBOX" {
            return refused(Refusal::Exists);
        }
        if from == "INBOX" || to == from || to.starts_with(&below) {
            return refused(Refusal::Invalid);
        }
        let live = self.mailboxes.iter().filter(|(_, m)| !m.deleted);
        let moving = live.filter(|(_, m)| m.name == from || m.name.starts_with(&below));
        let moving: Vec<(u32, String)> = moving
            .map(|(id, m)| (*id, format!("{to}{}", &m.name[from.len()..])))
            .collect();
        if moving.is_empty() {
            return refused(Refusal::Mailbox);
        }
        if moving.iter().any(|(_, new)| self.named(new).is_some()) {
            return refused(Refusal::Exists);
        }
        self.modseq += 1;
        for (id, new) in moving {
            self.mailboxes.get_mut(&id).unwrap().name = new;
        }
        Outcome::Done {
            modseq: self.modseq,
        }
    }
}
