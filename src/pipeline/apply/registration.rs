//! Telling the lake how far a group is, so that nothing is removed that it needs.
//!
//! A session registers before it applies its first entry, then every few minutes, and when it ends. What it says follows from
//! what the warehouse has committed, so it may lag and never leads. Whatever stands behind the group's own place holds it
//! back: exceptions of every kind, and rebuilds from where they began, for a later session searches their beginning anew.

use std::{
    collections::BTreeMap,
    time::{Duration, Instant},
};

use super::{
    Apply, ApplyError,
    catch_up::CatchUp,
    session::{Reader, Session},
};
use crate::{
    lake::{
        Clock as _, SystemClock,
        consumers::{Consumed, Consumer, ConsumerError, RENEW_EVERY},
    },
    metrics::{ErrorKind, Stage},
    model::{Origin, Shard},
    warehouse::{LogPosition, Watermark},
};

/// How soon a renewal that failed is tried again.
const AGAIN: Duration = Duration::from_secs(30);

/// What the lake was told of a group.
#[derive(Debug, Default)]
pub(super) struct Registration {
    told: BTreeMap<Shard, Consumed>,
    /// When the next renewal is due.
    due: Option<Instant>,
}

/// What a group still needs.
#[derive(Debug, Default)]
struct Needs {
    /// Where it stands in each log, as the warehouse has it.
    marks: BTreeMap<Shard, Watermark>,
    /// Origins with places of their own: the oldest step that each may need, and what each is.
    behind: Vec<(Origin, LogPosition, &'static str)>,
    /// Rebuilds are asked for or under way.
    rebuilding: bool,
}

impl Registration {
    /// Begins with what an earlier session told.
    ///
    /// # Errors
    /// When the lake fails. One that cannot be understood counts as none.
    pub(super) async fn of_earlier(apply: &Apply) -> Result<Self, ApplyError> {
        let name = Consumer::new(&apply.consumer, &apply.group, BTreeMap::new(), 0).name;
        let told = match Consumer::load(&*apply.store, &name).await {
            Ok(earlier) => earlier.map(|earlier| earlier.shards).unwrap_or_default(),
            Err(ConsumerError::Store(error)) => return Err(error.into()),
            Err(ConsumerError::Damaged { .. }) => BTreeMap::new(),
        };
        Ok(Self { told, due: None })
    }

    /// Whether it is time to tell the lake again.
    pub(super) fn is_due(&self) -> bool {
        self.due.is_none_or(|due| Instant::now() >= due)
    }

    /// Tells the lake how far the group is.
    ///
    /// # Errors
    /// When the lake fails.
    async fn tell(&mut self, apply: &Apply, needs: &Needs, ended: bool) -> Result<(), ApplyError> {
        let shards = consumed(needs, &self.told);
        let now = SystemClock::new().unix_micros();
        let consumer = Consumer { ended, ..Consumer::new(&apply.consumer, &apply.group, shards, now) };
        match consumer.save(&*apply.store).await {
            Ok(()) => {}
            Err(ConsumerError::Store(error)) => return Err(error.into()),
            // Numbers and names always serialise.
            Err(ConsumerError::Damaged { .. }) => {}
        }
        self.told = consumer.shards;
        self.due = Some(Instant::now() + RENEW_EVERY);
        Ok(())
    }

    /// Tells it, where it is time. The lake keeps more than is needed where that fails, and it is tried again.
    async fn renew(&mut self, apply: &Apply, needs: &Needs) {
        if let Err(error) = self.tell(apply, needs, false).await {
            self.due = Some(Instant::now() + AGAIN);
            apply.metrics.error(Stage::Lake, ErrorKind::Transient);
            let error = crate::errors::chain(&error);
            tracing::warn!(
                group = apply.group,
                error,
                "cannot tell the lake how far the group is; nothing is removed meanwhile"
            );
        }
    }
}

impl Session<'_> {
    /// Tells the lake how far the group is before anything was read: where the warehouse has it.
    ///
    /// # Errors
    /// When the lake fails: nothing is applied of what might be removed meanwhile.
    pub(super) async fn register_at(&mut self, marks: BTreeMap<Shard, Watermark>) -> Result<(), ApplyError> {
        let needs = Needs { marks, ..self.needs() };
        self.registration.tell(self.apply, &needs, false).await
    }

