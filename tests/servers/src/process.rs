//! One server process with its folder: started, waited for, stopped and cleared away.

use std::fs::{self, File};
use std::io::{Read, Seek, Write};
use std::net::{Ipv4Addr, TcpListener};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use rustix::process::{Pid, Signal, kill_process};

/// Bound on a server's way from its start to its first answer. Starts take about a second; the
/// bound allows for a busy machine and for recovery after a crash.
const START_LIMIT: Duration = Duration::from_secs(60);
/// Bound on an orderly stop, after which the server is killed.
const STOP_LIMIT: Duration = Duration::from_secs(20);
/// How often a waiting loop looks.
const POLL: Duration = Duration::from_millis(10);
/// The same for client programs, which take some 20 ms.
const QUICK_POLL: Duration = Duration::from_millis(2);
/// Bound on one run of a client program; a test may load a lot of data in one.
const RUN_LIMIT: Duration = Duration::from_secs(10 * 60);
/// How much of the end of the server's log an error carries, in bytes.
const LOG_TAIL: usize = 4000;

/// Guards a server from outside of this process: its input ends when this process is gone, however
/// that came about, and then it kills what is left and removes the folder.
///
/// It reads process ids, one a line, and keeps the last; `0` stands for none. The server leads a
/// process group, so the group is killed too.
const WATCHDOG: &str = r#"
guarded=0
while read -r line; do guarded=$line; done
if [ "$guarded" != 0 ]; then kill -KILL "-$guarded" "$guarded" 2>/dev/null; fi
for again in 1 2 3 4 5; do rm -rf -- "$1" 2>/dev/null && break; sleep 0.2; done
"#;

/// A folder of a server's own and the process that runs in it.
#[derive(Debug)]
pub(crate) struct Server {
    name: &'static str,
    folder: PathBuf,
    child: Option<Child>,
    watchdog: Child,
    watched: Option<ChildStdin>,
}

