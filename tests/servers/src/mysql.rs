//! MySQL 9.7.

use std::fs;
use std::io::Read;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustix::process::Signal;

use crate::cache;
use crate::debian::Packages;
use crate::distribution::{Distribution, Installation};
use crate::process::{self, Server};

pub(crate) const MYSQL: Distribution = Distribution {
    name: "mysql-9.7",
    packages: Packages { suite: "sid", names: &["mysql-server-core", "mysql-client-core"] },
    server: "mysqld",
    version: "Ver 9.7.",
    variable: "TAILWATER_MYSQLD",
    folders: &["usr/sbin", "usr/bin"],
    programs: &["mysqld", "mysql", "mysqldump", "mysqlbinlog"],
};

/// The user that Tailwater logs in as; it may read every table and follow the binlog.
pub const USER: &str = "tw";
/// The password of [`USER`].
pub const PASSWORD: &str = "tw-secret";

/// How much of the binlog folder and of memory a server takes is kept small: tests run several at
/// once. Durability against power loss is not needed; a killed server loses nothing by these.
const LEAN: &[&str] = &[
    "--innodb-buffer-pool-size=64M",
    "--innodb-redo-log-capacity=8M",
    "--innodb-flush-log-at-trx-commit=2",
    "--innodb-doublewrite=OFF",
    "--sync-binlog=0",
    "--performance-schema=OFF",
    "--mysqlx=OFF",
    "--skip-name-resolve",
    // Nobody makes events here, and the thread that waits for some was seen to spin.
    "--event-scheduler=DISABLED",
    "--key-buffer-size=1M",
    "--table-open-cache=400",
    "--max-connections=100",
];

/// How a [`Mysql`] is set up. The default is what Tailwater asks of a source: binlog on, GTIDs on,
/// full row metadata.
#[derive(Debug, Clone)]
pub struct MysqlOptions {
    arguments: Vec<String>,
    binlog: bool,
    gtid: bool,
    datadir: Option<PathBuf>,
}

impl Default for MysqlOptions {
    fn default() -> Self {
        Self { arguments: vec!["--binlog-row-metadata=FULL".into()], binlog: true, gtid: true, datadir: None }
    }
}

impl MysqlOptions {
    /// Adds an argument of mysqld, for instance `--binlog-row-image=MINIMAL`. The last one counts.
    #[must_use]
    pub fn arg(mut self, argument: impl Into<String>) -> Self {
        self.arguments.push(argument.into());
        self
    }

    /// `gtid_mode=OFF`: positions are file and offset.
    #[must_use]
    pub fn without_gtid(mut self) -> Self {
        self.gtid = false;
        self
    }

    /// No binlog at all.
    #[must_use]
    pub fn without_binlog(mut self) -> Self {
        self.binlog = false;
        self
    }

    /// `binlog_row_metadata=MINIMAL`: table maps carry no names of columns.
    #[must_use]
    pub fn minimal_metadata(self) -> Self {
        self.arg("--binlog-row-metadata=MINIMAL")
    }

    /// The server's time zone, for instance `+02:00`.
    #[must_use]
    pub fn time_zone(self, zone: &str) -> Self {
        self.arg(format!("--default-time-zone={zone}"))
    }

    /// Uses a data folder of the caller's, which stays when the server is dropped. It is initialised
    /// when it does not exist. Benchmarks keep their data this way.
    #[must_use]
    pub fn datadir(mut self, folder: impl Into<PathBuf>) -> Self {
        self.datadir = Some(folder.into());
        self
    }

    /// Size at which the server starts a new binlog file, in bytes (4096 at least).
    #[must_use]
    pub fn max_binlog_size(self, bytes: u64) -> Self {
        self.arg(format!("--max-binlog-size={bytes}"))
    }
}

/// A running MySQL server, stopped and removed when dropped.
#[derive(Debug)]
pub struct Mysql {
    server: Server,
    installation: Installation,
    options: MysqlOptions,
    port: u16,
    server_id: u32,
}

impl Mysql {
    /// Starts a server of its own for the caller and waits until it answers.
    ///
    /// The first call on a machine fetches MySQL and initialises a data folder; both are kept.
    ///
    /// # Errors
    /// When MySQL cannot be had or does not start; the error ends with the server's log.
    pub fn start(options: MysqlOptions) -> Result<Self> {
        let installation = MYSQL.install()?;
        let template = template(&installation)?;
        let server = Server::new("mysql")?;
        let data = options.datadir.clone().unwrap_or_else(|| server.folder().join("data"));
        if !data.is_dir() {
            cache::copy_folder(&template, &data)?;
        }
        let mut mysql = Self { server, installation, options, port: 0, server_id: next_id() };
        process::on_free_port(|port| {
            mysql.port = port;
            mysql.launch()
        })?;
        Ok(mysql)
    }

