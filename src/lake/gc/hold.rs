//! From where may a log be cut? Pure: facts come in as values.

use std::{collections::BTreeSet, fmt};

use crate::{
    lake::consumers::Consumer,
    model::{Origin, Shard},
};

/// Everything that the answer depends on.
#[derive(Clone, Debug)]
pub struct Facts<'a> {
    /// Whose log.
    pub shard: &'a Shard,
    /// Its identity.
    pub log_id: &'a str,
    /// The oldest entry that is kept now.
    pub floor: u64,
    /// The newest entry that carries the catalog.
    pub catalog_at: u64,
    /// The oldest entry that is younger than the retention; behind the newest where none is. `None` keeps all for ever.
    pub young: Option<u64>,
    /// The oldest snapshot that has begun and not ended: whose, and the entry in which it began.
    pub snapshot: Option<&'a (Origin, u64)>,
    /// Who applies the logs.
    pub consumers: &'a [Consumer],
    /// Groups that are configured: each must be known to apply the logs before anything goes.
    pub groups: &'a BTreeSet<String>,
}

/// Something that keeps entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Hold {
    /// The oldest entry that it keeps.
    pub from: u64,
    /// What it is.
    pub by: Holder,
}

/// What keeps entries.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Holder {
    /// They are not old enough.
    Retention,
    /// The catalog at the head is read from there.
    Catalog,
    /// A snapshot has begun there and not ended.
    Snapshot(Origin),
    /// Nobody is known to apply the logs.
    NoConsumer,
    /// A group that is configured has never applied anything.
    Unregistered(String),
    /// A consumer has not said how far it is in this shard's log.
    Silent {
        /// Its name.
        consumer: String,
        /// When it registered last, UTC microseconds.
        updated_at: i64,
    },
    /// A consumer applies another log of this shard than the lake has.
    OtherLog {
        /// Its name.
        consumer: String,
        /// When it registered last, UTC microseconds.
        updated_at: i64,
    },
    /// A consumer has applied no more.
    Consumer {
        /// Its name.
        consumer: String,
        /// When it registered last, UTC microseconds.
        updated_at: i64,
        /// What keeps it behind, in its own words.
        held_by: Option<String>,
    },
}

impl Holder {
    /// When the consumer registered last, UTC microseconds; `None` for what is none.
    pub fn updated_at(&self) -> Option<i64> {
        match self {
            Self::Silent { updated_at, .. } | Self::OtherLog { updated_at, .. } | Self::Consumer { updated_at, .. } => {
                Some(*updated_at)
            }
            _ => None,
        }
    }

    /// Whether time alone mends it, without anybody's doing.
    pub fn is_usual(&self) -> bool {
        matches!(self, Self::Retention | Self::Catalog)
    }
}

impl fmt::Display for Holder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Retention => write!(f, "the retention"),
            Self::Catalog => write!(f, "the newest catalog"),
            Self::Snapshot(origin) => write!(f, "the snapshot of {origin}, which has not ended"),
            Self::NoConsumer => {
                write!(f, "nothing is known to have applied the lake: run an applier of this version first")
            }
            Self::Unregistered(group) => {
                write!(f, "group {group} of the configuration, which has applied nothing: run an applier for it first")
            }
            Self::Silent { consumer, .. } => write!(f, "consumer {consumer}, which has not begun with this shard"),
            Self::OtherLog { consumer, .. } => {
                write!(f, "consumer {consumer}, which applies another log of this shard")
            }
            Self::Consumer { consumer, held_by: None, .. } => write!(f, "consumer {consumer}"),
            Self::Consumer { consumer, held_by: Some(why), .. } => write!(f, "consumer {consumer} ({why})"),
        }
    }
}

/// The entry from which on all must stay, and what says so, the strictest first. At least one thing always does.
pub fn cut(facts: &Facts<'_>) -> (u64, Vec<Hold>) {
    let mut holds = vec![Hold { from: facts.catalog_at, by: Holder::Catalog }];
    // Without a retention nothing is ever old.
    holds.push(Hold { from: facts.young.unwrap_or(facts.floor), by: Holder::Retention });
    let begun = |(origin, entry): &(Origin, u64)| Hold { from: *entry, by: Holder::Snapshot(origin.clone()) };
    holds.extend(facts.snapshot.map(begun));
    if facts.consumers.is_empty() {
        holds.push(Hold { from: facts.floor, by: Holder::NoConsumer });
    } else {
        let missing = facts.groups.iter().filter(|group| !facts.consumers.iter().any(|c| c.group == **group));
        holds.extend(missing.map(|group| Hold { from: facts.floor, by: Holder::Unregistered(group.clone()) }));
    }
    holds.extend(facts.consumers.iter().map(|consumer| of_consumer(facts, consumer)));
    // What is below the floor is gone already, whoever wanted it.
    holds.iter_mut().for_each(|hold| hold.from = hold.from.max(facts.floor));
    holds.sort_by_key(|hold| hold.from);
    (holds.first().map_or(facts.floor, |hold| hold.from), holds)
}

