//! `tailwater check`: everything that could go wrong, found before it does.

use super::{
    Failure,
    args::ConfigArgs,
    checklist::{self, Checklist},
    job,
    shell::Shell,
};
use crate::{
    config::{Config, Problems, Role},
    exit::Exit,
    model::Finding,
    pipeline,
};

/// Check configuration, servers, lake and warehouse; report every problem with its mend.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater check --config shop.toml
  tailwater check --config shop.toml --offline
  tailwater check --config shop.toml --json

Exit codes: the number of problems, at most 63; 0 nothing found (warnings are shown). From 64 on the check itself
could not be made: 64 the command line, 74 standard output.")]
pub(super) struct CheckArgs {
    #[command(flatten)]
    pub(super) config: ConfigArgs,
    /// Check the configuration only; connect nowhere.
    #[arg(long)]
    pub(super) offline: bool,
    /// Print the findings as one JSON object.
    #[arg(long)]
    pub(super) json: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: CheckArgs, shell: &Shell) -> Result<Exit, Failure> {
    let findings = match shell.config(&args.config, Role::Look) {
        Err(problems) => of_configuration(&problems),
        Ok(config) => {
            shell.start_logging(&config)?;
            let mut findings = vec![summary(&config)];
            findings.extend(sections(&config));
            if !args.offline {
                findings.extend(pipeline::check::probe(&config, &job::hostname()).await);
            }
            findings
        }
    };
    let list = Checklist::new(findings);
    let text = if args.json { list.json() } else { list.text(shell.colour_stdout(), checklist::symbols()) };
    super::print(&text)?;
    Ok(Exit::of_problems(list.problems()))
}

fn of_configuration(problems: &Problems) -> Vec<Finding> {
    let subject = format!("configuration ({})", problems.from);
    problems.list.iter().map(|p| Finding::problem(&subject, p.to_string(), &p.mend)).collect()
}

fn summary(config: &Config) -> Finding {
    let count = |n: usize, one: &str| if n == 1 { format!("1 {one}") } else { format!("{n} {one}s") };
    let what = format!(
        "pipeline {:?}: {}, {}, lake {}, warehouse {}",
        config.pipeline,
        count(config.source.len(), "source"),
        if config.table.is_empty() { "all tables".to_owned() } else { count(config.table.len(), "table rule") },
        config.lake.url,
        config.warehouse.as_ref().map_or_else(|| "none".to_owned(), |w| w.url.to_string()),
    );
    Finding::ok("configuration", what)
}

/// What is missing for one half is no problem when only the other half runs here.
fn sections(config: &Config) -> Vec<Finding> {
    let mut findings = Vec::new();
    if config.source.is_empty() {
        let mend = "add [[source]] unless another process extracts";
        findings.push(Finding::warning("configuration", "no source is configured: run and extract would refuse", mend));
    }
    if config.warehouse.is_none() {
        let mend = "add [warehouse] unless another process applies";
        findings.push(Finding::warning(
            "configuration",
            "no warehouse is configured: run and apply would refuse",
            mend,
        ));
    }
    findings
}
