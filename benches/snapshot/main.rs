//! Reading a table into Parquet against the server's own ways out: `tailwater extract --once` of `bench.orders`
//! (20 columns, about a million rows) beside `mysqldump --tab` and `SELECT … INTO OUTFILE` of the same server, by turns, in
//! one run.
//!
//! `cargo bench --bench snapshot -- [--runs N] [--quick]`

#[path = "../data.rs"]
#[allow(dead_code, reason = "the other measurement's totals")]
mod data;
#[path = "../measure.rs"]
mod measure;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, ensure};
use clap::Parser;
use tailwater_proof::compare::check_log;
use tailwater_servers::{Mysql, PASSWORD, USER};

use measure::{Figures, measure, median};

/// Times that each way is taken when nothing else is asked.
const RUNS: usize = 3;
/// Times of what the server's own ways out take that reading may take: rows a second would say more about the machine than
/// about Tailwater, for the server's work is part of them.
const RATIO_MAX: f64 = 1.0;
/// Peak resident set that reading may reach.
const RSS_MAX_BYTES: u64 = 300 << 20;

#[derive(Debug, Parser)]
struct Arguments {
    /// Times that each way is taken.
    #[arg(long, default_value_t = RUNS)]
    runs: usize,
    /// A fiftieth of the data: shows that everything works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Connections that read at the same time.
    #[arg(long, default_value_t = 2)]
    connections: u32,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

/// A way out of the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Outfile,
    Dump,
    Tailwater,
}

impl Way {
    const ALL: [Self; 3] = [Self::Outfile, Self::Dump, Self::Tailwater];

    fn name(self) -> &'static str {
        match self {
            Self::Outfile => "SELECT INTO OUTFILE",
            Self::Dump => "mysqldump --tab",
            Self::Tailwater => "tailwater snapshot",
        }
    }
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    measure::ended(data::on_server(arguments.quick, |_, mysql, _| compare(&arguments, mysql)))
}

/// Answers whether the targets are met.
fn compare(arguments: &Arguments, mysql: &Mysql) -> Result<bool> {
    let rows: u64 = mysql.value("SELECT COUNT(*) FROM bench.orders")?.parse()?;
    let bytes: u64 = mysql.value("SELECT SUM(DATA_LENGTH) FROM information_schema.TABLES WHERE TABLE_SCHEMA = 'bench' AND TABLE_NAME = 'orders'")?.parse()?;
    eprintln!("{rows} rows, {} MB of data", bytes / 1_000_000);
    let scratch = tailwater_servers::cache_folder()?.join("bench");
    let mut taken: Vec<(Way, Figures)> = Vec::new();
    for run in 1..=arguments.runs {
        for way in Way::ALL {
            let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&scratch)?;
            let figures = take(way, mysql, folder.path(), arguments.connections, rows)?;
            eprintln!("run {run}: {:20} {figures}", way.name());
            taken.push((way, figures));
        }
    }
    println!("\n| way | n | wall s, median | rows/s | CPU s of the client | peak RSS MiB |\n|---|---|---|---|---|---|");
    let wall = |way| median(taken.iter().filter(|(w, _)| *w == way).map(|(_, f)| f.wall_seconds));
    for way in Way::ALL {
        let runs: Vec<&Figures> = taken.iter().filter(|(w, _)| *w == way).map(|(_, f)| f).collect();
        let peak = runs.iter().map(|f| f.rss_bytes).max().unwrap_or(0) >> 20;
        let cpu = median(runs.iter().map(|f| f.cpu_seconds()));
        let seconds = wall(way);
        println!(
            "| {} | {} | {seconds:.2} | {:.2} M | {cpu:.2} | {peak} |",
            way.name(),
            runs.len(),
            rows as f64 / 1e6 / seconds
        );
    }
    source_load(mysql, &scratch, arguments.connections, rows)?;
    let peak = taken.iter().filter(|(w, _)| *w == Way::Tailwater).map(|(_, f)| f.rss_bytes).max().unwrap_or(0);
    let ratio = |way| wall(Way::Tailwater) / wall(way);
    let (outfile, dump) = (ratio(Way::Outfile), ratio(Way::Dump));
    println!(
        "\ntailwater takes {outfile:.2} times what INTO OUTFILE takes, {dump:.2} times what mysqldump --tab takes"
    );
    Ok(arguments.quick || (outfile.max(dump) <= RATIO_MAX && peak <= RSS_MAX_BYTES))
}

