//! coldpost.toml.

use crate::{Target, seeds};

/// Text that becomes settings or a refusal.
pub const TARGET: Target = Target {
    name: "config",
    seeds: seeds::settings,
    words: &[
        b"[lmtp]\n",
        b"[imap]\n",
        b"[cold]\n",
        b"[hot]\n",
        b"[log]\n",
        b"listen = ",
        b"max_message = ",
        b"unix:",
        b"\"50MiB\"",
        b"5%",
        b"TiB",
        b"file://",
        b"s3://",
        b"[::1]:0",
        b"1979-05-27",
        b"inf",
        b"nan",
        b"true",
        b"'''",
        b"\"\"\"",
        b"\\u0000",
        b"\\U0010ffff",
        b"lmtp.allow",
        b"= [",
    ],
    opening: b"",
    feed,
    group: 1,
};

/// Text in UTF-8 is read and checked; a refusal has words.
pub fn feed(input: &[u8]) -> usize {
    let text = String::from_utf8_lossy(input);
    if let Err(said) = coldpost_cli::check_settings(&text) {
        assert!(!said.trim().is_empty(), "a refusal without words");
    }
    input.len()
}
