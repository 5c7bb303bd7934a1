//! The lines of a passwd-file: `user:{SCHEME}hash:uid:gid:gecos:home:shell:extra`.
//!
//! Promises: a broken line costs its own user alone and is named by its number, never by what it says; of a name that stands there
//! twice the first line counts. Never: looks at a field that is not about logging in.

use std::collections::HashMap;

use coldpost_engine::account::AccountName;

use super::scheme::Hash;
use crate::limits::{PASSWD_COMPLAINTS_MAX, PASSWD_FILE_MAX, PASSWD_LINE_MAX, PASSWD_USERS_MAX};

/// Extra fields of Dovecot's that take a login away, or make it depend on what is not known here.
const CLOSING: [&str; 3] = ["nologin", "nopassword", "allow_nets"];

/// What some editors begin a file with: no part of the first name.
const BYTE_ORDER_MARK: &[u8] = b"\xef\xbb\xbf";

/// A user's line.
#[derive(Clone, Debug)]
pub(crate) struct Line {
    /// Who.
    pub(crate) name: AccountName,
    /// What opens it; `None` when nothing does.
    pub(crate) hash: Option<Hash>,
    /// The field `account=` of a line of ours: 16 hexadecimal digits.
    pub(crate) account: Option<u64>,
}

/// Users by name.
#[derive(Debug, Default)]
pub(crate) struct Table {
    users: HashMap<Box<str>, Result<Hash, Shut>>,
    /// What a name that is not there is compared with, so that it takes as long.
    decoy: Option<Hash>,
}

/// Why a user who has a line cannot log in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Shut {
    /// Its number, from 1.
    pub(crate) line: usize,
    /// Why, without what it says.
    pub(crate) why: Box<str>,
}

/// What is wrong with a line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Complaint {
    /// Its number, from 1.
    pub line: usize,
    /// Why, and what it costs.
    pub why: String,
}

/// Reads a whole passwd-file: how many users could log in, and the first complaints.
///
/// # Errors
/// Too large as a whole: nothing of it would be taken.
pub fn check_passwd_file(bytes: &[u8]) -> Result<(usize, Vec<Complaint>), String> {
    let (table, complaints) = Table::read(bytes, "")?;
    let able = table.users.values().flatten().count();
    Ok((able, complaints))
}

impl Table {
    /// Reads all lines; of the complaints only the first ones are kept, and the last of them says how many more there were. Nobody can
    /// have an account whose name has one of `delimiters` in it, which is said as well.
    ///
    /// # Errors
    /// Too large as a whole: nothing of it is taken.
    pub(crate) fn read(bytes: &[u8], delimiters: &str) -> Result<(Table, Vec<Complaint>), String> {
        let mut table = Table::default();
        let mut complaints = Vec::new();
        let mut unsaid = 0;
        let mut complain = |line: usize, why: String| match complaints.len() {
            PASSWD_COMPLAINTS_MAX.. => unsaid += 1,
            _ => complaints.push(Complaint { line, why }),
        };
        for (number, line) in lines(bytes)? {
            let line = match text(line).and_then(parse) {
                Ok(line) => line,
                Err(why) => {
                    complain(number, why);
                    continue;
                }
            };
            let (line, shut) = line;
            if let Some(why) = &shut {
                complain(number, why.clone());
            }
            let key: Box<str> = line.name.as_str().into();
            if table.users.contains_key(&key) {
                complain(number, "its user stands further up already".to_owned());
                continue;
            }
            if table.users.len() >= PASSWD_USERS_MAX {
                return Err(format!("it has more than {PASSWD_USERS_MAX} users"));
            }
            if line.name.is_reachable(delimiters).is_err() {
                let why = format!(
                    "its name has one of the characters {delimiters:?} of lmtp.recipient_delimiter in it: no account is made for it, as its mail would go to a shorter name; take another name, or change that key"
                );
                complain(number, why);
            }
            if table.decoy.is_none() {
                table.decoy.clone_from(&line.hash);
            }
            let why = shut.unwrap_or_default().into();
            let opened = line.hash.ok_or(Shut { line: number, why });
            table.users.insert(key, opened);
        }
        if let Some(last) = complaints.last_mut().filter(|_| unsaid > 0) {
            last.why += &format!("; and {unsaid} more complaints about lines behind it");
        }
        Ok((table, complaints))
    }

