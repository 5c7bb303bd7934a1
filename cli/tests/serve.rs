//! The daemon as an operator meets it: HTTP, the commands beside it and without it, signals, what it leaves behind.

use std::io::{ErrorKind, Write};
use std::net::{TcpListener, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;
use std::time::{Duration, Instant};

use coldpost_testkit::lmtp::stuffed;
use coldpost_testkit::process::Process;
use coldpost_testkit::{Daemon, Must, Options, http, place, wait};
use rustix::process::Signal;
use serde_json::Value;

const BINARY: &str = env!("CARGO_BIN_EXE_coldpost");
const MAIL: &[u8] = b"From: Bob <bob@example.net>\r\nSubject: Hello\r\n\r\nHello Anna!\r\n";

fn json_lines(output: &Output) -> Vec<Value> {
    assert!(output.status.success(), "{output:?}");
    let text = String::from_utf8_lossy(&output.stdout);
    text.lines()
        .map(|line| serde_json::from_str(line).must("a JSON object a line"))
        .collect()
}

fn names(output: &Output) -> Vec<String> {
    let accounts = json_lines(output);
    accounts
        .iter()
        .map(|account| account["name"].as_str().must("a name").to_owned())
        .collect()
}

#[test]
fn only_health_and_metrics_are_open_to_everybody() {
    let daemon = Daemon::start(Options::new(BINARY));
    let (addr, token) = (daemon.http_addr(), daemon.token());
    for path in ["/healthz", "/readyz", "/metrics"] {
        assert_eq!(http::get(addr, path, None).must(path).status, 200, "{path}");
    }
    for path in ["/admin/status", "/admin/account"] {
        assert_eq!(http::get(addr, path, None).must(path).status, 401, "{path}");
        assert_eq!(
            http::get(addr, path, Some("wrong")).must(path).status,
            401,
            "{path}"
        );
        assert_eq!(
            http::get(addr, path, Some(&token)).must(path).status,
            200,
            "{path}"
        );
    }
    let verify = http::request(addr, "POST", "/admin/verify", &[], b"").must("asking");
    assert_eq!(verify.status, 401);
    assert_eq!(
        http::get(addr, "/elsewhere", Some(&token))
            .must("asking")
            .status,
        404
    );
}

#[test]
fn deliveries_are_counted_by_what_became_of_them() {
    let daemon = Daemon::start(Options::new(BINARY));
    assert_eq!(daemon.metric("coldpost_deliveries_total"), Some(0.0));
    assert_eq!(daemon.metric("coldpost_uploads_waiting"), Some(0.0));
    daemon
        .lmtp()
        .deliver("bob@example.net", "anna@example.org", MAIL);
    assert_eq!(daemon.metric("coldpost_deliveries_total"), Some(1.0));
    assert_eq!(daemon.metric("coldpost_delivery_seconds_count"), Some(1.0));
}

#[test]
fn commands_work_beside_the_daemon_and_without_it() {
    let mut daemon = Daemon::start(Options::new(BINARY).text("auth", "accounts", "listed"));
    let added = json_lines(&daemon.run(&["account", "add", "Anna@Example.ORG", "--json"]));
    assert_eq!(
        (
            added[0]["account"]["name"].as_str(),
            added[0]["new"].as_bool()
        ),
        (Some("anna@example.org"), Some(true))
    );
    let again = json_lines(&daemon.run(&["account", "add", "anna@example.org", "--json"]));
    assert_eq!(again[0]["new"], false);
    daemon
        .lmtp()
        .deliver("bob@example.net", "anna@example.org", MAIL);
    assert_eq!(
        json_lines(&daemon.run(&["status", "--json"]))[0]["running"],
        true
    );
    assert_eq!(
        daemon.run(&["account", "add", "an na"]).status.code(),
        Some(2)
    );

    daemon.stop();
    assert_eq!(
        json_lines(&daemon.run(&["account", "add", "bob@example.org", "--json"]))[0]["new"],
        true
    );
    assert_eq!(
        names(&daemon.run(&["account", "list", "--json"])),
        ["anna@example.org", "bob@example.org"]
    );
    let status = &json_lines(&daemon.run(&["status", "--json"]))[0];
    assert_eq!(
        (status["running"].as_bool(), status["ready"].as_bool()),
        (Some(false), Some(true)),
        "{status}"
    );

    daemon.restart();
    assert_eq!(
        names(&daemon.run(&["account", "list", "--json"])),
        ["anna@example.org", "bob@example.org"]
    );
    daemon
        .lmtp()
        .deliver("anna@example.org", "bob@example.org", MAIL);
}

#[test]
fn a_whole_store_verifies_beside_the_daemon_and_without_it() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    for _ in 0..3 {
        daemon
            .lmtp()
            .deliver("bob@example.net", "anna@example.org", MAIL);
    }
    let running = json_lines(&daemon.run(&["verify", "--json"]));
    daemon.stop();
    let stopped = json_lines(&daemon.run(&["verify", "--json"]));
    for lines in [running, stopped] {
        let summary = lines.last().must("a summary");
        assert_eq!(
            (summary["event"].as_str(), summary["damaged"].as_u64()),
            (Some("summary"), Some(0)),
            "{summary}"
        );
    }
}

