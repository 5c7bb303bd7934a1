//! What the grammar makes of command lines, as tables: a line, and below it what it means or how it is refused.

#[path = "imap_grammar/searching.rs"]
mod searching;

use coldpost_server::imap::grammar;
use expect_test::{Expect, expect};

/// A table: each line after `>` is a command, and what stands below it its body or the refusal as it is sent. `|` stands for CRLF
/// within a command, `␀` for NUL.
fn check(table: &Expect) {
    let lines = table
        .data()
        .lines()
        .filter_map(|line| line.trim_start().strip_prefix("> "));
    let answers: Vec<String> = lines
        .map(|line| format!("> {line}\n{}\n", meaning(line)))
        .collect();
    table.assert_eq(&answers.concat());
}

fn meaning(line: &str) -> String {
    match grammar::parse(line.replace('|', "\r\n").replace('␀', "\0").as_bytes()) {
        Ok(command) => format!("{:?}", command.body),
        Err(refusal) => {
            let mut out = Vec::new();
            refusal.write(&mut out);
            String::from_utf8_lossy(&out).trim_end().to_owned()
        }
    }
}

#[test]
fn commands_without_arguments() {
    check(&expect![[r#"
        > a CAPABILITY
        Capability
        > a noop
        Noop
        > a LogOut  
        Logout
        > a STARTTLS
        StartTls
        > a CHECK
        Check
        > a CLOSE
        Close
        > a UNSELECT
        Unselect
        > a EXPUNGE
        Expunge(None)
        > a IDLE
        Idle
        > a NAMESPACE
        Namespace
        > a NOOP x
        a BAD expected the end of the line at byte 8
        > 
        * BAD the command ends too early: expected a tag
        > a
        * BAD the command ends too early: expected a space and an argument
        > a 
        a BAD the command ends too early: expected the name of a command
        >  NOOP
        * BAD expected a tag at byte 1
        > + NOOP
        * BAD expected a tag at byte 1
        > a( NOOP
        * BAD expected a space and an argument at byte 2
        > a XYZZY 1
        a BAD unknown command XYZZY
        > a UID
        a BAD the command ends too early: expected a space and an argument
        > a UID NOOP
        a BAD unknown command UID NOOP
    "#]]);
}

#[test]
fn the_connection() {
    check(&expect![[r#"
        > a AUTHENTICATE plain
        Authenticate(Authenticate { mechanism: "PLAIN", initial_response: None })
        > a AUTHENTICATE PLAIN =
        Authenticate(Authenticate { mechanism: "PLAIN", initial_response: Some(Secret) })
        > a AUTHENTICATE PLAIN AGZyZWQAYWJj
        Authenticate(Authenticate { mechanism: "PLAIN", initial_response: Some(Secret) })
        > a AUTHENTICATE PLAIN ?
        a BAD the initial response is not valid base64
        > a AUTHENTICATE
        a BAD the command ends too early: expected a space and an argument
        > a LOGIN fred abc
        Login(Login { user: [102, 114, 101, 100], password: Secret })
        > a LOGIN {4}|fred {3+}|a c
        Login(Login { user: [102, 114, 101, 100], password: Secret })
        > a LOGIN "fr\"ed" "a\\b"
        Login(Login { user: [102, 114, 34, 101, 100], password: Secret })
        > a LOGIN "fr\ed" x
        a BAD expected \" or \\ in a quoted string at byte 13
        > a LOGIN "fred
        a BAD the command ends too early: expected a closing quote
        > a LOGIN fred
        a BAD the command ends too early: expected a space and an argument
        > a LOGIN frédéric x
        a BAD expected a space and an argument at byte 11
        > a LOGIN "frédéric" ""
        Login(Login { user: [102, 114, 195, 169, 100, 195, 169, 114, 105, 99], password: Secret })
        > a LOGIN {3}|a␀b x
        a BAD a literal cannot hold NUL
        > a LOGIN {9}|fred
        a BAD expected the octets of a literal at byte 14
        > a ID NIL
        Id([])
        > a ID ()
        Id([])
        > a ID ("name" "sodr" "version" NIL)
        Id([("name", Some("sodr")), ("version", None)])
        > a ID ("name")
        a BAD expected a space and an argument at byte 13
        > a ENABLE condstore X-GOOD-IDEA
        Enable(["CONDSTORE", "X-GOOD-IDEA"])
        > a ENABLE
        a BAD the command ends too early: expected a space and an argument
    "#]]);
}

#[test]
fn names_of_mailboxes() {
    check(&expect![[r#"
        > a DELETE blurdybloop
        Delete("blurdybloop")
        > a DELETE inbox
        Delete("INBOX")
        > a DELETE "InBox"
        Delete("INBOX")
        > a DELETE inbox/sub
        Delete("INBOX/sub")
        > a DELETE inboxes
        Delete("inboxes")
        > a DELETE {5}|iNBOX
        Delete("INBOX")
        > a SUBSCRIBE "a b"
        Subscribe("a b")
        > a UNSUBSCRIBE ~peter
        Unsubscribe("~peter")
        > a SUBSCRIBE &U,BTFw-/x]
        Subscribe("台北/x]")
        > a SUBSCRIBE "&"
        a NO [CANNOT] the mailbox name is not valid modified UTF-7
        > a SUBSCRIBE "é"
        a BAD 8-bit mailbox names are not allowed: encode them in modified UTF-7
        > a SUBSCRIBE é
        a BAD expected a mailbox name at byte 13
        > a SUBSCRIBE a*
        a BAD expected the end of the line at byte 14
        > a RENAME a "b c"
        Rename { from: "a", to: "b c" }
        > a RENAME a
        a BAD the command ends too early: expected a space and an argument
        > a CREATE owatagusiam/
        Create { mailbox: "owatagusiam/", special_use: [] }
        > a CREATE x (USE (\Drafts \sent))
        Create { mailbox: "x", special_use: [Drafts, Sent] }
        > a CREATE x (USE (\Foo))
        a NO [USEATTR] \FOO is no special use
        > a CREATE x (USE
        a BAD the command ends too early: expected a space and an argument
        > a DELETE ""
        Delete("")
    "#]]);
}

#[test]
fn selecting() {
    check(&expect![[r#"
        > a SELECT inbox
        Select(Select { mode: ReadWrite, mailbox: "INBOX", condstore: false, qresync: None })
        > a EXAMINE x
        Select(Select { mode: ReadOnly, mailbox: "x", condstore: false, qresync: None })
        > a SELECT x (CONDSTORE)
        Select(Select { mode: ReadWrite, mailbox: "x", condstore: true, qresync: None })
        > a SELECT x (QRESYNC (67890007 20050715194045000 41,43:211,214:541))
        Select(Select { mode: ReadWrite, mailbox: "x", condstore: false, qresync: Some(QResync { uid_validity: 67890007, modseq: 20050715194045000, known_uids: Some(UidSet { ranges: [(41, 41), (43, 211), (214, 541)], ranks: [0, 1, 170], len: 498 }), match_data: None }) })
        > a SELECT x (QRESYNC (1 2 (1,3 5,9)) CONDSTORE)
        Select(Select { mode: ReadWrite, mailbox: "x", condstore: true, qresync: Some(QResync { uid_validity: 1, modseq: 2, known_uids: None, match_data: Some((UidSet { ranges: [(1, 1), (3, 3)], ranks: [0, 1], len: 2 }, UidSet { ranges: [(5, 5), (9, 9)], ranks: [0, 1], len: 2 })) }) })
        > a SELECT x (QRESYNC (1 2 1:9 (1,3 5:9)))
        a BAD the sets of sequence numbers and UIDs have not the same length
        > a SELECT x (QRESYNC (1 2 1:*))
        a BAD * and $ are not allowed in this set
        > a SELECT x ()
        a BAD a list here has at least one item
        > a SELECT x (FOO)
        a BAD unknown parameter FOO
        > a SELECT
        a BAD the command ends too early: expected a space and an argument
        > a SELECT x y
        a BAD expected the end of the line at byte 12
    "#]]);
}

#[test]
fn listing() {
    check(&expect![[r##"
        > a LIST "" ""
        List(List { reference: "", patterns: [""], select: ListSelect { subscribed: false, remote: false, recursive_match: false, special_use: false }, returns: ListReturn { subscribed: false, children: false, special_use: false, status: None }, extended: false })
        > a LIST #news. %
        List(List { reference: "#news.", patterns: ["%"], select: ListSelect { subscribed: false, remote: false, recursive_match: false, special_use: false }, returns: ListReturn { subscribed: false, children: false, special_use: false, status: None }, extended: false })
        > a LSUB "&AOk-" "*&AOk-%"
        Lsub { reference: "é", pattern: "*é%" }
        > a LIST (SUBSCRIBED RECURSIVEMATCH SPECIAL-USE REMOTE) "" (INBOX a*)
        List(List { reference: "", patterns: ["INBOX", "a*"], select: ListSelect { subscribed: true, remote: true, recursive_match: true, special_use: true }, returns: ListReturn { subscribed: false, children: false, special_use: false, status: None }, extended: true })
        > a LIST () "" % RETURN (CHILDREN SUBSCRIBED SPECIAL-USE STATUS (MESSAGES SIZE))
        List(List { reference: "", patterns: ["%"], select: ListSelect { subscribed: false, remote: false, recursive_match: false, special_use: false }, returns: ListReturn { subscribed: true, children: true, special_use: true, status: Some([Messages, Size]) }, extended: true })
        > a LIST "" % RETURN ()
        List(List { reference: "", patterns: ["%"], select: ListSelect { subscribed: false, remote: false, recursive_match: false, special_use: false }, returns: ListReturn { subscribed: false, children: false, special_use: false, status: None }, extended: true })
        > a LIST (RECURSIVEMATCH) "" *
        a BAD RECURSIVEMATCH needs SUBSCRIBED beside it
        > a LIST (SPECIAL-USE RECURSIVEMATCH) "" *
        a BAD RECURSIVEMATCH needs SUBSCRIBED beside it
        > a LIST (FOO) "" *
        a BAD unknown selection option FOO
        > a LIST "" () RETURN (CHILDREN)
        a BAD a list here has at least one item
        > a LIST ""
        a BAD the command ends too early: expected a space and an argument
        > a LIST "" % RETURN (FOO)
        a BAD unknown return option FOO
        > a STATUS x (MESSAGES recent UIDNEXT UIDVALIDITY UNSEEN MESSAGES)
        Status { mailbox: "x", items: [Messages, Recent, UidNext, UidValidity, Unseen] }
        > a STATUS x (DELETED SIZE HIGHESTMODSEQ MAILBOXID APPENDLIMIT)
        Status { mailbox: "x", items: [Deleted, Size, HighestModSeq, MailboxId, AppendLimit] }
        > a STATUS x ()
        a BAD a list here has at least one item
        > a STATUS x (FOO)
        a BAD unknown status item FOO
        > a STATUS x MESSAGES
        a BAD expected a list of status items at byte 12
    "##]]);
}

#[test]
fn appending() {
    check(&expect![[r#"
        > a APPEND inbox {310}
        Append(Append { mailbox: "INBOX", messages: [AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: None, size: 310, binary: false }] })
        > a APPEND {3}|a b {310+}
        Append(Append { mailbox: "a b", messages: [AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: None, size: 310, binary: false }] })
        > a APPEND x (\Seen $Fwd $fwd \draft) " 1-Feb-2003 04:05:06 +0130" {0}
        Append(Append { mailbox: "x", messages: [AppendMessage { flags: Flags { system: SystemFlags(17), keywords: {"$Fwd"} }, internal_date: Some((1044066906, 90)), size: 0, binary: false }] })
        > a APPEND x "17-Jul-1996 02:44:25 -0700" {1}
        Append(Append { mailbox: "x", messages: [AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: Some((837596665, -420)), size: 1, binary: false }] })
        > a APPEND x () {1}
        Append(Append { mailbox: "x", messages: [AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: None, size: 1, binary: false }] })
        > a APPEND x (\Recent) {1}
        a BAD \Recent is no flag that can be set
        > a APPEND x (\Foo) {1}
        a BAD \Foo is no flag that can be set
        > a APPEND x "32-Jul-1996 02:44:25 -0700" {1}
        a BAD there is no such day
        > a APPEND x "17-Jul-1996 24:44:25 -0700" {1}
        a BAD there is no such time
        > a APPEND x "17-Jul-1996 02:44:60 -0760" {1}
        a BAD there is no such zone
        > a APPEND x "31-Dec-1969 23:59:60 +0000" {1}
        Append(Append { mailbox: "x", messages: [AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: Some((-1, 0)), size: 1, binary: false }] })
        > a APPEND x "message"
        a BAD expected the literal of a message at byte 12
        > a APPEND x
        a BAD the command ends too early: expected a space and an argument
        > a APPEND x {1} 
        Append(Append { mailbox: "x", messages: [AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: None, size: 1, binary: false }] })
        > a APPEND x (a]b) {1}
        a NO [CANNOT] a keyword cannot hold ]
        > a APPEND x junk {5}
        a BAD expected the literal of a message at byte 12
    "#]]);
}

#[test]
fn fetching() {
    check(&expect![[r#"
        > a FETCH 1 ALL
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Flags, InternalDate, Rfc822Size, Envelope], changed_since: None, vanished: false, page: None })
        > a FETCH 2:4,*,7:* full
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(2), Number(4)), (Star, Star), (Number(7), Star)]), items: [Flags, InternalDate, Rfc822Size, Envelope, Body], changed_since: None, vanished: false, page: None })
        > a FETCH 1 FAST
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Flags, InternalDate, Rfc822Size], changed_since: None, vanished: false, page: None })
        > a FETCH *:1 (uid flags internaldate envelope body bodystructure rfc822.size)
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Star, Number(1))]), items: [Uid, Flags, InternalDate, Envelope, Body, BodyStructure, Rfc822Size], changed_since: None, vanished: false, page: None })
        > a FETCH 1 (RFC822 RFC822.HEADER RFC822.TEXT MODSEQ EMAILID THREADID SAVEDATE)
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Rfc822, Rfc822Header, Rfc822Text, ModSeq, EmailId, ThreadId, SaveDate], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY[]
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [], text: All }, peek: false, partial: None })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY.PEEK[]<0.2048>
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [], text: All }, peek: true, partial: Some(Partial { origin: 0, count: 2048 }) })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY[1.2.3]
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [1, 2, 3], text: All }, peek: false, partial: None })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY[4.2.HEADER]
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [4, 2], text: Header }, peek: false, partial: None })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 body[4.mime]<1.0>
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [4], text: Mime }, peek: false, partial: Some(Partial { origin: 1, count: 0 }) })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY[TEXT]
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [], text: Text }, peek: false, partial: None })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 (BODY[HEADER.FIELDS (DATE "from" {2}|to)] UID)
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [], text: HeaderFields(["DATE", "from", "to"]) }, peek: false, partial: None }), Uid], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY[1.HEADER.FIELDS.NOT (a)]
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Section(FetchSection { section: Section { path: [1], text: HeaderFieldsNot(["a"]) }, peek: false, partial: None })], changed_since: None, vanished: false, page: None })
        > a FETCH 1 BODY[HEADER.FIELDS ()]
        a BAD a list here has at least one item
        > a FETCH 1 BODY[MIME]
        a BAD MIME needs the number of a part before it
        > a FETCH 1 BODY[0]
        a BAD a number here is at least 1
        > a FETCH 1 BODY[1.]
        a BAD expected a section at byte 18
        > a FETCH 1 BODY[1
        a BAD the command ends too early: expected a closing bracket
        > a FETCH 1 BODY[FOO]
        a BAD expected a section at byte 16
    "#]]);
}

