//! `coldpost serve`: the daemon.
//!
//! Promises: says that it is ready only when every listener answers; a data directory is served by one process.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use coldpost_engine::Engine;
use coldpost_engine::limits::LOCK_WAIT_SECONDS;
use coldpost_engine::settings::Settings;
use coldpost_server::auth::Password;
use coldpost_server::http::wire::Door;
use coldpost_server::limits::PASSWORD_MAX;
use coldpost_server::listen::Address;
use coldpost_server::tls::{Tls, TlsFiles};
use coldpost_server::{Server, ServerSettings, http, shutdown};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use serde::Serialize;

use crate::config::{Checked, Config};
use crate::failure::Failure;
use crate::listening::Listening;
use crate::logging;
use crate::output::Output;
use crate::place;
use crate::reach::runtime;
use crate::secret;
use crate::systemd::{self, Word};

/// How long work that nobody waits for any more may hold the exit.
const LEFT_BEHIND: Duration = Duration::from_secs(1);
/// Between two looks whether the data directory is free; short, so that a monitor that asks again and again leaves a gap.
const LOCK_LOOK: Duration = Duration::from_millis(10);

/// Serves until SIGTERM or SIGINT.
///
/// # Errors
/// When it cannot begin: another process has the data, an address is taken, a secret cannot be made.
pub(crate) fn run(config: &Config, checked: Checked, output: Output) -> Result<(), Failure> {
    logging::begin(&config.log)?;
    raise_open_files();
    // Before the store is opened, which may take long: who made a mistake here wants to know it now.
    let certificates = Certificates::load(&checked)?;
    let runtime = runtime()?;
    let ended = runtime.block_on(serve(checked, certificates, output));
    // Everything that must end has ended; a search that is still at a large message is not waited for.
    runtime.shutdown_timeout(LEFT_BEHIND);
    ended
}

/// The certificates, read.
struct Certificates {
    lmtp: Option<Tls>,
    imap: Option<Tls>,
}

impl Certificates {
    fn load(checked: &Checked) -> Result<Certificates, Failure> {
        let load = |name: &'static str, alpn, files: &Option<TlsFiles>| {
            let read = |files: &TlsFiles| Tls::load(name, alpn, files.clone());
            let wrong = |what| Failure::Usage(format!("{name}.{what}"));
            files.as_ref().map(read).transpose().map_err(wrong)
        };
        Ok(Certificates {
            lmtp: load("lmtp", None, &checked.lmtp_tls)?,
            imap: load("imap", Some("imap"), &checked.imap_tls)?,
        })
    }
}

async fn serve(
    checked: Checked,
    certificates: Certificates,
    output: Output,
) -> Result<(), Failure> {
    // Before anything else: a signal during the start is heard as well.
    let mut told_to_stop = tokio::spawn(shutdown::told_to_stop());
    let data = checked.engine.data.clone();
    place::make(&checked.engine)?;
    let mut opening = Box::pin(open(checked.engine.clone()));
    let engine = tokio::select! {
        opened = &mut opening => opened?,
        never = systemd::starting() => match never {},
        told = &mut told_to_stop => {
            say_why(&told);
            // A bucket may let the start wait. It ends here as by a kill, which every start is prepared for. Dropped it would give the
            // lock of the data directory away while threads of the store still write: the lock goes with the process.
            std::mem::forget(opening);
            return Ok(());
        }
    };
    let begun = begin(&engine, checked, certificates).await;
    let (server, dev_password, instance) = match begun {
        Ok(begun) => begun,
        Err(failure) => {
            engine.close().await;
            return Err(failure);
        }
    };
    let listening = Listening::new(server.addresses(), &instance);
    match listening.write(&data) {
        Err(error) if error.kind() == std::io::ErrorKind::StorageFull => {
            tracing::warn!(%error, "listen.json is not written: other commands do not find this process");
        }
        Err(error) => {
            server.run(async {}).await;
            return Err(Failure::of(
                "listen.json cannot be written into the data directory",
                &error,
            ));
        }
        Ok(()) => {}
    }
    say_ready(&listening, &server.doors(), &data);
    let ready = Ready {
        listening: &listening,
        dev_password_file: dev_password
            .as_ref()
            .map(|_| data.join(secret::DEV_PASSWORD)),
    };
    if let Err(failure) = output.say(&ready, welcome(&listening, dev_password.as_deref(), &data)) {
        // Mail is served all the same; listen.json says where.
        tracing::warn!("{failure}");
    }
    systemd::tell(Word::Ready(listening.in_words())).await;
    let signs = tokio::spawn(systemd::alive());
    let stop = async {
        say_why(&told_to_stop.await);
        systemd::tell(Word::Stopping).await;
    };
    server.run(stop).await;
    signs.abort();
    Listening::remove(&data);
    tracing::info!("stopped");
    Ok(())
}

