//! `tailwater status --watch`: shows again and again, and ends when it is asked to or nobody reads.

use std::{
    io::{BufRead, BufReader},
    process::{Child, Command, Stdio},
    time::{Duration, Instant},
};

use super::folder;

/// Bound on what a test waits for.
const LIMIT: Duration = Duration::from_secs(60);

fn watch(dir: &std::path::Path) -> Child {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tailwater"));
    let arguments =
        ["status", "--watch", "--json", "--interval", "500ms", "--lake", "./lake", "--warehouse", "sqlite:w.db"];
    command.current_dir(dir).args(arguments).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::null());
    command.spawn().unwrap()
}

fn ends(child: &mut Child) -> Option<i32> {
    let deadline = Instant::now() + LIMIT;
    loop {
        if let Some(status) = child.try_wait().unwrap() {
            return status.code();
        }
        if Instant::now() > deadline {
            child.kill().unwrap();
            panic!("it did not end");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_watched_status_ends_at_an_interrupt() {
    let dir = folder();
    let mut child = watch(dir.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    for _ in 0..2 {
        let line = lines.next().unwrap().unwrap();
        let status: serde_json::Value = serde_json::from_str(&line).unwrap();
        assert_eq!(status["pipeline"], "default", "{status:#}");
    }
    let pid = child.id().to_string();
    assert!(Command::new("kill").args(["-INT", &pid]).status().unwrap().success());
    assert_eq!(ends(&mut child), Some(0));
    assert!(!dir.path().join("lake").exists() && !dir.path().join("w.db").exists(), "looking made something");
}

#[test]
fn a_watched_status_ends_when_nobody_reads() {
    let dir = folder();
    let mut child = watch(dir.path());
    let mut reader = BufReader::new(child.stdout.take().unwrap());
    reader.read_line(&mut String::new()).unwrap();
    drop(reader);
    assert_eq!(ends(&mut child), Some(0));
}
