//! Time, processor time and memory of one program.

use std::fmt;
use std::fs;
use std::process::{Command, ExitCode, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};

/// How often the program is looked at. The wall clock is as fine as this; what the memory's peak
/// may have grown by in the last such moment is not seen.
const POLL: Duration = Duration::from_millis(4);
/// Units of processor times in /proc (USER_HZ, which is 100 on every Linux that Rust runs on).
const TICKS_PER_SECOND: f64 = 100.0;
/// Bound on one run.
const LIMIT: Duration = Duration::from_secs(600);

/// What one run took.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Figures {
    pub(crate) wall_seconds: f64,
    pub(crate) user_seconds: f64,
    pub(crate) system_seconds: f64,
    /// Peak resident set.
    pub(crate) rss_bytes: u64,
}

impl Figures {
    pub(crate) fn cpu_seconds(&self) -> f64 {
        self.user_seconds + self.system_seconds
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (wall, cpu) = (self.wall_seconds, self.cpu_seconds());
        write!(f, "{wall:.2} s, {cpu:.2} s of processor, {} MiB", self.rss_bytes >> 20)
    }
}

/// How a measurement ends: well when it was taken and its targets, where it has any, are met.
pub(crate) fn ended(outcome: Result<bool>) -> ExitCode {
    match outcome {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("the measurement failed: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// The middle of the figures; the mean of both where there are two.
pub(crate) fn median(figures: impl Iterator<Item = f64>) -> f64 {
    let mut all: Vec<f64> = figures.collect();
    all.sort_by(f64::total_cmp);
    let at = |place: usize| all.get(place).copied().unwrap_or(f64::NAN);
    (at(all.len().saturating_sub(1) / 2) + at(all.len() / 2)) / 2.0
}

/// Runs a program to its end. The kernel keeps the processor times of an ended program until it is
/// waited for, but not its memory's peak, which is therefore read while it runs.
pub(crate) fn measure(command: &mut Command) -> Result<Figures> {
    let started = Instant::now();
    let mut child = command.stdin(Stdio::null()).spawn().context("cannot run the program")?;
    let proc = format!("/proc/{}", child.id());
    let mut rss_bytes = 0;
    let (wall_seconds, (user, system)) = loop {
        let (state, times) = stat(&proc)?;
        if state == 'Z' {
            break (started.elapsed().as_secs_f64(), times);
        }
        rss_bytes = peak(&proc).unwrap_or(0).max(rss_bytes);
        if started.elapsed() > LIMIT {
            child.kill()?;
            child.wait()?;
            bail!("it ran longer than {LIMIT:?}");
        }
        thread::sleep(POLL);
    };
    let status = child.wait()?;
    if !status.success() {
        bail!("it ended with {status}");
    }
    Ok(Figures {
        wall_seconds,
        user_seconds: user / TICKS_PER_SECOND,
        system_seconds: system / TICKS_PER_SECOND,
        rss_bytes,
    })
}

/// State, and user and system time in ticks (proc_pid_stat(5), fields 3, 14 and 15).
fn stat(proc: &str) -> Result<(char, (f64, f64))> {
    let text = fs::read_to_string(format!("{proc}/stat"))?;
    // The name in parentheses may hold spaces; what follows its end does not.
    let fields: Vec<&str> =
        text.rsplit_once(')').map(|(_, rest)| rest.split_whitespace().collect()).unwrap_or_default();
    let field = |number: usize| fields.get(number - 3).copied().unwrap_or_default();
    let state = field(3).chars().next().context("no state in /proc")?;
    Ok((state, (field(14).parse()?, field(15).parse()?)))
}

fn peak(proc: &str) -> Option<u64> {
    let status = fs::read_to_string(format!("{proc}/status")).ok()?;
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kib: u64 = line.trim().trim_end_matches("kB").trim().parse().ok()?;
    Some(kib << 10)
}
