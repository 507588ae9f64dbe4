//! Headless Chromium: opens a page, asks it, takes pictures of it.
//!
//! It is spoken to by its DevTools protocol over two pipes, so it needs no port and ends when this process does.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::symlink;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail};
use base64::Engine as _;
use rustix::process::{Pid, Signal, kill_process_group};
use serde_json::{Value, json};

use crate::debian::Packages;
use crate::distribution::Distribution;

pub(crate) const CHROMIUM: Distribution = Distribution {
    name: "chromium",
    // A page without fonts has no text; Inter is what systems' own fonts look like.
    packages: Packages { suite: "bookworm", names: &["chromium", "fonts-inter"] },
    server: "chromium",
    version: "Chromium",
    variable: "TAILWATER_CHROMIUM",
    folders: &["usr/lib/chromium", "usr/bin"],
    programs: &["chromium"],
};

/// Bound on one answer of the browser, on a machine that is busy with builds.
const PATIENCE: Duration = Duration::from_secs(60);

/// How often a wait looks.
const POLL: Duration = Duration::from_millis(50);

/// Libraries that belong to the loader that starts the program, which is the system's: two of them in one process crash it.
const C_LIBRARY: [&str; 9] = [
    "ld-linux",
    "libc.so",
    "libm.so",
    "libpthread.so",
    "libdl.so",
    "librt.so",
    "libresolv.so",
    "libutil.so",
    "libnss_",
];

/// What a page is shown on.
#[derive(Debug, Clone, Copy)]
pub struct Screen {
    /// In CSS pixels.
    pub width: u32,
    /// In CSS pixels.
    pub height: u32,
    /// Device pixels of one CSS pixel.
    pub scale: u32,
    /// Whether its owner prefers dark colours.
    pub dark: bool,
}

/// A browser with one page; ended when dropped.
#[derive(Debug)]
pub struct Browser {
    child: Child,
    commands: ChildStdin,
    answers: Receiver<Value>,
    session: Option<String>,
    last: u64,
    complaints: Vec<String>,
    screen: Screen,
    _folder: tempfile::TempDir,
}

impl Browser {
    /// Starts a browser with an empty page.
    ///
    /// # Errors
    /// When Chromium cannot be had or does not start.
    pub fn start() -> Result<Self> {
        let folder = tempfile::Builder::new().prefix("tailwater-chromium-").tempdir()?;
        let mut command = command(folder.path())?;
        let log = fs::File::create(folder.path().join("log"))?;
        // Its pipes are the descriptors 3 and 4, which only a shell can give it.
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(log).process_group(0);
        let mut child = command.spawn().context("cannot run sh")?;
        let (Some(commands), Some(output)) = (child.stdin.take(), child.stdout.take()) else {
            bail!("the browser has no pipes");
        };
        let (sender, answers) = channel();
        thread::spawn(move || {
            let mut output = BufReader::new(output);
            let mut message = Vec::new();
            while output.read_until(0, &mut message).is_ok_and(|n| n > 0) {
                let value = message.strip_suffix(&[0]).and_then(|text| serde_json::from_slice(text).ok());
                if value.is_none_or(|value| sender.send(value).is_err()) {
                    return;
                }
                message.clear();
            }
        });
        let screen = Screen { width: 1280, height: 900, scale: 1, dark: false };
        let mut browser =
            Self { child, commands, answers, session: None, last: 0, complaints: Vec::new(), screen, _folder: folder };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }))?;
        let attach = json!({ "targetId": target["targetId"], "flatten": true });
        let session = browser.call("Target.attachToTarget", attach)?["sessionId"].as_str().map(str::to_owned);
        browser.session = Some(session.context("the browser made no session")?);
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}))?;
        }
        Ok(browser)
    }

    /// Opens an address on a screen. Does not wait for what scripts do there.
    ///
    /// # Errors
    /// When nothing answers at the address.
    pub fn open(&mut self, url: &str, screen: Screen) -> Result<()> {
        self.screen = screen;
        let Screen { width, height, scale, dark } = screen;
        let metrics = json!({ "width": width, "height": height, "deviceScaleFactor": scale, "mobile": width < 600 });
        self.call("Emulation.setDeviceMetricsOverride", metrics)?;
        let scheme = if dark { "dark" } else { "light" };
        let features = json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] });
        self.call("Emulation.setEmulatedMedia", features)?;
        let opened = self.call("Page.navigate", json!({ "url": url }))?;
        match opened["errorText"].as_str() {
            Some(error) => bail!("{url} cannot be opened: {error}"),
            None => Ok(()),
        }
    }

    /// The value of a JavaScript expression.
    ///
    /// # Errors
    /// When it throws.
    pub fn evaluate(&mut self, expression: &str) -> Result<Value> {
        let asked = json!({ "expression": expression, "returnByValue": true, "awaitPromise": true });
        let answer = self.call("Runtime.evaluate", asked)?;
        if let Some(thrown) = answer.get("exceptionDetails") {
            bail!("{expression} throws {thrown}");
        }
        Ok(answer["result"]["value"].clone())
    }

    /// Waits until an expression is true.
    ///
    /// # Errors
    /// When it is not within a minute.
    pub fn wait_for(&mut self, expression: &str) -> Result<()> {
        let deadline = Instant::now() + PATIENCE;
        // A page that is being opened has no values yet.
        while !self.evaluate(expression).is_ok_and(|value| value == true) {
            if Instant::now() > deadline {
                bail!("the page never had {expression}; it complains of {:?}", self.complaints);
            }
            thread::sleep(POLL);
        }
        Ok(())
    }

    /// A picture of the page from its top on, as PNG: as wide as the screen and at most `height` CSS pixels high.
    ///
    /// # Errors
    /// When the browser cannot make it.
    pub fn picture(&mut self, height: u32) -> Result<Vec<u8>> {
        let whole = self.evaluate("document.documentElement.scrollHeight")?.as_u64().unwrap_or_default();
        let clip =
            json!({ "x": 0, "y": 0, "width": self.screen.width, "height": whole.min(u64::from(height)), "scale": 1 });
        let asked = json!({ "format": "png", "captureBeyondViewport": true, "clip": clip });
        let answer = self.call("Page.captureScreenshot", asked)?;
        let text = answer["data"].as_str().context("the browser made no picture")?;
        Ok(base64::prelude::BASE64_STANDARD.decode(text)?)
    }

    /// What went wrong on the page so far: exceptions, errors and warnings of its console, requests that failed.
    pub fn complaints(&self) -> &[String] {
        &self.complaints
    }

    fn call(&mut self, method: &str, params: Value) -> Result<Value> {
        self.last += 1;
        let mut message = json!({ "id": self.last, "method": method, "params": params });
        if let Some(session) = &self.session {
            message["sessionId"] = json!(session);
        }
        self.commands.write_all(format!("{message}\0").as_bytes()).context("the browser has ended")?;
        let deadline = Instant::now() + PATIENCE;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let mut answer = self.answers.recv_timeout(left).map_err(|_| anyhow!("no answer to {method}"))?;
            if answer["id"] == self.last {
                return match answer.get("error") {
                    Some(error) => Err(anyhow!("{method} failed: {error}")),
                    None => Ok(answer["result"].take()),
                };
            }
            self.note(&answer);
        }
    }

    fn note(&mut self, event: &Value) {
        let params = &event["params"];
        let bad = match event["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => {
                ["error", "warning", "assert"].iter().any(|kind| params["type"] == *kind)
            }
            Some("Log.entryAdded") => ["error", "warning"].iter().any(|level| params["entry"]["level"] == *level),
            _ => false,
        };
        if bad {
            self.complaints.push(params.to_string());
        }
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        // Errors mean that it is gone already. Its helpers are of its group.
        let _ = kill_process_group(Pid::from_child(&self.child), Signal::KILL);
        let _ = self.child.wait();
    }
}