impl Server {
    /// Makes the folder and starts its guard; no server runs yet.
    pub(crate) fn new(name: &'static str) -> Result<Self> {
        // The path is kept short: the path of a socket is limited to 107 bytes.
        let folder = tempfile::Builder::new()
            .prefix(&format!("tailwater-{name}-"))
            .tempdir()
            .context("cannot make a folder for the server")?
            .keep();
        let mut watchdog = Command::new("sh")
            .args(["-c", WATCHDOG, "watchdog"])
            .arg(&folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            // A signal to the group of the test run must not reach the guard.
            .process_group(0)
            .current_dir("/")
            .spawn()
            .context("cannot run sh")?;
        let watched = watchdog.stdin.take();
        Ok(Self { name, folder, child: None, watchdog, watched })
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Path of the file that takes the server's output.
    pub(crate) fn log(&self) -> PathBuf {
        self.folder.join("server.log")
    }

    /// The last part of the server's log.
    pub(crate) fn log_tail(&self) -> String {
        let log = fs::read(self.log()).unwrap_or_default();
        let tail = &log[log.len().saturating_sub(LOG_TAIL)..];
        String::from_utf8_lossy(tail).trim_end().to_owned()
    }

    /// Process id while the server runs.
    pub(crate) fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    pub(crate) fn is_running(&mut self) -> bool {
        self.child.as_mut().is_some_and(|child| matches!(child.try_wait(), Ok(None)))
    }

    /// Starts the server and waits until `ready` says so.
    pub(crate) fn start(&mut self, mut command: Command, ready: impl Fn() -> bool) -> Result<()> {
        if self.is_running() {
            bail!("{} runs already", self.name);
        }
        let log = File::options().create(true).append(true).open(self.log())?;
        let child = command
            .stdin(Stdio::null())
            .stdout(log.try_clone()?)
            .stderr(log)
            .process_group(0)
            .spawn()
            .with_context(|| format!("cannot run {}", command.get_program().display()))?;
        self.watch(child.id());
        self.child = Some(child);

        let deadline = Instant::now() + START_LIMIT;
        while !ready() {
            if !self.is_running() {
                self.child = None;
                self.watch(0);
                bail!("{} ended while it was starting; its log ends with:\n{}", self.name, self.log_tail());
            }
            if Instant::now() > deadline {
                let tail = self.log_tail();
                self.kill();
                bail!("{} was not ready within {START_LIMIT:?}; its log ends with:\n{tail}", self.name);
            }
            std::thread::sleep(POLL);
        }
        Ok(())
    }

    /// Asks the server to stop with `signal`, and kills it when it does not.
    pub(crate) fn stop(&mut self, signal: Signal) -> Result<()> {
        let Some(child) = self.child.as_mut() else { return Ok(()) };
        // An error here means that it is gone already.
        let _ = kill_process(Pid::from_child(child), signal);
        let orderly = wait(child, STOP_LIMIT)?.is_some();
        self.kill();
        if !orderly {
            bail!("{} did not stop within {STOP_LIMIT:?} and was killed", self.name);
        }
        Ok(())
    }

    /// Ends the server at once, as a crash would.
    pub(crate) fn kill(&mut self) {
        if let Some(mut child) = self.child.take() {
            // Errors mean that it is gone already.
            let _ = child.kill();
            let _ = child.wait();
        }
        self.watch(0);
    }

    fn watch(&mut self, pid: u32) {
        if let Some(watched) = self.watched.as_mut() {
            // An error means that the guard is gone; the server is then stopped by `drop` alone.
            let _ = writeln!(watched, "{pid}");
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.kill();
        // The folder is removed by the guard, which has been told that nothing runs any more.
        self.watched = None;
        let _ = self.watchdog.wait();
    }
}

/// Runs a command to its end, giving it `input`, and returns what it wrote.
///
/// The error is what the command wrote to its error output. Files stand between, not pipes: neither
/// side can hold the other up.
pub(crate) fn run(command: &mut Command, input: &[u8]) -> Result<String> {
    let (mut given, mut printed, mut said) = (tempfile::tempfile()?, tempfile::tempfile()?, tempfile::tempfile()?);
    given.write_all(input)?;
    given.rewind()?;
    let mut child = command
        .stdin(given)
        .stdout(printed.try_clone()?)
        .stderr(said.try_clone()?)
        .spawn()
        .with_context(|| format!("cannot run {}", command.get_program().display()))?;
    let Some(status) = wait(&mut child, RUN_LIMIT)? else {
        bail!("{} took longer than {RUN_LIMIT:?}", command.get_program().display());
    };
    if !status.success() {
        let said = text(&mut said)?;
        return Err(if said.trim().is_empty() { anyhow!("{status}") } else { anyhow!(said.trim_end().to_owned()) });
    }
    text(&mut printed)
}

fn text(file: &mut File) -> Result<String> {
    let mut bytes = Vec::new();
    file.rewind()?;
    file.read_to_end(&mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes).into_owned())
}

/// Waits for a child to end; kills it when the limit has passed, and returns nothing then.
pub(crate) fn wait(child: &mut Child, limit: Duration) -> Result<Option<ExitStatus>> {
    let deadline = Instant::now() + limit;
    loop {
        if let Some(status) = child.try_wait()? {
            return Ok(Some(status));
        }
        if Instant::now() > deadline {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        std::thread::sleep(QUICK_POLL);
    }
}

/// A port that nothing listens on, and that the kernel does not hand to outgoing connections: a
/// server that is restarted finds its port free again.
fn free_port() -> Result<u16> {
    /// Where to look next; starts at a point that differs between processes.
    static NEXT: Mutex<Option<u32>> = Mutex::new(None);
    const FIRST: u32 = 10_000;
    let end = fs::read_to_string("/proc/sys/net/ipv4/ip_local_port_range")
        .ok()
        .and_then(|range| range.split_whitespace().next()?.parse::<u32>().ok())
        .filter(|first| *first > FIRST + 1000)
        .unwrap_or(32_768);
    let span = end - FIRST;
    let mut next = NEXT.lock().unwrap_or_else(|poisoned| poisoned.into_inner());
    for _ in 0..span {
        let now = next.unwrap_or_else(|| std::process::id().wrapping_mul(7919));
        *next = Some(now.wrapping_add(1));
        let port = u16::try_from(FIRST + now % span)?;
        if TcpListener::bind((Ipv4Addr::LOCALHOST, port)).is_ok() {
            return Ok(port);
        }
    }
    bail!("no free port between {FIRST} and {end}")
}

/// Calls `launch` with a free port, and again with another when someone took it in between.
pub(crate) fn on_free_port(mut launch: impl FnMut(u16) -> Result<()>) -> Result<()> {
    /// Losing the race is rare; losing it this often means something else is wrong.
    const TRIES: usize = 4;
    for _ in 1..TRIES {
        match launch(free_port()?) {
            Err(error) if format!("{error:#}").contains("ddress already in use") => {}
            result => return result,
        }
    }
    launch(free_port()?)
}
