//! `tailwater man`: the manual, made of the same texts as `--help`.

use super::Failure;
use crate::exit::{self, Exit};

/// Print the manual page.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tailwater man > /usr/local/share/man/man1/tailwater.1
  tailwater man | man -l -
  tailwater man snapshot                          # the page of one verb")]
pub(super) struct ManArgs {
    /// Only this verb [default: the program, with all verbs].
    verb: Option<String>,
}

/// Runs the verb.
pub(super) fn execute(args: &ManArgs, command: clap::Command) -> Result<Exit, Failure> {
    let mut command = command;
    // Passes global flags and names down to the verbs.
    command.build();
    let page = match &args.verb {
        None => whole(&command),
        Some(verb) => {
            let Some(found) = command.find_subcommand(verb) else {
                let verbs = command.get_subcommands().map(|c| c.get_name());
                let hint = crate::config::suggestion(verb, verbs);
                return Err(Failure::new(Exit::Usage, anyhow::anyhow!("there is no verb {verb:?}{hint}")));
            };
            one(found.clone())
        }
    };
    let page = page.map_err(|e| Failure::new(Exit::Io, anyhow::Error::new(e).context("cannot make the manual")))?;
    super::print(&String::from_utf8_lossy(&page))?;
    Ok(Exit::Ok)
}

/// The program's page: itself, then each verb as a section, then the exit codes.
fn whole(command: &clap::Command) -> std::io::Result<Vec<u8>> {
    let man = clap_mangen::Man::new(command.clone());
    let mut page = Vec::new();
    man.render_title(&mut page)?;
    man.render_name_section(&mut page)?;
    man.render_synopsis_section(&mut page)?;
    man.render_description_section(&mut page)?;
    man.render_options_section(&mut page)?;
    for verb in command.get_subcommands().filter(|c| !c.is_hide_set() && c.get_name() != "help") {
        section(verb, &mut page)?;
    }
    page.extend_from_slice(exit_codes().as_bytes());
    man.render_version_section(&mut page)?;
    Ok(page)
}

/// A verb inside of the program's page: its own page with its heads moved down.
fn section(verb: &clap::Command, page: &mut Vec<u8>) -> std::io::Result<()> {
    let man = clap_mangen::Man::new(verb.clone());
    let mut text = Vec::new();
    man.render_synopsis_section(&mut text)?;
    man.render_description_section(&mut text)?;
    man.render_options_section(&mut text)?;
    if verb.has_subcommands() {
        man.render_subcommands_section(&mut text)?;
    }
    man.render_extra_section(&mut text)?;
    let text = String::from_utf8_lossy(&text).replace("\n.SH ", "\n.SS ");
    let text = text.strip_prefix(".SH ").map(|rest| format!(".SS {rest}")).unwrap_or(text);
    page.extend_from_slice(format!(".SH \"{}\"\n{text}", verb.get_name().to_uppercase()).as_bytes());
    Ok(())
}

fn one(command: clap::Command) -> std::io::Result<Vec<u8>> {
    let mut page = Vec::new();
    clap_mangen::Man::new(command).render(&mut page)?;
    page.extend_from_slice(exit_codes().as_bytes());
    Ok(page)
}

fn exit_codes() -> String {
    let rows =
        exit::Exit::ALL.iter().map(|e| format!(".TP\n\\fB{}\\fR\n{}\n", e.code(), e.meaning().replace('-', "\\-")));
    format!(".SH \"EXIT STATUS\"\n{}", rows.collect::<String>())
}
