//! `tailwater init`: a configuration file with every option, from what the servers have.

mod notes;

use std::{io::Write as _, path::PathBuf};

use super::{
    Failure,
    args::{DEFAULT_FILE, ShortArgs},
    checklist::{self, Checklist},
    job, outcome,
    shell::{self, Shell},
};
use crate::{
    config::{Config, Role, Template},
    exit::Exit,
    model::Finding,
    pipeline::init::{self, Discovery},
};

/// Where the lake is, unless told otherwise.
const LAKE: &str = "./lake";
/// Where the warehouse is, unless told otherwise.
const WAREHOUSE: &str = "sqlite:warehouse.db";

/// Write a configuration file: every option with its meaning, and what the servers have.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Looks at the servers that --source names, and changes nothing there. Tables in pieces, such as orders_00 to orders_63, are given one
target. Passwords do not get into the file: it names environment variables instead.

Examples:
  tailwater init                                  # a template, without a server
  tailwater init --source s1=mysql://cdc:secret@db-1:3306
  tailwater init --source s1=mysql://cdc:secret@db-1 --source s2=mysql://cdc:secret@db-2 \\
    --lake s3://bucket/lake --warehouse postgres://dw:secret@pg:5432/dw --output shop.toml
  tailwater init --output -                       # to standard output")]
pub(super) struct InitArgs {
    #[command(flatten)]
    short: ShortArgs,
    /// File to write; it must not exist. - is standard output.
    #[arg(short, long, value_name = "FILE", default_value = DEFAULT_FILE)]
    output: PathBuf,
}

/// Runs the verb.
pub(super) async fn execute(args: InitArgs, shell: &Shell) -> Result<Exit, Failure> {
    let to_stdout = args.output.as_os_str() == "-";
    // Before servers are asked for a minute; what counts is that creating it fails below.
    if !to_stdout && args.output.exists() {
        return Err(exists(&args));
    }
    let mut flags = args.short.short_form();
    flags.lake.get_or_insert_with(|| LAKE.to_owned());
    flags.warehouse.get_or_insert_with(|| WAREHOUSE.to_owned());
    let env = |name: &str| std::env::var(name).ok();
    let config = Config::from_short_form(&flags, Role::Look, &env)?;
    shell.start_logging(&config)?;
    let discovery = init::discover(&config, &job::hostname()).await.map_err(outcome::explain_catalog)?;
    let written = flags.written();
    let template = notes::template(written.tree, &config, &discovery, &flags.tables);
    if to_stdout {
        super::print(&template.text())?;
    } else {
        create(&args, &template)?;
    }
    eprint!("{}", report(&args, &config, &discovery, &written.secrets, shell));
    Ok(Exit::Ok)
}

fn exists(args: &InitArgs) -> Failure {
    let error = anyhow::anyhow!("{} exists already", args.output.display());
    Failure::new(Exit::Usage, error).hint("name another file with --output, or move that one away")
}

/// Makes the file, unless there is one.
fn create(args: &InitArgs, template: &Template) -> Result<(), Failure> {
    let path = args.output.display().to_string();
    let mut file = match std::fs::File::create_new(&args.output) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => return Err(exists(args)),
        file => {
            file.map_err(|e| Failure::new(Exit::Io, anyhow::Error::new(e).context(format!("cannot create {path}"))))?
        }
    };
    file.write_all(template.text().as_bytes())
        .map_err(|e| Failure::new(Exit::Io, anyhow::Error::new(e).context(format!("cannot write {path}"))))
}

/// What people are told beside the file.
fn report(args: &InitArgs, config: &Config, found: &Discovery, secrets: &[String], shell: &Shell) -> String {
    let mut text = String::new();
    let mut findings: Vec<Finding> = found.servers.iter().flat_map(|s| s.findings.iter().cloned()).collect();
    let pieces: usize = found.families.iter().map(|f| f.pieces.len()).sum();
    if !config.source.is_empty() {
        let tables = notes::size(found.tables.values());
        let families = match found.families.len() {
            0 => String::new(),
            1 => format!("; {pieces} of them are pieces of one"),
            n => format!("; {pieces} of them are pieces of {n} tables"),
        };
        findings.insert(0, Finding::ok("tables", format!("{tables}{families}")));
        let colour = shell::colour(shell.colour_wanted(), &std::io::stderr());
        text.push_str(&Checklist::new(findings).text(colour, checklist::symbols()));
        text.push('\n');
    }
    if args.output.as_os_str() != "-" {
        text.push_str(&format!("wrote {}\n", args.output.display()));
    }
    for name in secrets {
        text.push_str(&format!("set {name} to the password, which is not in the file\n"));
    }
    let file = if args.output.as_os_str() == DEFAULT_FILE { String::new() } else { " --config FILE".to_owned() };
    text.push_str(&format!("next: tailwater check{file}, then tailwater plan{file}, then tailwater run{file}\n"));
    text
}
