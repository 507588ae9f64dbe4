//! What is generated from code and checked in. `TAILWATER_BLESS=1 cargo test` rewrites it.

use std::{fs, path::PathBuf};

use tailwater::{config, exit, http, metrics::Metrics};

fn path(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join(name)
}

/// Compares a file with what the code makes now, or rewrites it.
fn check(name: &str, expected: &str) {
    if std::env::var_os("TAILWATER_BLESS").is_some() {
        fs::write(path(name), expected).unwrap_or_else(|e| panic!("cannot write {name}: {e}"));
        return;
    }
    let found = fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("cannot read {name}: {e}"));
    assert!(found == expected, "{name} is not what the code makes: run the tests with TAILWATER_BLESS=1 and commit it");
}

/// Replaces what stands between the marks of `section` in a document.
fn check_section(name: &str, section: &str, content: &str) {
    let document = fs::read_to_string(path(name)).unwrap_or_else(|e| panic!("cannot read {name}: {e}"));
    let (begin, end) = (format!("<!-- generated: {section} -->\n"), format!("<!-- end: {section} -->"));
    let (head, rest) = document.split_once(&begin).unwrap_or_else(|| panic!("{name} has no mark {begin}"));
    let (_, tail) = rest.split_once(&end).unwrap_or_else(|| panic!("{name} has no mark {end}"));
    check(name, &format!("{head}{begin}{}\n{end}{tail}", content.trim_end()));
}

#[test]
fn the_configuration_schema_is_up_to_date() {
    check("schemas/config.schema.json", &format!("{:#}\n", config::schema()));
}

#[test]
fn the_schema_of_a_process_status_is_up_to_date() {
    check("schemas/status.v1.json", &format!("{:#}\n", http::status::schema()));
}

#[test]
fn the_configuration_reference_is_up_to_date() {
    check_section("docs/configuration.md", "reference", &config::reference_table());
}

#[test]
fn the_exit_codes_in_the_readme_are_up_to_date() {
    check_section("README.md", "exit codes", &exit::exit_table());
}

#[test]
fn the_table_of_metrics_is_up_to_date() {
    check_section("docs/metrics.md", "metrics", &Metrics::new().table());
}
