use proptest::prelude::*;

use super::*;

fn mark() -> WriterMark {
    WriterMark { claim: 42, tag: "0011aabb".into(), nonce: "deadbeef".into() }
}

#[test]
fn the_documented_tree() {
    let (shard, target) = (Shard::new("s01"), Target::new("orders"));
    assert_eq!(entry(&shard, 42).as_str(), "log/s01/00000000000000000042.json");
    assert_eq!(head(&shard).as_str(), "log/s01/head.json");
    let floor = floor(&shard, 42);
    assert_eq!(floor.as_str(), "floors/s01/00000000000000000042.json");
    assert_eq!(floor_number(&shard, &floor), Some(42));
    assert_eq!(floor_number(&shard, &entry(&shard, 42)), None);
    assert_eq!(request("01J").as_str(), "requests/01J.json");
    assert_eq!(rebuild(&Target::new("shop.orders")).as_str(), "rebuilds/shop.orders.json");
    assert_eq!(consumer("redshift").as_str(), "consumers/redshift.json");
    let name = DataName::new(&shard, Seq(77), 3, mark());
    assert_eq!(
        data(&target, &Partition::day(1_795_219_200_000_000), &name).as_str(),
        "data/orders/dt=2026-11-21/s01-77-3-42x0011aabbdeadbeef.parquet"
    );
}

#[test]
fn days_are_gregorian() {
    let day = |t: i64| Partition::day(t).to_string();
    assert_eq!(day(0), "dt=1970-01-01");
    assert_eq!(day(-1), "dt=1969-12-31");
    assert_eq!(day(951_782_400_000_000), "dt=2000-02-29");
    assert_eq!(day(4_107_542_399_999_999), "dt=2100-02-28");
    assert_eq!(day(4_107_542_400_000_000), "dt=2100-03-01");
}

#[test]
fn entry_numbers_parse_back_and_nothing_else_does() {
    let shard = Shard::new("a/b");
    for n in [1, 42, u64::MAX] {
        assert_eq!(entry_number(&shard, &entry(&shard, n)), Some(n));
    }
    assert_eq!(entry_number(&shard, &head(&shard)), None);
    assert_eq!(entry_number(&Shard::new("a"), &entry(&shard, 1)), None);
    let short = ObjectPath::parse("log/s/42.json").unwrap();
    assert_eq!(entry_number(&Shard::new("s"), &short), None);
}

#[test]
fn foreign_paths_are_refused() {
    for bad in ["", "/", "a/", "/a", "a//b", "../a", "a/../b", "a/./b", ".tmp/x", "a\\b", "a b", "ü", "a\0b"] {
        assert!(ObjectPath::parse(bad).is_err(), "{bad:?}");
    }
    assert!(ObjectPath::parse(&"a/".repeat(600)).is_err());
}

proptest! {
    #[test]
    fn every_name_makes_valid_and_distinct_paths(a in ".{1,70}", b in ".{1,70}", seq in 0i64.., number: u32) {
        let (shard, target) = (Shard::new(&a), Target::new(&b));
        let name = DataName::new(&shard, Seq(seq), number, mark());
        let path = data(&target, &Partition::of(&b, &a), &name);
        prop_assert!(ObjectPath::parse(path.as_str()).is_ok(), "{}", path);
        prop_assert!(path.as_str().split('/').all(|p| p.len() <= 255));
        let back = DataName::parse(&path).unwrap();
        prop_assert!(back.is_of(&shard));
        prop_assert_eq!(back, name);
        prop_assert_eq!(a == b, part(&a) == part(&b));
    }

    #[test]
    fn parsing_never_panics(text in "\\PC*") {
        if let Ok(path) = ObjectPath::parse(&text) {
            let _ = DataName::parse(&path);
            let _ = entry_number(&Shard::new("s"), &path);
        }
    }
}
