//! Tailwater itself as a process: started, waited for, stopped and killed.

use std::ffi::OsStr;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail};
use rustix::process::{Pid, Signal, kill_process};

/// How often a waiting loop looks.
const POLL: Duration = Duration::from_millis(10);
/// How much of the end of the log an error carries, in bytes.
const LOG_TAIL: usize = 6000;

/// How to start a `tailwater`.
#[derive(Debug, Clone)]
pub struct Program {
    binary: PathBuf,
    folder: PathBuf,
    log: Option<PathBuf>,
    environment: Vec<(&'static str, String)>,
}

impl Program {
    /// The program `binary`, run in `folder`; its output goes to this process' own. It serves no HTTP unless told to: many run
    /// side by side, and few are asked.
    #[must_use]
    pub fn new(binary: impl Into<PathBuf>, folder: impl Into<PathBuf>) -> Self {
        Self {
            binary: binary.into(),
            folder: folder.into(),
            log: None,
            environment: vec![("TAILWATER_HTTP", "off".to_owned())],
        }
    }

    /// Serves HTTP as it does by itself.
    #[must_use]
    pub fn serving(mut self) -> Self {
        self.environment.retain(|(name, _)| *name != "TAILWATER_HTTP");
        self
    }

    /// Appends what it writes to a file instead.
    #[must_use]
    pub fn log_to(mut self, path: impl Into<PathBuf>) -> Self {
        self.log = Some(path.into());
        self
    }

    /// Sets a variable of its environment.
    #[must_use]
    pub fn env(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.environment.push((name, value.into()));
        self
    }

    /// Starts it.
    ///
    /// # Errors
    /// When there is no such program.
    pub fn start<A: AsRef<OsStr>>(&self, arguments: &[A]) -> Result<Running> {
        let mut command = Command::new(&self.binary);
        command.args(arguments).current_dir(&self.folder).stdin(Stdio::null());
        command.envs(self.environment.iter().map(|(name, value)| (name, value)));
        if let Some(path) = &self.log {
            let log = File::options().create(true).append(true).open(path)?;
            command.stdout(log.try_clone()?).stderr(log);
        }
        let child = command.spawn().with_context(|| format!("cannot run {}", self.binary.display()))?;
        Ok(Running { child, log: self.log.clone() })
    }

    /// Starts it and waits for its end.
    ///
    /// # Errors
    /// When it does not end with exit code 0 within `limit`; it is killed then.
    pub fn complete<A: AsRef<OsStr>>(&self, arguments: &[A], limit: Duration) -> Result<()> {
        let mut running = self.start(arguments)?;
        let status = running.wait(limit)?;
        if !status.success() {
            let words: Vec<_> = arguments.iter().map(|word| word.as_ref().to_string_lossy()).collect();
            // The address of a source carries a password.
            let verb = words.first().map(|word| &**word).unwrap_or_default();
            bail!("`tailwater {verb}` ended with {status}{}", running.said());
        }
        Ok(())
    }
}

/// A started `tailwater`; killed when dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    log: Option<PathBuf>,
}

impl Running {
    /// Process id.
    #[must_use]
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// How it ended, when it has.
    ///
    /// # Errors
    /// The system's.
    pub fn ended(&mut self) -> Result<Option<ExitStatus>> {
        Ok(self.child.try_wait()?)
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// When it runs longer than `limit`; it is killed then.
    pub fn wait(&mut self, limit: Duration) -> Result<ExitStatus> {
        let deadline = Instant::now() + limit;
        loop {
            if let Some(status) = self.child.try_wait()? {
                return Ok(status);
            }
            if Instant::now() > deadline {
                self.kill9()?;
                bail!("tailwater did not end within {limit:?}{}", self.said());
            }
            thread::sleep(POLL);
        }
    }

    /// Ends it at once, as a crash would.
    ///
    /// # Errors
    /// When it had ended by itself before: that is not what a crash test means.
    pub fn kill9(&mut self) -> Result<()> {
        if let Some(status) = self.child.try_wait()? {
            bail!("tailwater had ended before it was killed: {status}{}", self.said());
        }
        self.child.kill()?;
        self.child.wait()?;
        Ok(())
    }

    /// Asks it to stop in good order and waits.
    ///
    /// # Errors
    /// When it does not end with exit code 0 within `limit`.
    pub fn terminate(&mut self, limit: Duration) -> Result<()> {
        // A process that has just been started listens for nothing yet, and the signal would end it at once.
        let deadline = Instant::now() + limit;
        while self.child.try_wait()?.is_none() {
            if catches_sigterm(self.child.id()) || Instant::now() > deadline {
                kill_process(Pid::from_child(&self.child), Signal::TERM)?;
                break;
            }
            thread::sleep(POLL);
        }
        let status = self.wait(limit)?;
        if !status.success() {
            bail!("tailwater ended with {status} after SIGTERM{}", self.said());
        }
        Ok(())
    }

    /// The end of its log, to be appended to an error.
    #[must_use]
    pub fn said(&self) -> String {
        self.log.as_deref().map(tail).unwrap_or_default()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // Errors mean that it is gone already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Whether the process has a handler for SIGTERM: the mask of caught signals in proc(5).
fn catches_sigterm(pid: u32) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask & (1 << (Signal::TERM.as_raw() - 1)) != 0)
}

fn tail(log: &Path) -> String {
    let bytes = fs::read(log).unwrap_or_default();
    let end = bytes.get(bytes.len().saturating_sub(LOG_TAIL)..).unwrap_or_default();
    format!("; its log ends with:\n{}", String::from_utf8_lossy(end).trim_end())
}
