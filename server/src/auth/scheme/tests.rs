//! Every scheme with the password that its hash was made of, with Dovecot as the one who made it.

use std::process::Command;

use coldpost_testkit::have;
use coldpost_testkit::tool::DOVECOT;
use expect_test::{Expect, expect};

use super::*;

fn check(fields: &[&str], expected: Expect) {
    let shown: String = fields
        .iter()
        .map(|field| match Hash::read(field) {
            Err(why) => format!("{field}: {why}\n"),
            Ok(hash) => format!(
                "{field}: sesame {}, Sesame {}\n",
                hash.matches(b"sesame"),
                hash.matches(b"Sesame")
            ),
        })
        .collect();
    expected.assert_eq(&shown);
}

#[test]
fn every_scheme_that_dovecot_makes_opens_with_its_password_alone() {
    if !have(&[DOVECOT]) {
        return;
    }
    for scheme in [
        "ARGON2ID",
        "ARGON2I",
        "BLF-CRYPT",
        "SHA512-CRYPT",
        "SHA256-CRYPT",
        "SSHA512",
        "SSHA256",
        "SHA512",
        "SHA256",
        "SSHA512.hex",
        "SSHA512.b64",
        "SHA512.hex",
        "CRYPT",
        "PLAIN",
        "PLAIN.b64",
        "CLEARTEXT",
    ] {
        for password in ["sesame", "pä ss{wörd}$6$", "a"] {
            let made = Command::new("doveadm")
                .args(["pw", "-s", scheme, "-p", password])
                .output()
                .expect("doveadm runs");
            let made = String::from_utf8(made.stdout).expect("text");
            let field = made.trim_end_matches('\n');
            let hash = Hash::read(field).unwrap_or_else(|why| panic!("{scheme}: {why}"));
            assert!(hash.matches(password.as_bytes()), "{scheme} {password}");
            for wrong in ["Sesame", "", "sesame ", "pä ss"] {
                assert!(!hash.matches(wrong.as_bytes()), "{scheme} {wrong}");
            }
            // Without braces it is taken by its own prefix.
            let (_, bare) = field.split_once('}').expect("a scheme");
            if bare.starts_with('$') {
                let hash = Hash::read(bare).unwrap_or_else(|why| panic!("{scheme}: {why}"));
                assert!(hash.matches(password.as_bytes()), "{scheme} {password}");
            }
        }
    }
}

