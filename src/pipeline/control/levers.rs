//! What a running process can be told that does not outlast it: to read its configuration anew, and how much to log.

use std::{
    fmt,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use tokio::sync::{Notify, watch};

use crate::config::{Config, Misfit, Problem, Problems};

/// Reads and checks the configuration as the process did at its start.
pub type Load = Box<dyn Fn() -> Result<Config, Problems> + Send + Sync>;

/// Changes what is logged: a level or directives.
pub type SetLevel = Box<dyn Fn(&str) -> Result<(), Misfit> + Send + Sync>;

/// Longest time for which a level may be set, after which the configured one comes back.
const LEVEL_TIME_MAX: Duration = Duration::from_secs(7 * 86_400);

/// The levers of a process.
pub struct Levers {
    /// The configuration in force, or about to be.
    config: Mutex<Arc<Config>>,
    /// Counts the configurations that were read anew.
    turn: watch::Sender<u64>,
    /// Counts the changes of the level, so that an older one's end leaves a newer one alone.
    levels: Mutex<u64>,
    soon: Arc<Notify>,
    load: Load,
    set_level: SetLevel,
    /// A level was given at the start and wins over that of the file.
    level_given: bool,
}

impl fmt::Debug for Levers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Levers").field("turn", &*self.turn.borrow()).finish_non_exhaustive()
    }
}

impl Levers {
    /// The levers of a process that runs with `config`.
    pub fn new(config: Config, load: Load, set_level: SetLevel) -> Self {
        Self {
            config: Mutex::new(Arc::new(config)),
            turn: watch::Sender::new(0),
            levels: Mutex::new(0),
            soon: Arc::default(),
            load,
            set_level,
            level_given: false,
        }
    }

    /// Whether a level was given at the start that wins over the configuration's.
    #[must_use]
    pub fn keeping_level(mut self, given: bool) -> Self {
        self.level_given = given;
        self
    }

