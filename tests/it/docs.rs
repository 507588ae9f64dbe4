//! What operators are told is what the program does: examples are configurations, links lead somewhere, and the runbook has every
//! error, exit code and alert.

use std::collections::BTreeSet;

use tailwater::{
    config::{Config, Role},
    exit::Exit,
};

use super::deploy::{collect, files, path, read};

/// Every page: the documents, and what stands at the top.
fn pages() -> Vec<String> {
    let mut pages: Vec<String> =
        files("docs").into_iter().filter(|name| name.ends_with(".md")).map(|name| format!("docs/{name}")).collect();
    pages.extend(["README.md", "ARCHITECTURE.md", "schemas/lake.md"].map(str::to_owned));
    pages
}

/// A configuration that reads no file and no variable of this machine.
fn parse(what: &str, text: &str, role: Role) {
    let alone = text.replace("password_file =", "password_env =").replace("token_file =", "token_env =");
    let env = |_: &str| Some("hunter2".to_owned());
    Config::parse(&alone, role, &env).unwrap_or_else(|e| panic!("{what}: {e}\n{text}"));
}

/// An example with the sections that it leaves out. They go in front of one that begins with a table, so that `[source.tls]`
/// finds its `[[source]]`, and behind one that begins with a key.
fn whole(block: &str) -> String {
    let redshift = block.contains("[warehouse.redshift]");
    let address = if redshift { "redshift://u:p@dw.1.eu-west-1.redshift.amazonaws.com/dev" } else { "sqlite:w.db" };
    let lake = if redshift { "s3://company-lake/tailwater" } else { "./lake" };
    let missing: String = [("[lake]", lake), ("[warehouse]", address), ("[[source]]", "mysql://cdc@db-0")]
        .iter()
        .filter(|(section, _)| !block.lines().any(|line| line.trim() == *section))
        .map(|(section, url)| format!("{section}\nurl = \"{url}\"\n"))
        .collect();
    let first = block.lines().find(|line| !line.is_empty() && !line.starts_with('#')).unwrap_or_default();
    if first.starts_with('[') { format!("{missing}{block}") } else { format!("{block}\n{missing}") }
}

#[test]
fn examples_in_documents_are_configurations() {
    let mut seen = 0;
    // docs/redshift.md has a test of its own beside the configuration.
    for page in pages().iter().filter(|page| *page != "docs/redshift.md") {
        let text = read(page);
        for block in text.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next()) {
            parse(page, &whole(block), Role::Both);
            seen += 1;
        }
    }
    assert!(seen >= 3, "{seen}");
}

#[test]
fn deployed_configurations_are_configurations() {
    parse("compose", &read("deploy/compose/tailwater.toml"), Role::Both);
    for values in ["deploy/kubernetes/tailwater/values.yaml", "deploy/kubernetes/tailwater/ci/full-values.yaml"] {
        let text = read(values);
        // A block of YAML: what is indented below its key.
        let (_, rest) = text.split_once("\nconfig: |\n").unwrap_or_else(|| panic!("{values} has no config"));
        let block: String = rest
            .lines()
            .take_while(|line| line.is_empty() || line.starts_with("  "))
            .map(|line| format!("{}\n", line.trim_start_matches("  ")))
            .collect();
        parse(values, &block, Role::Apply);
    }
}

/// A heading as the anchor that renderers make of it.
fn anchor(heading: &str) -> String {
    let kept = heading.trim().chars().filter(|c| c.is_alphanumeric() || matches!(c, ' ' | '-' | '_'));
    kept.collect::<String>().to_lowercase().replace(' ', "-")
}

fn anchors(page: &str) -> BTreeSet<String> {
    read(page).lines().filter_map(|line| line.strip_prefix('#')).map(|h| anchor(h.trim_start_matches('#'))).collect()
}

/// Targets of `](…)` outside of blocks of code.
fn links(text: &str) -> Vec<String> {
    let prose = text.split("```").step_by(2);
    prose.flat_map(|part| part.split("](").skip(1)).filter_map(|l| Some(l.split_once(')')?.0.to_owned())).collect()
}

#[test]
fn links_lead_somewhere() {
    let mut checked = 0;
    for page in pages() {
        for link in links(&read(&page)).iter().filter(|link| !link.contains("://")) {
            let (file, part) = link.split_once('#').unwrap_or((link, ""));
            let folder = page.rsplit_once('/').map_or("", |(folder, _)| folder);
            let target = if file.is_empty() { page.clone() } else { format!("{folder}/{file}") };
            let target = target.trim_start_matches('/');
            assert!(path(target).exists(), "{page} links to {link}, which is not there");
            if !part.is_empty() {
                assert!(anchors(target).contains(part), "{page} links to {link}: no such heading");
            }
            checked += 1;
        }
    }
    assert!(checked > 30, "{checked}");
}

/// Pieces shorter than this say nothing.
const PIECE_MIN: usize = 12;