    /// The user of a name: what opens it, or why nothing does.
    pub(crate) fn get(&self, name: &AccountName) -> Option<Result<&Hash, &Shut>> {
        self.users.get(name.as_str()).map(Result::as_ref)
    }

    /// What costs as much as a user of it.
    pub(crate) fn decoy(&self) -> Option<&Hash> {
        self.decoy.as_ref()
    }
}

type Numbered<'b> = (usize, &'b [u8]);

/// The lines that are no comment and not blank, with their numbers.
///
/// # Errors
/// Larger than a passwd-file may be.
pub(crate) fn lines(bytes: &[u8]) -> Result<impl Iterator<Item = Numbered<'_>>, String> {
    if bytes.len() > PASSWD_FILE_MAX {
        return Err(format!("it is larger than {} MiB", PASSWD_FILE_MAX >> 20));
    }
    let bytes = bytes.strip_prefix(BYTE_ORDER_MARK).unwrap_or(bytes);
    let numbered = (1..).zip(bytes.split(|byte| *byte == b'\n'));
    Ok(numbered.filter_map(|(number, line)| {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        if line.trim_ascii().is_empty() || line.starts_with(b"#") {
            return None;
        }
        Some((number, line))
    }))
}

/// A line as text.
///
/// # Errors
/// Too long, or none.
pub(crate) fn text(line: &[u8]) -> Result<&str, String> {
    if line.len() > PASSWD_LINE_MAX {
        return Err(format!("it is longer than {PASSWD_LINE_MAX} bytes"));
    }
    std::str::from_utf8(line).map_err(|_| "it is no UTF-8".to_owned())
}

/// A line, and why its user cannot log in, where that is so.
///
/// # Errors
/// It names no user.
pub(crate) fn parse(line: &str) -> Result<(Line, Option<String>), String> {
    let mut fields = line.splitn(8, ':');
    let user = fields.next().unwrap_or_default();
    // What the name is may be a secret that slipped into the wrong place.
    let name = AccountName::normalise(user).map_err(|_| "its user name is none".to_owned())?;
    let field = fields.next().unwrap_or_default();
    let extra = fields.nth(5).unwrap_or_default();
    let keys = || {
        extra
            .split_ascii_whitespace()
            .map(|field| field.split_once('=').unwrap_or((field, "")))
    };
    let shut = keys().find(|(key, _)| CLOSING.contains(key));
    let hash = match shut {
        Some((key, _)) => Err(format!("it has the field {key}")),
        None => Hash::read(field),
    };
    let account = keys().find(|(key, _)| *key == "account");
    let account = account.and_then(|(_, number)| u64::from_str_radix(number, 16).ok());
    let (hash, why) = match hash {
        Ok(hash) => (Some(hash), None),
        Err(why) => (None, Some(format!("{why}; its user cannot log in"))),
    };
    Ok((
        Line {
            name,
            hash,
            account,
        },
        why,
    ))
}

#[cfg(test)]
mod tests {
    use expect_test::expect;

    use super::*;

    fn name(text: &str) -> AccountName {
        AccountName::normalise(text).expect("a name")
    }

    fn opens(table: &Table, user: &str, password: &str) -> bool {
        let hash = table.get(&name(user));
        hash.and_then(Result::ok)
            .is_some_and(|hash| hash.matches(password.as_bytes()))
    }

