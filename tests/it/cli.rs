//! The real binary: arguments, configuration problems, exit codes, and that no output shows a secret.

mod init;
mod manual;
mod watch;

use std::{
    path::Path,
    process::{Command, Output},
};

/// Stands for every password in these tests; no output may contain it.
const SECRET: &str = "hunter2";

struct Ran {
    code: Option<i32>,
    out: String,
    err: String,
}

/// Runs the binary in `dir` without any of its environment variables from outside.
fn run(dir: &Path, env: &[(&str, &str)], args: &[&str]) -> Ran {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    for (name, _) in std::env::vars().filter(|(name, _)| name.starts_with("TAILWATER_")) {
        command.env_remove(name);
    }
    let output = command.current_dir(dir).envs(env.iter().copied()).args(args).output();
    let Output { status, stdout, stderr } = output.unwrap_or_else(|e| panic!("cannot run the binary: {e}"));
    let text = |bytes| String::from_utf8(bytes).unwrap_or_else(|e| panic!("output is not UTF-8: {e}"));
    let ran = Ran { code: status.code(), out: text(stdout), err: text(stderr) };
    assert!(
        !ran.out.contains(SECRET) && !ran.err.contains(SECRET),
        "secret shown by {args:?}:\n{}{}",
        ran.out,
        ran.err
    );
    ran
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap_or_else(|e| panic!("no temporary folder: {e}"))
}

fn write(dir: &Path, name: &str, text: &str) {
    std::fs::write(dir.join(name), text).unwrap_or_else(|e| panic!("cannot write {name}: {e}"));
}

const NONSENSE: &str = r#"
pipline = "x"

[[source]]
url = "mysql://u:hunter2@h/database"
start = "erliest"

[[source]]
name = "s2"
url = "not an address, hunter2"
password = "hunter2"

[lake]
url = "ftp://x"

[warehouse]
url = "postgres://u:hunter2@h"
tick = "soon"

[[table]]
match = "orders"
"#;

#[test]
fn every_problem_of_a_file_is_reported_at_once() {
    let dir = folder();
    write(dir.path(), "bad.toml", NONSENSE);
    let ran = run(dir.path(), &[], &["run", "--config", "bad.toml", "--log-format", "text"]);
    assert_eq!(ran.code, Some(78), "{}", ran.err);
    assert!(ran.err.contains("did you mean \"pipeline\"?"), "{}", ran.err);
    assert!(ran.err.contains("did you mean \"earliest\"?"), "{}", ran.err);
    for key in [
        "pipline",
        "source[0].url",
        "source[0].name",
        "source[0].start",
        "source[1].url",
        "lake.url",
        "warehouse.url",
        "warehouse.tick",
        "table[0].match",
    ] {
        assert!(ran.err.contains(&format!("  {key}: ")), "{key} in\n{}", ran.err);
    }
    assert!(ran.err.contains("(line 2)") && ran.err.contains("mend: "), "{}", ran.err);
    assert_eq!(ran.out, "");
}

#[test]
fn a_broken_file_names_the_line_and_quotes_nothing() {
    let dir = folder();
    write(dir.path(), "bad.toml", "[lake]\nurl = \"./lake\"\n[[source]]\npassword = \"hunter2\nurl = 1\n");
    let ran = run(dir.path(), &[], &["run", "-c", "bad.toml", "--log-format", "text"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.err.contains("not TOML") && ran.err.contains("(line 4)"), "{}", ran.err);
}

#[test]
fn check_lists_problems_on_standard_output_and_ends_with_their_number() {
    let dir = folder();
    write(dir.path(), "tailwater.toml", NONSENSE);
    let ran = run(dir.path(), &[], &["check", "--offline"]);
    let problems = ran.code;
    assert!(problems >= Some(9) && problems < Some(64), "{}", ran.err);
    assert!(ran.out.contains("configuration (tailwater.toml)") && ran.out.contains("mend: "), "{}", ran.out);
    // Not a terminal: words, no colours.
    assert!(ran.out.contains("PROBLEM") && !ran.out.contains('\u{1b}'), "{}", ran.out);

    let ran = run(dir.path(), &[], &["check", "--offline", "--json"]);
    assert_eq!(ran.code, problems);
    let json: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}: {}", ran.out));
    let findings = json["findings"].as_array().map(Vec::len);
    assert!(findings >= Some(9) && json["problems"].as_u64() == findings.map(|n| n as u64), "{json:#}");
    assert_eq!(json["problems"].as_i64(), problems.map(i64::from));
    assert!(json["findings"][0]["mend"].is_string(), "{json:#}");
}