#[test]
fn a_killed_daemon_is_not_taken_for_a_running_one() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon.kill();
    assert!(
        daemon.data_dir().join("listen.json").exists(),
        "a kill leaves the file"
    );
    let status = &json_lines(&daemon.run(&["status", "--json"]))[0];
    assert_eq!(status["running"], false);
}

#[test]
fn sigterm_takes_the_message_that_is_coming_in_and_cleans_up() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let mut lmtp = daemon.lmtp();
    for line in [
        "MAIL FROM:<bob@example.net>",
        "RCPT TO:<anna@example.org>",
        "DATA",
    ] {
        lmtp.command(line).must(line);
    }
    let mut idle = daemon.lmtp();
    daemon.signal(Signal::TERM);
    assert_eq!(idle.reply().must("the farewell").code, 421);
    lmtp.send(&stuffed(MAIL)).must("sending the rest");
    assert_eq!(lmtp.reply().must("the reply").code, 250);
    assert!(daemon.stop().must("it ends by itself").success());
    assert!(!daemon.data_dir().join("listen.json").exists());
    daemon.restart();
    let mut imap = daemon.imap("anna@example.org");
    assert_eq!(imap.command("SELECT INBOX").ok().number("EXISTS"), Some(1));
}

/// They were made with the umask's mode, so that every user of the machine could read mail.
#[test]
fn directories_that_we_make_are_their_owners_and_one_that_was_there_stays_as_it_is() {
    let mode = |path: &Path| {
        let metadata = std::fs::metadata(path).must("a directory");
        metadata.permissions().mode() & 0o777
    };
    let daemon = Daemon::start(Options::new(BINARY));
    for name in ["", "spool", "cold", "shards", "shards/0001"] {
        assert_eq!(mode(&daemon.data_dir().join(name)), 0o700, "{name:?}");
    }
    let scratch = place::scratch("modes");
    let data = scratch.path().join("data");
    std::fs::create_dir(&data).must("making the data directory");
    let open = std::fs::Permissions::from_mode(0o755);
    std::fs::set_permissions(&data, open).must("opening it");
    let elsewhere = scratch.path().join("new/store");
    let url = format!("file://{}", elsewhere.display());
    let options = Options::new(BINARY).data(&data).text("cold", "url", &url);
    let _daemon = Daemon::start(options);
    assert_eq!(mode(&data), 0o755);
    assert_eq!(mode(&elsewhere), 0o700);
    assert_eq!(mode(&data.join("shards")), 0o700);
}

/// The token went to whatever proxy the environment names.
#[test]
fn a_proxy_of_the_environment_is_not_used() {
    let daemon = Daemon::start(Options::new(BINARY));
    let proxy = TcpListener::bind("127.0.0.1:0").must("a port");
    proxy
        .set_nonblocking(true)
        .must("a listener that does not wait");
    let address = format!("http://{}", proxy.local_addr().must("its address"));
    for line in [&["status", "--json"][..], &["account", "list"], &["verify"]] {
        let mut command = daemon.command(line[0]);
        command.args(&line[1..]);
        for name in ["HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"] {
            command.env(name, &address);
        }
        let output = command.output().must("running the binary");
        assert!(output.status.success(), "{line:?}: {output:?}");
        let asked = proxy.accept().map_err(|error| error.kind());
        assert_eq!(asked.err(), Some(ErrorKind::WouldBlock), "{line:?}");
    }
}

