//! The messages of the script: few, small, one of each shape that a client asks about.

/// Name and message, lines ending in LF here.
const MESSAGES: &[(&str, &str)] = &[
    (
        "plain",
        "From: Alice <alice@example.org>
To: bob@example.org
Subject: Lunch
Date: Wed, 4 Jul 2001 12:00:00 +0000
Message-ID: <plain@example.org>

Shall we have lunch?
.
..dots
",
    ),
    (
        "alternative",
        "From: \"Smith, Bob\" <bob@example.org>
To: Alice <alice@example.org>, undisclosed: ;
Cc: carol@example.org
Subject: Re: Lunch
In-Reply-To: <plain@example.org>
References: <plain@example.org>
Date: Wed, 04 Jul 2001 14:30:00 +0200 (CEST)
Message-ID: <alternative@example.org>
MIME-Version: 1.0
Content-Type: multipart/alternative; boundary=\"=_a\"

preamble
--=_a
Content-Type: text/plain; charset=us-ascii

first part
--=_a
Content-Type: text/html; charset=iso-8859-1
Content-Transfer-Encoding: quoted-printable
Content-Language: en

<p>second part =E4</p>

--=_a--
epilogue
",
    ),
    (
        "mixed",
        "From: alice@example.org
To: list@example.org
Reply-To: list@example.org
Subject: greetings with a file
X-Extra: something
Date: Sat, 1 Feb 2003 04:05:06 +0200
Message-ID: <mixed@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=m

--m
Content-Type: text/plain; charset=utf-8; format=flowed

See the file.

--m
Content-Type: application/octet-stream; name=\"data.bin\"
Content-Disposition: attachment; filename=\"data.bin\"; size=6
Content-Transfer-Encoding: base64
Content-MD5: Q2hlY2sgSW50ZWdyaXR5IQ==
Content-Location: http://example.org/data.bin
Content-ID: <data@example.org>
Content-Description: a file

AAECAwQF
--m--
",
    ),
    (
        "forwarded",
        "From: carol@example.org
To: alice@example.org
Subject: Fwd: Lunch
Date: Thu, 5 Jul 2001 08:00:00 -0700
Message-ID: <forwarded@example.org>
MIME-Version: 1.0
Content-Type: multipart/mixed; boundary=f

--f
Content-Type: text/plain

forwarded below
--f
Content-Type: message/rfc822

From: Alice <alice@example.org>
To: bob@example.org
Subject: inner lunch
Date: Wed, 4 Jul 2001 12:00:00 +0000
Message-ID: <inner@example.org>

inner body
--f--
",
    ),
    (
        "umlauts",
        "From: =?utf-8?q?M=C3=BCller?= <mueller@example.org>
To: alice@example.org
Subject: =?iso-8859-1?Q?M=FCsli?= am Morgen
Date: Fri, 06 Jul 2001 23:59:59 +0000
Message-ID: <umlauts@example.org>
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Transfer-Encoding: 8bit

Gr\u{fc}\u{df}e zum Fr\u{fc}hst\u{fc}ck
",
    ),
];

/// A message by its name, lines ending in CRLF.
pub(crate) fn message(name: &str) -> Vec<u8> {
    let found = MESSAGES.iter().find(|(known, _)| *known == name);
    let (_, text) =
        found.unwrap_or_else(|| panic!("the script names @{name}, which is not in messages.rs"));
    text.replace('\n', "\r\n").into_bytes()
}
