//! Every bound of the protocols: one name, one unit, one home. `docs/limits.md` is kept equal by `cli/tests/tidy.rs`.

use std::time::Duration;

/// Bytes of a tag.
pub const IMAP_TAG_MAX: usize = 128;
/// Bytes of all lines of one command together, without its literals.
pub const IMAP_LINE_MAX: usize = 64 * 1024;
/// Bytes of all lines of one command before login.
pub const IMAP_LINE_BEFORE_LOGIN_MAX: usize = 8 * 1024;
/// Bytes of a literal that is not a message of APPEND.
pub const IMAP_LITERAL_MAX: usize = 16 * 1024;
/// Bytes of a literal before login.
pub const IMAP_LITERAL_BEFORE_LOGIN_MAX: usize = 1024;
/// Literals of one command, messages of APPEND not counted.
pub const IMAP_LITERALS_MAX: usize = 32;
/// Bytes beyond a bound that are read and thrown away before the connection is closed, on top of the largest message.
pub const IMAP_SWALLOW_MAX: u64 = 1024 * 1024;
/// Levels of parentheses, NOT and OR in a command.
pub const IMAP_DEPTH_MAX: usize = 50;
/// Keys of one SEARCH, nested ones included.
pub const IMAP_SEARCH_KEYS_MAX: usize = 1_000;
/// Ranges of one set of sequence numbers or UIDs.
pub const IMAP_SET_RANGES_MAX: usize = 16 * 1024;
/// Items of one list: of FETCH, STATUS, ENABLE, names of header fields.
pub const IMAP_LIST_ITEMS_MAX: usize = 1_000;
/// Patterns of one LIST.
pub const IMAP_LIST_PATTERNS_MAX: usize = 100;
/// Wild cards of one pattern of LIST or LSUB, neighbours counted as one.
pub const IMAP_LIST_WILDCARDS_MAX: u32 = 128;
/// Steps of matching names (an octet of a name against 64 characters of a pattern) after which other sessions get their turn.
pub const IMAP_LIST_STEPS: usize = 256 * 1024;
/// Time that matching the names of one LIST or LSUB may take.
pub const IMAP_LIST_TIME: Duration = Duration::from_secs(10);
/// Mailboxes of one ESEARCH (RFC 7377).
pub const IMAP_MULTISEARCH_MAILBOXES_MAX: usize = 10_000;
/// Time that one ESEARCH of many mailboxes may take, beyond the last of them.
pub const IMAP_MULTISEARCH_TIME: Duration = Duration::from_secs(120);
/// Pairs of ID (RFC 2971, 3.3).
pub const IMAP_ID_PAIRS_MAX: usize = 30;
/// Flags of one list: all that a mailbox can have, and the system's.
pub const IMAP_FLAGS_MAX: usize = coldpost_engine::limits::KEYWORDS_MAX + 5;