/// The shell that becomes the browser, with `folder` for its files.
fn command(folder: &Path) -> Result<Command> {
    let installed = CHROMIUM.install()?;
    let mut command = Command::new("sh");
    command.args(["-c", "exec \"$@\" 3<&0 4>&1 </dev/null >/dev/null", "browser"]);
    match &installed.root {
        None => command.arg(installed.program("chromium")?),
        Some(root) => {
            command.env("LD_LIBRARY_PATH", libraries(root, &folder.join("libraries"))?);
            command.env("FONTCONFIG_FILE", fonts(root, folder)?);
            // It runs itself anew for each of its parts and looks for its files beside itself, which the launcher's loader
            // would not have it find: the system's loader starts it.
            command.arg(root.join("usr/lib/chromium/chromium.real"))
        }
    };
    command
        .env("HOME", folder)
        .env_remove("DBUS_SESSION_BUS_ADDRESS")
        .args(["--headless=new", "--no-sandbox", "--disable-gpu", "--hide-scrollbars", "--disable-dev-shm-usage"])
        .args(["--no-first-run", "--disable-background-networking", "--remote-debugging-pipe"])
        .arg(format!("--user-data-dir={}", folder.join("profile").display()))
        .arg("about:blank");
    Ok(command)
}

/// A folder of links to all libraries of the packages but the C library's.
fn libraries(root: &Path, folder: &Path) -> Result<PathBuf> {
    fs::create_dir_all(folder)?;
    let triplet = format!("{}-linux-gnu", std::env::consts::ARCH);
    for part in ["usr/lib", "lib"].map(|lib| root.join(lib).join(&triplet)) {
        for place in [part.clone(), part.join("pulseaudio")] {
            // Not every package has every folder.
            for item in fs::read_dir(place).into_iter().flatten().flatten() {
                let name = item.file_name();
                let text = name.to_string_lossy();
                if text.contains(".so") && !C_LIBRARY.iter().any(|own| text.starts_with(own)) {
                    // The same name twice is the same library.
                    let _ = symlink(item.path(), folder.join(&name));
                }
            }
        }
    }
    Ok(folder.to_path_buf())
}

/// A font configuration that knows the packages' fonts alone, so that pictures look the same on every machine.
fn fonts(root: &Path, folder: &Path) -> Result<PathBuf> {
    let file = folder.join("fonts.conf");
    let alias = |generic: &str, font: &str| {
        format!("<alias binding=\"same\"><family>{generic}</family><prefer><family>{font}</family></prefer></alias>\n")
    };
    let text = format!(
        "<?xml version=\"1.0\"?><!DOCTYPE fontconfig SYSTEM \"fonts.dtd\">\n<fontconfig>\n<dir>{}</dir>\n<cachedir>{}</cachedir>\n\
         {}{}{}</fontconfig>\n",
        root.join("usr/share/fonts").display(),
        folder.join("fonts").display(),
        alias("system-ui", "Inter"),
        alias("sans-serif", "Inter"),
        alias("monospace", "DejaVu Sans Mono"),
    );
    fs::write(&file, text)?;
    Ok(file)
}

/// Makes Chromium ready to start; returns the folder of the program.
pub(crate) fn prepare() -> Result<PathBuf> {
    let program = CHROMIUM.install()?.program("chromium")?;
    Ok(program.parent().map(Path::to_path_buf).unwrap_or_default())
}