#[test]
fn fetching_with_modifiers() {
    check(&expect![[r#"
        > a FETCH 1 FLAGS (CHANGEDSINCE 12345)
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Flags], changed_since: Some(12345), vanished: false, page: None })
        > a UID FETCH 1:* (FLAGS) (CHANGEDSINCE 0 VANISHED)
        Fetch(Fetch { numbers: Uid, set: SequenceSet([(Number(1), Star)]), items: [Flags], changed_since: Some(0), vanished: true, page: None })
        > a FETCH 1 FLAGS (CHANGEDSINCE 1 VANISHED)
        a BAD VANISHED is for UID FETCH with CHANGEDSINCE
        > a UID FETCH 1 FLAGS (VANISHED)
        a BAD VANISHED is for UID FETCH with CHANGEDSINCE
        > a UID FETCH 1:* FLAGS (PARTIAL -1:-100 CHANGEDSINCE 5)
        Fetch(Fetch { numbers: Uid, set: SequenceSet([(Number(1), Star)]), items: [Flags], changed_since: Some(5), vanished: false, page: Some(Page { first: 1, last: 100, from_end: true }) })
        > a FETCH 1:* FLAGS (PARTIAL 1:2)
        a BAD PARTIAL is for UID FETCH
        > a UID FETCH 1:* FLAGS (PARTIAL 1:2 PARTIAL 3:4)
        a BAD PARTIAL can be asked for once
        > a UID FETCH 1:* FLAGS (PARTIAL 1:*)
        a BAD expected a range such as 1:100 or -1:-100 at byte 34
        > a UID FETCH $ FLAGS
        Fetch(Fetch { numbers: Uid, set: SequenceSet([(Saved, Saved)]), items: [Flags], changed_since: None, vanished: false, page: None })
        > a FETCH 1 FLAGS (FOO)
        a BAD unknown modifier FOO
        > a FETCH 0 FLAGS
        a BAD a number here is at least 1
        > a FETCH 4294967296 FLAGS
        a BAD a number here is less than 4294967296
        > a FETCH $ FLAGS
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Saved, Saved)]), items: [Flags], changed_since: None, vanished: false, page: None })
        > a FETCH 1, FLAGS
        a BAD expected a set of messages at byte 11
        > a FETCH 1 ()
        a BAD a list here has at least one item
        > a FETCH 1 (FAST)
        a BAD expected FETCH items at byte 11
        > a FETCH 1 FOO
        a BAD the command ends too early: expected FETCH items
        > a FETCH 1
        a BAD the command ends too early: expected a space and an argument
        > a FETCH 1 (FLAGS UID ) 
        Fetch(Fetch { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), items: [Flags, Uid], changed_since: None, vanished: false, page: None })
    "#]]);
}

