//! A passwd-file: `auth.passwd_file`, and the format of `DIR/users`.

use std::collections::BTreeSet;
use std::sync::atomic::{AtomicU64, Ordering};

use coldpost_server::auth::{Complaint, check_passwd_file};
use coldpost_server::limits::PASSWD_COMPLAINTS_MAX;

use crate::{Target, seeds};

/// Bytes of such a file.
pub const TARGET: Target = Target {
    name: "passwd",
    seeds: files,
    words: &[
        b"{PLAIN}",
        b"{PLAIN.b64}",
        b"{SSHA512.hex}",
        b"{ARGON2ID}$argon2id$v=19$m=64,t=1,p=1$",
        b"{BLF-CRYPT}$2y$05$",
        b"{SHA512-CRYPT}$6$rounds=1000$",
        b"{SHA256-CRYPT}$5$",
        b"{CRYPT}",
        b"{",
        b"}",
        b"$",
        b"$$",
        b"m=4294967295,t=4294967295,p=16777215$",
        b"rounds=99999999999$",
        b"$31$",
        b":",
        b"::::::",
        b"nologin",
        b"allow_nets=192.0.2.0/24 ",
        b"account=00000000000000ff",
        b"\n",
        b"\r\n",
        b"#",
        b"\xef\xbb\xbf",
        b"anna",
        b"@b\xc3\xbccher.example",
    ],
    opening: b"",
    feed,
    group: 1,
};

/// All that a complaint may say beside the numbers of what a hash costs: none of it is from a line.
const SAID: &str = "a about and argon2 as at base64 bcrypt behind broken bytes cannot complaints costs crypt CRYPT encoded encoding field further has hash here \
    in is it its kind known length lines log login longer more most name no none not of password rounds run are scheme says stands than the to \
    up already user UTF-8 wrong allow_nets nologin nopassword ARGON2ID ARGON2I BLF-CRYPT SHA512-CRYPT SHA256-CRYPT } \
    MD5 MD5-CRYPT PLAIN-MD5 LDAP-MD5 SMD5 DIGEST-MD5 CRAM-MD5 SHA SHA1 SSHA SCRAM-SHA-1 SCRAM-SHA-256 PBKDF2 DES-CRYPT";

static USERS: AtomicU64 = AtomicU64::new(0);
static COMPLAINTS: AtomicU64 = AtomicU64::new(0);

/// How many users could log in, and how many lines were complained of.
pub fn reached() -> (u64, u64) {
    (
        USERS.load(Ordering::Relaxed),
        COMPLAINTS.load(Ordering::Relaxed),
    )
}

/// The whole file; then its lines one by one, which say the same.
pub fn feed(input: &[u8]) -> usize {
    let (able, complaints) = check_passwd_file(input).expect("small enough");
    let input = input.strip_prefix(b"\xef\xbb\xbf").unwrap_or(input);
    let lines: Vec<&[u8]> = input.split(|byte| *byte == b'\n').collect();
    assert!(complaints.len() <= PASSWD_COMPLAINTS_MAX, "bounded");
    let named: BTreeSet<usize> = complaints.iter().map(|complaint| complaint.line).collect();
    assert!(named.iter().all(|line| (1..=lines.len()).contains(line)));
    for complaint in &complaints {
        says_nothing(complaint);
    }
    if complaints.len() < PASSWD_COMPLAINTS_MAX {
        let says_something = |line: &&&[u8]| {
            let line = line.strip_suffix(b"\r").unwrap_or(line);
            !line.trim_ascii().is_empty() && !line.starts_with(b"#")
        };
        let asked = lines.iter().filter(says_something).count();
        assert_eq!(able + named.len(), asked, "a line was not answered");
        for Complaint { line, why } in &complaints {
            let (_, alone) = check_passwd_file(lines[line - 1]).expect("small enough");
            let is_again = why == "its user stands further up already";
            assert!(
                is_again || alone.iter().any(|alone| alone.why == *why),
                "line {line} says {why}, and alone {alone:?}"
            );
        }
    }
    let count = |n: usize| u64::try_from(n).unwrap_or(0);
    USERS.fetch_add(count(able), Ordering::Relaxed);
    COMPLAINTS.fetch_add(count(complaints.len()), Ordering::Relaxed);
    input.len()
}

/// A complaint has words of its own only.
fn says_nothing(complaint: &Complaint) {
    let is_cost = |word: &str| {
        word.chars()
            .all(|c| c.is_ascii_digit() || "mtp=,".contains(c))
    };
    for word in complaint.why.split([' ', ';', ',']) {
        assert!(
            is_cost(word) || SAID.split_whitespace().any(|said| said == word),
            "{complaint:?} says {word:?}"
        );
    }
}

/// The whole file, and its lines.
fn files() -> Vec<Vec<u8>> {
    let whole = include_bytes!("../seeds/passwd.txt").to_vec();
    let mut seeds: Vec<Vec<u8>> = whole.split(|b| *b == b'\n').map(<[u8]>::to_vec).collect();
    seeds.extend(seeds::written(include_str!("../seeds/passwd.txt")));
    seeds.push(b"\xef\xbb\xbfanna:{PLAIN}one\n".to_vec());
    seeds.push(b"anna:{PLAIN}\xff\nb\xf6rn:{PLAIN}x\nben\0:{PLAIN}x".to_vec());
    seeds.push([&b"long:{PLAIN}"[..], &[b'x'; 4096], b"\nben:{PLAIN}x"].concat());
    seeds.push(whole);
    seeds
}
