//! Mail that breaks the rules.

/// Each case with its name.
pub(crate) fn broken_mail() -> Vec<(&'static str, Vec<u8>)> {
    let nested = |levels: usize| -> Vec<u8> {
        let open =
            |n: usize| format!("Content-Type: multipart/mixed; boundary=b{n}\r\n\r\n--b{n}\r\n");
        (0..levels).map(open).collect::<String>().into_bytes()
    };
    let part = "--b\r\nContent-Type: text/plain\r\n\r\nx\r\n";
    let many = format!(
        "Content-Type: multipart/mixed; boundary=b\r\n\r\n{}--b--\r\n",
        part.repeat(10_000)
    );
    let long_line = |before: &[u8], byte: u8, octets: usize, behind: &[u8]| {
        [before, &vec![byte; octets], behind].concat()
    };
    let mut mails: Vec<(&str, Vec<u8>)> = header_only()
        .into_iter()
        .map(|(name, mail)| (name, mail.to_vec()))
        .collect();
    mails.extend([
        ("nothing at all", vec![]),
        ("a bare CR", b"Subject: a\rb\r\n\r\nbody\rwith\r\n".to_vec()),
        ("bare LFs", b"Subject: a\n\nbody\n.\nno end\r\n".to_vec()),
        ("a NUL", b"Subject: a\0b\r\n\r\nbody\0\r\n".to_vec()),
        (
            "8 bit in the header",
            b"Subject: \xe4\xff\r\nFrom: \xc3\xa4@x\r\n\r\n\xfe\r\n".to_vec(),
        ),
        ("no header", b"\r\nonly a body\r\n".to_vec()),
        (
            "a line of 3 MB",
            long_line(b"Subject: a\r\n\r\n", b'x', 3_000_000, b"\r\n"),
        ),
        (
            "a header line of 1 MB",
            long_line(b"Subject: ", b'y', 1_000_000, b"\r\n\r\nb\r\n"),
        ),
        ("500 levels", nested(500)),
        ("10,000 parts", many.into_bytes()),
        (
            "dots",
            b"Subject: d\r\n\r\n.\r\n..\r\n.x\r\n.\n\r\n".to_vec(),
        ),
    ]);
    mails
}

/// Mail without a body, with and without the line that ends the header.
pub(crate) fn header_only() -> [(&'static str, &'static [u8]); 4] {
    [
        ("no body", b"Subject: a\r\n"),
        ("no body, other fields", b"X-Only: b\r\nX-More: c\r\n"),
        ("no body behind the empty line", b"Subject: a\r\n\r\n"),
        ("an empty line", b"\r\n"),
    ]
}
