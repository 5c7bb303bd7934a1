//! The binary as it is typed: exit codes, JSON, settings from everywhere.

use std::path::Path;
use std::process::{Command, Output};

fn coldpost(directory: &Path, line: &str, environment: &[(&str, &str)]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_coldpost"));
    command
        .args(line.split(' '))
        .current_dir(directory)
        .env_clear()
        .envs(environment.iter().copied());
    command.output().expect("the binary runs")
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).expect("text")
}

#[test]
fn wrong_arguments_and_settings_give_exit_code_2() {
    let directory = tempfile::tempdir().expect("a directory");
    let typed = coldpost(directory.path(), "serv", &[]);
    assert_eq!(typed.status.code(), Some(2));
    let set = coldpost(
        directory.path(),
        "serve",
        &[("COLDPOST_LMTP__MAX_MESAGE", "1MiB")],
    );
    assert_eq!(set.status.code(), Some(2));
    let said = text(&set.stderr);
    assert!(
        said.starts_with("coldpost: lmtp.max_mesage (in the environment)")
            && said.contains("lmtp.max_message"),
        "{said}"
    );
    let missing = coldpost(directory.path(), "config show --config missing.toml", &[]);
    assert_eq!(missing.status.code(), Some(2));
    assert!(text(&missing.stderr).contains("missing.toml cannot be read"));
    assert_eq!(
        std::fs::read_dir(directory.path())
            .expect("readable")
            .count(),
        0,
        "nothing was made"
    );
}

#[test]
fn looking_at_a_store_that_is_not_there_makes_none() {
    let directory = tempfile::tempdir().expect("a directory");
    for line in [
        "status --data d",
        "account list --data d",
        "verify --data d",
        "account add ann@example.org --data d",
    ] {
        let answer = coldpost(directory.path(), line, &[]);
        assert_eq!(answer.status.code(), Some(1), "{line}");
        let said = text(&answer.stderr);
        assert!(
            said.contains("no store in") && said.contains("coldpost serve --data"),
            "{line}: {said}"
        );
        assert!(!directory.path().join("d").exists(), "{line}");
    }
    // In somebody else's directory neither.
    std::fs::create_dir(directory.path().join("other")).expect("made");
    std::fs::write(directory.path().join("other/file"), "text").expect("written");
    for line in [
        "account add ann@example.org --data other",
        "status --data other",
    ] {
        let answer = coldpost(directory.path(), line, &[]);
        assert!(text(&answer.stderr).contains("no store in"), "{line}");
        let entries = std::fs::read_dir(directory.path().join("other")).expect("readable");
        assert_eq!(entries.count(), 1, "{line}");
    }
}

#[test]
fn a_failure_is_json_as_well() {
    let directory = tempfile::tempdir().expect("a directory");
    let answer = coldpost(directory.path(), "status --json", &[]);
    assert_eq!(answer.status.code(), Some(1));
    assert!(answer.stderr.is_empty());
    let said: serde_json::Value = serde_json::from_slice(&answer.stdout).expect("JSON");
    assert!(
        said["error"]
            .as_str()
            .is_some_and(|error| error.starts_with("no store in")),
        "{said}"
    );
}

#[test]
fn config_show_gives_what_counts_as_toml_and_as_json() {
    let directory = tempfile::tempdir().expect("a directory");
    std::fs::write(
        directory.path().join("c.toml"),
        "[mail]\nmemory = \"64MiB\"\n[http]\ntoken = \"sesame\"",
    )
    .expect("written");
    let environment = [("COLDPOST_HOT__CACHE", "32MiB")];
    let shown = coldpost(
        directory.path(),
        "config show --config c.toml --data d",
        &environment,
    );
    assert_eq!(shown.status.code(), Some(0));
    let shown = text(&shown.stdout);
    for line in [
        "data = \"d\"",
        "memory = \"64MiB\"",
        "cache = \"32MiB\"",
        "token = \"(hidden)\"",
    ] {
        assert!(
            shown.lines().any(|shown| shown == line),
            "{line} is missing in:\n{shown}"
        );
    }
    let json = coldpost(
        directory.path(),
        "--json config show --config c.toml",
        &environment,
    );
    let json: serde_json::Value = serde_json::from_slice(&json.stdout).expect("JSON");
    assert_eq!(json["mail"]["memory"], "64MiB");
}

#[test]
fn the_exit_codes_stand_in_the_help() {
    let directory = tempfile::tempdir().expect("a directory");
    let help = coldpost(directory.path(), "--help", &[]);
    // Lines end where the terminal does.
    let told = text(&help.stdout);
    let told = told.split_whitespace().collect::<Vec<_>>().join(" ");
    for code in [
        "0 done",
        "1 failed",
        "2 wrong arguments or settings",
        "3 damage found",
    ] {
        assert!(told.contains(code), "{code}");
    }
}

/// It said "No such file or directory" and nothing of what to do.
#[test]
fn a_check_before_the_first_start_says_that_the_directory_of_the_store_comes_with_it() {
    let directory = tempfile::tempdir().expect("a directory");
    let store = directory.path().join("store");
    let url = format!("file://{}", store.display());
    let checked = coldpost(
        directory.path(),
        "cold check",
        &[("COLDPOST_COLD__URL", &url)],
    );
    assert_eq!(checked.status.code(), Some(1));
    let said = text(&checked.stdout);
    assert!(
        said.contains(&format!("There is no directory {}", store.display()))
            && said.contains("coldpost serve makes it")
            && said.contains("mount it"),
        "{said}"
    );
    assert!(!store.exists(), "a check makes none");
}
