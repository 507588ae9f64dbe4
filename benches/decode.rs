//! Row changes per second of processor time of the decoder: two OLTP tables in memory, one thread, no network and no files.
//!
//! `sysbench` is an integer key, an integer and two texts; `orders` has twenty columns of mixed types. Events are about
//! 8 KiB, as `binlog_row_event_max_size` makes them. Run with `cargo bench --bench decode [filter]`.

use std::{hint::black_box, time::Instant};

use tailwater::{
    decode::{ChunkBuilder, Declared, Plan, Policies, RowTime},
    model::Seq,
    source::mysql::{
        rows::RowsEvent,
        table_map::{Flavor, TableMap},
    },
};

/// As in the program: builders grow by doubling, and glibc gives every large block back to the system.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Rows of a chunk before it is finished, about what a pipeline seals.
const CHUNK_ROWS: usize = 65_536;
/// Bytes of row images in an event.
const EVENT_BYTES: usize = 8_000;
const EVENTS: usize = 2_000;
const ROUNDS: usize = 7;

/// Appends a length-encoded integer.
fn lenenc(out: &mut Vec<u8>, n: usize) {
    if n < 251 {
        out.push(n as u8);
    } else {
        out.push(252);
        out.extend((n as u16).to_le_bytes());
    }
}

fn field(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    out.push(kind);
    lenenc(out, value.len());
    out.extend(value);
}

/// One column: name, type code, metadata, and whether it counts as text with this collation.
struct Col(&'static str, u8, &'static [u8], Option<u8>);

fn table_map(columns: &[Col], labels: &[(u8, &[&str])], signs: &[u8]) -> Vec<u8> {
    let mut out = vec![1, 0, 4];
    out.extend(b"shop\0\x06orders\0");
    lenenc(&mut out, columns.len());
    out.extend(columns.iter().map(|c| c.1));
    let metadata: Vec<u8> = columns.iter().flat_map(|c| c.2).copied().collect();
    lenenc(&mut out, metadata.len());
    out.extend(&metadata);
    out.extend(std::iter::repeat_n(0xfe, columns.len().div_ceil(8)));
    field(&mut out, 1, signs);
    field(&mut out, 3, &columns.iter().filter_map(|c| c.3).collect::<Vec<_>>());
    let mut names = Vec::new();
    for column in columns {
        lenenc(&mut names, column.0.len());
        names.extend(column.0.as_bytes());
    }
    field(&mut out, 4, &names);
    for (kind, labels) in labels {
        let mut value = vec![labels.len() as u8];
        for label in *labels {
            lenenc(&mut value, label.len());
            value.extend(label.as_bytes());
        }
        field(&mut out, *kind, &value);
    }
    field(&mut out, 10, &[45]);
    field(&mut out, 8, &[0]);
    out
}

/// Small deterministic numbers.
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0
    }

    fn text(&mut self, out: &mut Vec<u8>, length: usize) {
        out.extend((0..length).map(|_| b'0' + (self.next() % 10) as u8));
    }
}

struct Workload {
    name: &'static str,
    map: Vec<u8>,
    image: fn(&mut Random, u64, &mut Vec<u8>),
}

fn sysbench() -> Workload {
    let columns = [
        Col("id", 3, &[], None),
        Col("k", 3, &[], None),
        Col("c", 254, &[0xee, 0xe0], Some(45)),
        Col("pad", 254, &[0xfe, 0xf0], Some(45)),
    ];
    Workload {
        name: "sysbench",
        map: table_map(&columns, &[], &[0]),
        image: |random, id, out| {
            out.push(0);
            out.extend((id as u32).to_le_bytes());
            out.extend((random.next() as u32 >> 1).to_le_bytes());
            // CHAR(120) utf8mb4: 480 bytes at most, so two bytes of length.
            out.extend(119_u16.to_le_bytes());
            random.text(out, 119);
            out.push(59);
            random.text(out, 59);
        },
    }
}

fn orders() -> Workload {
    let columns = [
        Col("id", 8, &[], None),
        Col("customer", 3, &[], None),
        Col("status", 254, &[0xf7, 1], None),
        Col("total", 246, &[12, 2], None),
        Col("tax", 246, &[10, 2], None),
        Col("discount", 4, &[4], None),
        Col("weight", 5, &[8], None),
        Col("quantity", 2, &[], None),
        Col("paid", 1, &[], None),
        Col("name", 15, &[0x90, 1], Some(45)),
        Col("country", 254, &[0xfe, 8], Some(45)),
        Col("note", 252, &[2], Some(45)),
        Col("sku", 15, &[40, 0], Some(45)),
        Col("token", 254, &[0xfe, 16], Some(63)),
        Col("flags", 254, &[0xf8, 1], None),
        Col("document", 245, &[4], None),
        Col("created_at", 18, &[6], None),
        Col("updated_at", 17, &[3], None),
        Col("ship_date", 10, &[], None),
        Col("slot", 19, &[0], None),
    ];
    let labels: [(u8, &[&str]); 2] =
        [(6, &["new", "paid", "shipped", "returned"]), (5, &["gift", "fragile", "express"])];
    Workload { name: "orders", map: table_map(&columns, &labels, &[0x80, 0]), image: order_image }
}

