//! Prometheus and promtool: a real scrape, and checks of rules.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::Duration;

use anyhow::{Context, Result, bail};

use crate::debian::Packages;
use crate::distribution::Distribution;
use crate::process::{self, Server};

pub(crate) const PROMETHEUS: Distribution = Distribution {
    name: "prometheus",
    packages: Packages { suite: "bookworm", names: &["prometheus"] },
    server: "prometheus",
    version: "prometheus, version 2.",
    variable: "TAILWATER_PROMETHEUS",
    folders: &["usr/bin"],
    programs: &["prometheus", "promtool"],
};

/// Bound on one answer of the HTTP interface.
const PATIENCE: Duration = Duration::from_secs(5);

/// A running Prometheus, stopped and removed when dropped.
#[derive(Debug)]
pub struct Prometheus {
    _server: Server,
    address: SocketAddr,
}

impl Prometheus {
    /// Starts a server with this configuration (the text of `prometheus.yml`).
    ///
    /// # Errors
    /// When Prometheus cannot be had or does not start; the error ends with the server's log.
    pub fn start(configuration: &str) -> Result<Self> {
        let program = PROMETHEUS.install()?.program("prometheus")?;
        let mut server = Server::new("prometheus")?;
        let file = server.folder().join("prometheus.yml");
        fs::write(&file, configuration)?;
        let mut address = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        process::on_free_port(|port| {
            address.set_port(port);
            let mut command = Command::new(&program);
            command
                .current_dir(server.folder())
                .arg(format!("--config.file={}", file.display()))
                .arg(format!("--storage.tsdb.path={}", server.folder().join("data").display()))
                .arg(format!("--web.listen-address={address}"));
            server.start(command, || get(address, "/-/ready").is_ok())
        })?;
        Ok(Self { _server: server, address })
    }

    /// Starts a server that scrapes `/metrics` of these addresses every second, as job `tailwater`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn scraping(targets: &[SocketAddr]) -> Result<Self> {
        let targets: Vec<_> = targets.iter().map(|target| format!("'{target}'")).collect();
        Self::start(&format!(
            "global: {{ scrape_interval: 1s, scrape_timeout: 1s }}\nscrape_configs:\n\
             - job_name: tailwater\n  static_configs:\n  - targets: [{}]\n",
            targets.join(", ")
        ))
    }

    /// Host and port of its HTTP interface.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// The JSON answer to an instant query (`/api/v1/query`).
    ///
    /// # Errors
    /// When the server does not answer, or answers with an error.
    pub fn query(&self, expression: &str) -> Result<String> {
        let encoded: String = expression.bytes().map(|byte| format!("%{byte:02X}")).collect();
        self.get(&format!("/api/v1/query?query={encoded}"))
    }

    /// The answer to a GET of any path of its HTTP interface, for instance `/api/v1/targets`.
    ///
    /// # Errors
    /// When the server does not answer, or answers with another status than 200.
    pub fn get(&self, path: &str) -> Result<String> {
        get(self.address, path)
    }

    /// Runs promtool, for instance with `["test", "rules", "file.yml"]`; returns what it printed.
    ///
    /// # Errors
    /// When Prometheus cannot be had, and what promtool says when it fails.
    pub fn promtool(arguments: &[&str]) -> Result<String> {
        Self::promtool_with(arguments, b"")
    }

    /// The same with something on its standard input, for instance `["check", "metrics"]` with a scrape.
    ///
    /// # Errors
    /// As [`promtool`](Self::promtool).
    pub fn promtool_with(arguments: &[&str], input: &[u8]) -> Result<String> {
        let mut command = Command::new(PROMETHEUS.install()?.program("promtool")?);
        process::run(command.args(arguments), input)
    }
}

fn get(address: SocketAddr, path: &str) -> Result<String> {
    let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    write!(stream, "GET {path} HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").context("the answer is not HTTP")?;
    let status = head.split_whitespace().nth(1).unwrap_or_default();
    if status != "200" {
        bail!("{path} was answered with status {status}: {}", body.trim_end());
    }
    Ok(body.to_owned())
}

/// Makes Prometheus ready to start; returns the folder of its programs.
pub(crate) fn prepare() -> Result<PathBuf> {
    let server = PROMETHEUS.install()?.program("prometheus")?;
    Ok(server.parent().map(Path::to_path_buf).unwrap_or_default())
}