/// Bytes of a configured password.
pub const PASSWORD_MAX: usize = 1_024;
/// Bytes of a file of users: `[auth] passwd_file`, and ours.
pub const PASSWD_FILE_MAX: usize = 16 * 1024 * 1024;
/// Time for which a login or recipient waits for a passwd-file that is being written.
pub const PASSWD_SETTLE_MAX: Duration = Duration::from_secs(1);
/// Users of such a file.
pub const PASSWD_USERS_MAX: usize = 100_000;
/// Bytes of one of its lines.
pub const PASSWD_LINE_MAX: usize = 4 * 1024;
/// Broken lines that are logged each time it is read.
pub const PASSWD_COMPLAINTS_MAX: usize = 20;
/// Memory of an argon2 hash that is run, KiB: what Dovecot makes. What `CHECKS_MEMORY` does not have is taken from `mail.memory` while it runs, at most half of that.
pub const ARGON2_MEMORY_KIB_MAX: u32 = 64 * 1024;
/// Bytes that hashes have of their own, all together.
pub const CHECKS_MEMORY: u64 = 32 * 1024 * 1024;
/// Time between two looks at whether `mail.memory` has free what a hash needs of it: it does not stand in line there.
pub const CHECK_MEMORY_TICK: Duration = Duration::from_millis(10);
/// Memory of an argon2 hash that is made here, KiB.
pub const ARGON2_MADE_MEMORY_KIB: u32 = 19 * 1024;
/// Passes of an argon2 hash that is run.
pub const ARGON2_PASSES_MAX: u32 = 16;
/// Lanes of an argon2 hash that is run.
pub const ARGON2_LANES_MAX: u32 = 16;
/// Cost of a bcrypt hash that is run; each step doubles the time.
pub const BCRYPT_COST_MAX: u32 = 14;
/// Rounds of a SHA-crypt hash that are run.
pub const SHA_CRYPT_ROUNDS_MAX: u32 = 1_000_000;
/// Passwords that are hashed or compared with their hash at a time.
pub const CHECKS_AT_ONCE: usize = 2;
/// Logins that wait for such a check, in each of the two queues; more are told to try again.
pub const CHECKS_WAITING_MAX: usize = 200;
/// Checks of logins of addresses that failed lately, or of which another login waits already, that are run or next at a time: the others pass them.
pub const CHECKS_BEHIND_AT_ONCE: usize = 1;
/// Logins of one address that stand there; its others wait behind them (those of unix sockets and of front ends do not).
pub const CHECKS_ADDRESS_MAX: usize = 8;
/// Time for which a login waits for its check.
pub const CHECK_WAIT: Duration = Duration::from_secs(20);
/// Time for which a password that was right is known without running its hash.
pub const CHECK_KEPT: Duration = Duration::from_secs(60);
/// Right passwords that are known so.
pub const CHECKS_KEPT_MAX: usize = 10_000;
/// Addresses and accounts whose failed logins are remembered.
pub const ATTEMPT_SOURCES_MAX: usize = 4_096;
/// What each failed login of an address or account adds to the delay of its refusal.
pub const ATTEMPT_DELAY_STEP: Duration = Duration::from_secs(2);
/// The longest delay of a refused login.
pub const ATTEMPT_DELAY_MAX: Duration = Duration::from_secs(16);
/// After this time without a failure an address or account starts anew.
pub const ATTEMPT_FORGET: Duration = Duration::from_secs(600);

/// Time from a connection's first byte of TLS, or the answer to STARTTLS, to the end of the handshake.
pub const TLS_HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(15);
/// Bytes that are read of a client before its handshake is done; with a read of it more the connection is closed. One that asks for nothing of ours sends a tenth of them.
pub const TLS_HANDSHAKE_BYTES_MAX: usize = 16 * 1024;
/// Bytes that a TLS session holds of what it sends.
pub const TLS_BUFFER: usize = 64 * 1024;
/// Bytes of a file with a certificate chain or a key.
pub const TLS_FILE_MAX: u64 = 1024 * 1024;
/// Time between two looks whether the files of a certificate have changed.
pub const TLS_LOOK_EVERY: Duration = Duration::from_secs(3);
/// Time before a certificate's end from which on the log and `status` say so.
pub const TLS_EXPIRY_NOTICE: Duration = Duration::from_secs(7 * 24 * 60 * 60);

