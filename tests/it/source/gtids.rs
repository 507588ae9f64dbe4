//! GTID sets against the server's own functions, and in the log.

use proptest::{
    prelude::*,
    strategy::ValueTree,
    test_runner::{Config, TestRunner},
};
use tailwater::source::mysql::{gtid::GtidSet, start::StartPoint};
use tailwater_servers::{Mysql, MysqlOptions};

use super::reading::Reading;

/// A set in the server's notation, not in canonical order.
fn set() -> impl Strategy<Value = String> {
    let uuid =
        prop::sample::select(vec!["3e11fa47-71ca-11e1-9e33-c80aa9429562", "00000000-0000-0000-0000-000000000001"]);
    let tag = prop::sample::select(vec!["", "a:", "zz_1:"]);
    let interval = (1u64..30, 0u64..6).prop_map(|(start, more)| format!("{start}-{}", start + more));
    let block = (uuid, tag, prop::collection::vec(interval, 1..4))
        .prop_map(|(uuid, tag, intervals)| format!("{uuid}:{tag}{}", intervals.join(":")));
    prop::collection::vec(block, 0..4).prop_map(|blocks| blocks.join(","))
}

#[test]
fn algebra_equals_the_servers() {
    let mysql = Mysql::start(MysqlOptions::default()).unwrap();
    let mut runner = TestRunner::new(Config::default());
    let pairs: Vec<(String, String)> =
        (0..200).map(|_| (set(), set()).new_tree(&mut runner).unwrap().current()).collect();
    // One round trip for all pairs: subset, difference, and the canonical text of the first.
    let queries: Vec<_> = pairs
        .iter()
        .map(|(a, b)| format!("SELECT GTID_SUBSET('{a}','{b}'), GTID_SUBTRACT('{a}','{b}'), GTID_SUBTRACT('{a}','')"))
        .collect();
    let answers = mysql.query(&queries.join(";\n")).unwrap();
    assert_eq!(answers.len(), pairs.len());
    for ((a, b), answer) in pairs.iter().zip(answers) {
        let answer = answer.replace("\\n", "");
        let columns: Vec<_> = answer.split('\t').collect();
        let (x, y): (GtidSet, GtidSet) = (a.parse().unwrap(), b.parse().unwrap());
        assert_eq!(if x.is_subset(&y) { "1" } else { "0" }, columns[0], "{a} in {b}");
        assert_eq!(x.subtract(&y).to_string(), columns[1], "{a} - {b}");
        assert_eq!(x.to_string(), columns[2], "{a}");
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn tagged_transactions_are_read_and_resumed() {
    let mysql = Mysql::start(MysqlOptions::default()).unwrap();
    mysql.sql("CREATE DATABASE d; CREATE TABLE d.t (id INT PRIMARY KEY)").unwrap();
    let mut reading = Reading::start(&mysql.url(), StartPoint::Latest).await.unwrap();
    mysql.sql("SET gtid_next='AUTOMATIC:blue'; INSERT INTO d.t VALUES (1); INSERT INTO d.t VALUES (2)").unwrap();
    mysql.sql("INSERT INTO d.t VALUES (3)").unwrap();
    assert_eq!(reading.take_seen(3).await, ["t+1", "t+2", "t+3"]);
    let position = reading.assembler.position();
    let text = position.gtid_set.clone().unwrap();
    assert_eq!(text, mysql.gtid_executed().unwrap());
    assert!(text.contains(":blue:1-2"), "{text}");
    let mut resumed = Reading::with_id(&mysql.url(), StartPoint::Resume(position), 1_900_000_002).await.unwrap();
    mysql.sql("SET gtid_next='AUTOMATIC:blue'; INSERT INTO d.t VALUES (4)").unwrap();
    assert_eq!(resumed.take_seen(1).await, ["t+4"]);
}