fn order_image(random: &mut Random, id: u64, out: &mut Vec<u8>) {
    // `note` is NULL in a quarter of the rows.
    let note_null = random.next().is_multiple_of(4);
    out.extend([0, if note_null { 8 } else { 0 }, 0]);
    out.extend(id.to_le_bytes());
    out.extend((random.next() as u32 >> 1).to_le_bytes());
    out.push(1 + (random.next() % 4) as u8);
    // DECIMAL(12,2): a group of one digit, one of nine, one of two; DECIMAL(10,2): eight digits and two.
    out.push(0x80 | (random.next() % 10) as u8);
    out.extend(((random.next() % 1_000_000_000) as u32).to_be_bytes());
    out.push((random.next() % 100) as u8);
    out.extend((0x8000_0000 | (random.next() % 100_000_000) as u32).to_be_bytes());
    out.push((random.next() % 100) as u8);
    out.extend((random.next() as u16 as f32).to_le_bytes());
    out.extend((random.next() as u32 as f64 / 7.0).to_le_bytes());
    out.extend((random.next() as u16).to_le_bytes());
    out.push((random.next() % 2) as u8);
    out.extend(14_u16.to_le_bytes());
    random.text(out, 14);
    out.extend(b"\x02DE");
    if !note_null {
        out.extend(40_u16.to_le_bytes());
        random.text(out, 40);
    }
    out.push(12);
    random.text(out, 12);
    out.push(16);
    out.extend(random.next().to_le_bytes());
    out.extend((random.next() | 1 << 63).to_le_bytes());
    out.push((random.next() % 8) as u8);
    out.extend([25, 0, 0, 0]);
    out.extend(b"\x00\x02\x00\x18\x00\x12\x00\x01\x00\x13\x00\x01\x00\x05\x2a\x00\x0c\x14\x00ab\x03xyz");
    let datetime = 0x80_0000_0000_u64
        + (((2024 * 13 + 1 + random.next() % 12) << 22) | (1 + random.next() % 28) << 17 | 12 << 12 | 34 << 6 | 56);
    out.extend(&datetime.to_be_bytes()[3..]);
    out.extend(&((random.next() % 1_000_000) as u32).to_be_bytes()[1..]);
    out.extend((1_700_000_000 + (random.next() % 50_000_000) as u32).to_be_bytes());
    out.extend(((random.next() % 1000 * 10) as u16).to_be_bytes());
    out.extend(&(2024_u32 << 9 | 5 << 5 | 17).to_le_bytes()[..3]);
    out.extend(&(0x80_0000_u32 + (12 << 12 | 34 << 6 | 56)).to_be_bytes()[1..]);
}

/// Bodies of rows events; every row of an update changes and keeps its key.
fn events(workload: &Workload, columns: usize, event_type: u8) -> (Vec<Vec<u8>>, usize) {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    let (mut bodies, mut rows) = (Vec::new(), 0);
    let bitmap = vec![0xff; columns.div_ceil(8)];
    for _ in 0..EVENTS {
        let mut body = vec![7, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns as u8];
        body.extend(&bitmap);
        if event_type == 31 {
            body.extend(&bitmap);
        }
        while body.len() < EVENT_BYTES {
            (workload.image)(&mut random, rows as u64, &mut body);
            if event_type == 31 {
                (workload.image)(&mut random, rows as u64, &mut body);
            }
            rows += 1;
        }
        bodies.push(body);
    }
    (bodies, rows)
}

/// Seconds that this thread has run on a processor: steadier than the clock where other programs run too. Only Linux
/// says it; elsewhere the clock has to do.
fn cpu_seconds(start: Instant) -> f64 {
    let nanoseconds = std::fs::read_to_string("/proc/thread-self/schedstat")
        .ok()
        .and_then(|text| text.split_whitespace().next()?.parse::<f64>().ok());
    nanoseconds.map_or_else(|| start.elapsed().as_secs_f64(), |ns| ns / 1e9)
}

fn run(workload: &Workload, event_type: u8, label: &str) {
    let map = TableMap::parse(&workload.map, Flavor::MySql).expect("table map");
    let declared = Declared { booleans: ["paid".to_owned()].into(), ..Declared::default() };
    let plan = Plan::compile(&map, &declared, &Policies::default()).expect("plan");
    let (bodies, rows) = events(workload, map.columns.len(), event_type);
    let bytes: usize = bodies.iter().map(Vec::len).sum();
    let mut seconds: Vec<f64> = (0..ROUNDS)
        .map(|_| {
            let mut chunk = ChunkBuilder::new(plan.schema());
            let (mut seq, mut decoded) = (Seq(0), 0);
            let start = Instant::now();
            let before = cpu_seconds(start);
            for body in &bodies {
                let event = RowsEvent::parse(event_type, body).expect("event");
                let mut cursor = plan.rows(event).expect("full image");
                while cursor.next_into(&mut chunk, &mut seq, RowTime { committed_at_us: 0 }).expect("row") {
                    decoded += 1;
                }
                if chunk.rows() >= CHUNK_ROWS {
                    black_box(chunk.finish());
                }
            }
            black_box(chunk.finish());
            assert_eq!(decoded, rows);
            cpu_seconds(start) - before
        })
        .collect();
    seconds.sort_by(f64::total_cmp);
    let median = seconds[ROUNDS / 2];
    let best = seconds[0];
    println!(
        "{:<10}{:<8}{:>10.0} rows/s (best {:>10.0}) {:>7.0} MB/s  {:>6.1} ns/row",
        workload.name,
        label,
        rows as f64 / median,
        rows as f64 / best,
        bytes as f64 / median / 1e6,
        median * 1e9 / rows as f64
    );
}

fn main() {
    // `cargo bench` passes `--bench`; a word that is no option selects by name.
    let filter = std::env::args().skip(1).find(|a| !a.starts_with('-')).unwrap_or_default();
    for workload in [sysbench(), orders()] {
        for (event_type, label) in [(30, "insert"), (31, "update"), (32, "delete")] {
            if format!("{} {label}", workload.name).contains(&filter) {
                run(&workload, event_type, label);
            }
        }
    }
}
