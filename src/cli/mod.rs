//! The command line: arguments, reports, logging, errors for people. One file per verb.

mod apply;
mod args;
mod check;
mod checklist;
mod completions;
mod control;
mod ddl;
mod extract;
mod failure;
mod gc;
mod init;
mod job;
mod log_level;
mod logging;
mod man;
mod outcome;
mod panic;
mod pause;
mod plan;
mod plan_text;
mod progress;
mod reanchor;
mod rebuild;
mod reload;
mod remote;
mod resume;
mod run;
mod schema;
mod shell;
mod signals;
mod snapshot;
mod status;
mod status_table;
mod unpark;
mod verify;
mod verify_report;
mod watch;

use std::{ffi::OsString, io::Write, sync::Arc};

use clap::{CommandFactory, Parser, Subcommand, error::ErrorKind};

pub use failure::Failure;
pub use job::Job;
pub use progress::ProgressMode;

use crate::{
    config::mask_urls,
    exit::Exit,
    http::{Access, Bound, Site},
    pipeline::{
        control::Levers,
        run::{self as process, Plan},
    },
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
    /// Write a configuration file: every option with its meaning, and what the servers have.
    Init(init::InitArgs),
    /// Copy continuously: extract and apply in one process.
    Run(run::RunArgs),
    /// Copy binlogs into the lake only.
    Extract(extract::ExtractArgs),
    /// Merge the lake into the warehouse only.
    Apply(apply::ApplyArgs),
    /// Read tables anew, while everything else goes on.
    #[command(visible_alias = "resnapshot")]
    Snapshot(snapshot::SnapshotArgs),
    /// Go on with a shard whose binlogs were purged or whose server was replaced: read its tables anew.
    Reanchor(reanchor::ReanchorArgs),
    /// Make tables of the warehouse anew from the lake, while everything else goes on.
    Rebuild(rebuild::RebuildArgs),
    /// Remove from the lake what is old and needed by nobody.
    Gc(gc::GcArgs),
    /// Check configuration, servers, lake and warehouse; report every problem with its mend.
    Check(check::CheckArgs),
    /// Show what `run` would create, alter and read; change nothing.
    Plan(plan::PlanArgs),
    /// Hold back tables or shards, while everything else goes on.
    Pause(pause::PauseArgs),
    /// Let go of what was paused; it catches up.
    Resume(resume::ResumeArgs),
    /// Try parked tables again, without a restart.
    Unpark(unpark::UnparkArgs),
    /// Have a running process read its configuration anew.
    Reload(reload::ReloadArgs),
    /// Change how much a running process logs.
    LogLevel(log_level::LogLevelArgs),
    /// Show how far each shard and table is.
    Status(status::StatusArgs),
    /// Compare the sources with the warehouse.
    Verify(verify::VerifyArgs),
    /// Print a JSON Schema, or the statements that make the targets.
    Schema(schema::SchemaArgs),
    /// Print a completion script for a shell.
    Completions(completions::CompletionsArgs),
    /// Print the manual page.
    Man(man::ManArgs),
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
        Verb::Init(args) => shell.block_on(init::execute(args, &shell)),
        Verb::Run(args) => shell.block_on(run::execute(args, &shell)),
        Verb::Extract(args) => shell.block_on(extract::execute(args, &shell)),
        Verb::Apply(args) => shell.block_on(apply::execute(args, &shell)),
        Verb::Snapshot(args) => shell.block_on(snapshot::execute(args, &shell)),
        Verb::Reanchor(args) => shell.block_on(reanchor::execute(args, &shell)),
        Verb::Rebuild(args) => shell.block_on(rebuild::execute(args, &shell)),
        Verb::Gc(args) => shell.block_on(gc::execute(args, &shell)),
        Verb::Check(args) => shell.block_on(check::execute(args, &shell)),
        Verb::Plan(args) => shell.block_on(plan::execute(args, &shell)),
        Verb::Pause(args) => shell.block_on(pause::execute(args, &shell)),
        Verb::Resume(args) => shell.block_on(resume::execute(args, &shell)),
        Verb::Unpark(args) => shell.block_on(unpark::execute(args, &shell)),
        Verb::Reload(args) => shell.block_on(reload::execute(args, &shell)),
        Verb::LogLevel(args) => shell.block_on(log_level::execute(args, &shell)),
        Verb::Status(args) => shell.block_on(status::execute(args, &shell)),
        Verb::Verify(args) => shell.block_on(verify::execute(args, &shell)),
        Verb::Schema(args) => schema::execute(&args, &shell),
        Verb::Completions(args) => completions::execute(&args, &mut Cli::command()),
        Verb::Man(args) => man::execute(&args, Cli::command()),
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
    let levers = Arc::new(job.levers());
    let serving = port.map(|port| {
        let access = Access::new(job.config.http.token.as_ref(), port.address());
        let site =
            Site::new(&job.config.pipeline, &job.config.http, access, Arc::clone(&metrics), Arc::clone(&job.recent));
        port.serve(Arc::new(site.with_levers(Arc::clone(&levers))))
    });
    let repeats = tokio::spawn(logging::tell_of_repeats());
    let hangups = signals::on_hangup(Arc::clone(&levers))?;
    let outcome = progress::beside(metrics, mode, carry_out(job, levers)).await;
    repeats.abort();
    hangups.abort();
    if let Some(serving) = serving {
        serving.end().await;
    }
    #[cfg(feature = "otel")]
    crate::otel::flush().await;
    outcome
}

