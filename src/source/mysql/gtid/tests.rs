#![allow(clippy::unwrap_used)]

use std::collections::BTreeSet;

use proptest::prelude::*;

use super::*;

const A: &str = "3e11fa47-71ca-11e1-9e33-c80aa9429562";
const B: &str = "4e11fa47-71ca-11e1-9e33-c80aa9429562";

fn set(text: &str) -> GtidSet {
    text.parse().unwrap()
}

#[test]
fn prints_what_mysql_prints() {
    for (given, canonical) in [
        ("", ""),
        (&*format!("{A}:1-5:9"), &*format!("{A}:1-5:9")),
        (&*format!("{A}:9:1-5:6"), &*format!("{A}:1-6:9")),
        (&*format!("{B}:1,\n{A}:3-4"), &*format!("{A}:3-4,{B}:1")),
        (&*format!("{A}:1-3:Tag_1:2-4:7"), &*format!("{A}:1-3:tag_1:2-4:7")),
        (&*format!("{A}:zz:1,{A}:aa:1:2,{A}:5"), &*format!("{A}:5:aa:1-2:zz:1")),
        (&*format!(" {} : 1 - 2 ", A.to_uppercase()), &*format!("{A}:1-2")),
        (&*format!("{A}:5-2,"), ""),
    ] {
        assert_eq!(set(given).to_string(), canonical, "{given}");
    }
}

#[test]
fn refuses_what_is_not_a_set() {
    for bad in ["x", "1-2", A, &format!("{A}:0"), &format!("{A}:1-x"), &format!("{A}:9x"), &format!("{A}:a-b:1")] {
        assert!(bad.parse::<GtidSet>().is_err(), "{bad}");
    }
    assert!(format!("{A}:{}", u64::MAX).parse::<GtidSet>().is_err());
}

#[test]
fn client_library_takes_every_block() {
    let set = set(&format!("{A}:1-5:9:t:1-2,{B}:7"));
    assert_eq!(set.sids().unwrap().len(), 3);
}

#[test]
fn mariadb_positions_order_by_domain() {
    let p: DomainPosition = "0-1-100, 5-2-7".parse().unwrap();
    assert_eq!(p.to_string(), "0-1-100,5-2-7");
    let later: DomainPosition = "0-3-101,5-2-7".parse().unwrap();
    assert!(p.is_behind(&later) && !later.is_behind(&p));
    for bad in ["0-1", "0-1-2-3", "a-1-2", "4294967296-1-1"] {
        assert!(bad.parse::<DomainPosition>().is_err(), "{bad}");
    }
}

type Naive = BTreeSet<(u8, u8, u64)>;

fn naive() -> impl Strategy<Value = Naive> {
    prop::collection::btree_set((0u8..2, 0u8..3, 1u64..40), 0..60)
}

fn from_naive(naive: &Naive) -> GtidSet {
    let mut set = GtidSet::default();
    for &(uuid, tag, gno) in naive {
        set.add(&Gtid { uuid: [uuid; 16], tag: ["", "a", "b"][tag as usize].into(), gno });
    }
    set
}

proptest! {
    #[test]
    fn algebra_equals_that_of_plain_sets(a in naive(), b in naive()) {
        let (x, y) = (from_naive(&a), from_naive(&b));
        prop_assert_eq!(x.is_subset(&y), a.is_subset(&b));
        prop_assert_eq!(x.count(), a.len() as u64);
        prop_assert_eq!(x.subtract(&y), from_naive(&a.difference(&b).copied().collect()));
        let mut union = x.clone();
        union.union(&y);
        prop_assert_eq!(&union, &from_naive(&a.union(&b).copied().collect()));
        prop_assert!(x.is_subset(&union) && y.is_subset(&union));
    }

    #[test]
    fn order_of_adding_does_not_matter(gnos in prop::collection::vec(1u64..60, 0..60)) {
        let mut one = GtidSet::default();
        for gno in &gnos {
            let gtid = Gtid { uuid: [7; 16], tag: "".into(), gno: *gno };
            one.add(&gtid);
            prop_assert!(one.contains(&gtid));
        }
        let all: Naive = gnos.iter().map(|g| (7, 0, *g)).collect();
        prop_assert_eq!(one, from_naive(&all));
    }

    #[test]
    fn text_round_trips(a in naive()) {
        let set = from_naive(&a);
        prop_assert_eq!(set.to_string().parse::<GtidSet>().unwrap(), set);
    }

    #[test]
    fn parsing_never_panics(text in "[0-9a-f:,\\- _]{0,80}") {
        let _ = text.parse::<GtidSet>();
        let _ = text.parse::<DomainPosition>();
    }
}
