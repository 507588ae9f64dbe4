#![allow(clippy::unwrap_used)]

use proptest::prelude::*;

use super::*;
use crate::source::mysql::{
    ddl::Change,
    event::FLAG_IGNORABLE,
    gtid::{DomainPosition, GtidSet},
};

const UUID: [u8; 16] = [0xaa; 16];
const UUID_TEXT: &str = "aaaaaaaa-aaaa-aaaa-aaaa-aaaaaaaaaaaa";

/// Events as a server would send them, with ascending offsets.
#[derive(Default)]
struct Log(Vec<(u8, u16, Vec<u8>)>);

impl Log {
    fn event(mut self, event_type: u8, body: Vec<u8>) -> Self {
        self.0.push((event_type, 0, body));
        self
    }

    fn gtid(self, gno: u64) -> Self {
        let mut body = vec![0];
        body.extend(UUID);
        body.extend(gno.to_le_bytes());
        body.push(2);
        body.extend([0; 16]);
        body.extend(&(gno * 1000).to_le_bytes()[..7]);
        self.event(code::GTID, body)
    }

    fn query(self, sql: &str) -> Self {
        let mut body = vec![0; 8];
        body.push(1);
        body.extend([0; 4]);
        body.extend(b"d\0");
        body.extend(sql.as_bytes());
        self.event(code::QUERY, body)
    }

    /// A table map of one INT column.
    fn map(self, id: u8, table: &str) -> Self {
        let mut body = vec![id, 0, 0, 0, 0, 0, 1, 0];
        body.extend([1, b'd', 0, table.len() as u8]);
        body.extend(table.as_bytes());
        body.extend([0, 1, 3, 0, 1]);
        self.event(code::TABLE_MAP, body)
    }

    fn insert(self, id: u8, last: bool) -> Self {
        self.event(code::WRITE_ROWS, vec![id, 0, 0, 0, 0, 0, u8::from(last), 0, 2, 0, 1, 1, 0, 7, 0, 0, 0])
    }

    fn xid(self) -> Self {
        self.event(code::XID, vec![0; 8])
    }

    fn xa_prepare(self, one_phase: bool) -> Self {
        self.event(code::XA_PREPARE, vec![u8::from(one_phase), 1, 0, 0, 0, 1, 0, 0, 0, 1, 0, 0, 0, b'a', b'b'])
    }

    fn rotate(self, file: &str) -> Self {
        let mut body = 4u64.to_le_bytes().to_vec();
        body.extend(file.as_bytes());
        self.event(code::ROTATE, body)
    }
}

fn assembler() -> Assembler {
    let executed = Executed::Set(GtidSet::default());
    let position = StreamPosition { executed, file: "b.1".into(), offset: 4, server_uuid: Some("u".into()) };
    Assembler::new(Flavor::MySql, position, Box::new(|d, t| d == "d" && t.starts_with('c')))
}

/// Runs the log and writes down what comes out.
fn run(assembler: &mut Assembler, log: &Log) -> Result<Vec<String>, AssemblerError> {
    let mut seen = Vec::new();
    for (n, (event_type, flags, body)) in log.0.iter().enumerate() {
        let end = 100 * (n as u64 + 1);
        let raw = RawEvent { event_type: *event_type, flags: *flags, timestamp_s: 5, server_id: 9, body, end };
        if let Some(event) = assembler.push(raw)? {
            seen.push(match event {
                Event::Begin { gtid, committed_at_us, xa } => {
                    format!("begin {} {committed_at_us}{}", gtid.map_or(0, |g| g.gno), if xa { " xa" } else { "" })
                }
                Event::Rows { table, event } => format!("rows {} {}", table.table, event.data.len()),
                Event::Ddl { ddl: Ddl { change: Change::Truncate(t) }, committed_at_us } => {
                    format!("truncate {} {committed_at_us}", t.table)
                }
                Event::Ddl { ddl: Ddl { change: Change::CreateTable { table, .. } }, .. } => {
                    format!("create {}", table.table)
                }
                Event::Ddl { ddl, .. } => format!("{ddl:?}"),
                Event::StatementDml { tables } => format!("text {}", tables.len()),
                Event::XaPrepare { xid } => format!("prepare {xid}"),
                Event::XaCommit { xid, committed_at_us } => format!("xa commit {xid} {committed_at_us}"),
                Event::XaRollback { xid } => format!("xa rollback {xid}"),
                other => format!("{other:?}").to_lowercase(),
            });
        }
    }
    Ok(seen)
}

fn gtids(assembler: &Assembler) -> String {
    assembler.position().gtid_set.unwrap().replace(UUID_TEXT, "")
}