#[test]
fn changing() {
    check(&expect![[r#"
        > a STORE 2:4 +FLAGS (\Deleted)
        Store(Store { numbers: Sequence, set: SequenceSet([(Number(2), Number(4))]), unchanged_since: None, action: Add, silent: false, flags: Flags { system: SystemFlags(8), keywords: {} } })
        > a UID STORE 1 -flags.silent \Seen work
        Store(Store { numbers: Uid, set: SequenceSet([(Number(1), Number(1))]), unchanged_since: None, action: Remove, silent: true, flags: Flags { system: SystemFlags(1), keywords: {"work"} } })
        > a STORE 1 FLAGS ()
        Store(Store { numbers: Sequence, set: SequenceSet([(Number(1), Number(1))]), unchanged_since: None, action: Replace, silent: false, flags: Flags { system: SystemFlags(0), keywords: {} } })
        > a STORE * (UNCHANGEDSINCE 320162338) +FLAGS.SILENT (\Deleted)
        Store(Store { numbers: Sequence, set: SequenceSet([(Star, Star)]), unchanged_since: Some(320162338), action: Add, silent: true, flags: Flags { system: SystemFlags(8), keywords: {} } })
        > a STORE 1 FLAGS \Recent
        a BAD \Recent is no flag that can be set
        > a STORE 1 FLAG (x)
        a BAD expected FLAGS, +FLAGS or -FLAGS at byte 11
        > a STORE 1 +FLAGS
        a BAD the command ends too early: expected a space and an argument
        > a STORE 1 (FOO 1) FLAGS x
        a BAD expected FLAGS, +FLAGS or -FLAGS at byte 11
        > a COPY 2:4 meeting
        Copy(Transfer { numbers: Sequence, set: SequenceSet([(Number(2), Number(4))]), mailbox: "meeting" })
        > a UID COPY 1 inbox
        Copy(Transfer { numbers: Uid, set: SequenceSet([(Number(1), Number(1))]), mailbox: "INBOX" })
        > a MOVE 42:69 foo
        Move(Transfer { numbers: Sequence, set: SequenceSet([(Number(42), Number(69))]), mailbox: "foo" })
        > a UID MOVE 1 ""
        Move(Transfer { numbers: Uid, set: SequenceSet([(Number(1), Number(1))]), mailbox: "" })
        > a UID EXPUNGE 3000:3002
        Expunge(Some(SequenceSet([(Number(3000), Number(3002))])))
        > a EXPUNGE 1
        a BAD expected the end of the line at byte 11
        > a COPY x y
        a BAD expected a set of messages at byte 8
        > a COPY 1
        a BAD the command ends too early: expected a space and an argument
    "#]]);
}

#[test]
fn between_two_messages_of_an_append_stand_flags_date_and_size() {
    let text = |bytes: &[u8]| {
        format!(
            "{:?}\n",
            grammar::parse_append_message(bytes).map_err(|refusal| refusal.text)
        )
    };
    let all = [
        text(b" {5}"),
        text(b" (\\Seen) \"01-Jan-1970 00:00:00 +0000\" {7+}"),
        text(b"x {5}"),
        text(b""),
    ];
    expect![[r#"
        Ok(AppendMessage { flags: Flags { system: SystemFlags(0), keywords: {} }, internal_date: None, size: 5, binary: false })
        Ok(AppendMessage { flags: Flags { system: SystemFlags(1), keywords: {} }, internal_date: Some((0, 0)), size: 7, binary: false })
        Err("expected a space and an argument at byte 1")
        Err("the command ends too early: expected a space and an argument")
    "#]].assert_eq(&all.concat());
}
