//! Users with passwords of their own: from a passwd-file, from `coldpost account`, through renames, deletes and kills.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::{Output, Stdio};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use coldpost_testkit::dice::Dice;
use coldpost_testkit::imap::Imap;
use coldpost_testkit::{Daemon, Must, Options, place, wait};
use rustix::process::Signal;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const MAIL: &[u8] = b"From: Bob <bob@example.net>\r\nSubject: Hello\r\n\r\nHello Anna!\r\n";
const ANNA: &str = "anna@example.org";
const ZOE: &str = "zoe@example.org";

/// Nobody is slowed, so that a test may fail to log in.
fn options() -> Options {
    Options::new(BINARY).raw("imap", "proxies", "[\"127.0.0.0/8\"]")
}

fn listed(passwd: &Path) -> Options {
    options().text("auth", "passwd_file", &passwd.display().to_string())
}

/// `coldpost account ...` with `input` on its standard input.
fn account(daemon: &Daemon, arguments: &[&str], input: &str) -> Output {
    let mut child = daemon
        .command("account")
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .must("running the binary");
    let mut stdin = child.stdin.take().must("a pipe");
    // A command that does not read leaves a broken pipe.
    let _ = stdin.write_all(input.as_bytes());
    drop(stdin);
    child.wait_with_output().must("waiting for the binary")
}

fn done(daemon: &Daemon, arguments: &[&str], input: &str) -> String {
    let output = account(daemon, arguments, input);
    assert!(output.status.success(), "{arguments:?}: {output:?}");
    String::from_utf8(output.stdout).must("text")
}

fn refused(daemon: &Daemon, arguments: &[&str], input: &str) -> String {
    let output = account(daemon, arguments, input);
    assert_eq!(output.status.code(), Some(1), "{arguments:?}: {output:?}");
    String::from_utf8(output.stderr).must("text")
}

/// The answer to LOGIN: `OK`, or the code of a NO.
fn login(daemon: &Daemon, user: &str, password: &str) -> String {
    let mut imap = Imap::connect(daemon.imap_addr());
    let reply = imap.command(&format!("LOGIN {user} \"{password}\""));
    match reply.is_ok() {
        true => "OK".to_owned(),
        false => format!("{reply:?}")
            .split(['[', ']'])
            .find(|part| part.chars().all(|c| c.is_ascii_uppercase()) && !part.is_empty())
            .unwrap_or("NO")
            .to_owned(),
    }
}

fn opens(daemon: &Daemon, user: &str, password: &str) -> bool {
    match login(daemon, user, password).as_str() {
        "OK" => true,
        "AUTHENTICATIONFAILED" => false,
        other => panic!("{user}: {other}"),
    }
}

fn code_of(daemon: &Daemon, user: &str) -> u16 {
    let replies = daemon.lmtp().try_deliver("bob@example.net", &[user], MAIL);
    replies.must("delivering")[0].code
}

fn accounts(daemon: &Daemon) -> Vec<Value> {
    let text = done(daemon, &["list", "--json"], "");
    let parse = |line| serde_json::from_str(line).must("a JSON object a line");
    text.lines().map(parse).collect()
}