    /// The configuration in force.
    pub fn config(&self) -> Arc<Config> {
        Arc::clone(&self.config.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Rings when what operators want has changed.
    pub fn soon(&self) -> Arc<Notify> {
        Arc::clone(&self.soon)
    }

    /// Reads the configuration anew and lets the process begin anew with it: sessions end at a commit point, as they do when the process
    /// stops, and begin from the log with the new configuration. What does not pass the check changes nothing.
    ///
    /// # Errors
    /// Every problem of the new configuration, also what only a new process can change.
    pub fn reload(&self) -> Result<(), Problems> {
        let new = (self.load)()?;
        let old = self.config();
        let fixed = fixed(&old, &new);
        if !fixed.is_empty() {
            return Err(Problems::new("the configuration that was read anew", fixed));
        }
        if new.log.level != old.log.level && !self.level_given {
            // The configuration's check has seen to it that it is one.
            let _ = self.log_level_now(&new.log.level);
        }
        *self.config.lock().unwrap_or_else(PoisonError::into_inner) = Arc::new(new);
        tracing::info!("the configuration was read anew; sessions end at a commit point and begin with it");
        self.turn.send_modify(|turn| *turn += 1);
        Ok(())
    }

    /// Tells when the configuration was read anew since `turn` was looked at.
    pub fn turns(&self) -> watch::Receiver<u64> {
        self.turn.subscribe()
    }

    /// Logs from now on what `level` says; for a time, after which the configured level comes back.
    ///
    /// # Errors
    /// When it is no level, or the time is too long.
    pub fn log_level(self: &Arc<Self>, level: &str, time: Option<Duration>) -> Result<(), Misfit> {
        if time.is_some_and(|time| time > LEVEL_TIME_MAX) {
            return Err(Misfit::new("the time is too long", "name one of at most 7 days, or none"));
        }
        let turn = self.log_level_now(level)?;
        tracing::info!(level, ?time, "the log level was changed");
        if let Some(time) = time {
            // Weak: a process that ends does not wait for it.
            let levers = Arc::downgrade(self);
            tokio::spawn(async move {
                tokio::time::sleep(time).await;
                let Some(levers) = levers.upgrade() else { return };
                let last = *levers.levels.lock().unwrap_or_else(PoisonError::into_inner);
                if last == turn {
                    let configured = levers.config().log.level.clone();
                    if levers.log_level_now(&configured).is_ok() {
                        tracing::info!(level = configured, "the log level is the configured one again");
                    }
                }
            });
        }
        Ok(())
    }

    fn log_level_now(&self, level: &str) -> Result<u64, Misfit> {
        (self.set_level)(level)?;
        let mut levels = self.levels.lock().unwrap_or_else(PoisonError::into_inner);
        *levels += 1;
        Ok(*levels)
    }
}

/// What only a new process can change: what identifies it, and the port that it has.
fn fixed(old: &Config, new: &Config) -> Vec<Problem> {
    let mut problems = Vec::new();
    let mut same = |key: &str, same: bool| {
        if !same {
            problems.push(Problem::new(key, "it cannot change while the process runs", "restart the process for it"));
        }
    };
    same("pipeline", old.pipeline == new.pipeline);
    same("lake.url", old.lake.url == new.lake.url);
    same("http", old.http == new.http);
    problems
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;
    use crate::config::Role;

    const ONE: &str = "pipeline = \"p\"\n[[source]]\nurl = \"mysql://u@h\"\n[lake]\nurl = \"./lake\"\n";

    fn parse(text: &str) -> Result<Config, Problems> {
        Config::parse(text, Role::Look, &|_| None)
    }

    fn levers(texts: &'static [&'static str]) -> (Arc<Levers>, Arc<Mutex<Vec<String>>>) {
        let (next, told) = (AtomicU32::new(0), Arc::new(Mutex::new(Vec::new())));
        let load = Box::new(move || parse(texts[next.fetch_add(1, Ordering::Relaxed) as usize]));
        let levels = Arc::clone(&told);
        let level = Box::new(move |level: &str| {
            crate::config::Log::level_fits(level)?;
            levels.lock().unwrap().push(level.to_owned());
            Ok(())
        });
        (Arc::new(Levers::new(parse(ONE).unwrap(), load, level)), told)
    }

    #[test]
    fn what_does_not_pass_changes_nothing() {
        const OTHER: &str = "pipeline = \"q\"\n[lake]\nurl = \"./lake\"\n";
        const BAD: &str = "pipline = \"p\"\n[lake]\nurl = \"./lake\"\n";
        const NEW: &str =
            "pipeline = \"p\"\n[[source]]\nurl = \"mysql://u@i\"\n[lake]\nurl = \"./lake\"\n[log]\nlevel = \"debug\"\n";
        let (levers, levels) = levers(&[BAD, OTHER, NEW]);
        let turns = levers.turns();
        assert!(levers.reload().unwrap_err().to_string().contains("did you mean \"pipeline\"?"));
        assert!(levers.reload().unwrap_err().to_string().contains("pipeline: it cannot change while the process runs"));
        assert!(!turns.has_changed().unwrap() && levers.config().source[0].url.host == "h");
        levers.reload().unwrap();
        assert!(turns.has_changed().unwrap() && levers.config().source[0].url.host == "i");
        assert_eq!(*levels.lock().unwrap(), ["debug"]);
    }

    /// Waits until the levels were told, within a bound.
    async fn told(levels: &Mutex<Vec<String>>, expected: &[&str]) {
        let wait = async {
            while *levels.lock().unwrap() != expected {
                tokio::time::sleep(Duration::from_millis(2)).await;
            }
        };
        let waited = tokio::time::timeout(Duration::from_secs(20), wait).await;
        assert!(waited.is_ok(), "{:?} instead of {expected:?}", levels.lock().unwrap());
    }

    #[tokio::test]
    async fn a_level_for_a_time_ends_unless_another_was_set() {
        let (levers, levels) = levers(&[]);
        assert!(levers.log_level("loud", None).is_err());
        assert!(levers.log_level("debug", Some(LEVEL_TIME_MAX * 2)).is_err());
        levers.log_level("debug", Some(Duration::from_millis(5))).unwrap();
        told(&levels, &["debug", "info"]).await;
        levers.log_level("debug", Some(Duration::from_millis(5))).unwrap();
        levers.log_level("trace", None).unwrap();
        // Its time ends behind that of the one before, which then says nothing.
        levers.log_level("warn", Some(Duration::from_millis(50))).unwrap();
        told(&levels, &["debug", "info", "debug", "trace", "warn", "info"]).await;
    }
}