    /// What the group still needs of the lake.
    fn needs(&self) -> Needs {
        let mark = |(shard, reader): (&Shard, &Reader)| {
            let log_id = reader.cursor.log_id.clone();
            Some((shard.clone(), Watermark { log_id, position: reader.stands? }))
        };
        let behind = |(origin, behind): (&Origin, &CatchUp)| {
            let (place, what) = behind.needs()?;
            Some((origin.clone(), place, what))
        };
        Needs {
            marks: self.readers.iter().filter_map(mark).collect(),
            behind: self.behind.iter().filter_map(behind).collect(),
            rebuilding: self.rebuilds.any(),
        }
    }

    /// Tells the lake how far the group is.
    pub(super) async fn register(&mut self, ended: bool) {
        let needs = self.needs();
        if ended {
            // The next session tells it anew, so that nothing is lost where this fails.
            if let Err(error) = self.registration.tell(self.apply, &needs, true).await {
                tracing::debug!(error = crate::errors::chain(&error), "cannot tell the lake that the session ended");
            }
        } else {
            self.registration.renew(self.apply, &needs).await;
        }
    }
}

/// How far each log is needed no more. A shard that the group has not begun with is not mentioned, which keeps all of it.
fn consumed(needs: &Needs, told: &BTreeMap<Shard, Consumed>) -> BTreeMap<Shard, Consumed> {
    let of_shard = |(shard, mark): (&Shard, &Watermark)| {
        let mut first = mark.position.entry;
        let mut held_by = None;
        for (origin, place, what) in &needs.behind {
            if origin.shard == *shard && place.entry < first {
                first = place.entry;
                held_by = Some(format!("{what} {origin}"));
            }
        }
        let mut applied = first.saturating_sub(1);
        if needs.rebuilding {
            let known = told.get(shard).filter(|told| told.log_id == mark.log_id);
            let before = known.map_or(0, |told| told.applied);
            if before < applied {
                applied = before;
                held_by = known.and_then(|told| told.held_by.clone()).or_else(|| Some("a rebuild".to_owned()));
            }
        }
        Some((shard.clone(), Consumed { log_id: mark.log_id.clone(), applied, held_by })).filter(|_| applied > 0)
    };
    needs.marks.iter().filter_map(of_shard).collect()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shard() -> Shard {
        Shard::new("s1")
    }

    fn at(entry: u64) -> LogPosition {
        LogPosition { entry, step: 0 }
    }

    fn needs(entry: u64) -> Needs {
        let mark = Watermark { log_id: "log".to_owned(), position: at(entry) };
        Needs { marks: [(shard(), mark)].into(), ..Needs::default() }
    }

    fn told(needs: &Needs, before: &[(&str, u64)]) -> Option<(u64, Option<String>)> {
        let before = before.iter().map(|(log_id, applied)| {
            (shard(), Consumed { log_id: (*log_id).to_owned(), applied: *applied, held_by: None })
        });
        consumed(needs, &before.collect()).remove(&shard()).map(|told| (told.applied, told.held_by))
    }

    #[test]
    fn the_entry_that_is_being_applied_is_needed() {
        assert_eq!(told(&needs(41), &[]), Some((40, None)));
        let inside = LogPosition { entry: 41, step: 3 };
        let torn = Needs {
            marks: [(shard(), Watermark { log_id: "log".to_owned(), position: inside })].into(),
            ..Needs::default()
        };
        assert_eq!(told(&torn, &[]), Some((40, None)));
        // Nothing is applied: nothing is said.
        assert_eq!(told(&needs(1), &[]), None);
    }

    #[test]
    fn what_is_behind_holds_it_back() {
        let parked = Origin::new(&shard(), "shop", "orders");
        let other = Origin::new(&Shard::new("s2"), "shop", "orders");
        let mut needs = needs(41);
        needs.behind = vec![(parked.clone(), at(12), "parked"), (other, at(3), "parked"), (parked, at(20), "held")];
        assert_eq!(told(&needs, &[]), Some((11, Some("parked s1:shop.orders".to_owned()))));
    }

    #[test]
    fn a_rebuild_leaves_it_where_it_was() {
        let mut needs = needs(41);
        needs.rebuilding = true;
        assert_eq!(told(&needs, &[("log", 30)]), Some((30, Some("a rebuild".to_owned()))));
        // One that went on before it was known stays where it is.
        assert_eq!(told(&needs, &[("log", 50)]), Some((40, None)));
        assert_eq!(told(&needs, &[]), None);
        assert_eq!(told(&needs, &[("another", 30)]), None);
    }
}