#[test]
fn users_of_a_passwd_file_log_in_and_get_their_account_with_the_first_login_or_message() {
    let scratch = place::scratch("passwd");
    let passwd = scratch.path().join("passwd");
    let line = "anna@example.org:{SHA512-CRYPT}$6$DRHEphf.6NBuk5cz$5p/aV.ENdG82ReLEfyB9RsvzC5VLttSgSVDH16p7X702sz.4jB.SLE3ZVKiJmx5li.a8UnBE7R60dsU4nwKPf0:1000:1000::/home/anna::\n";
    let users = format!(
        "# ours\n{line}ben@example.org:{{PLAIN}}two\nsecret1 secret2\nshut:{{PLAIN}}x::::::nologin\n"
    );
    fs::write(&passwd, &users).must("writing");
    let mut daemon = Daemon::start(listed(&passwd));
    assert!(!daemon.data_dir().join("dev-password").exists());
    assert!(accounts(&daemon).is_empty());
    assert!(opens(&daemon, "Anna@Example.ORG", "sesame"));
    for (user, password) in [
        (ANNA, "Sesame"),
        (ANNA, ""),
        ("nobody", "sesame"),
        ("shut", "x"),
    ] {
        assert!(!opens(&daemon, user, password), "{user}");
    }
    assert_eq!(code_of(&daemon, "ben@example.org"), 250);
    assert_eq!(code_of(&daemon, "shut"), 250);
    assert_eq!(code_of(&daemon, "nobody@example.org"), 550);
    assert_eq!(accounts(&daemon).len(), 3);

    // For another one: not with a password of one's own.
    let mut imap = Imap::connect(daemon.imap_addr());
    let plain = STANDARD.encode(b"ben@example.org\0anna@example.org\0sesame");
    let reply = format!("{:?}", imap.command(&format!("AUTHENTICATE PLAIN {plain}")));
    assert!(reply.contains("AUTHORIZATIONFAILED"), "{reply}");

    // What changes counts at once; what cannot be used changes nothing.
    fs::write(&passwd, users.replace("two", "new")).must("writing");
    assert!(opens(&daemon, "ben@example.org", "new") && !opens(&daemon, "ben@example.org", "two"));
    fs::remove_file(&passwd).must("removing");
    assert!(opens(&daemon, "ben@example.org", "new") && opens(&daemon, ANNA, "sesame"));
    let log = daemon.log();
    assert_eq!(
        log.matches("its users stay as they were").count(),
        1,
        "{log}"
    );
    assert!(!log.contains("secret") && !log.contains("{PLAIN}"), "{log}");
    assert!(log.contains("line=4"), "{log}");

    // At a start it is an error that names it.
    daemon.stop();
    let output = daemon.command("serve").output().must("running");
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        !output.status.success() && said.contains("passwd_file") && said.contains("passwd"),
        "{said}"
    );
}

#[test]
fn a_line_that_opens_nothing_is_named_when_it_is_read_and_when_somebody_wants_in_by_it() {
    let scratch = place::scratch("shut");
    let passwd = scratch.path().join("passwd");
    let costly = "{ARGON2ID}$argon2id$v=19$m=262144,t=3,p=1$tYltF+a9G/Bcju8Lbi6rOA$KpqrqurDJhKGw9hdoIoC0v9UiFNEHIP+PlUPDeVSPGU";
    let users = format!("ben:{costly}\nanna+x@example.org:{{PLAIN}}sesame\n");
    fs::write(&passwd, users).must("writing");
    let daemon = Daemon::start(listed(&passwd));
    let log = daemon.log();
    for said in ["its argon2 hash costs m=262144", "lmtp.recipient_delimiter"] {
        assert_eq!(log.matches(said).count(), 1, "{said}: {log}");
    }
    assert!(!opens(&daemon, "ben", "sesame"));
    assert!(!opens(&daemon, "anna+x@example.org", "sesame"));
    let log = daemon.log();
    let refused = |line: &&str| line.contains("login refused: its argon2 hash costs m=262144");
    assert_eq!(log.lines().filter(refused).count(), 1, "{log}");
    let unmade = |line: &&str| line.contains("no account is made: lmtp.recipient_delimiter");
    assert_eq!(log.lines().filter(unmade).count(), 1, "{log}");
    assert!(
        !log.contains("sesame") && !log.contains("$argon2id$"),
        "{log}"
    );
}

