//! SeaweedFS as the S3 store, all of its ports free ones, one bucket made.

use std::fs;
use std::net::SocketAddr;
use std::process::Command;
use std::time::Duration;

use rustix::process::Signal;
use tempfile::TempDir;

use crate::daemon::Options;
use crate::http;
use crate::must::Must;
use crate::process::Process;
use crate::{place, ports, tool};

/// The bucket that exists from the start.
pub const BUCKET: &str = "mail";
/// Key and secret of the one identity.
pub const ACCESS_KEY: &str = "testkit";
/// The secret.
pub const SECRET_KEY: &str = "testkit-secret";

const START_WITHIN: Duration = Duration::from_secs(60);

/// A running SeaweedFS.
#[derive(Debug)]
pub struct SeaweedFs {
    process: Option<Process>,
    s3: u16,
    filer: u16,
    ports: Vec<u16>,
    /// With their policies.
    identities: Vec<Identity>,
    scratch: TempDir,
}

/// Who may do what an IAM policy allows.
#[derive(Clone, Debug)]
pub struct Identity {
    /// Its key.
    pub access_key: String,
    /// Its secret.
    pub secret_key: String,
    /// The policy document, as JSON.
    pub policy: String,
}

impl SeaweedFs {
    /// Starts it and waits until an object was written.
    pub fn start() -> SeaweedFs {
        SeaweedFs::start_with(vec![])
    }

    /// The same with more identities beside the one that may do everything.
    pub fn start_with(identities: Vec<Identity>) -> SeaweedFs {
        let ports = ports::free(8);
        let (s3, filer) = (ports[0], ports[1]);
        let mut weed = SeaweedFs {
            process: None,
            s3,
            filer,
            ports,
            identities,
            scratch: place::scratch("weed"),
        };
        weed.restart();
        weed
    }

    /// Starts it again on the same data and ports.
    pub fn restart(&mut self) {
        self.stop();
        let dir = self.scratch.path();
        let config = dir.join("s3.json");
        fs::write(&config, self.settings()).must("writing s3.json");
        let data = dir.join("data");
        fs::create_dir_all(&data).must("making the store's directory");
        let mut command = Command::new(tool::WEED.path());
        command.arg(format!("-logdir={}", dir.display())).args([
            "server",
            "-ip=127.0.0.1",
            "-ip.bind=127.0.0.1",
            "-filer",
            "-s3",
            "-s3.iam=false",
        ]);
        command.args([
            "-s3.port.iceberg=0",
            "-s3.port.lance=0",
            "-master.volumeSizeLimitMB=128",
            "-volume.max=100",
        ]);
        command.args(["-master.telemetry=false", "-volume.minFreeSpace=1"]);
        let names = ["s3.port", "filer.port", "s3.port.grpc", "filer.port.grpc"];
        let more = [
            "master.port",
            "master.port.grpc",
            "volume.port",
            "volume.port.grpc",
        ];
        for (name, port) in names.iter().chain(&more).zip(&self.ports) {
            command.arg(format!("-{name}={port}"));
        }
        command
            .arg(format!("-dir={}", data.display()))
            .arg(format!("-s3.config={}", config.display()));
        for part in ["filer", "s3"] {
            command.arg(format!("-{part}.localSocket={}", dir.join(part).display()));
        }
        let mut process = Process::start("weed", command.current_dir(dir), &dir.join("log"));
        let (filer, s3) = (self.filer_addr(), self.s3_addr());
        process.wait_until("a first object in the bucket", START_WITHIN, || {
            let made = http::request(filer, "POST", &format!("/buckets/{BUCKET}/"), &[], b"")
                .is_ok_and(|r| r.status < 300 || r.status == 409);
            let path = format!("/buckets/{BUCKET}/probe");
            made && http::request(filer, "PUT", &path, &[], b"probe").is_ok_and(|r| r.status < 300)
                && http::request(filer, "DELETE", &path, &[], b"").is_ok()
                && http::get(s3, "/", None).is_ok()
        });
        self.process = Some(process);
    }

    /// What it reads at its start.
    fn settings(&self) -> String {
        let mut identities = vec![serde_json::json!({
            "name": ACCESS_KEY,
            "credentials": [{"accessKey": ACCESS_KEY, "secretKey": SECRET_KEY}],
            "actions": ["Admin", "Read", "Write", "List", "Tagging"],
        })];
        let mut policies = vec![];
        for identity in &self.identities {
            let name = &identity.access_key;
            identities.push(serde_json::json!({
                "name": name,
                "credentials": [{"accessKey": name, "secretKey": identity.secret_key}],
                "actions": [],
                "policyNames": [name],
            }));
            policies.push(serde_json::json!({"name": name, "content": identity.policy}));
        }
        serde_json::json!({"identities": identities, "policies": policies}).to_string()
    }

    /// Where S3 listens.
    pub fn s3_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.s3))
    }

    /// The `[cold]` settings that lead to it, through `endpoint` (itself or a proxy before it).
    pub fn cold(&self, options: Options, endpoint: SocketAddr, prefix: &str) -> Options {
        options
            .text("cold", "url", &format!("s3://{BUCKET}/{prefix}"))
            .text("cold", "endpoint", &format!("http://{endpoint}"))
            .text("cold", "region", "us-east-1")
            .text("cold", "access_key_id", ACCESS_KEY)
            .text("cold", "secret_access_key", SECRET_KEY)
            .raw("cold", "allow_http", "true")
    }

    /// Kills it (its orderly end takes half a minute); the data stays.
    pub fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill();
            self.remove_sockets();
        }
    }

    /// Its gRPC servers listen on sockets in /tmp too, wherever it is told to be, and a killed one leaves them.
    fn remove_sockets(&self) {
        let Ok(entries) = fs::read_dir("/tmp") else {
            return;
        };
        for entry in entries.flatten() {
            let name = entry.file_name().to_string_lossy().into_owned();
            let ours = |port: &u16| {
                name.starts_with("seaweedfs-") && name.ends_with(&format!("-grpc-{port}.sock"))
            };
            if self.ports.iter().any(ours) {
                let _ = fs::remove_file(entry.path());
            }
        }
    }

    /// Stops answering, connections stay open.
    pub fn pause(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::STOP);
        }
    }

    /// Goes on after `pause`.
    pub fn resume(&mut self) {
        if let Some(process) = &mut self.process {
            process.signal(Signal::CONT);
        }
    }

    /// Removes an object behind the daemon's back; `key` is the whole key in the bucket.
    pub fn delete(&self, key: &str) {
        let path = format!("/buckets/{BUCKET}/{key}");
        http::request(self.filer_addr(), "DELETE", &path, &[], b"").must("deleting an object");
    }

    fn filer_addr(&self) -> SocketAddr {
        SocketAddr::from(([127, 0, 0, 1], self.filer))
    }
}

impl Drop for SeaweedFs {
    fn drop(&mut self) {
        self.stop();
    }
}
