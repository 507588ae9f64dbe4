//! Faults on request: errors, lost connections and slowness (S8, S9).

use std::sync::Mutex;
use std::time::Duration;

use regex::{Regex, RegexBuilder};

use crate::Refusal;

/// What happens to statements that match, and when.
#[derive(Clone, Debug)]
pub struct Fault {
    effect: Effect,
    pattern: Option<Regex>,
    database: Option<String>,
    /// Matching statements that pass before the first one is hit.
    skip: u64,
    /// Hit one of so many.
    every: u64,
    /// How often it happens; `None` without end.
    times: Option<u64>,
}

/// What happens.
#[derive(Clone, Debug)]
pub(crate) enum Effect {
    /// The statement fails. A COMMIT that fails has rolled back.
    Refuse(Refusal),
    /// The connection is lost before the statement is performed.
    LoseBefore,
    /// The connection is lost when it has been performed, before the client hears of it.
    LoseAfter,
    /// The statement takes so much longer.
    Delay(Duration),
}

impl Fault {
    /// The statement fails with this error.
    #[must_use]
    pub fn refuse(refusal: Refusal) -> Self {
        Self::new(Effect::Refuse(refusal))
    }

    /// `1023`: a violation of serializable isolation.
    #[must_use]
    pub fn serialization_violation() -> Self {
        const DETAIL: &str = "Serializable isolation violation on table - 100101, transactions forming the cycle are: 1101, 1102 (pid:1073)";
        Self::refuse(Refusal::new("XX000", "1023").with_detail(DETAIL))
    }

    /// 40P01.
    #[must_use]
    pub fn deadlock() -> Self {
        const DETAIL: &str = "Process 1073 waits for AccessExclusiveLock on relation 100101; blocked by process 1074.";
        Self::refuse(Refusal::new("40P01", "deadlock detected").with_detail(DETAIL))
    }

    /// No room on the cluster.
    #[must_use]
    pub fn disk_full() -> Self {
        Self::refuse(Refusal::engine(1016, "Disk Full", "node: 0"))
    }

    /// The cluster is being resized.
    #[must_use]
    pub fn resize() -> Self {
        Self::refuse(Refusal::new("XX000", "Cannot execute write query because system is in resize mode"))
    }

    /// Cancelled by a rule of workload management.
    #[must_use]
    pub fn cancelled() -> Self {
        Self::refuse(Refusal::new("57014", "Query (17) cancelled on user's request"))
    }

    /// The connection is lost; the statement has not been performed.
    #[must_use]
    pub fn lose_before() -> Self {
        Self::new(Effect::LoseBefore)
    }

    /// The connection is lost; the statement has been performed.
    #[must_use]
    pub fn lose_after() -> Self {
        Self::new(Effect::LoseAfter)
    }

    /// The statement takes so much longer.
    #[must_use]
    pub fn delay(by: Duration) -> Self {
        Self::new(Effect::Delay(by))
    }

    fn new(effect: Effect) -> Self {
        Self { effect, pattern: None, database: None, skip: 0, every: 1, times: Some(1) }
    }

    /// Only statements that this regular expression finds, whatever the case of letters.
    ///
    /// # Panics
    /// When it is none.
    #[must_use]
    pub fn on(mut self, pattern: &str) -> Self {
        match RegexBuilder::new(pattern).case_insensitive(true).dot_matches_new_line(true).build() {
            Ok(pattern) => self.pattern = Some(pattern),
            Err(error) => panic!("not a regular expression: {error}"),
        }
        self
    }

    /// Only statements of sessions of one database.
    #[must_use]
    pub fn in_database(mut self, database: &str) -> Self {
        self.database = Some(database.to_owned());
        self
    }

    /// Lets so many pass first.
    #[must_use]
    pub fn after(mut self, count: u64) -> Self {
        self.skip = count;
        self
    }

    /// Hits every `n`th that matches, without end unless [`times`](Self::times) follows.
    #[must_use]
    pub fn every(mut self, n: u64) -> Self {
        self.every = n.max(1);
        self.times = None;
        self
    }

    /// Happens so often; once unless said.
    #[must_use]
    pub fn times(mut self, count: u64) -> Self {
        self.times = Some(count);
        self
    }
}

/// The faults that are still to come.
#[derive(Debug, Default)]
pub(crate) struct Faults {
    pending: Mutex<Vec<Pending>>,
}

#[derive(Debug)]
struct Pending {
    fault: Fault,
    seen: u64,
}

impl Faults {
    pub(crate) fn add(&self, fault: Fault) {
        self.lock().push(Pending { fault, seen: 0 });
    }

    pub(crate) fn clear(&self) {
        self.lock().clear();
    }

    pub(crate) fn pending(&self) -> usize {
        self.lock().len()
    }

    /// What meets this statement. One statement meets one fault at most, besides delays.
    pub(crate) fn meet(&self, database: &str, text: &str) -> Vec<Effect> {
        let mut pending = self.lock();
        let mut effects = Vec::new();
        for item in pending.iter_mut() {
            if let Some(effect) = item.meet(database, text) {
                let last = !matches!(effect, Effect::Delay(_));
                effects.push(effect);
                if last {
                    break;
                }
            }
        }
        pending.retain(|item| item.fault.times != Some(0));
        effects
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Vec<Pending>> {
        self.pending.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }
}

impl Pending {
    fn meet(&mut self, database: &str, text: &str) -> Option<Effect> {
        let fault = &mut self.fault;
        let elsewhere = fault.database.as_deref().is_some_and(|wanted| wanted != database);
        if elsewhere || fault.pattern.as_ref().is_some_and(|pattern| !pattern.is_match(text)) {
            return None;
        }
        self.seen += 1;
        let nth = self.seen.checked_sub(fault.skip).filter(|nth| *nth > 0)?;
        if nth % fault.every != 0 || fault.times == Some(0) {
            return None;
        }
        fault.times = fault.times.map(|times| times - 1);
        Some(fault.effect.clone())
    }
}

#[cfg(test)]
mod tests {
    use super::{Effect, Fault, Faults};

    #[test]
    fn faults_are_counted() {
        let faults = Faults::default();
        faults.add(Fault::lose_before().on("^commit").after(1));
        faults.add(Fault::serialization_violation().every(3).in_database("a"));
        assert!(faults.meet("b", "COMMIT").is_empty());
        assert!(matches!(faults.meet("b", "COMMIT")[..], [Effect::LoseBefore]));
        assert!(faults.meet("b", "COMMIT").is_empty());
        assert_eq!(faults.pending(), 1);
        let met: Vec<_> = (0..6).map(|_| faults.meet("a", "x").len()).collect();
        assert_eq!(met, [0, 0, 1, 0, 0, 1]);
    }
}