#[test]
fn the_short_form_is_a_configuration() {
    let dir = folder();
    // A file that happens to lie here does not mix itself in.
    write(dir.path(), "tailwater.toml", NONSENSE);
    let short = [
        "check",
        "--offline",
        "--source",
        "s1=mysql://u:hunter2@db-1:3306",
        "--source",
        "s2=mysql://u:hunter2@db-2",
        "--tables",
        "shop.*",
        "--lake",
        "./lake",
        "--warehouse",
        "sqlite:warehouse.db",
        "--start",
        "earliest",
    ];
    let ran = run(dir.path(), &[], &short);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("2 sources, 1 table rule, lake ./lake, warehouse sqlite:warehouse.db"), "{}", ran.out);

    let env = [
        ("TAILWATER_SOURCE", "s1=mysql://u:hunter2@db-1 s2=mysql://u@db-2"),
        ("TAILWATER_LAKE", "./lake"),
        ("TAILWATER_WAREHOUSE", "postgres://u:hunter2@h/dw"),
    ];
    let ran = run(dir.path(), &env, &["check", "--offline"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    assert!(ran.out.contains("2 sources, all tables") && ran.out.contains("postgres://u:***@h/dw"), "{}", ran.out);
}

#[test]
fn help_and_refusals_show_no_secret() {
    let dir = folder();
    let env = [("TAILWATER_SOURCE", "s1=mysql://u:hunter2@db-1"), ("TAILWATER_WAREHOUSE", "postgres://u:hunter2@h/dw")];
    for verb in ["run", "extract", "apply", "check", "status"] {
        let ran = run(dir.path(), &env, &[verb, "--help"]);
        assert_eq!(ran.code, Some(0), "{verb}: {}", ran.err);
        assert!(ran.out.contains("Examples:") && ran.err.is_empty(), "{verb}: {}", ran.out);
    }
    for wrong in [
        &["run", "mysql://u:hunter2@db-1"][..],
        &["run", "--soruce", "s1=mysql://u:hunter2@db-1"],
        &["run", "--once=mysql://u:hunter2@db-1"],
        &["apply", "--source=s1=mysql://u:hunter2@h", "--warehuose=postgres://u:hunter2@h/dw"],
    ] {
        let ran = run(dir.path(), &[], wrong);
        assert_eq!(ran.code, Some(64), "{wrong:?}: {}", ran.err);
    }
    assert!(run(dir.path(), &[], &["run", "--soruce", "x"]).err.contains("--source"));
}

#[test]
fn references_come_from_environment_and_files() {
    let dir = folder();
    write(dir.path(), "password", "hunter2\n");
    let file = dir.path().join("password");
    let text = format!(
        "[[source]]\nurl = \"mysql://u@${{DB_HOST}}\"\npassword_file = {file:?}\n[lake]\nurl = \"./lake\"\n\
         [warehouse]\nurl = \"postgres://u:${{file:{}}}@h/dw\"\n",
        file.display()
    );
    write(dir.path(), "tailwater.toml", &text);
    let ran = run(dir.path(), &[("DB_HOST", "db-1")], &["check", "--offline"]);
    assert_eq!(ran.code, Some(0), "{}{}", ran.out, ran.err);
    let ran = run(dir.path(), &[], &["check", "--offline"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("source[0].url: the environment variable DB_HOST is not set (line 2)"), "{}", ran.out);
}

#[test]
fn a_verb_needs_its_own_half_only() {
    let dir = folder();
    let ran = run(dir.path(), &[], &["extract", "--log-format", "text"]);
    assert_eq!(ran.code, Some(78));
    assert!(ran.err.contains("no source is configured") && ran.err.contains("[lake] is missing"), "{}", ran.err);
    assert!(!ran.err.contains("warehouse:"), "{}", ran.err);
    let chosen = ["extract", "--source", "s1=mysql://u@h", "--lake", "l", "--shard", "s2", "--log-format", "text"];
    let ran = run(dir.path(), &[], &chosen);
    assert_eq!(ran.code, Some(64), "{}", ran.err);
    assert!(ran.err.contains("no source is called \"s2\"") && ran.err.contains("s1"), "{}", ran.err);
}

#[test]
fn failures_are_json_where_logs_are() {
    let dir = folder();
    let ran = run(dir.path(), &[], &["run", "--log-format", "json"]);
    assert_eq!(ran.code, Some(78));
    let line: serde_json::Value = serde_json::from_str(ran.err.trim()).unwrap_or_else(|e| panic!("{e}: {}", ran.err));
    assert_eq!((line["level"].as_str(), line["exit_code"].as_u64()), (Some("ERROR"), Some(78)), "{line:#}");
}

#[test]
fn schema_and_completions_go_to_standard_output() {
    let dir = folder();
    let ran = run(dir.path(), &[], &["schema", "config"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}"));
    assert_eq!((ran.code, schema["title"].as_str()), (Some(0), Some("Tailwater configuration")));
    let ran = run(dir.path(), &[], &["schema", "entry"]);
    let schema: serde_json::Value = serde_json::from_str(&ran.out).unwrap_or_else(|e| panic!("{e}"));
    assert!(ran.code == Some(0) && schema["properties"]["log_id"].is_object(), "{schema:#}");
    for shell in ["bash", "zsh", "fish"] {
        let ran = run(dir.path(), &[], &["completions", shell]);
        assert!(ran.code == Some(0) && ran.out.contains("tailwater"), "{shell}");
    }
}