    /// Address of the server; always the loopback interface.
    #[must_use]
    pub fn host(&self) -> &'static str {
        "127.0.0.1"
    }

    /// TCP port. It stays the same over [`restart`](Self::restart).
    #[must_use]
    pub fn port(&self) -> u16 {
        self.port
    }

    /// Host and port, for instance as the target of a [`Proxy`](crate::Proxy).
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        (Ipv4Addr::LOCALHOST, self.port).into()
    }

    /// Value of `server_id`.
    #[must_use]
    pub fn server_id(&self) -> u32 {
        self.server_id
    }

    /// Path of the Unix socket.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.server.folder().join("mysql.sock")
    }

    /// The server's data folder, binlog files (`binlog.000001`, ...) included.
    #[must_use]
    pub fn datadir(&self) -> PathBuf {
        self.options.datadir.clone().unwrap_or_else(|| self.server.folder().join("data"))
    }

    /// Path of the server's error log.
    #[must_use]
    pub fn error_log(&self) -> PathBuf {
        self.server.log()
    }

    /// Connection URL of [`USER`], without a database.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mysql://{USER}:{PASSWORD}@{}:{}/", self.host(), self.port)
    }

    /// Connection URL of `root`, which may do everything and has no password.
    #[must_use]
    pub fn root_url(&self) -> String {
        format!("mysql://root@{}:{}/", self.host(), self.port)
    }

    /// Path of a client program: `mysql`, `mysqldump` or `mysqlbinlog`.
    ///
    /// # Errors
    /// When MySQL has been named by a variable and the program is not beside it.
    pub fn program(&self, name: &str) -> Result<PathBuf> {
        self.installation.program(name)
    }

    /// Runs statements as root in one session, through the client program; `USE` and `DELIMITER`
    /// work. Stops at the first error.
    ///
    /// # Errors
    /// The server's error text, with its number and the line.
    pub fn sql(&self, statements: &str) -> Result<()> {
        self.client(statements).map(drop)
    }

    /// Runs statements as [`sql`](Self::sql) does and returns the rows, one a line, columns
    /// separated by tabs, without a header. NULL is `NULL`; tab, line end, NUL and backslash in a
    /// value are `\t`, `\n`, `\0` and `\\`.
    ///
    /// # Errors
    /// The server's error text, with its number and the line.
    pub fn query(&self, statements: &str) -> Result<Vec<String>> {
        Ok(self.client(statements)?.lines().map(str::to_owned).collect())
    }

    /// The first column of the first row.
    ///
    /// # Errors
    /// As [`query`](Self::query), and when there is no row.
    pub fn value(&self, statement: &str) -> Result<String> {
        let rows = self.query(statement)?;
        let row = rows.first().with_context(|| format!("no rows: {statement}"))?;
        Ok(row.split('\t').next().unwrap_or_default().to_owned())
    }

    /// The file that the server writes to and the position at its end.
    ///
    /// # Errors
    /// When the server has no binlog.
    pub fn binlog_position(&self) -> Result<(String, u64)> {
        let rows = self.query("SHOW BINARY LOG STATUS")?;
        let mut columns = rows.first().context("the server has no binlog")?.split('\t');
        match (columns.next(), columns.next().and_then(|position| position.parse().ok())) {
            (Some(file), Some(position)) => Ok((file.to_owned(), position)),
            _ => bail!("the server's binlog status cannot be read: {rows:?}"),
        }
    }

    /// Everything committed so far, as a GTID set.
    ///
    /// # Errors
    /// The server's error text.
    pub fn gtid_executed(&self) -> Result<String> {
        self.value("SELECT REPLACE(@@gtid_executed, '\\n', '')")
    }

    /// Names of the binlog files, oldest first.
    ///
    /// # Errors
    /// The server's error text.
    pub fn binlog_files(&self) -> Result<Vec<String>> {
        let rows = self.query("SHOW BINARY LOGS")?;
        Ok(rows.iter().filter_map(|row| row.split('\t').next()).map(str::to_owned).collect())
    }

    /// What `mysqlbinlog` prints for a file of the data folder, with rows decoded (`-vv`).
    ///
    /// # Errors
    /// What mysqlbinlog says.
    pub fn dump_binlog(&self, file: &str) -> Result<String> {
        let mut command = Command::new(self.program("mysqlbinlog")?);
        command.args(["--no-defaults", "-vv", "--base64-output=DECODE-ROWS"]);
        process::run(command.arg(self.datadir().join(file)), b"")
    }

    /// Ends the server in good order; its data and port stay for [`restart`](Self::restart).
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

    /// Like [`restart`](Self::restart), with other options from now on.
    ///
    /// # Errors
    /// When it does not start; the error ends with the server's log.
    pub fn restart_with(&mut self, options: MysqlOptions) -> Result<()> {
        self.options = options;
        self.restart()
    }

    /// Process id of the server while it runs.
    #[must_use]
    pub fn pid(&self) -> Option<u32> {
        self.server.pid()
    }

    fn launch(&mut self) -> Result<()> {
        let mut command = mysqld(&self.installation)?;
        command
            .arg(format!("--datadir={}", self.datadir().display()))
            .arg(format!("--socket={}", self.socket().display()))
            .arg(format!("--pid-file={}", self.server.folder().join("mysqld.pid").display()))
            .arg(format!("--tmpdir={}", self.server.folder().display()))
            .arg(format!("--bind-address={}", self.host()))
            .arg(format!("--port={}", self.port))
            .arg(format!("--server-id={}", self.server_id))
            .args(LEAN);
        if self.options.binlog {
            command.args(["--log-bin=binlog", "--log-bin-index=binlog.index"]);
        } else {
            command.arg("--skip-log-bin");
        }
        if self.options.gtid {
            command.args(["--gtid-mode=ON", "--enforce-gtid-consistency=ON"]);
        } else {
            command.args(["--gtid-mode=OFF", "--enforce-gtid-consistency=OFF"]);
        }
        command.args(&self.options.arguments);
        let address = self.address();
        self.server.start(command, || greets(address))
    }

    fn client(&self, statements: &str) -> Result<String> {
        let mut command = Command::new(self.program("mysql")?);
        command
            .args(["--no-defaults", "--user=root", "--batch", "--skip-column-names"])
            .arg("--default-character-set=utf8mb4")
            .arg(format!("--socket={}", self.socket().display()));
        process::run(&mut command, statements.as_bytes())
    }
}

