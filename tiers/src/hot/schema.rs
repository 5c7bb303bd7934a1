//! The tables of a shard (`docs/format.md`, "The hot tier").

use redb::TableDefinition;

/// How rows are laid out. A file of another schema is not read: the hot tier is made anew from the journal.
pub const SCHEMA: u8 = 2;

/// Tables map bytes to bytes; keys are big-endian columns.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[repr(usize)]
#[expect(
    missing_docs,
    reason = "docs/format.md names each table and its columns"
)]
pub enum TableName {
    Meta,
    Accounts,
    Names,
    Mailboxes,
    MailboxNames,
    Subscriptions,
    Runs,
    Expunged,
    Due,
    Rows,
    Places,
    Threads,
    Objects,
    Blobs,
    Outcomes,
    Pending,
    Holes,
    Frames,
    Contents,
    Snapshots,
}

pub(super) type Definition = TableDefinition<'static, &'static [u8], &'static [u8]>;

impl TableName {
    /// All tables, in the order in which digests read them.
    pub const ALL: [TableName; 20] = [
        TableName::Meta,
        TableName::Accounts,
        TableName::Names,
        TableName::Mailboxes,
        TableName::MailboxNames,
        TableName::Subscriptions,
        TableName::Runs,
        TableName::Expunged,
        TableName::Due,
        TableName::Rows,
        TableName::Places,
        TableName::Threads,
        TableName::Objects,
        TableName::Blobs,
        TableName::Outcomes,
        TableName::Pending,
        TableName::Holes,
        TableName::Frames,
        TableName::Contents,
        TableName::Snapshots,
    ];

    /// Its name in the file.
    pub fn name(self) -> &'static str {
        match self {
            TableName::Meta => "meta",
            TableName::Accounts => "accounts",
            TableName::Names => "names",
            TableName::Mailboxes => "mailboxes",
            TableName::MailboxNames => "mailbox_names",
            TableName::Subscriptions => "subscriptions",
            TableName::Runs => "runs",
            TableName::Expunged => "expunged",
            TableName::Due => "due",
            TableName::Rows => "rows",
            TableName::Places => "places",
            TableName::Threads => "threads",
            TableName::Objects => "objects",
            TableName::Blobs => "blobs",
            TableName::Outcomes => "outcomes",
            TableName::Pending => "pending",
            TableName::Holes => "holes",
            TableName::Frames => "frames",
            TableName::Contents => "contents",
            TableName::Snapshots => "snapshots",
        }
    }

    /// The table of that name, if we know one.
    pub fn named(name: &str) -> Option<TableName> {
        TableName::ALL
            .into_iter()
            .find(|table| table.name() == name)
    }

    pub(super) fn definition(self) -> Definition {
        TableDefinition::new(self.name())
    }
}