/// Time for a client to log in.
pub const IMAP_LOGIN_TIMEOUT: Duration = Duration::from_secs(60);
/// Time without a byte from a client that is logged in, after which it is logged out (RFC 3501, 5.4: at least 30 minutes).
pub const IMAP_INACTIVITY_TIMEOUT: Duration = Duration::from_secs(30 * 60);
/// Time without a byte in the middle of a command or literal.
pub const IMAP_INPUT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Time in which a client must take what is sent to it.
pub const IMAP_OUTPUT_TIMEOUT: Duration = Duration::from_secs(5 * 60);
/// Time for the last lines of a session to reach the client.
pub const IMAP_FAREWELL_TIMEOUT: Duration = Duration::from_secs(10);
/// Time between two looks whether the account of a session that is silent is there still.
pub const IMAP_ACCOUNT_LOOK: Duration = Duration::from_secs(30);
/// Time between two keep-alive lines in IDLE.
pub const IMAP_KEEP_ALIVE: Duration = Duration::from_secs(120);
/// Bad commands in a row that end a session.
pub const IMAP_BAD_COMMANDS_MAX: u32 = 20;
/// Bytes of a reply that are collected before they are written.
pub const IMAP_OUTPUT_BUFFER: usize = 64 * 1024;
/// Time without a byte of a client, between commands too, after which a session gives back the buffers of its last commands.
pub const IMAP_REST_AFTER: Duration = Duration::from_secs(1);
/// Bytes read from a client at once, where a command or the end of IDLE is waited for.
pub const IMAP_INPUT_BUFFER_WAITING: usize = 1024;
/// Bytes read from a client at once, within a command.
pub const IMAP_INPUT_BUFFER: usize = 16 * 1024;
/// Entries of a mailbox that a FETCH or SEARCH looks at together.
pub const IMAP_ENTRIES_BATCH: u32 = 256;
/// Ranges of UIDs in one VANISHED; more are told in further ones.
pub const IMAP_VANISHED_RANGES: usize = 1_000;
/// Rows of messages that a FETCH holds together.
pub const IMAP_ROWS_BATCH: u32 = 64;
/// Messages that a STORE hands to the engine together.
pub const IMAP_STORE_BATCH: u32 = 4_096;
/// Bytes of bodies in hand before \Seen is set and they are sent.
pub const IMAP_BODIES_AHEAD: usize = 256 * 1024;
/// Bytes of an appended message kept in memory while it arrives; what is over goes through a file.
pub const IMAP_APPEND_IN_MEMORY: usize = 64 * 1024;
/// Bytes of all of them together; where they are taken, the next message goes through a file.
pub const IMAP_APPENDS_IN_MEMORY: usize = 4 * 1024 * 1024;
/// Messages of one APPEND (MULTIAPPEND).
pub const IMAP_APPEND_MESSAGES_MAX: usize = 1_000;
/// Octets of the messages of one APPEND together, where it has more than one.
pub const IMAP_APPEND_BYTES_MAX: u64 = 256 * 1024 * 1024;
/// Files in which messages of an APPEND lie while they arrive, at a time: of few open files an eighth of what the store leaves.
pub const IMAP_APPEND_FILES_MAX: usize = 4_096;
/// One account has at most this part of them: an eighth.
pub const IMAP_APPEND_FILES_SHARE: usize = 8;
/// Connections of the IMAP listener at a time.
pub const IMAP_CONNECTIONS_MAX: usize = 16_384;
/// IMAP connections of one address (of IPv6: of one network of 64 bits) at a time; of loopback, unix sockets and the networks of front ends only all together are bounded.
pub const IMAP_ADDRESS_CONNECTIONS_MAX: usize = 1_000;
/// IMAP sessions of one account at a time.
pub const IMAP_ACCOUNT_SESSIONS_MAX: usize = 12_288;
/// Open files that connections of LMTP and IMAP leave to the store, the bucket and HTTP (of a limit below twice that, half). Of the rest LMTP has at most a quarter, two for each connection, as its message may lie in a file; files of APPEND have an eighth, IMAP connections what remains.
pub const FILES_LEFT: usize = 512;
/// Bytes of the longest text that is sent as a quoted string.
pub const IMAP_QUOTED_MAX: usize = 1_000;
/// Arguments of ID that are logged.
pub const IMAP_ID_LOGGED_MAX: usize = 8;

const _: () = assert!(
    IMAP_ROWS_BATCH <= IMAP_STORE_BATCH,
    "a batch of FETCH sets \\Seen in one op"
);

// What we made runs twice at a time where the largest that we run fits.
const _: () =
    assert!(CHECKS_AT_ONCE as u64 * ARGON2_MADE_MEMORY_KIB as u64 <= ARGON2_MEMORY_KIB_MAX as u64);
const _: () = assert!(CHECKS_BEHIND_AT_ONCE < CHECKS_AT_ONCE);

// A line that is too long still shows its whole tag, which the refusal repeats.
const _: () = assert!(IMAP_LINE_BEFORE_LOGIN_MAX > IMAP_TAG_MAX + 1);
const _: () = assert!(IMAP_LINE_BEFORE_LOGIN_MAX <= IMAP_LINE_MAX);
// What one command can hold in memory, messages apart: under 1 MiB.
const _: () = assert!(IMAP_LINE_MAX + IMAP_LITERALS_MAX * (IMAP_LITERAL_MAX + 2) < 1024 * 1024);
const _: () = assert!(IMAP_ADDRESS_CONNECTIONS_MAX < IMAP_CONNECTIONS_MAX);
// TLS holds no more of a reply than the session does.
const _: () = assert!(TLS_BUFFER <= IMAP_OUTPUT_BUFFER);