/// What a run asks of the server, by the server's own log of all statements. A run of its own: logging costs time.
fn source_load(mysql: &Mysql, scratch: &Path, connections: u32, rows: u64) -> Result<()> {
    mysql.sql(
        "SET GLOBAL log_output = 'TABLE'; SET GLOBAL long_query_time = 0; SET GLOBAL slow_query_log = ON; \
         TRUNCATE mysql.slow_log",
    )?;
    let folder = tempfile::Builder::new().prefix("run-").tempdir_in(scratch)?;
    take(Way::Tailwater, mysql, folder.path(), connections, rows)?;
    mysql.sql("SET GLOBAL slow_query_log = OFF; SET GLOBAL long_query_time = DEFAULT")?;
    let figures = mysql.value(&format!(
        "SELECT CONCAT(COUNT(*), ' statements, ', SUM(rows_examined), ' rows examined for {rows} rows, the longest statement ', \
         TIME_TO_SEC(MAX(query_time)) + MICROSECOND(MAX(query_time)) / 1e6, ' s') FROM mysql.slow_log WHERE user_host LIKE '{USER}[%'"
    ))?;
    println!("\nasked of the source: {figures}");
    Ok(())
}

fn take(way: Way, mysql: &Mysql, folder: &Path, connections: u32, rows: u64) -> Result<Figures> {
    // The server writes the files of the first two itself.
    let login =
        ["--no-defaults".to_owned(), "--user=root".to_owned(), format!("--socket={}", mysql.socket().display())];
    match way {
        Way::Outfile => {
            let mut command = Command::new(mysql.program("mysql")?);
            let file = folder.join("orders.txt");
            command.args(login).arg(format!("--execute=SELECT * FROM bench.orders INTO OUTFILE '{}'", file.display()));
            let figures = measure(&mut command)?;
            ensure!(fs::metadata(&file)?.len() > 0, "the server wrote nothing");
            Ok(figures)
        }
        Way::Dump => {
            let mut command = Command::new(mysql.program("mysqldump")?);
            command.args(login).arg(format!("--tab={}", folder.display())).args(["bench", "orders"]);
            command.stdout(Stdio::null()).stderr(Stdio::null());
            measure(&mut command)
        }
        Way::Tailwater => snapshot(mysql, folder, connections, rows),
    }
}

fn snapshot(mysql: &Mysql, folder: &Path, connections: u32, rows: u64) -> Result<Figures> {
    let url = format!("mysql://{USER}:{PASSWORD}@{}:{}", mysql.host(), mysql.port());
    fs::write(
        folder.join("tailwater.toml"),
        format!(
            "[[source]]\nurl = \"{url}\"\n[lake]\nurl = \"./lake\"\n[snapshot]\nconnections = {connections}\n[[table]]\nmatch = \"bench.orders\"\n"
        ),
    )?;
    let log = folder.join("extract.log");
    let output = fs::File::create(&log)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command.args(["extract", "--once"]).current_dir(folder).stdout(output.try_clone()?).stderr(output);
    let figures =
        measure(&mut command).with_context(|| fs::read_to_string(&log).unwrap_or_default().trim_end().to_owned())?;
    let stored: u64 = check_log(&folder.join("lake"))?.iter().map(|log| log.rows).sum();
    ensure!(stored == rows, "the lake holds {stored} rows of {rows}");
    Ok(figures)
}