/// What the first cells of the runbook's tables quote, in the pieces between names and numbers.
fn quoted() -> BTreeSet<String> {
    let page = read("docs/runbook.md");
    let (_, errors) = page.split_once("\n## Errors\n").unwrap();
    // Quotations in the second cells are causes, which are messages as well; commands there are too short or are cut by `|`.
    let cells = errors.lines().filter(|line| line.starts_with("| `")).flat_map(|line| {
        let message = line.split(" | ").next().unwrap_or_default();
        let causes = line.split_once("one of: ").map_or("", |(_, causes)| causes);
        [message.to_owned(), causes.to_owned()]
    });
    let spans = cells.flat_map(|cell| cell.split('`').skip(1).step_by(2).map(str::to_owned).collect::<Vec<_>>());
    let pieces = spans.flat_map(|span| span.split('…').map(|piece| piece.trim().to_owned()).collect::<Vec<_>>());
    pieces.filter(|piece| piece.len() >= PIECE_MIN).collect()
}

/// The texts of all error types, without what only passes another's on.
fn messages(code: &str) -> Vec<String> {
    let attributes = code.split("#[error(").skip(1).filter_map(|rest| rest.trim_start().strip_prefix('"'));
    attributes
        .filter_map(|rest| {
            let quotes = rest.match_indices('"').map(|(at, _)| at);
            let end = quotes.into_iter().find(|at| !rest[..*at].ends_with('\\'))?;
            Some(rest[..end].replace("\\\"", "\""))
        })
        .collect()
}

/// What a message says besides names and numbers.
fn literal(message: &str) -> impl Iterator<Item = &str> {
    message.split('{').enumerate().map(|(i, part)| if i == 0 { part } else { part.split_once('}').map_or("", |p| p.1) })
}

#[test]
fn the_runbook_has_every_error() {
    let mut code = String::new();
    collect(&path("src"), &mut code);
    let (quoted, messages) = (quoted(), messages(&code));
    assert!(messages.len() > 100, "{}", messages.len());
    let says_something = |message: &&String| literal(message).any(|piece| piece.trim().len() >= PIECE_MIN);
    let missing: Vec<_> = messages
        .iter()
        .filter(says_something)
        .filter(|message| !quoted.iter().any(|piece| literal(message).any(|said| said.contains(piece.as_str()))))
        .collect();
    assert!(missing.is_empty(), "docs/runbook.md does not say what to do about {missing:#?}");
}

#[test]
fn the_errors_of_the_runbook_are_those_of_the_code() {
    let mut code = String::new();
    collect(&path("src"), &mut code);
    let code = code.replace("\\\"", "\"");
    let invented: Vec<_> = quoted().into_iter().filter(|piece| !code.contains(piece.as_str())).collect();
    assert!(invented.is_empty(), "the code says nowhere {invented:#?}");
}

#[test]
fn the_runbook_has_every_exit_code() {
    let page = read("docs/runbook.md");
    for exit in Exit::ALL {
        let heading = format!("\n### {}\n", exit.code());
        assert!(page.contains(&heading), "docs/runbook.md has no heading for exit code {}", exit.code());
    }
}

#[test]
fn the_runbook_has_every_alert() {
    let rules = "deploy/prometheus/alerts.rules.yml";
    let anchors = anchors("docs/runbook.md");
    let text = read(rules);
    let alerts: Vec<_> = text.lines().filter_map(|line| line.trim().strip_prefix("- alert: ")).collect();
    assert!(alerts.len() > 5, "{alerts:?}");
    for alert in alerts {
        let name = alert.trim().to_lowercase();
        assert!(anchors.contains(&name), "docs/runbook.md has no heading for the alert {alert}");
        assert!(text.contains(&format!("docs/runbook.md#{name}")), "{rules}: {alert} has no link to the runbook");
    }
}

/// A service manager that restarts what only a person can mend hides it, and one that gives up where a restart helps is worse.
#[test]
fn units_restart_by_exit_code() {
    let unit = read("deploy/systemd/tailwater-.service.d/common.conf");
    let line = unit.lines().find_map(|line| line.strip_prefix("RestartPreventExitStatus=")).unwrap();
    let prevented: Vec<u8> = line.split(' ').map(|code| code.parse().unwrap()).collect();
    assert_eq!(prevented, [Exit::Usage, Exit::Data, Exit::Gone, Exit::Config].map(Exit::code));
}

/// The port is the same wherever it is written down.
#[test]
fn deployments_know_the_port() {
    let port = tailwater::config::HTTP_PORT.to_string();
    for (file, words) in [
        ("deploy/docker/Dockerfile", "EXPOSE "),
        ("deploy/compose/compose.yaml", "TAILWATER_HTTP: 0.0.0.0:"),
        ("deploy/compose/prometheus/prometheus.yml", "targets: [extract:"),
        ("deploy/kubernetes/tailwater/values.yaml", "\n  port: "),
        ("deploy/kubernetes/tailwater/values.yaml", "listen: \"0.0.0.0:"),
    ] {
        assert!(read(file).contains(&format!("{words}{port}")), "{file} has no {words:?} with {port}");
    }
}
