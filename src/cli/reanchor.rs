//! `tailwater reanchor`: go on with a shard whose source no longer has what is next.

use std::fmt::Write as _;

use super::{Failure, args::ConfigArgs, job, outcome, shell::Shell};
use crate::{
    config::Role,
    exit::Exit,
    pipeline::reanchor::{self, Reanchored},
};

/// Go on with a shard whose binlogs were purged or whose server was replaced: read its tables anew.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
For a shard that ends with exit code 66, or cannot be read past a place. Stop its extractor first: one that is at work on another
machine makes this refuse. It gives up the log's place in the binlog; the next extractor takes a new one, reads the shard's tables
again and removes from the warehouse what the source no longer has. Readers see the old rows until the new ones are complete; the
shard's log and its numbers go on, and no other shard is touched. It refuses where the source can go on.

Examples:
  tailwater reanchor --shard s1
  tailwater reanchor --config shop.toml --shard s1 --anyway    # the binlog is damaged there, says the error")]
pub(super) struct ReanchorArgs {
    #[command(flatten)]
    config: ConfigArgs,
    /// The shard.
    #[arg(long, value_name = "NAME")]
    shard: String,
    /// Also where the source still has everything that is next.
    #[arg(long)]
    anyway: bool,
    /// Fence another writer that is still at work, instead of refusing.
    #[arg(long)]
    take_over: bool,
}

/// Runs the verb.
pub(super) async fn execute(args: ReanchorArgs, shell: &Shell) -> Result<Exit, Failure> {
    let config = shell.config(&args.config, Role::Extract)?;
    shell.start_logging(&config)?;
    let source = config.source_named(&args.shard).map_err(Failure::from)?;
    let done = reanchor::reanchor(&config, source, &job::hostname(), (args.anyway, args.take_over)).await;
    super::print(&text(&done.map_err(outcome::explain_reanchor)?))?;
    Ok(Exit::Ok)
}

fn text(done: &Reanchored) -> String {
    let Reanchored { shard, entry, position, tables, reason } = done;
    let mut text = String::new();
    // Writing to a String cannot fail.
    if let Some(reason) = reason {
        let _ = writeln!(text, "{reason}\n");
    }
    let _ = writeln!(
        text,
        "shard {shard}: entry {entry} gives up {position}\n\
         the next extractor takes a new place in the binlog and reads {tables} tables anew; start it, and see `tailwater status`\n\
         rows come to what the source has, deletes included; states that a row had in between are in no file of the lake"
    );
    text
}
