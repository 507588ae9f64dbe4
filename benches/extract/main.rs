//! End to end extraction against what the server can ship at most: `tailwater extract` (binlog to
//! Parquet and a commit log in a folder) beside `mysqlbinlog --read-from-remote-server --raw` of
//! the same files, by turns, in one run.
//!
//! `cargo bench --bench extract -- [--runs N] [--quick] [--generate-only]`

#[path = "../data.rs"]
mod data;
#[path = "../measure.rs"]
mod measure;
mod report;

use std::fs;
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

use anyhow::{Context, Result, bail};
use clap::Parser;
use serde_json::Value;
use tailwater_servers::{Mysql, PASSWORD, USER};

use data::Size;
use measure::{Figures, measure};

/// Times that both programs run when nothing else is asked.
const RUNS: usize = 5;

#[derive(Debug, Parser)]
struct Arguments {
    /// Times that each program runs.
    #[arg(long, default_value_t = RUNS)]
    runs: usize,
    /// A fiftieth of the data: shows that everything works, measures nothing.
    #[arg(long)]
    quick: bool,
    /// Only make the data.
    #[arg(long)]
    generate_only: bool,
    /// Only run mysqlbinlog.
    #[arg(long)]
    baseline_only: bool,
    /// Further arguments of `tailwater extract`, for instance `-c tailwater.toml`.
    #[arg(last = true)]
    extract: Vec<String>,
    /// Given by `cargo bench`.
    #[arg(long, hide = true)]
    bench: bool,
}

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    measure::ended(data::on_server(arguments.quick, |_, mysql, size| {
        if arguments.generate_only { Ok(true) } else { compare(&arguments, mysql, size) }
    }))
}

/// Answers whether the targets are met.
fn compare(arguments: &Arguments, mysql: &Mysql, size: Size) -> Result<bool> {
    let logs = mysql.query("SHOW BINARY LOGS")?;
    let files: Vec<&str> = logs.iter().filter_map(|row| row.split('\t').next()).collect();
    let bytes: u64 = logs.iter().filter_map(|row| row.split('\t').nth(1)?.parse::<u64>().ok()).sum();
    eprintln!("{} row changes, {} MB of binlog in {} files", size.row_changes(), bytes / 1_000_000, files.len());

    let scratch = tailwater_servers::cache_folder()?.join("bench");
    let (mut baseline, mut extract) = (Vec::new(), Vec::new());
    for run in 1..=arguments.runs {
        // The order alternates: neither program always finds the caches the other one left.
        for extracting in if run % 2 == 0 { [true, false] } else { [false, true] } {
            let folder = tempfile::Builder::new().prefix("run-").tempdir_in(&scratch)?;
            if !extracting {
                let figures = raw_copy(mysql, &files, folder.path())?;
                eprintln!("run {run}: mysqlbinlog {figures}");
                baseline.push(figures);
            } else if !arguments.baseline_only {
                let figures = extraction(mysql, folder.path(), &arguments.extract, size)?;
                eprintln!("run {run}: extract     {figures}");
                extract.push(figures);
            }
        }
    }
    println!("{}", report::table(&baseline, &extract, size.row_changes(), bytes));
    Ok(arguments.quick || extract.is_empty() || report::is_met(&baseline, &extract))
}

fn raw_copy(mysql: &Mysql, files: &[&str], folder: &Path) -> Result<Figures> {
    let mut command = Command::new(mysql.program("mysqlbinlog")?);
    command
        .args(["--no-defaults", "--read-from-remote-server", "--raw", "--ssl-mode=DISABLED"])
        .args(["--get-server-public-key", "--protocol=TCP"])
        .args([format!("--host={}", mysql.host()), format!("--port={}", mysql.port())])
        .args([format!("--user={USER}"), format!("--password={PASSWORD}")])
        .arg(format!("--result-file={}/", folder.display()))
        .args(files)
        .stderr(Stdio::null());
    let figures = measure(&mut command)?;
    for file in files {
        let copied = fs::metadata(folder.join(file)).map(|found| found.len()).unwrap_or(0);
        if copied == 0 {
            bail!("mysqlbinlog did not bring {file}");
        }
    }
    Ok(figures)
}

fn extraction(mysql: &Mysql, folder: &Path, further: &[String], size: Size) -> Result<Figures> {
    let log = folder.join("extract.log");
    let output = fs::File::create(&log)?;
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    command
        .args(["extract", "--once", "--start", "earliest", "--tables", "bench.*", "--lake", "./lake"])
        .arg("--source")
        .arg(format!("s1=mysql://{USER}:{PASSWORD}@{}:{}", mysql.host(), mysql.port()))
        .args(further)
        .current_dir(folder)
        .stdout(output.try_clone()?)
        .stderr(output);
    let figures = measure(&mut command).with_context(|| {
        let said = fs::read_to_string(&log).unwrap_or_default();
        format!("tailwater extract: {}", said.trim_end())
    })?;
    check(&folder.join("lake"), size)?;
    Ok(figures)
}

/// The log must account for every insert and delete; updates of one batch may be folded into one.
fn check(lake: &Path, size: Size) -> Result<()> {
    let mut ops = [0_u64; 3];
    let mut rows_read = 0;
    for entry in entries(lake)? {
        rows_read += entry["next_seq"].as_u64().unwrap_or(0) - entry["first_seq"].as_u64().unwrap_or(0);
        for step in entry["steps"].as_array().into_iter().flatten() {
            for (sum, op) in ops.iter_mut().zip(["i", "u", "d"]) {
                *sum += step["ops"][op].as_u64().unwrap_or(0);
            }
        }
    }
    let [inserts, updates, deletes] = ops;
    if rows_read < size.row_changes() {
        bail!("the log covers {rows_read} row changes of {}", size.row_changes());
    }
    let live = size.sbtest_inserts + size.orders_inserts;
    if inserts + updates < live - size.orders_deletes || inserts + updates + deletes > size.row_changes() {
        bail!("the lake holds {inserts} inserts, {updates} updates and {deletes} deletes, which cannot be");
    }
    Ok(())
}

fn entries(lake: &Path) -> Result<Vec<Value>> {
    let mut folders = vec![lake.to_owned()];
    let mut entries = Vec::new();
    while let Some(folder) = folders.pop() {
        for item in fs::read_dir(&folder).with_context(|| format!("cannot read {}", folder.display()))? {
            let path = item?.path();
            let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
            if path.is_dir() && name != "data" && name != "schema" {
                folders.push(path);
            } else if name.starts_with("0000") && name.ends_with(".json") {
                entries.push(serde_json::from_slice(&fs::read(&path)?)?);
            }
        }
    }
    Ok(entries)
}