/// mysqld with the arguments that every use of it needs.
fn mysqld(installation: &Installation) -> Result<Command> {
    let mut command = Command::new(installation.program("mysqld")?);
    command.args(["--no-defaults", "--secure-file-priv="]);
    if let Some(root) = &installation.root {
        command
            .arg(format!("--basedir={}", root.join("usr").display()))
            .arg(format!("--lc-messages-dir={}", root.join("usr/share/mysql").display()))
            .arg(format!("--plugin-dir={}", root.join("usr/lib/mysql/plugin").display()));
    }
    if rustix::process::geteuid().is_root() {
        command.arg("--user=root");
    }
    Ok(command)
}

/// An initialised data folder, made once for each version and copied for every server.
fn template(installation: &Installation) -> Result<PathBuf> {
    let version = process::run(mysqld(installation)?.arg("--version"), b"")?;
    let version = version.split_whitespace().nth(2).unwrap_or("unknown").to_owned();
    let users = format!(
        "CREATE USER '{USER}'@'%' IDENTIFIED WITH caching_sha2_password BY '{PASSWORD}';\n\
         GRANT SELECT, REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO '{USER}'@'%';\n\
         CREATE USER 'root'@'127.0.0.1';\n\
         GRANT ALL ON *.* TO 'root'@'127.0.0.1' WITH GRANT OPTION;\n"
    );
    let key = format!("data-mysql-{version}-{}", cache::fingerprint(&[&[&*users], LEAN].concat()));
    cache::entry(&cache::folder()?, &key, |draft, _| {
        eprintln!("initialising a data folder of MySQL {version}");
        let init = tempfile::NamedTempFile::new()?;
        fs::write(init.path(), &users)?;
        let mut command = mysqld(installation)?;
        command
            .arg("--initialize-insecure")
            .arg(format!("--init-file={}", init.path().display()))
            .arg(format!("--datadir={}", draft.display()))
            .args(LEAN)
            .arg("--skip-log-bin");
        process::run(&mut command, b"").context("mysqld cannot initialise a data folder")?;
        // Every copy makes a `server_uuid` of its own.
        match fs::remove_file(draft.join("auto.cnf")) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => Err(error.into()),
            _ => Ok(()),
        }
    })
}

/// Whether the server at `address` sends the greeting that opens its protocol (version 10).
pub(crate) fn greets(address: SocketAddr) -> bool {
    const PATIENCE: Duration = Duration::from_millis(500);
    let greeting = || -> std::io::Result<[u8; 5]> {
        let mut stream = TcpStream::connect_timeout(&address, PATIENCE)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        let mut start = [0; 5];
        stream.read_exact(&mut start)?;
        Ok(start)
    };
    greeting().is_ok_and(|start| start[4] == 10)
}

/// Server ids differ within a process, and most likely between processes.
pub(crate) fn next_id() -> u32 {
    static COUNT: AtomicU32 = AtomicU32::new(1);
    (std::process::id() % 1_000_000) * 1000 + COUNT.fetch_add(1, Ordering::Relaxed) % 1000
}

/// Makes MySQL ready to start; returns the folder of its server program.
pub(crate) fn prepare() -> Result<PathBuf> {
    let installation = MYSQL.install()?;
    template(&installation)?;
    let server = installation.program("mysqld")?;
    Ok(server.parent().map(Path::to_path_buf).unwrap_or_default())
}