fn of_consumer(facts: &Facts<'_>, consumer: &Consumer) -> Hold {
    let (name, updated_at) = (consumer.name.clone(), consumer.updated_at);
    match consumer.shards.get(facts.shard) {
        None => Hold { from: facts.floor, by: Holder::Silent { consumer: name, updated_at } },
        Some(consumed) if consumed.log_id != facts.log_id => {
            Hold { from: facts.floor, by: Holder::OtherLog { consumer: name, updated_at } }
        }
        // The newest that is applied stays: the next one is proved to continue it.
        Some(consumed) => {
            let held_by = consumed.held_by.clone();
            Hold { from: consumed.applied, by: Holder::Consumer { consumer: name, updated_at, held_by } }
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::lake::consumers::Consumed;

    fn consumer(group: &str, applied: Option<(&str, u64)>) -> Consumer {
        let consumed = |(log_id, applied): (&str, u64)| Consumed { log_id: log_id.to_owned(), applied, held_by: None };
        let shards: BTreeMap<Shard, Consumed> = applied.map(|a| (Shard::new("s1"), consumed(a))).into_iter().collect();
        Consumer::new("sqlite:w.db", group, shards, 7)
    }

    /// A log of 100 entries of which 80 are old and whose catalog is at 90.
    fn decide(consumers: &[Consumer], change: impl FnOnce(&mut Facts<'_>)) -> (u64, Holder) {
        let (shard, groups) = (Shard::new("s1"), BTreeSet::from(["main".to_owned()]));
        let mut facts = Facts {
            shard: &shard,
            log_id: "log",
            floor: 11,
            catalog_at: 90,
            young: Some(81),
            snapshot: None,
            consumers,
            groups: &groups,
        };
        change(&mut facts);
        let (first, holds) = cut(&facts);
        (first, holds[0].by.clone())
    }

    fn far() -> Vec<Consumer> {
        vec![consumer("main", Some(("log", 99)))]
    }

    #[test]
    fn what_is_old_and_applied_may_go() {
        assert_eq!(decide(&far(), |_| {}), (81, Holder::Retention));
        assert_eq!(decide(&far(), |f| f.young = Some(101)), (90, Holder::Catalog));
        assert_eq!(decide(&far(), |f| f.young = None), (11, Holder::Retention));
        // A floor that was raised with another retention does not sink.
        assert_eq!(decide(&far(), |f| f.young = Some(5)).0, 11);
    }

    #[test]
    fn consumers_keep_what_they_have_not_applied() {
        let slow = |applied| [far(), vec![consumer("reports", Some(("log", applied)))]].concat();
        let (first, by) = decide(&slow(40), |_| {});
        assert_eq!(first, 40, "the newest applied entry stays");
        assert!(matches!(&by, Holder::Consumer { consumer, .. } if consumer == "sqlite:w.db.reports"), "{by:?}");
        // One that is behind the floor keeps no less than all that is there.
        assert_eq!(decide(&slow(3), |_| {}).0, 11);
        assert_eq!(decide(&slow(0), |f| f.floor = 1).0, 1);
    }

    #[test]
    fn who_says_nothing_keeps_everything() {
        assert_eq!(decide(&[], |_| {}), (11, Holder::NoConsumer));
        let silent = [far(), vec![consumer("new", None)]].concat();
        assert!(matches!(decide(&silent, |_| {}), (11, Holder::Silent { .. })));
        let other = [far(), vec![consumer("old", Some(("another", 99)))]].concat();
        assert!(matches!(decide(&other, |_| {}), (11, Holder::OtherLog { .. })));
        let unknown = decide(&[consumer("reports", Some(("log", 99)))], |_| {});
        assert_eq!(unknown, (11, Holder::Unregistered("main".to_owned())));
    }

    #[test]
    fn a_snapshot_keeps_all_since_its_beginning() {
        let origin = Origin::new(&Shard::new("s1"), "shop", "orders");
        let open: &'static _ = Box::leak(Box::new((origin.clone(), 33)));
        assert_eq!(decide(&far(), |f| f.snapshot = Some(open)), (33, Holder::Snapshot(origin)));
    }
}
