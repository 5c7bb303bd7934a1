//! What the steps of renaming and deleting an account do to the model.

use coldpost_engine::op::{AccountStep, Outcome, Refusal};

use super::*;

const DONE: Outcome = Outcome::Done { modseq: 0 };

impl Model {
    pub(super) fn rename_account(
        &mut self,
        account: u64,
        from: &str,
        to: &str,
        step: AccountStep,
    ) -> Outcome {
        let marked = (account, 2, to.to_owned());
        let is_marked = self.names.get(from) == Some(&marked);
        match step {
            AccountStep::Marked if is_marked => {}
            AccountStep::Marked => {
                if self.names.get(from) != Some(&(account, 1, String::new())) {
                    return refused(Refusal::Account);
                }
                if self.names.contains_key(to) {
                    return refused(Refusal::Exists);
                }
                self.names.insert(from.to_owned(), marked);
                self.names
                    .insert(to.to_owned(), (account, 4, from.to_owned()));
            }
            AccountStep::Done if self.accounts.get(&account).is_none_or(|a| a.closed) => {
                return refused(Refusal::Account);
            }
            AccountStep::Closed if is_marked => {
                self.names.remove(from);
                self.names
                    .insert(to.to_owned(), (account, 1, String::new()));
            }
            _ => {}
        }
        DONE
    }

    pub(super) fn delete_account(
        &mut self,
        account: u64,
        name: &str,
        step: AccountStep,
    ) -> Outcome {
        let state = self.names.get(name).filter(|n| n.0 == account).map(|n| n.1);
        match (step, self.accounts.get_mut(&account)) {
            (AccountStep::Marked, _) => match state {
                Some(1 | 3) => {
                    self.names
                        .insert(name.to_owned(), (account, 3, String::new()));
                }
                _ => return refused(Refusal::Account),
            },
            (AccountStep::Done, Some(account)) if !account.closed => account.close(),
            (AccountStep::Closed, _) if state == Some(3) => {
                self.names.remove(name);
            }
            (AccountStep::Swept, Some(closed)) if closed.closed => {
                let mut swept = closed.threads.len();
                closed.threads.clear();
                let left = (&closed.mailboxes, &closed.expunged, &closed.messages);
                if left.0.is_empty() && left.1.is_empty() && left.2.is_empty() {
                    self.accounts.remove(&account);
                    swept += 1;
                }
                return Outcome::Counted(u64::try_from(swept).unwrap());
            }
            (AccountStep::Swept, _) => return Outcome::Counted(0),
            _ => {}
        }
        DONE
    }
}

impl Account {
    fn close(&mut self) {
        self.closed = true;
        self.modseq += 1;
        for mailbox in self.mailboxes.values_mut().filter(|m| !m.deleted) {
            (mailbox.deleted, mailbox.highest) = (true, self.modseq);
        }
        self.mailboxes.retain(|_, m| !m.held.is_empty());
        self.subscriptions.clear();
        self.groups.clear();
    }
}