#[test]
fn a_transaction_with_several_tables() {
    let log = Log::default().gtid(1).query("BEGIN").map(1, "c1").map(2, "other").map(3, "c2").insert(1, false);
    let log = log.insert(2, false).insert(3, true).xid();
    let mut a = assembler();
    assert_eq!(run(&mut a, &log).unwrap(), ["begin 1 1000", "rows c1 5", "rows c2 5", "commit"]);
    assert_eq!(gtids(&a), ":1");
    let position = a.position();
    assert_eq!(
        (position.file.as_deref(), position.offset, position.server_uuid.as_deref()),
        (Some("b.1"), 900, Some("u"))
    );
}

#[test]
fn the_position_moves_only_at_group_ends() {
    let whole = Log::default().gtid(1).query("BEGIN").map(1, "c1").insert(1, true).xid();
    for cut in 0..whole.0.len() {
        let mut a = assembler();
        let part = Log(whole.0[..cut].to_vec());
        run(&mut a, &part).unwrap();
        assert_eq!((gtids(&a), a.position().offset, a.at_group_end()), (String::new(), 4, cut == 0), "{cut}");
        let resumed = a.restart();
        assert_eq!(resumed.offset, 4);
        // The group comes again from its beginning, with other table ids maybe.
        assert_eq!(run(&mut a, &whole).unwrap().len(), 3);
        assert_eq!(gtids(&a), ":1");
    }
}

#[test]
fn statements_free_their_table_ids() {
    let log = Log::default().gtid(1).query("BEGIN").map(1, "c1").insert(1, true).insert(1, true);
    let error = run(&mut assembler(), &log).unwrap_err();
    assert!(matches!(error.fault, Fault::UnknownTable(1)), "{error}");
    let reused = Log::default().gtid(1).query("BEGIN").map(1, "c1").insert(1, true).map(1, "c2").insert(1, true).xid();
    assert_eq!(run(&mut assembler(), &reused).unwrap(), ["begin 1 1000", "rows c1 5", "rows c2 5", "commit"]);
}

#[test]
fn equal_table_maps_share_one_parse() {
    let log = Log::default().gtid(1).query("BEGIN").map(1, "c1").insert(1, true).map(7, "c1").insert(7, true);
    let mut a = assembler();
    let mut tables = Vec::new();
    for (event_type, flags, body) in &log.0 {
        let raw = RawEvent { event_type: *event_type, flags: *flags, timestamp_s: 5, server_id: 9, body, end: 1 };
        if let Some(Event::Rows { table, .. }) = a.push(raw).unwrap() {
            tables.push(Arc::clone(table));
        }
    }
    assert!(Arc::ptr_eq(&tables[0], &tables[1]));
}

#[test]
fn ddl_is_a_group_of_its_own_unless_inside_a_transaction() {
    let log = Log::default()
        .gtid(1)
        .query("TRUNCATE c1")
        .gtid(2)
        .query("TRUNCATE other")
        .gtid(3)
        .query("CREATE USER u")
        .gtid(4)
        .query("BEGIN")
        .query("CREATE TABLE `c2` (`a` int) START TRANSACTION")
        .map(1, "c2")
        .insert(1, true)
        .xid();
    let mut a = assembler();
    let seen = run(&mut a, &log).unwrap();
    assert_eq!(seen, ["truncate c1 1000", "skipped", "skipped", "begin 4 4000", "create c2", "rows c2 5", "commit"]);
    assert_eq!(gtids(&a), ":1-4");
}

#[test]
fn savepoints_vanish_and_other_ends_end() {
    let log = Log::default()
        .gtid(1)
        .query("BEGIN")
        .query("SAVEPOINT `s`")
        .query("ROLLBACK TO `s`")
        .query("COMMIT")
        .gtid(2)
        .query("BEGIN")
        .map(1, "c1")
        .insert(1, true)
        .query("ROLLBACK");
    let mut a = assembler();
    assert_eq!(run(&mut a, &log).unwrap(), ["begin 1 1000", "commit", "begin 2 2000", "rows c1 5", "rollback"]);
    assert_eq!(gtids(&a), ":1-2");
}

#[test]
fn xa_transactions_end_at_prepare_and_are_decided_later() {
    let xid = "X'61',X'62',1";
    let log = Log::default()
        .gtid(1)
        .query("XA START X'61',X'62',1")
        .map(1, "c1")
        .insert(1, true)
        .query("XA END X'61',X'62',1")
        .xa_prepare(false)
        .gtid(2)
        .query("XA COMMIT X'61',X'62',1")
        .gtid(3)
        .query("XA ROLLBACK X'61',X'62',1")
        .gtid(4)
        .query("XA START X'61',X'62',1")
        .query("XA END X'61',X'62',1")
        .xa_prepare(true);
    let mut a = assembler();
    let expected = [
        "begin 1 1000 xa".to_owned(),
        "rows c1 5".into(),
        format!("prepare {xid}"),
        format!("xa commit {xid} 2000"),
        format!("xa rollback {xid}"),
        "begin 4 4000 xa".into(),
        "commit".into(),
    ];
    assert_eq!(run(&mut a, &log).unwrap(), expected);
    assert_eq!(gtids(&a), ":1-4");
}