/// It was said that another process has the data directory, and to stop it.
#[test]
fn a_daemon_that_does_not_answer_is_not_taken_for_a_stranger() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon.signal(Signal::STOP);
    let stat = format!("/proc/{}/stat", daemon.pid());
    let is_stopped = || std::fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "));
    wait::until(
        "all its threads to stop",
        Duration::from_secs(30),
        is_stopped,
    );
    let output = daemon.run(&["status"]);
    daemon.signal(Signal::CONT);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains("does not answer") && said.contains("try again") && !said.contains("stop it"),
        "{said}"
    );
    assert!(daemon.run(&["status"]).status.success());
}

/// Each of them held the exit for ten seconds.
#[test]
fn a_request_that_was_half_sent_does_not_hold_the_exit() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let halves = [
        "GET /healthz HTTP/1.1\r\nHost: x\r\nx-half: ".to_owned(),
        format!(
            "POST /admin/account HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer {}\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{{",
            daemon.token()
        ),
    ];
    let connections: Vec<TcpStream> = halves
        .iter()
        .map(|half| {
            let mut stream = TcpStream::connect(daemon.http_addr()).must("connecting");
            stream.write_all(half.as_bytes()).must("sending a half");
            stream
        })
        .collect();
    // They are accepted in their order: a whole request behind them is answered when they are being read.
    http::get(daemon.http_addr(), "/healthz", None).must("asking");
    let before = Instant::now();
    assert!(daemon.stop().must("it ends by itself").success());
    let took = before.elapsed();
    assert!(took < Duration::from_secs(5), "{took:?}");
    drop(connections);
}

/// Errors of the framework were bare text, or nothing.
#[test]
fn what_http_refuses_is_always_said_as_json() {
    let daemon = Daemon::start(Options::new(BINARY));
    let bearer = format!("Bearer {}", daemon.token());
    let json = [
        ("Authorization", bearer.as_str()),
        ("Content-Type", "application/json"),
    ];
    let long = "x".repeat(100_000);
    for (method, path, header, body, status) in [
        ("GET", "/elsewhere", &json[..], "", 404),
        ("POST", "/healthz", &json, "", 405),
        ("DELETE", "/admin/account", &json, "", 405),
        ("GET", "/admin/status", &[], "", 401),
        ("GET", "/admin/account?limit=many", &json, "", 400),
        ("POST", "/admin/account", &json, "{", 400),
        ("POST", "/admin/account", &json, "{\"nam\": \"x\"}", 422),
        ("POST", "/admin/account", &json, "{\"name\": \"a b\"}", 400),
        ("POST", "/admin/account", &json[..1], "{}", 415),
        ("POST", "/admin/account", &json, &long, 413),
    ] {
        let reply = http::request(daemon.http_addr(), method, path, header, body.as_bytes());
        let reply = reply.must(path);
        assert_eq!(reply.status, status, "{method} {path}: {}", reply.text());
        let told: Value = serde_json::from_slice(&reply.body).must(&reply.text());
        let error = told["error"].as_str().must("an error");
        assert!(!error.is_empty(), "{method} {path}");
    }
}

/// Two that asked at once were both told that they had made it.
#[test]
fn of_many_that_add_an_account_at_once_one_has_made_it() {
    let daemon = Daemon::start(Options::new(BINARY));
    let (addr, bearer) = (daemon.http_addr(), format!("Bearer {}", daemon.token()));
    for round in 0..5 {
        let body = format!("{{\"name\": \"ann{round}@example.org\"}}");
        let add = || {
            let header = [
                ("Authorization", bearer.as_str()),
                ("Content-Type", "application/json"),
            ];
            let reply = http::request(addr, "POST", "/admin/account", &header, body.as_bytes());
            reply.must("adding").status
        };
        let answers: Vec<u16> = std::thread::scope(|scope| {
            let threads: Vec<_> = (0..8).map(|_| scope.spawn(add)).collect();
            threads
                .into_iter()
                .map(|t| t.join().expect("no panic"))
                .collect()
        });
        let made = answers.iter().filter(|status| **status == 201).count();
        assert_eq!(made, 1, "{answers:?}");
    }
}