#[test]
fn a_crypt_hash_of_other_rounds_and_prefixes_is_known() {
    check(
        &[
            "$6$rounds=1000$Gz0.yjPO5lAHAK1x$Gh/wyfVrOL59y70w2eDkmfp/Jueccmnq0wWPVqqEFlJtJ0BKq08B6C8tHKulrR6wfXkYuf4Rm37ff8IgG/vXn.",
            "{blf-crypt}$2y$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2",
            "$2b$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2",
            "$5$tj18uPy4EGW6BRVA$DiaCEwXzKv6LUhcSRYO/RoTebdKS8x.RRwG.UdladDB",
        ],
        expect![[r#"
            $6$rounds=1000$Gz0.yjPO5lAHAK1x$Gh/wyfVrOL59y70w2eDkmfp/Jueccmnq0wWPVqqEFlJtJ0BKq08B6C8tHKulrR6wfXkYuf4Rm37ff8IgG/vXn.: sesame false, Sesame false
            {blf-crypt}$2y$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2: sesame true, Sesame false
            $2b$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2: sesame true, Sesame false
            $5$tj18uPy4EGW6BRVA$DiaCEwXzKv6LUhcSRYO/RoTebdKS8x.RRwG.UdladDB: sesame true, Sesame false
        "#]],
    );
}

#[test]
fn what_nobody_can_log_in_with_says_why_and_a_costly_hash_is_refused_unrun() {
    check(
        &[
            "",
            "{PLAIN}",
            "{PLAIN",
            "{MD5}abcd",
            "{a secret}x",
            "{hunter2}x",
            "*",
            "!",
            "x",
            "$1$abc$def",
            "{SSHA512}AAAA",
            "{SHA512.hex}zz",
            "{SHA512.hex}0",
            "{PLAIN.b32}x",
            "{PLAIN.b64}!",
            "{ARGON2ID}$2y$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2",
            "{ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$oED2A9WvEE94xnKr2dvC+Q$aqgdneT1jmmwy5HX19TvoHUJJpp93RzQKAX7SSt4ru8",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=4000000000,p=1$oED2A9WvEE94xnKr2dvC+Q$aqgdneT1jmmwy5HX19TvoHUJJpp93RzQKAX7SSt4ru8",
            "{ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$oED2A9WvEE94xnKr2dvC+Q",
            "$argon2id$",
            "$2y$31$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2",
            "$2x$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2",
            "$2y$05$short",
            "$6$rounds=999999999$Gz0.yjPO5lAHAK1x$Gh/wyfVrOL59y70w2eDkmfp/Jueccmnq0wWPVqqEFlJtJ0BKq08B6C8tHKulrR6wfXkYuf4Rm37ff8IgG/vXn.",
            "$6$salt$short",
            "$6$",
        ],
        expect![[r#"
            : it has no password
            {PLAIN}: it has no password
            {PLAIN: its scheme has no }
            {MD5}abcd: the scheme MD5 is not known here
            {a secret}x: its scheme is not known here
            {hunter2}x: its scheme is not known here
            *: its kind of crypt is not known here
            !: its kind of crypt is not known here
            x: its kind of crypt is not known here
            $1$abc$def: its kind of crypt is not known here
            {SSHA512}AAAA: its hash has the wrong length
            {SHA512.hex}zz: its password is not encoded as its scheme says
            {SHA512.hex}0: its password is not encoded as its scheme says
            {PLAIN.b32}x: the encoding of its scheme is not known here
            {PLAIN.b64}!: its password is not encoded as its scheme says
            {ARGON2ID}$2y$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2: its hash is none of ARGON2ID
            {ARGON2ID}$argon2id$v=19$m=4194304,t=3,p=1$oED2A9WvEE94xnKr2dvC+Q$aqgdneT1jmmwy5HX19TvoHUJJpp93RzQKAX7SSt4ru8: its argon2 hash costs m=4194304,t=3,p=1, at most m=65536,t=16,p=16 is run
            {ARGON2ID}$argon2id$v=19$m=65536,t=4000000000,p=1$oED2A9WvEE94xnKr2dvC+Q$aqgdneT1jmmwy5HX19TvoHUJJpp93RzQKAX7SSt4ru8: its argon2 hash costs m=65536,t=4000000000,p=1, at most m=65536,t=16,p=16 is run
            {ARGON2ID}$argon2id$v=19$m=65536,t=3,p=1$oED2A9WvEE94xnKr2dvC+Q: its argon2 hash is broken
            $argon2id$: its argon2 hash is broken
            $2y$31$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2: its bcrypt hash costs 31, 4 to 14 is run
            $2x$05$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2: its kind of crypt is not known here
            $2y$05$short: its bcrypt hash is broken
            $6$rounds=999999999$Gz0.yjPO5lAHAK1x$Gh/wyfVrOL59y70w2eDkmfp/Jueccmnq0wWPVqqEFlJtJ0BKq08B6C8tHKulrR6wfXkYuf4Rm37ff8IgG/vXn.: its crypt hash has 999999999 rounds, 1000 to 1000000 are run
            $6$salt$short: its crypt hash is broken
            $6$: its crypt hash is broken
        "#]],
    );
}

#[test]
fn a_hash_that_is_made_is_read_again_and_shows_nothing() {
    let hash = Hash::make(b"sesame").expect("made");
    assert!(
        hash.text()
            .starts_with("{ARGON2ID}$argon2id$v=19$m=19456,t=2,p=1$")
    );
    assert!(hash.matches(b"sesame") && !hash.matches(b"sesam"));
    assert_eq!(format!("{hash:?}"), "Hash(hidden)");
    for wrong in [&b""[..], b"a\0b", &[b'x'; PASSWORD_MAX + 1]] {
        assert!(Hash::make(wrong).is_err());
    }
}

/// One octet of a hash is another one: what is still taken can be run, whatever crate runs it.
#[test]
fn a_damaged_hash_is_refused_or_runs_to_a_no() {
    let fields = [
        "$argon2id$v=19$m=64,t=1,p=1$oED2A9WvEE94xnKr2dvC+Q$aqgdneT1jmmwy5HX19TvoHUJJpp93RzQKAX7SSt4ru8",
        "$2y$04$mWPPKL.1u2L98Y7.i2NVGOB3PYjoeSareGgH0gjwstvzKob9cYzv2",
        "$5$rounds=1000$tj18uPy4EGW6BRVA$DiaCEwXzKv6LUhcSRYO/RoTebdKS8x.RRwG.UdladDB",
        "$6$rounds=1000$Gz0.yjPO5lAHAK1x$Gh/wyfVrOL59y70w2eDkmfp/Jueccmnq0wWPVqqEFlJtJ0BKq08B6C8tHKulrR6wfXkYuf4Rm37ff8IgG/vXn.",
        "{SSHA512.hex}6fa325360ba0a6cab38fff2f252b5f2c4b4af4afebd723f695a87e6d1a893178f20be613f555a8e02690aa21f2c30753bce184240a848592d12b4b85525461a9295d446b",
    ];
    let mut ran = 0;
    for field in fields {
        for at in 0..field.len() {
            for new in ["", "$", "0", "/", "=", "z", "\u{e9}", "0$"] {
                let (before, behind) = field.split_at(at);
                let damaged = format!("{before}{new}{}", &behind[1..]);
                if damaged != field
                    && let Ok(hash) = Hash::read(&damaged)
                {
                    assert!(!hash.matches(b"no password of it"), "{damaged}");
                    ran += 1;
                }
            }
        }
    }
    assert!(ran > 500, "{ran}");
}
