//! The lines that a delivery puts before a message (RFC 5321, 4.4): Return-Path and Received.
//!
//! Promises: nothing of the message itself changes. With several recipients there is no `for` clause, so nobody learns of another.
//! Never: reads a clock; takes in text that the grammar did not let through.

use std::net::IpAddr;

use crate::listen::Peer;

/// Who sent a message and to whom, as its trace lines say it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Envelope {
    /// The name that the client gave.
    pub(crate) lhlo: String,
    /// The reverse-path as typed; empty for the null path.
    pub(crate) from: String,
    /// The recipient as typed, when there is only one.
    pub(crate) only: Option<String>,
    /// SMTPUTF8 was given.
    pub(crate) utf8: bool,
}

/// What the server knows about a delivery.
#[derive(Clone, Debug)]
pub(crate) struct Stamp<'a> {
    /// Our name.
    pub(crate) hostname: &'a str,
    /// The client's address.
    pub(crate) peer: &'a Peer,
    /// What the logs call this delivery.
    pub(crate) id: &'a str,
    /// It came over TLS (RFC 3848: the protocol's name ends with S).
    pub(crate) tls: bool,
    /// When it began.
    pub(crate) time: jiff::Timestamp,
}

impl Envelope {
    /// The trace lines, each with its CRLF.
    pub(crate) fn lines(&self, stamp: &Stamp<'_>) -> Vec<u8> {
        let with = match (self.utf8, stamp.tls) {
            (false, false) => "LMTP",
            (false, true) => "LMTPS",
            (true, false) => "UTF8LMTP",
            (true, true) => "UTF8LMTPS",
        };
        let recipient = self
            .only
            .as_ref()
            .map(|only| format!("\r\n\tfor <{only}>"))
            .unwrap_or_default();
        let date = stamp.time.strftime("%a, %d %b %Y %H:%M:%S +0000");
        format!(
            "Return-Path: <{}>\r\nReceived: from {} ({})\r\n\tby {} (Coldpost) with {with} id {}{recipient};\r\n\t{date}\r\n",
            self.from,
            self.lhlo,
            tcp_info(stamp.peer),
            stamp.hostname,
            stamp.id,
        )
        .into_bytes()
    }
}

/// TCP-info of RFC 5321, 4.4, as a comment's text.
fn tcp_info(peer: &Peer) -> String {
    match peer {
        Peer::Unix => "unix socket".to_owned(),
        Peer::Tcp { remote, .. } => match remote.ip().to_canonical() {
            IpAddr::V4(ip) => format!("[{ip}]"),
            IpAddr::V6(ip) => format!("[IPv6:{ip}]"),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::{Expect, expect};

    fn check(only: Option<&str>, utf8: bool, tls: bool, peer: &Peer, expected: Expect) {
        let envelope = Envelope {
            lhlo: "mx.example.net".to_owned(),
            from: "bob@example.net".to_owned(),
            only: only.map(str::to_owned),
            utf8,
        };
        let time = jiff::Timestamp::from_second(880_127_706).expect("in range");
        let stamp = Stamp {
            hostname: "mail.example.org",
            peer,
            id: "1-2",
            tls,
            time,
        };
        expected.assert_eq(
            &String::from_utf8(envelope.lines(&stamp))
                .expect("text")
                .replace('\r', ""),
        );
    }

    #[test]
    fn one_recipient_is_named() {
        let (remote, local) = (([192, 0, 2, 1], 2525).into(), ([192, 0, 2, 2], 24).into());
        let peer = Peer::Tcp { remote, local };
        check(
            Some("anna+x@example.org"),
            false,
            true,
            &peer,
            expect![[r#"
                Return-Path: <bob@example.net>
                Received: from mx.example.net ([192.0.2.1])
                	by mail.example.org (Coldpost) with LMTPS id 1-2
                	for <anna+x@example.org>;
                	Fri, 21 Nov 1997 15:55:06 +0000
            "#]],
        );
    }

    #[test]
    fn several_recipients_are_not_named() {
        check(
            None,
            true,
            false,
            &Peer::Unix,
            expect![[r#"
                Return-Path: <bob@example.net>
                Received: from mx.example.net (unix socket)
                	by mail.example.org (Coldpost) with UTF8LMTP id 1-2;
                	Fri, 21 Nov 1997 15:55:06 +0000
            "#]],
        );
    }
}