/// Opens the store. Another process that has it is waited for: a command on the stopped data has it for a moment.
async fn open(settings: Settings) -> Result<Engine, Failure> {
    let begun = Instant::now();
    let mut is_told = false;
    loop {
        let refused = match Engine::open(settings.clone()).await {
            Err(error) if error.is_in_use() => error,
            opened => return Ok(opened?),
        };
        if begun.elapsed() >= Duration::from_secs(LOCK_WAIT_SECONDS) {
            // A kill may have left the file, so this is no proof.
            let who = Listening::read(&settings.data).map_or(String::new(), |listening| {
                format!("; listen.json there names process {}", listening.pid)
            });
            return Err(Failure::Failed(format!(
                "{refused} (waited {LOCK_WAIT_SECONDS} s for it{who})"
            )));
        }
        if !is_told {
            tracing::warn!(
                "another coldpost process has the data directory {}: waiting up to {LOCK_WAIT_SECONDS} s for it, as a command on stopped data, such as coldpost status, has it for a moment only",
                settings.data.display()
            );
            is_told = true;
        }
        tokio::time::sleep(LOCK_LOOK).await;
    }
}

/// Logs what there is: where it listens, and how much may come.
fn say_ready(listening: &Listening, doors: &[Door], data: &Path) {
    let most = |protocol: &str| {
        let door = doors.iter().find(|door| door.protocol == protocol);
        door.map_or(0, |door| door.connections_max)
    };
    tracing::info!(
        lmtp = listening.lmtp,
        lmtp_tls = listening.lmtp_tls,
        imap = listening.imap,
        imap_tls = listening.imap_tls,
        http = listening.http,
        data = %data.display(),
        open_files_max = open_files(),
        lmtp_connections_max = most("lmtp"),
        imap_connections_max = most("imap"),
        "ready"
    );
}

/// Logs the end that begins now.
fn say_why(told: &Result<std::io::Result<&'static str>, tokio::task::JoinError>) {
    match told {
        Ok(Ok(signal)) => tracing::info!(signal, "stopping"),
        Ok(Err(error)) => tracing::error!(%error, "signals cannot be heard, stopping"),
        Err(error) => tracing::error!(%error, "signals cannot be heard, stopping"),
    }
}

/// What a program is told.
#[derive(Serialize)]
struct Ready<'a> {
    #[serde(flatten)]
    listening: &'a Listening,
    /// The file of the development password, where it counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    dev_password_file: Option<PathBuf>,
}

/// Makes what the first start makes, and starts the server.
async fn begin(
    engine: &Engine,
    checked: Checked,
    certificates: Certificates,
) -> Result<(Server, Option<String>, String), Failure> {
    let data = &checked.engine.data;
    let mut auth = checked.auth;
    let dev_password = match checked.make_dev_password {
        true => Some(secret::read_or_make(data, secret::DEV_PASSWORD)?),
        false => None,
    };
    let imap = [Some(&checked.listen.imap), checked.listen.imap_tls.as_ref()];
    if dev_password.is_some() && !imap.into_iter().flatten().all(Address::is_local) {
        tracing::warn!(
            "without [auth] the development password opens every account from this machine, and the first message or login makes any account; name auth.passwd_file, which may be empty, to end that"
        );
    }
    if let Some(text) = &dev_password {
        auth.dev_password = Some(password(text, secret::DEV_PASSWORD)?);
    }
    let token = match checked.http_token {
        Some(token) => token,
        None => secret::read_or_make(data, secret::HTTP_TOKEN)?,
    };
    let instance = secret::random().map_err(|error| Failure::of("no random bytes", &error))?;
    let settings = ServerSettings {
        listen: checked.listen,
        http: http::Settings {
            token: password(&token, "http.token")?,
            instance: instance.clone(),
        },
        lmtp_tls: certificates.lmtp,
        imap_tls: certificates.imap,
        lmtp: checked.lmtp,
        auth,
        accounts: checked.accounts,
        passwd_file: checked.passwd_file,
        mail_memory: checked.engine.mail_memory,
        spool: data.join("spool"),
        open_files: open_files(),
    };
    let server = Server::start(engine.clone(), settings).await;
    let server = server.map_err(|error| Failure::of("the server cannot start", &error))?;
    Ok((server, dev_password, instance))
}