#[test]
fn a_password_that_was_set_counts_at_once_with_and_without_a_daemon() {
    let scratch = place::scratch("own");
    let passwd = scratch.path().join("passwd");
    fs::write(&passwd, "ben@example.org:{PLAIN}two\n").must("writing");
    let mut daemon = Daemon::start(listed(&passwd));
    let said = done(&daemon, &["add", ANNA, "--password"], "one\nnot this\n");
    assert_eq!(said, "anna@example.org added\n");
    assert!(opens(&daemon, ANNA, "one") && !opens(&daemon, ANNA, "not this"));
    let kept = done(&daemon, &["add", ANNA, "--password"], "two\n");
    assert!(kept.contains("keeps its password"), "{kept}");
    assert!(opens(&daemon, ANNA, "one") && !opens(&daemon, ANNA, "two"));
    done(&daemon, &["password", ANNA], "three\n");
    assert!(opens(&daemon, ANNA, "three") && !opens(&daemon, ANNA, "one"));
    let users = daemon.data_dir().join("users");
    let text = fs::read_to_string(&users).must("reading");
    assert!(
        text.contains("anna@example.org:{ARGON2ID}$argon2id$") && !text.contains("three"),
        "{text}"
    );
    let mode = fs::metadata(&users).must("there").permissions().mode();
    assert_eq!(mode & 0o777, 0o600);

    for line in [
        &["password", "ben@example.org"][..],
        &["add", "ben@example.org", "--password"],
        &["rename", ANNA, "ben@example.org"],
    ] {
        let said = refused(&daemon, line, "x\n");
        assert!(said.contains("stands in auth.passwd_file"), "{said}");
    }
    let said = refused(&daemon, &["password", "nobody"], "x\n");
    assert!(said.contains("no account nobody"), "{said}");
    // Its line would be a comment.
    let said = refused(&daemon, &["add", "#carl", "--password"], "x\n");
    assert!(said.contains("begins with #"), "{said}");
    let empty = account(&daemon, &["password", ANNA], "\n");
    assert_eq!(empty.status.code(), Some(2), "{empty:?}");

    // Where a name stands in both, the other file's line counts.
    fs::write(&passwd, "anna@example.org:{PLAIN}theirs\n").must("writing");
    assert!(opens(&daemon, ANNA, "theirs") && !opens(&daemon, ANNA, "three"));
    fs::write(&passwd, "").must("writing");
    assert!(opens(&daemon, ANNA, "three") && !opens(&daemon, ANNA, "theirs"));

    daemon.stop();
    done(&daemon, &["password", ANNA], "four\n");
    done(
        &daemon,
        &["add", "carl@example.org", "--password"],
        "five\n",
    );
    daemon.restart();
    assert!(opens(&daemon, ANNA, "four") && opens(&daemon, "carl@example.org", "five"));
    assert!(!opens(&daemon, ANNA, "three") && !opens(&daemon, ANNA, "five"));
    assert!(!daemon.log().contains("five"));
}

#[test]
fn many_accounts_are_added_line_by_line_and_bad_lines_are_named() {
    let mut daemon = Daemon::start(options().text("auth", "accounts", "listed"));
    let lines = "# new ones\nanna@example.org\n\nben@example.org:pa:ss\n\
        carl@example.org:{SHA512-CRYPT}$6$DRHEphf.6NBuk5cz$5p/aV.ENdG82ReLEfyB9RsvzC5VLttSgSVDH16p7X702sz.4jB.SLE3ZVKiJmx5li.a8UnBE7R60dsU4nwKPf0\n\
        an na\ndora:{MD5}x\nemil:{PLAIN}six\r\nanna@example.org\n";
    for round in 0..2 {
        let output = account(&daemon, &["add", "--stdin"], lines);
        assert_eq!(output.status.code(), Some(1), "{output:?}");
        let said = String::from_utf8(output.stdout).must("text");
        let said: Vec<&str> = said.lines().collect();
        assert_eq!(said.len(), 7, "{said:?}");
        if round == 0 {
            assert_eq!(
                said[..3],
                [
                    "anna@example.org added",
                    "ben@example.org added",
                    "carl@example.org added"
                ]
            );
            assert_eq!(
                said[5..],
                ["emil added", "anna@example.org is there already"]
            );
        }
        assert!(
            said[3].starts_with("line 6: ") && said[4].starts_with("line 7: "),
            "{said:?}"
        );
        let failed = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(failed.contains("2 of 7 lines"), "{failed}");
        assert!(
            opens(&daemon, "ben@example.org", "pa:ss")
                && opens(&daemon, "carl@example.org", "sesame")
        );
        assert!(opens(&daemon, "emil", "six") && !opens(&daemon, ANNA, ""));
    }
    let users = fs::read_to_string(daemon.data_dir().join("users")).must("reading");
    assert!(
        !users.contains("{PLAIN}") && !users.contains("six"),
        "{users}"
    );

    daemon.stop();
    let many: String = (0..120).map(|n| format!("user{n}@example.org\n")).collect();
    let output = account(&daemon, &["add", "--stdin", "--json"], &many);
    assert!(output.status.success(), "{output:?}");
    let said = String::from_utf8(output.stdout).must("text");
    let last: Value = serde_json::from_str(said.lines().last().must("a line")).must("JSON");
    assert_eq!(
        (&last["line"], &last["added"]["new"]),
        (&120.into(), &true.into()),
        "{last}"
    );
    assert_eq!(accounts(&daemon).len(), 4 + 120);
}

