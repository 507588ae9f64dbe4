//! The stand-in as a program of its own.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use anyhow::{Context, Result};
use clap::{Parser, ValueEnum};
use tailwater_redshift::{Auth, BinaryNumeric, Isolation, Loader, Options, Redshift, Relax, Unverified};

/// A strict stand-in for Amazon Redshift, for developers without a cluster.
#[derive(Debug, Parser)]
#[command(name = "tailwater-redshift", version)]
struct Arguments {
    /// Where to listen; Redshift's port is 5439.
    #[arg(long, default_value = "127.0.0.1:5439")]
    listen: SocketAddr,
    /// The superuser.
    #[arg(long, default_value = "awsuser")]
    user: String,
    /// Its password.
    #[arg(long, env = "TAILWATER_STANDIN_PASSWORD", default_value = "Secret-1234")]
    password: String,
    /// Databases to make.
    #[arg(long = "database", default_values_t = ["dev".to_owned()])]
    databases: Vec<String>,
    /// The S3-protocol endpoint that COPY reads from, for instance http://127.0.0.1:9000.
    #[arg(long)]
    s3_endpoint: Option<String>,
    /// Access key for it.
    #[arg(long, env = "AWS_ACCESS_KEY_ID", default_value = "")]
    s3_access_key: String,
    /// Secret key for it.
    #[arg(long, env = "AWS_SECRET_ACCESS_KEY", default_value = "", hide_env_values = true)]
    s3_secret_key: String,
    /// Region that its requests are signed for.
    #[arg(long, default_value = "us-east-1")]
    s3_region: String,
    /// Where to answer the Data API and requests for temporary credentials.
    #[arg(long)]
    http: Option<SocketAddr>,
    /// How clients prove their password.
    #[arg(long, value_enum, default_value_t = AuthMode::Md5)]
    auth: AuthMode,
    /// Certificate chain (PEM); without it TLS is declined.
    #[arg(long, requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// Private key (PEM).
    #[arg(long, requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// Refuse clients without TLS.
    #[arg(long, requires = "tls_certificate")]
    require_tls: bool,
    /// Isolation of transactions.
    #[arg(long, value_enum, default_value_t = IsolationLevel::Snapshot)]
    isolation: IsolationLevel,
    /// The least milliseconds that a COPY takes; a real one takes 1500 to 2100.
    #[arg(long, default_value_t = 0)]
    copy_floor_ms: u64,
    /// The least milliseconds that a commit takes.
    #[arg(long, default_value_t = 0)]
    commit_floor_ms: u64,
    /// Answer NUMERIC in Redshift's binary format instead of refusing it.
    #[arg(long)]
    binary_numeric: bool,
    /// Report missing relations as a datashare does.
    #[arg(long)]
    datashare_errors: bool,
    /// Fail statements that were prepared before a table's shape changed (34510).
    #[arg(long)]
    stale_prepared: bool,
    /// Fail commits that leave rows twice under a declared primary key.
    #[arg(long)]
    check_keys: bool,
    /// Accept something in Parquet files that nobody has measured; can be given again.
    #[arg(long = "relax", value_name = "WHAT")]
    relax: Vec<Unverified>,
    /// Fail when a file's column names differ from the table's by position.
    #[arg(long)]
    strict_names: bool,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum AuthMode {
    Md5,
    Cleartext,
    Sha256,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum IsolationLevel {
    Snapshot,
    Serializable,
}

fn main() -> Result<()> {
    let arguments = Arguments::parse();
    let (first, others) = arguments.databases.split_first().context("no database is named")?;
    let redshift = Redshift::start(options(&arguments, first))?;
    for database in others {
        redshift.create_database(database)?;
    }
    eprintln!(
        "listening on {}; connect with: psql {}",
        redshift.address(),
        redshift.url(first).replace(&arguments.password, "…")
    );
    if let Some(http) = redshift.http_address() {
        eprintln!("Data API and temporary credentials on http://{http}");
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async {
        let mut terminated = tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate())?;
        tokio::select! {
            interrupted = tokio::signal::ctrl_c() => interrupted.context("cannot wait for an interrupt"),
            _ = terminated.recv() => Ok(()),
        }
    })
}

fn options(arguments: &Arguments, database: &str) -> Options {
    Options {
        listen: arguments.listen,
        user: arguments.user.clone(),
        password: arguments.password.clone(),
        database: database.to_owned(),
        auth: match arguments.auth {
            AuthMode::Md5 => Auth::Md5,
            AuthMode::Cleartext => Auth::Cleartext,
            AuthMode::Sha256 => Auth::Sha256,
        },
        tls: arguments.tls_certificate.clone().zip(arguments.tls_key.clone()),
        require_tls: arguments.require_tls,
        loader: loader(arguments),
        isolation: match arguments.isolation {
            IsolationLevel::Snapshot => Isolation::Snapshot,
            IsolationLevel::Serializable => Isolation::Serializable,
        },
        binary_numeric: if arguments.binary_numeric { BinaryNumeric::Scaled } else { BinaryNumeric::Refuse },
        copy_floor: Duration::from_millis(arguments.copy_floor_ms),
        commit_floor: Duration::from_millis(arguments.commit_floor_ms),
        datashare_errors: arguments.datashare_errors,
        stale_prepared: arguments.stale_prepared,
        check_keys: arguments.check_keys,
        http: arguments.http,
    }
}

fn loader(arguments: &Arguments) -> Loader {
    let mut loader = Loader::default();
    loader.endpoint.clone_from(&arguments.s3_endpoint);
    loader.access_key.clone_from(&arguments.s3_access_key);
    loader.secret_key.clone_from(&arguments.s3_secret_key);
    loader.region.clone_from(&arguments.s3_region);
    loader.relax = arguments.relax.iter().copied().collect::<Relax>();
    loader.strict_names = arguments.strict_names;
    loader
}
