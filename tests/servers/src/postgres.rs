//! PostgreSQL 15.

use std::fs;
use std::io::{Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::os::unix::fs::{MetadataExt, chown};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::cache;
use crate::debian::Packages;
use crate::distribution::{Distribution, Installation};
use crate::process::{self, Server};

pub(crate) const POSTGRES: Distribution = Distribution {
    name: "postgresql-15",
    packages: Packages { suite: "bookworm", names: &["postgresql-15"] },
    server: "postgres",
    version: "(PostgreSQL) 15",
    variable: "TAILWATER_POSTGRES",
    folders: &["usr/lib/postgresql/15/bin"],
    programs: &["postgres", "initdb", "psql"],
};

/// PostgreSQL refuses to run as root; as root it is run as `nobody`, which has this id.
const NOBODY: u32 = 65534;
/// Where root unpacks PostgreSQL when the cache folder is one that `nobody` cannot enter.
const OPEN_CACHE: &str = "/var/cache/tailwater";

/// Bound on the wait for the sessions of a killed server to notice; they take milliseconds.
const LEFTOVER_LIMIT: Duration = Duration::from_secs(10);

/// Small, and without care for power loss: a killed server loses nothing by `fsync=off`.
const LEAN: &[&str] = &[
    "fsync=off",
    "synchronous_commit=off",
    "full_page_writes=off",
    "shared_buffers=32MB",
    "max_connections=100",
    "autovacuum=off",
    "jit=off",
    "log_min_messages=warning",
];

/// A running PostgreSQL server, stopped and removed when dropped.
#[derive(Debug)]
pub struct Postgres {
    server: Server,
    installation: Installation,
    settings: Vec<String>,
    port: u16,
}

impl Postgres {
    /// The superuser.
    pub const USER: &str = "tw";
    /// Its password, asked for over TCP (SCRAM-SHA-256).
    pub const PASSWORD: &str = "tw-secret";

    /// Starts a server and waits until it answers.
    ///
    /// # Errors
    /// When PostgreSQL cannot be had or does not start; the error ends with the server's log.
    pub fn start() -> Result<Self> {
        Self::start_with(&[])
    }

    /// Starts a server with settings of its own, each as `name=value`.
    ///
    /// # Errors
    /// As [`start`](Self::start).
    pub fn start_with(settings: &[&str]) -> Result<Self> {
        let installation = install()?;
        let template = template(&installation)?;
        let server = Server::new("postgres")?;
        cache::copy_folder(&template, &server.folder().join("data"))?;
        give_away(server.folder())?;
        let settings = settings.iter().map(|&setting| setting.to_owned()).collect();
        let mut postgres = Self { server, installation, settings, port: 0 };
        process::on_free_port(|port| {
            postgres.port = port;
            postgres.launch()
        })?;
        Ok(postgres)
    }

    /// TCP port on the loopback interface. It stays the same over [`restart`](Self::restart).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Connection URL of a database; `postgres` is always there.
    #[must_use]
    pub fn url(&self, database: &str) -> String {
        format!("postgres://{}:{}@{}/{database}", Self::USER, Self::PASSWORD, self.address())
    }

    /// Makes an empty database, for instance one for each test, and returns its URL.
    ///
    /// # Errors
    /// The server's error text, for instance when there is one of that name.
    pub fn create_database(&self, name: &str) -> Result<String> {
        self.sql("postgres", &format!("CREATE DATABASE \"{}\"", name.replace('"', "\"\"")))?;
        Ok(self.url(name))
    }

    /// Runs statements in a database as superuser, through psql. Stops at the first error.
    ///
    /// # Errors
    /// The server's error text.
    pub fn sql(&self, database: &str, statements: &str) -> Result<()> {
        self.client(database, statements).map(drop)
    }

    /// Runs statements and returns the rows, one a line, columns separated by tabs. NULL is `NULL`.
    ///
    /// # Errors
    /// The server's error text.
    pub fn query(&self, database: &str, statements: &str) -> Result<Vec<String>> {
        Ok(self.client(database, statements)?.lines().map(str::to_owned).collect())
    }

    /// Ends the server in good order, ending its sessions; its data and port stay.
    ///
    /// # Errors
    /// When it did not end in time; it was killed then.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop(Signal::INT)
    }

    /// Ends the server as a crash would (SIGKILL to its first process); its data and port stay.
    pub fn kill9(&mut self) {
        self.server.kill();
    }

    /// Stops the server if it runs, and starts it again on the same data and port.
    ///
    /// # Errors
    /// When it does not start; the error ends with the server's log.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        let deadline = Instant::now() + LEFTOVER_LIMIT;
        loop {
            match self.launch() {
                // Sessions of a killed server live on for a moment and keep its shared memory.
                Err(error) if error.to_string().contains("is still in use") && Instant::now() < deadline => {}
                result => return result,
            }
        }
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = unprivileged(&self.installation.program("postgres")?);
        command.arg("-D").arg(self.server.folder().join("data"));
        let socket = format!("unix_socket_directories={}", self.server.folder().display());
        let address = ["listen_addresses=127.0.0.1".to_owned(), format!("port={}", self.port), socket];
        let lean = LEAN.iter().map(|&setting| setting.to_owned());
        for setting in address.into_iter().chain(lean).chain(self.settings.iter().cloned()) {
            command.args(["-c", &setting]);
        }
        let address = self.address();
        self.server.start(command, || admits(address))
    }

    fn client(&self, database: &str, statements: &str) -> Result<String> {
        let mut command = Command::new(self.installation.program("psql")?);
        command
            .args(["--no-psqlrc", "--quiet", "--no-align", "--tuples-only"])
            .args(["--field-separator=\t", "--pset=null=NULL", "--set=ON_ERROR_STOP=1"])
            .arg(format!("--host={}", self.server.folder().display()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--username={}", Self::USER))
            .arg(format!("--dbname={database}"))
            // Variables of the caller must not choose another server.
            .env_remove("PGOPTIONS")
            .env_remove("PGSERVICE");
        process::run(&mut command, statements.as_bytes())
    }
}

impl Drop for Postgres {
    fn drop(&mut self) {
        // Unlike a kill, the immediate shutdown gives the shared memory back. Should it fail, the
        // server is killed all the same.
        let _ = self.server.stop(Signal::QUIT);
    }
}

/// Finds PostgreSQL in a place that the user it runs as can reach.
fn install() -> Result<Installation> {
    let cache = cache::folder()?;
    if !is_root() || can_enter(&cache) {
        return POSTGRES.install_in(&cache);
    }
    fs::create_dir_all(OPEN_CACHE).with_context(|| format!("cannot make {OPEN_CACHE}"))?;
    POSTGRES.install_in(Path::new(OPEN_CACHE))
}

/// Whether every folder on the way to `path` lets other users through.
fn can_enter(path: &Path) -> bool {
    const OTHERS_MAY_ENTER: u32 = 0o001;
    path.ancestors().all(|folder| fs::metadata(folder).is_ok_and(|found| found.mode() & OTHERS_MAY_ENTER != 0))
}

fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// A command that runs as `nobody` when the caller is root.
fn unprivileged(program: &Path) -> Command {
    let mut command = Command::new(program);
    command.env("LC_ALL", "C.UTF-8").current_dir("/");
    if is_root() {
        command.uid(NOBODY).gid(NOBODY);
    }
    command
}

/// Makes a folder and all in it belong to the user that the server runs as.
fn give_away(path: &Path) -> Result<()> {
    if !is_root() {
        return Ok(());
    }
    chown(path, Some(NOBODY), Some(NOBODY)).with_context(|| format!("cannot give away {}", path.display()))?;
    if path.is_dir() {
        for item in fs::read_dir(path)? {
            give_away(&item?.path())?;
        }
    }
    Ok(())
}

/// An initialised data folder, made once and copied for every server.
fn template(installation: &Installation) -> Result<PathBuf> {
    let key = format!("data-{}", POSTGRES.name);
    cache::entry(&cache::folder()?, &key, |draft, _| {
        eprintln!("initialising a data folder of {}", POSTGRES.name);
        // Made elsewhere: the user it is made by need not be able to reach the cache.
        let place = tempfile::Builder::new().prefix("tailwater-initdb-").tempdir()?;
        let password = place.path().join("password");
        fs::write(&password, Postgres::PASSWORD)?;
        give_away(place.path())?;
        let data = place.path().join("data");
        let mut command = unprivileged(&installation.program("initdb")?);
        command
            .args(["--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
            .args(["--auth-local=trust", "--auth-host=scram-sha-256"])
            .arg(format!("--username={}", Postgres::USER))
            .arg(format!("--pwfile={}", password.display()))
            .arg("-D")
            .arg(&data);
        process::run(&mut command, b"").context("initdb cannot initialise a data folder")?;
        cache::copy_folder(&data, draft)
    })
}

/// Whether the server at `address` lets clients begin to log in; while it recovers from a crash it
/// answers with an error in place of the request to authenticate (message `R`).
fn admits(address: SocketAddr) -> bool {
    const PATIENCE: Duration = Duration::from_millis(500);
    const PROTOCOL_3_0: u32 = 196_608;
    let answer = || -> std::io::Result<u8> {
        let parameters = format!("user\0{}\0database\0postgres\0\0", Postgres::USER);
        let length = u32::try_from(8 + parameters.len()).unwrap_or(u32::MAX);
        let mut message = Vec::new();
        message.extend(length.to_be_bytes());
        message.extend(PROTOCOL_3_0.to_be_bytes());
        message.extend(parameters.bytes());
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        stream.write_all(&message)?;
        let mut kind = [0];
        stream.read_exact(&mut kind)?;
        Ok(kind[0])
    };
    answer().is_ok_and(|kind| kind == b'R')
}

/// Makes PostgreSQL ready to start; returns the folder of its programs.
pub(crate) fn prepare() -> Result<PathBuf> {
    let installation = install()?;
    template(&installation)?;
    let server = installation.program("postgres")?;
    Ok(server.parent().map(Path::to_path_buf).unwrap_or_default())
}