#[test]
fn a_renamed_account_keeps_mail_password_and_sessions() {
    let mut daemon = Daemon::start(options().text("auth", "accounts", "listed"));
    done(&daemon, &["add", ANNA, "--password"], "one\n");
    done(&daemon, &["add", "ben@example.org"], "");
    assert_eq!(code_of(&daemon, ANNA), 250);
    let before = accounts(&daemon);
    let bytes = before[0]["bytes"].as_u64().must("a number");
    assert!(before[0]["messages"] == 1 && bytes > 60, "{before:?}");
    let list = done(&daemon, &["list"], "");
    assert_eq!(
        list,
        format!("anna@example.org\t1\t{bytes}\nben@example.org\t0\t0\n")
    );

    let mut session = Imap::login(daemon.imap_addr(), ANNA, "one");
    session.command("SELECT INBOX").ok();
    let taken = refused(&daemon, &["rename", ANNA, "ben@example.org"], "");
    assert!(taken.contains("taken"), "{taken}");
    assert_eq!(
        done(&daemon, &["rename", ANNA, ZOE], ""),
        "anna@example.org is zoe@example.org now\n"
    );
    assert_eq!(code_of(&daemon, ZOE), 250);
    assert_eq!(code_of(&daemon, ANNA), 550);
    assert_eq!(session.command("NOOP").ok().number("EXISTS"), Some(2));
    assert!(opens(&daemon, ZOE, "one") && !opens(&daemon, ANNA, "one"));

    daemon.stop();
    done(&daemon, &["rename", ZOE, "yve@example.org"], "");
    daemon.restart();
    assert!(opens(&daemon, "yve@example.org", "one") && !opens(&daemon, ZOE, "one"));
    let after = accounts(&daemon);
    assert_eq!(after[1]["number"], before[0]["number"]);
    let users = fs::read_to_string(daemon.data_dir().join("users")).must("reading");
    assert!(
        users.contains("yve@example.org:") && !users.contains("anna"),
        "{users}"
    );
}

#[test]
fn a_deleted_account_ends_its_sessions_and_leaves_nothing_to_a_new_one_of_its_name() {
    let daemon = Daemon::start(options().text("auth", "accounts", "listed"));
    done(&daemon, &["add", ANNA, "--password"], "one\n");
    assert_eq!(code_of(&daemon, ANNA), 250);
    let look = done(&daemon, &["delete", ANNA], "");
    assert!(
        look.contains("nothing is changed") && look.contains("1 messages"),
        "{look}"
    );
    assert!(opens(&daemon, ANNA, "one"));

    let mut idle = Imap::login(daemon.imap_addr(), ANNA, "one");
    idle.command("SELECT INBOX").ok();
    idle.idle().must("idling");
    let mut quiet = Imap::login(daemon.imap_addr(), ANNA, "one");
    assert!(
        done(&daemon, &["delete", ANNA, "--apply"], "").starts_with("deleted: anna@example.org")
    );
    let bye = std::iter::from_fn(|| idle.response().ok()).find(|line| line.starts_with(b"* BYE"));
    assert!(bye.is_some(), "the idle session goes on");
    assert!(
        !quiet
            .try_command("LIST \"\" *")
            .is_ok_and(|reply| reply.is_ok())
    );
    assert!(!opens(&daemon, ANNA, "one"));
    assert_eq!(code_of(&daemon, ANNA), 550);
    assert!(accounts(&daemon).is_empty());
    let users = fs::read_to_string(daemon.data_dir().join("users")).must("reading");
    assert!(!users.contains("anna"), "{users}");

    done(&daemon, &["add", ANNA], "");
    assert!(!opens(&daemon, ANNA, "one"));
    assert_eq!(accounts(&daemon)[0]["messages"], 0);
    done(&daemon, &["password", ANNA], "two\n");
    assert!(opens(&daemon, ANNA, "two"));
}

