//! A transaction: from MAIL to the end of DATA (RFC 5321, 3.3). Which sender, sizes and recipients it takes.

use coldpost_engine::account::AccountName;

use super::Settings;
use super::address::Address;
use super::command::{Mail, NEEDS_UTF8};
use super::reply::{Reply, UNKNOWN_RECIPIENT};
use super::trace::Envelope;

/// What a message over the limit is answered, announced or sent.
pub(crate) const TOO_LARGE: Reply = Reply::new(552, "5.3.4", "The message is too large");
const NEED_RECIPIENT: Reply = Reply::new(503, "5.5.1", "No recipient was accepted");
const TOO_MANY: Reply = Reply::new(
    452,
    "4.5.3",
    "Too many recipients; send the others in another transaction",
);

/// One accepted recipient.
#[derive(Clone, Debug)]
pub(crate) struct Recipient {
    /// As typed.
    pub(crate) address: Address,
    /// Whose mail it is.
    pub(crate) account: AccountName,
}

/// What MAIL began.
#[derive(Clone, Debug)]
pub(crate) struct Transaction {
    mail: Mail,
    /// The accepted recipients, in their order.
    pub(crate) recipients: Vec<Recipient>,
}

impl Transaction {
    /// Begins with `mail`.
    ///
    /// # Errors
    /// The refusal of a size over the limit.
    pub(crate) fn new(mail: Mail, settings: &Settings) -> Result<Transaction, Reply> {
        if mail.size.is_some_and(|size| size > settings.max_message) {
            return Err(TOO_LARGE);
        }
        Ok(Transaction {
            mail,
            recipients: Vec::new(),
        })
    }

    /// Which account to look up for a recipient.
    ///
    /// # Errors
    /// The refusal of one that cannot be taken, whoever has an account.
    pub(crate) fn consider(
        &self,
        address: &Address,
        settings: &Settings,
    ) -> Result<AccountName, Reply> {
        if address.is_utf8() && !self.mail.utf8 {
            return Err(NEEDS_UTF8);
        }
        if self.recipients.len() >= settings.max_recipients {
            return Err(TOO_MANY);
        }
        let Address { local, domain, .. } = address;
        AccountName::of_recipient(local, domain.as_deref(), &settings.recipient_delimiter)
            .map_err(|_| UNKNOWN_RECIPIENT)
    }

    /// Takes a recipient.
    pub(crate) fn accept(&mut self, address: Address, account: AccountName) {
        self.recipients.push(Recipient { address, account });
    }

    /// What the trace lines say.
    ///
    /// # Errors
    /// The refusal of DATA while no recipient was accepted (RFC 2033, 4.2).
    pub(crate) fn envelope(&self, lhlo: &str) -> Result<Envelope, Reply> {
        let only = match self.recipients.as_slice() {
            [] => return Err(NEED_RECIPIENT),
            [only] => Some(only.address.typed.clone()),
            _ => None,
        };
        let from = self
            .mail
            .from
            .as_ref()
            .map(|from| from.typed.clone())
            .unwrap_or_default();
        Ok(Envelope {
            lhlo: lhlo.to_owned(),
            from,
            only,
            utf8: self.mail.utf8,
        })
    }
}