fn password(text: &str, name: &str) -> Result<Password, Failure> {
    let wrong = || format!("{name} is empty or longer than {PASSWORD_MAX} bytes");
    Password::new(text).ok_or_else(|| Failure::Usage(wrong()))
}

/// What a newcomer pastes. The password is shown only when we made it.
fn welcome(listening: &Listening, dev_password: Option<&str>, data: &Path) -> String {
    let Listening {
        lmtp, imap, http, ..
    } = listening;
    let mut text = format!(
        "Coldpost is ready: {}, data in {}\n",
        listening.in_words(),
        data.display()
    );
    let password = match dev_password {
        Some(password) => {
            text.push_str(&format!(
                "\nDevelopment password (any user, this machine only): {password}\n"
            ));
            password
        }
        None => "PASSWORD",
    };
    text.push_str("\nDeliver a mail by IMAP, then one by LMTP:\n");
    let mail = r"printf 'From: Bob <bob@example.net>\r\nTo: anna@example.org\r\nSubject: Hello\r\n\r\nHello Anna!\r\n' > mail.eml";
    let user = format!("--user anna@example.org:{password}");
    let (to_imap, url) = curl_imap(imap);
    text.push_str(&format!(
        "  {mail} && curl {to_imap}--url '{url}/INBOX' {user} -T mail.eml\n"
    ));
    let to_lmtp = match lmtp.strip_prefix("unix:") {
        Some(path) => format!("--socket {path}"),
        None => format!("--server {}", Listening::reachable(lmtp)),
    };
    text.push_str(&format!(
        "  swaks --protocol LMTP {to_lmtp} --to anna@example.org\n"
    ));
    text.push_str(&format!(
        "Read the first:\n  curl {to_imap}--url '{url}/INBOX;MAILINDEX=1' {user}\n"
    ));
    text.push_str(&format!(
        "Metrics:\n  curl http://{}/metrics\n",
        Listening::reachable(http)
    ));
    text
}

/// Options and URL with which curl reaches IMAP.
fn curl_imap(address: &str) -> (String, String) {
    match address.strip_prefix("unix:") {
        Some(path) => (
            format!("--unix-socket {path} "),
            "imap://localhost".to_owned(),
        ),
        None => (
            String::new(),
            format!("imap://{}", Listening::reachable(address)),
        ),
    }
}

/// Every connection and segment is an open file, and the usual limit of 1,024 is meant for programs that use select.
fn raise_open_files() {
    let limit = getrlimit(Resource::Nofile);
    if let Err(error) = setrlimit(
        Resource::Nofile,
        Rlimit {
            current: limit.maximum,
            maximum: limit.maximum,
        },
    ) {
        tracing::warn!(%error, "the limit of open files stays as it is");
    }
}

/// The limit of open files as it is now.
fn open_files() -> usize {
    let limit = getrlimit(Resource::Nofile).current;
    limit.map_or(usize::MAX, |files| {
        usize::try_from(files).unwrap_or(usize::MAX)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use expect_test::expect;

    #[test]
    fn the_lines_to_paste_have_the_real_addresses() {
        let listening = Listening {
            pid: 1,
            instance: "one".to_owned(),
            lmtp: "unix:/run/coldpost/lmtp".to_owned(),
            lmtp_tls: None,
            imap: "127.0.0.1:40001".to_owned(),
            imap_tls: Some("0.0.0.0:40003".to_owned()),
            http: "0.0.0.0:40002".to_owned(),
        };
        expect![[r#"
            Coldpost is ready: LMTP unix:/run/coldpost/lmtp, IMAP 127.0.0.1:40001, IMAP in TLS 0.0.0.0:40003, HTTP 0.0.0.0:40002, data in /data

            Development password (any user, this machine only): pw

            Deliver a mail by IMAP, then one by LMTP:
              printf 'From: Bob <bob@example.net>\r\nTo: anna@example.org\r\nSubject: Hello\r\n\r\nHello Anna!\r\n' > mail.eml && curl --url 'imap://127.0.0.1:40001/INBOX' --user anna@example.org:pw -T mail.eml
              swaks --protocol LMTP --socket /run/coldpost/lmtp --to anna@example.org
            Read the first:
              curl --url 'imap://127.0.0.1:40001/INBOX;MAILINDEX=1' --user anna@example.org:pw
            Metrics:
              curl http://127.0.0.1:40002/metrics
        "#]]
        .assert_eq(&welcome(&listening, Some("pw"), Path::new("/data")));
    }
}