#[test]
fn a_refusal_is_slow_for_everybody_but_proxies_and_a_right_password_is_not() {
    let daemon = Daemon::start(Options::new(BINARY));
    done(&daemon, &["add", ANNA, "--password"], "one\n");
    let begun = Instant::now();
    assert!(!opens(&daemon, ANNA, "wrong"));
    assert!(
        begun.elapsed() >= Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    let begun = Instant::now();
    assert!(opens(&daemon, ANNA, "one"));
    assert!(
        begun.elapsed() < Duration::from_secs(2),
        "{:?}",
        begun.elapsed()
    );
    drop(daemon);

    let daemon = Daemon::start(options());
    let begun = Instant::now();
    for _ in 0..4 {
        assert!(!opens(&daemon, ANNA, "wrong"));
    }
    // Slowed they would take 2 + 4 + 6 + 8 seconds.
    assert!(
        begun.elapsed() < Duration::from_secs(15),
        "{:?}",
        begun.elapsed()
    );
}

#[test]
fn a_daemon_that_stops_keeps_no_refusal_waiting() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    done(&daemon, &["add", ANNA, "--password"], "one\n");
    let guess = TcpStream::connect(daemon.imap_addr()).must("connecting");
    let mut heard = BufReader::new(guess.try_clone().must("a handle")).lines();
    heard.next().must("a greeting").must("reading");
    let line = format!("a1 LOGIN {ANNA} wrong\r\n");
    (&guess).write_all(line.as_bytes()).must("writing");
    // The check of the one before was begun before this: from here on its refusal sleeps, for 2 s.
    assert!(opens(&daemon, ANNA, "one"));
    daemon.signal(Signal::TERM);
    let answer = heard.next().must("an answer").must("reading");
    assert!(answer.contains("The server stops"), "{answer}");
    assert!(daemon.stop().is_some_and(|status| status.success()));
}

#[test]
fn a_daemon_that_is_killed_between_renames_has_one_name_and_one_password_for_an_account() {
    let mut dice = Dice::from_env();
    let mut daemon = Daemon::start(options().text("auth", "accounts", "listed"));
    done(&daemon, &["add", ANNA, "--password"], "one\n");
    let number = accounts(&daemon)[0]["number"].clone();
    for round in 0..8 {
        let span = Duration::from_millis(20 + dice.below(150));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for n in 0..6 {
                    let names = if n % 2 == 0 { [ANNA, ZOE] } else { [ZOE, ANNA] };
                    // Whatever it says: the daemon may be gone.
                    let _ = daemon
                        .command("account")
                        .args(["rename", names[0], names[1]])
                        .output();
                }
            });
            wait::pause(span);
            let pid = fs::read_to_string(daemon.data_dir().join("listen.json")).must("reading");
            let pid: Value = serde_json::from_str(&pid).must("JSON");
            let pid = pid["pid"].to_string();
            let killed = std::process::Command::new("kill")
                .args(["-9", &pid])
                .status();
            assert!(killed.must("killing").success());
        });
        daemon.restart();
        let found = accounts(&daemon);
        assert_eq!(found.len(), 1, "round {round}: {found:?}");
        assert_eq!(found[0]["number"], number, "round {round}");
        let name = found[0]["name"].as_str().must("a name");
        let other = if name == ANNA { ZOE } else { ANNA };
        assert!(
            opens(&daemon, name, "one") && !opens(&daemon, other, "one"),
            "round {round}"
        );
        let users = fs::read_to_string(daemon.data_dir().join("users")).must("reading");
        assert!(
            users.contains(&format!("\n{name}:")) && !users.contains(other),
            "round {round}: {users}"
        );
    }
}