#[test]
fn an_account_that_mail_cannot_reach_is_not_added() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let header = format!("Bearer {}", daemon.token());
    let header = [
        ("Authorization", header.as_str()),
        ("Content-Type", "application/json"),
    ];
    let body = b"{\"name\": \"ann+x@example.org\"}";
    let reply = http::request(daemon.http_addr(), "POST", "/admin/account", &header, body);
    let reply = reply.must("adding");
    assert_eq!(reply.status, 400);
    assert!(
        reply.text().contains("delivered to ann@example.org"),
        "{}",
        reply.text()
    );
    for _ in 0..2 {
        let output = daemon.run(&["account", "add", "ann+x@example.org"]);
        assert_eq!(output.status.code(), Some(2));
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(said.contains("delivered to ann@example.org"), "{said}");
        daemon.stop();
    }
    assert!(names(&daemon.run(&["account", "list", "--json"])).is_empty());
}

/// People were shown the password, a program not even where it is.
#[test]
fn a_program_is_told_where_the_development_password_is() {
    let told = |options: Options| -> Value {
        let daemon = Daemon::start(options.argument("--json"));
        // It is said shortly after listen.json is there.
        let line = wait::until_some("the answer", Duration::from_secs(60), || {
            let log = daemon.log();
            let line = log.lines().find(|line| line.starts_with('{'));
            line.map(str::to_owned)
        });
        serde_json::from_str(&line).must("JSON")
    };
    let scratch = place::scratch("told");
    let data = scratch.path().join("data");
    let ready = told(Options::new(BINARY).data(&data));
    let file = data.join("dev-password");
    assert_eq!(
        ready["dev_password_file"].as_str(),
        file.to_str(),
        "{ready}"
    );
    assert!(file.exists() && ready["lmtp"].is_string(), "{ready}");
    let own = told(Options::new(BINARY).text("auth", "dev_password", "sesame"));
    assert!(own.get("dev_password_file").is_none(), "{own}");
}

#[test]
fn an_address_in_use_is_named_and_nothing_is_left_open() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    let other = Daemon::start(Options::new(BINARY));
    daemon.stop();
    let taken = other.lmtp_addr().to_string();
    let output = daemon
        .command("serve")
        .env("COLDPOST_LMTP__LISTEN", &taken)
        .output()
        .must("running");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(
        said.contains(&format!("lmtp cannot listen on {taken}")),
        "{said}"
    );
    daemon.restart();
}

/// It said "File exists (os error 17)" and not of what.
#[test]
fn a_spool_that_is_a_file_is_named() {
    let mut daemon = Daemon::start(Options::new(BINARY));
    daemon.stop();
    let spool = daemon.data_dir().join("spool");
    std::fs::remove_dir_all(&spool).must("removing the spool");
    std::fs::write(&spool, "mine").must("writing a file there");
    let output = daemon.run(&["serve"]);
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    let named = format!("the spool {} is no directory", spool.display());
    assert!(said.contains(&named), "{said}");
}

/// It was heard when the bucket had been given up, nine seconds later, and the exit code was 1.
#[test]
fn a_start_that_waits_for_its_bucket_ends_when_it_is_told_to() {
    let scratch = place::scratch("waiting");
    let data = scratch.path().join("data");
    let silent = TcpListener::bind("127.0.0.1:0").must("a port");
    let endpoint = format!("http://{}", silent.local_addr().must("its address"));
    let mut command = std::process::Command::new(BINARY);
    command.arg("serve").arg("--data").arg(&data).envs([
        ("COLDPOST_COLD__URL", "s3://bucket/store"),
        ("COLDPOST_COLD__ENDPOINT", &endpoint),
        ("COLDPOST_COLD__ALLOW_HTTP", "true"),
        ("COLDPOST_COLD__ACCESS_KEY_ID", "a"),
        ("COLDPOST_COLD__SECRET_ACCESS_KEY", "b"),
    ]);
    let log = scratch.path().join("log");
    let mut process = Process::start("a start that waits", &mut command, &log);
    let _asked = silent.accept().must("the bucket is asked");
    let before = Instant::now();
    let ended = process.stop().must("it ends by itself");
    let took = before.elapsed();
    assert!(ended.success(), "{ended}\n{}", process.log_end());
    assert!(took < Duration::from_secs(5), "{took:?}");
    // Nothing of the attempt is in the way.
    let daemon = Daemon::start(Options::new(BINARY).data(&data));
    daemon
        .lmtp()
        .deliver("bob@example.net", "anna@example.org", MAIL);
}
