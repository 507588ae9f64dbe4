//! MariaDB 10.11.

use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, Result};
use rustix::process::Signal;

use crate::cache;
use crate::debian::Packages;
use crate::distribution::{Distribution, Installation};
use crate::mysql::{PASSWORD, USER, greets, next_id};
use crate::process::{self, Server};

pub(crate) const MARIADB: Distribution = Distribution {
    name: "mariadb-10.11",
    packages: Packages { suite: "bookworm", names: &["mariadb-server-core", "mariadb-client-core"] },
    server: "mariadbd",
    version: "Ver 10.11.",
    variable: "TAILWATER_MARIADBD",
    folders: &["usr/sbin", "usr/bin"],
    programs: &["mariadbd", "mariadb"],
};

/// As for MySQL: several servers at once, nothing kept after the test.
const LEAN: &[&str] = &[
    "--innodb-buffer-pool-size=64M",
    "--innodb-log-file-size=16M",
    "--innodb-flush-log-at-trx-commit=2",
    "--sync-binlog=0",
    "--performance-schema=OFF",
    "--skip-name-resolve",
    "--key-buffer-size=1M",
    "--aria-pagecache-buffer-size=8M",
];

/// The statements that make the system tables, in this order, below the folder of shared files.
const BOOTSTRAP: &[&str] = &[
    "mysql_system_tables.sql",
    "mysql_performance_tables.sql",
    "mysql_system_tables_data.sql",
    "maria_add_gis_sp_bootstrap.sql",
    "mysql_sys_schema.sql",
];

/// A running MariaDB server with its binlog on, stopped and removed when dropped.
#[derive(Debug)]
pub struct MariaDb {
    server: Server,
    installation: Installation,
    arguments: Vec<String>,
    port: u16,
    server_id: u32,
}

impl MariaDb {
    /// Starts a server and waits until it answers. `arguments` are added to mariadbd's.
    ///
    /// # Errors
    /// When MariaDB cannot be had or does not start; the error ends with the server's log.
    pub fn start(arguments: &[&str]) -> Result<Self> {
        let installation = MARIADB.install()?;
        let template = template(&installation)?;
        let server = Server::new("mariadb")?;
        cache::copy_folder(&template, &server.folder().join("data"))?;
        let arguments = arguments.iter().map(|&argument| argument.to_owned()).collect();
        let mut mariadb = Self { server, installation, arguments, port: 0, server_id: next_id() };
        process::on_free_port(|port| {
            mariadb.port = port;
            mariadb.launch()
        })?;
        Ok(mariadb)
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

    /// Path of the Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.server.folder().join("mariadb.sock")
    }

    /// The server's data folder.
    #[must_use]
    pub fn datadir(&self) -> PathBuf {
        self.server.folder().join("data")
    }

    /// Connection URL of [`USER`], without a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@{}/", self.address())
    }

    /// Runs statements as root in one session, through the client program.
    ///
    /// # Errors
    /// The server's error text, with its number and the line.
    pub fn sql(&self, statements: &str) -> Result<()> {
        self.client(statements).map(drop)
    }

    /// Runs statements and returns the rows, as [`Mysql::query`](crate::Mysql::query) does.
    ///
    /// # Errors
    /// The server's error text, with its number and the line.
    pub fn query(&self, statements: &str) -> Result<Vec<String>> {
        Ok(self.client(statements)?.lines().map(str::to_owned).collect())
    }

    /// Ends the server in good order; its data and port stay.
    ///
    /// # Errors
    /// When it did not end in time; it was killed then.
    pub fn stop(&mut self) -> Result<()> {
        self.server.stop(Signal::TERM)
    }

    /// Ends the server as a crash would (SIGKILL); its data and port stay.
    pub fn kill9(&mut self) {
        self.server.kill();
    }

    /// Stops the server if it runs, and starts it again on the same data and port.
    ///
    /// # Errors
    /// When it does not start; the error ends with the server's log.
    pub fn restart(&mut self) -> Result<()> {
        self.stop()?;
        self.launch()
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = mariadbd(&self.installation)?;
        command
            .arg(format!("--datadir={}", self.datadir().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.server.folder().join("mariadbd.pid").display()))
            .arg(format!("--tmpdir={}", self.server.folder().display()))
            .arg("--bind-address=127.0.0.1")
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.server_id))
            .args(["--log-bin=binlog", "--binlog-format=ROW", "--binlog-row-metadata=FULL"])
            .args(LEAN)
            .args(&self.arguments);
        let address = self.address();
        self.server.start(command, || greets(address))
    }

    fn client(&self, statements: &str) -> Result<String> {
        let mut command = Command::new(self.installation.program("mariadb")?);
        command
            .args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"])
            .arg("--default-character-set=utf8mb4")
            .arg(format!("--socket={}", self.socket().display()));
        process::run(&mut command, statements.as_bytes())
    }
}

/// mariadbd with the arguments that every use of it needs.
fn mariadbd(installation: &Installation) -> Result<Command> {
    let mut command = Command::new(installation.program("mariadbd")?);
    command.arg("--no-defaults");
    if let Some(root) = &installation.root {
        command
            .arg(format!("--basedir={}", root.join("usr").display()))
            .arg(format!("--lc-messages-dir={}", root.join("usr/share/mysql").display()))
            .arg(format!("--plugin-dir={}", root.join("usr/lib/mysql/plugin").display()))
            .arg(format!("--character-sets-dir={}", root.join("usr/share/mysql/charsets").display()));
    }
    if rustix::process::geteuid().is_root() {
        command.arg("--user=root");
    }
    Ok(command)
}

/// An initialised data folder, made once and copied for every server.
fn template(installation: &Installation) -> Result<PathBuf> {
    let users = format!(
        "FLUSH PRIVILEGES;\n\
         CREATE OR REPLACE USER root@localhost;\n\
         DROP USER IF EXISTS ''@localhost;\n\
         GRANT ALL ON *.* TO root@localhost WITH GRANT OPTION;\n\
         CREATE USER {USER}@'%' IDENTIFIED BY '{PASSWORD}';\n\
         GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT, BINLOG MONITOR ON *.* TO {USER}@'%';\n"
    );
    let parts = [&[&*users], BOOTSTRAP, LEAN].concat();
    let key = format!("data-{}-{}", MARIADB.name, cache::fingerprint(&parts));
    cache::entry(&cache::folder()?, &key, |draft, _| {
        eprintln!("initialising a data folder of {}", MARIADB.name);
        let shared = match &installation.root {
            Some(root) => root.join("usr/share/mysql"),
            None => PathBuf::from("/usr/share/mysql"),
        };
        let mut statements = b"CREATE DATABASE mysql;\nUSE mysql;\n".to_vec();
        for name in BOOTSTRAP {
            let path = shared.join(name);
            let text = fs::read(&path).with_context(|| format!("cannot read {}", path.display()))?;
            statements.extend(text);
            statements.push(b'\n');
        }
        statements.extend(users.bytes());
        let mut command = mariadbd(installation)?;
        command
            .arg("--bootstrap")
            .arg(format!("--datadir={}", draft.display()))
            .arg(format!("--tmpdir={}", draft.display()))
            .args(LEAN);
        process::run(&mut command, &statements).context("mariadbd cannot initialise a data folder").map(drop)
    })
}

/// Makes MariaDB ready to start; returns the folder of its server program.
pub(crate) fn prepare() -> Result<PathBuf> {
    let installation = MARIADB.install()?;
    template(&installation)?;
    let server = installation.program("mariadbd")?;
    Ok(server.parent().map(Path::to_path_buf).unwrap_or_default())
}