#[test]
fn changes_as_text_are_reported_for_captured_tables() {
    let log = Log::default()
        .gtid(1)
        .query("BEGIN")
        .query("INSERT INTO other VALUES (1)")
        .query("INSERT INTO c1 VALUES (1)")
        .query("UPDATE a, b SET a.x = 1")
        .xid()
        .gtid(2)
        .query("DELETE FROM c1");
    let mut a = assembler();
    assert_eq!(run(&mut a, &log).unwrap(), ["begin 1 1000", "text 1", "text 0", "commit", "text 1"]);
    assert_eq!(gtids(&a), ":1-2");
}

#[test]
fn heartbeats_say_idle_between_groups_only() {
    let log = Log::default().event(code::HEARTBEAT, b"b.1".to_vec()).gtid(1).event(code::HEARTBEAT, b"b.1".to_vec());
    assert_eq!(run(&mut assembler(), &log).unwrap(), ["idle"]);
}

#[test]
fn rotation_moves_the_file_and_a_server_start_undoes_the_open_group() {
    let mut a = assembler();
    run(&mut a, &Log::default().rotate("b.2")).unwrap();
    assert_eq!((a.position().file.as_deref(), a.position().offset), (Some("b.2"), 4));
    let torn =
        Log::default().gtid(1).query("BEGIN").map(1, "c1").insert(1, true).event(code::FORMAT_DESCRIPTION, vec![4, 0]);
    assert_eq!(run(&mut a, &torn).unwrap(), ["begin 1 1000", "rows c1 5", "rollback"]);
    assert_eq!(gtids(&a), "");
}

#[test]
fn broken_sequences_are_errors_with_a_place() {
    for (log, what) in [
        (Log::default().gtid(1).query("BEGIN").gtid(2), "Unfinished"),
        (Log::default().gtid(1).query("BEGIN").query("BEGIN"), "Unfinished"),
        (Log::default().xid(), "NoTransaction"),
        (Log::default().gtid(1).xid(), "NoTransaction"),
        (Log::default().map(1, "c1"), "NoTransaction"),
        (Log::default().gtid(1).query("BEGIN").insert(1, true), "UnknownTable"),
        (Log::default().event(code::GTID, vec![1]), "Malformed"),
        (Log::default().event(code::QUERY, vec![1]), "Malformed"),
        (
            Log::default().gtid(1).query("BEGIN").map(1, "c1").event(code::WRITE_ROWS, vec![1, 0, 0, 0, 0, 0, 0, 0]),
            "Rows",
        ),
    ] {
        let error = run(&mut assembler(), &log).unwrap_err();
        assert!(format!("{:?}", error.fault).starts_with(what), "{what}: {error:?}");
        assert!(error.to_string().contains("b.1:"), "{error}");
    }
}

#[test]
fn mariadb_groups_begin_with_their_gtid() {
    let gtid = |sequence: u64, flags: u8| {
        let mut body = sequence.to_le_bytes().to_vec();
        body.extend(3u32.to_le_bytes());
        body.push(flags);
        body
    };
    let log = Log::default()
        .event(code::MARIADB_GTID, gtid(10, 0))
        .map(1, "c1")
        .insert(1, true)
        .xid()
        .event(code::MARIADB_GTID, gtid(11, 1))
        .query("TRUNCATE c1");
    let executed = Executed::Domains(DomainPosition::default());
    let position = StreamPosition { executed, file: String::new(), offset: 4, server_uuid: None };
    let mut a = Assembler::new(Flavor::MariaDb, position, Box::new(|_, _| true));
    assert_eq!(run(&mut a, &log).unwrap(), ["begin 0 5000000", "rows c1 5", "commit", "truncate c1 5000000"]);
    assert_eq!(a.position().gtid_set.as_deref(), Some("3-9-11"));
}

proptest! {
    #[test]
    fn no_sequence_of_events_panics(
        events in prop::collection::vec((0u8..45, prop::collection::vec(any::<u8>(), 0..40)), 0..20)
    ) {
        let log = Log(events.into_iter().map(|(kind, body)| (kind, FLAG_IGNORABLE, body)).collect());
        let _ = run(&mut assembler(), &log);
    }
}
