//! The command line: arguments, reports, logging, errors for people. One file per verb.

mod apply;
mod args;
mod check;
mod checklist;
mod completions;
mod ddl;
mod extract;
mod failure;
mod job;
mod logging;
mod outcome;
mod panic;
mod progress;
mod run;
mod schema;
mod shell;
mod signals;
mod snapshot;
mod status;
mod status_table;
mod verify;
mod verify_report;

use std::{ffi::OsString, io::Write, sync::Arc};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

pub use failure::Failure;
pub use job::Job;
pub use progress::ProgressMode;

use crate::{
    config::mask_urls,
    exit::Exit,
    http::{Access, Bound, Site},
    pipeline::run::{self as process, Plan},
};

/// Copy MySQL into a warehouse continuously: binlogs to Parquet in a lake, merged exactly once.
#[derive(Debug, Parser)]
#[command(name = "tailwater", version, propagate_version = true, max_term_width = 110)]
#[command(after_help = "Begin with `tailwater check`: it names every problem with the statement that mends it.")]
struct Cli {
    #[command(flatten)]
    output: args::OutputArgs,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Debug, Subcommand)]
enum Verb {
    /// Copy continuously: extract and apply in one process.
    Run(run::RunArgs),
    /// Copy binlogs into the lake only.
    Extract(extract::ExtractArgs),
    /// Merge the lake into the warehouse only.
    Apply(apply::ApplyArgs),
    /// Read tables anew, while everything else goes on.
    Snapshot(snapshot::SnapshotArgs),
    /// Check configuration, servers, lake and warehouse; report every problem with its mend.
    Check(check::CheckArgs),
    /// Show how far each shard and table is.
    Status(status::StatusArgs),
    /// Compare the sources with the warehouse.
    Verify(verify::VerifyArgs),
    /// Print a JSON Schema, or the statements that make the targets.
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
}

/// The whole program: parses `args`, runs the verb, reports on standard error, returns how to end.
pub fn main(args: impl IntoIterator<Item = OsString>) -> Exit {
    panic::install();
    let cli = match Cli::try_parse_from(args) {
        Ok(cli) => cli,
        Err(e) => return refuse(&e),
    };
    let shell = shell::Shell::new(cli.output);
    let verdict = match cli.verb {
        Verb::Run(args) => shell.block_on(run::execute(args, &shell)),
        Verb::Extract(args) => shell.block_on(extract::execute(args, &shell)),
        Verb::Apply(args) => shell.block_on(apply::execute(args, &shell)),
        Verb::Snapshot(args) => shell.block_on(snapshot::execute(args, &shell)),
        Verb::Check(args) => shell.block_on(check::execute(args, &shell)),
        Verb::Status(args) => shell.block_on(status::execute(args, &shell)),
        Verb::Verify(args) => shell.block_on(verify::execute(args, &shell)),
        Verb::Schema(args) => schema::execute(&args, &shell),
        Verb::Completions(args) => completions::execute(&args, &mut Cli::command()),
    };
    verdict.unwrap_or_else(|failure| {
        shell.report(&failure);
        failure.exit
    })
}

/// Runs a job to its end and shows its progress meanwhile.
async fn start(job: Job) -> Result<Exit, Failure> {
    let (metrics, mode) = (Arc::clone(&job.metrics), job.progress);
    // Before anything else: a port that is taken must not show when the lake is claimed already.
    let port = Bound::open(&job.config.http).await.map_err(|e| {
        let mend = e.mend();
        Failure::new(Exit::Io, e).hint(mend)
    })?;
    let serving = port.map(|port| {
        let access = Access::new(job.config.http.token.as_ref(), port.address());
        port.serve(Arc::new(Site::new(
            &job.config.pipeline,
            &job.config.http,
            access,
            Arc::clone(&metrics),
            Arc::clone(&job.recent),
        )))
    });
    let outcome = progress::beside(metrics, mode, carry_out(job)).await;
    if let Some(serving) = serving {
        serving.end().await;
    }
    outcome
}

/// Runs a job to its end.
async fn carry_out(job: Job) -> Result<Exit, Failure> {
    let once = job.once;
    let metrics = Arc::clone(&job.metrics);
    let plan = Plan {
        config: job.config,
        hostname: job.hostname,
        shards: job.shards,
        groups: job.groups,
        once,
        take_over: job.take_over,
        stop: job.stop,
        metrics: Arc::clone(&metrics),
    };
    process::run(plan).await.map_err(outcome::explain)?;
    Ok(if once && metrics.parked_tables() > 0 { Exit::Parked } else { Exit::Ok })
}

/// Help and version go to standard output; what was not understood goes to standard error, with secrets masked: the
/// argument that clap quotes may be an address with a password.
fn refuse(e: &clap::Error) -> Exit {
    match e.kind() {
        ErrorKind::DisplayHelp | ErrorKind::DisplayVersion => {
            // A closed pipe (`tailwater --help | head`) is no error.
            let _ = e.print();
            Exit::Ok
        }
        _ => {
            let colour = shell::colour(args::Colour::Auto, &std::io::stderr());
            let text = e.render();
            let text = if colour { text.ansi().to_string() } else { text.to_string() };
            eprint!("{}", mask_urls(&text));
            Exit::Usage
        }
    }
}

/// Writes data to standard output.
///
/// # Errors
/// The output cannot be written. A reader that went away (`tailwater schema config | head`) is no error.
fn print(text: &str) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    match out.write_all(text.as_bytes()).and_then(|()| out.flush()) {
        Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => {
            Err(Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot write to standard output")))
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_arguments_are_consistent() {
        Cli::command().debug_assert();
    }
}