/// Runs a job to its end. Where its configuration is read anew, it ends as when it is stopped, and begins anew with the new one.
async fn carry_out(mut job: Job, levers: Arc<Levers>) -> Result<Exit, Failure> {
    let mut turns = levers.turns();
    loop {
        let (halt, halted) = tokio::sync::watch::channel(false);
        turns.mark_unchanged();
        let mut running = Box::pin(process::run(Plan {
            config: job.config.clone(),
            hostname: job.hostname.clone(),
            shards: job.shards.clone(),
            groups: job.groups.clone(),
            once: job.once,
            take_over: job.take_over,
            stop: halted,
            metrics: Arc::clone(&job.metrics),
            control_soon: levers.soon(),
        }));
        let again = tokio::select! {
            ended = &mut running => {
                ended.map_err(outcome::explain)?;
                break;
            }
            _ = job.stop.wait_for(|stop| *stop) => false,
            Ok(()) = turns.changed() => true,
        };
        halt.send_replace(true);
        running.await.map_err(outcome::explain)?;
        if !again || *job.stop.borrow() {
            break;
        }
        job.continue_with(&levers.config());
    }
    Ok(if job.once && job.metrics.parked_tables() > 0 { Exit::Parked } else { Exit::Ok })
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

    /// Words as a shell makes them, of examples that use single quotes at most.
    fn words(line: &str) -> Vec<String> {
        let mut words: Vec<String> = Vec::new();
        for (i, part) in line.split('\'').enumerate() {
            if i % 2 == 1 {
                match words.last_mut().filter(|_| !line.is_empty()) {
                    Some(last) if last.is_empty() => last.push_str(part),
                    _ => words.push(part.to_owned()),
                }
            } else {
                words.extend(part.split_whitespace().map(str::to_owned));
            }
        }
        words
    }

    #[test]
    fn every_verb_has_examples_that_it_understands() {
        for verb in Cli::command().get_subcommands() {
            let help = verb.get_after_help().map(ToString::to_string).unwrap_or_default();
            let (_, examples) =
                help.split_once("Examples:\n").unwrap_or_else(|| panic!("{} has none", verb.get_name()));
            let examples = examples.split("\n\n").next().unwrap_or_default().replace("\\\n", " ");
            let mut shown = 0;
            for line in examples.lines().map(str::trim) {
                let command = line.split(" #").next().unwrap_or(line).split(" | ").next().unwrap_or(line);
                let command = command.split(" > ").next().unwrap_or(command);
                let command = command.trim_start_matches("sudo ");
                if command.starts_with(&format!("tailwater {}", verb.get_name())) {
                    shown += 1;
                }
                if let Err(e) = Cli::try_parse_from(words(command)) {
                    panic!("{line}: {e}");
                }
            }
            assert!(shown > 0, "{} has no example of itself", verb.get_name());
        }
    }
}