    #[test]
    fn a_bad_line_costs_its_own_user_and_is_named_without_what_it_says() {
        let file = b"# users\n\nAnna@Example.org:{PLAIN}one:1000:1000::/home/anna::userdb_quota_rule=*:storage=1G\n\
            ben:{PLAIN}two\r\n\
            secret1 secret2:x\n\
            carl:secret3\n\
            dora:{PLAIN}four::::::nologin\n\
            BEN:{PLAIN}five\n\
            \xff\xfe:{PLAIN}x\n\
            emil\n\
            fred:{PLAIN}six::::::allow_nets=192.0.2.0/24 x=y\n\
            gina:{PLAIN}seven:";
        let (table, complaints) = Table::read(file, "+").expect("small");
        let said: String = complaints
            .iter()
            .map(|c| format!("{}: {}\n", c.line, c.why))
            .collect();
        expect![[r#"
            5: its user name is none
            6: its kind of crypt is not known here; its user cannot log in
            7: it has the field nologin; its user cannot log in
            8: its user stands further up already
            9: it is no UTF-8
            10: it has no password; its user cannot log in
            11: it has the field allow_nets; its user cannot log in
        "#]]
        .assert_eq(&said);
        assert!(!said.contains("secret"));
        assert!(opens(&table, "anna@example.org", "one") && opens(&table, "gina", "seven"));
        assert!(opens(&table, "ben", "two") && !opens(&table, "ben", "five"));
        for shut in ["carl", "dora", "emil", "fred"] {
            assert!(
                table.get(&name(shut)).is_some_and(|hash| hash.is_err()),
                "{shut}"
            );
        }
        assert!(table.get(&name("nobody")).is_none() && table.decoy().is_some());
    }

    #[test]
    fn a_user_whose_mail_would_go_to_another_name_is_named_and_the_others_are_not() {
        let file = b"anna+x@example.org:{PLAIN}one\nanna@example.org:{PLAIN}two\n";
        let (table, complaints) = Table::read(file, "-+").expect("small");
        assert_eq!(complaints.len(), 1);
        let said = &complaints[0];
        assert!(
            said.line == 1 && said.why.contains("lmtp.recipient_delimiter"),
            "{said:?}"
        );
        // Whoever has an account from before still opens it.
        assert!(opens(&table, "anna+x@example.org", "one"));
        let (_, complaints) = Table::read(file, "").expect("small");
        assert!(complaints.is_empty());
    }

    #[test]
    fn a_hash_that_costs_too_much_is_named_with_its_line_and_what_is_run() {
        let file = b"ben:{PLAIN}x\nanna:{ARGON2ID}$argon2id$v=19$m=262144,t=3,p=1$tYltF+a9G/Bcju8Lbi6rOA$KpqrqurDJhKGw9hdoIoC0v9UiFNEHIP+PlUPDeVSPGU\n";
        let (table, complaints) = Table::read(file, "").expect("small");
        let shut = table.get(&name("anna")).expect("there").expect_err("shut");
        expect!["its argon2 hash costs m=262144,t=3,p=1, at most m=65536,t=16,p=16 is run; its user cannot log in"]
            .assert_eq(&shut.why);
        assert_eq!((shut.line, complaints.len()), (2, 1));
    }

    #[test]
    fn an_editors_mark_at_the_beginning_is_no_part_of_the_first_name() {
        let (table, complaints) =
            Table::read(b"\xef\xbb\xbfanna:{PLAIN}one\r\nben:{PLAIN}two", "+").expect("small");
        assert!(complaints.is_empty() && opens(&table, "anna", "one"));
    }

    #[test]
    fn a_file_is_bounded_in_bytes_lines_and_users() {
        let large = vec![b'#'; PASSWD_FILE_MAX + 1];
        assert!(
            Table::read(&large, "")
                .expect_err("large")
                .contains("16 MiB")
        );
        let many: String = (0..=PASSWD_USERS_MAX)
            .map(|n| format!("u{n}:{{PLAIN}}x\n"))
            .collect();
        assert!(
            Table::read(many.as_bytes(), "")
                .expect_err("many")
                .contains("users")
        );
        let long = format!(
            "anna:{{PLAIN}}{}\nben:{{PLAIN}}x\n",
            "x".repeat(PASSWD_LINE_MAX)
        );
        let (table, complaints) = Table::read(long.as_bytes(), "").expect("small");
        assert_eq!(complaints.len(), 1);
        assert!(table.get(&name("anna")).is_none() && opens(&table, "ben", "x"));
        let bad = "x x:\n".repeat(PASSWD_COMPLAINTS_MAX * 2);
        let (_, complaints) = Table::read(bad.as_bytes(), "").expect("small");
        assert_eq!(complaints.len(), PASSWD_COMPLAINTS_MAX);
        let last = complaints.last().expect("one");
        assert!(last.why.contains("and 20 more"), "{last:?}");
    }

    #[test]
    fn our_own_lines_name_the_number_of_the_account() {
        let (line, _) = parse("anna:{PLAIN}x::::::account=00000000000000ff").expect("a line");
        assert_eq!(line.account, Some(255));
        let (line, _) = parse("anna:{PLAIN}x::::::account=zz").expect("a line");
        assert_eq!(line.account, None);
    }
}
