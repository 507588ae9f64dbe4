//! Random transactions on the shop.

use std::fmt::Write as _;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rand::Rng;
use rand::rngs::StdRng;

/// Where ids lie that orders get when their key is changed; ordinary ids never reach it.
const MOVED_ORDERS: u64 = 1 << 40;
/// Depots and articles of `stock`: few, so that its statements meet existing rows often.
const DEPOTS: u32 = 4;
const ARTICLES: u32 = 60;
/// Rows of the largest transaction.
const ROWS_MAX: u64 = 1500;

/// What the sessions of one shard know together.
#[derive(Debug)]
pub(super) struct Shared {
    /// Place of the shard among the shards.
    pub(super) place: u64,
    /// Number of shards.
    pub(super) shards: u64,
    orders: AtomicU64,
    parcels: AtomicU64,
    /// The columns of the ALTER are there.
    pub(super) altered: AtomicBool,
}

impl Shared {
    pub(super) fn new(place: u64, shards: u64) -> Self {
        let (orders, parcels) = (AtomicU64::new(0), AtomicU64::new(0));
        Self { place, shards, orders, parcels, altered: AtomicBool::new(false) }
    }

    fn next_orders(&self, count: u64) -> u64 {
        self.orders.fetch_add(count, Ordering::Relaxed) + 1
    }

    fn some_order(&self, random: &mut StdRng) -> u64 {
        random.random_range(1..=self.orders.load(Ordering::Relaxed).max(1))
    }

    /// An id that no other row of any shard has or had.
    fn next_parcel(&self) -> u64 {
        self.parcels.fetch_add(1, Ordering::Relaxed) * self.shards + self.place + 1
    }

    fn some_parcel(&self, random: &mut StdRng) -> u64 {
        random.random_range(0..self.parcels.load(Ordering::Relaxed).max(1)) * self.shards + self.place + 1
    }
}

/// Statements of one transaction, and whether it ends with COMMIT.
#[derive(Debug)]
pub(super) struct Transaction {
    pub(super) statements: Vec<String>,
    pub(super) commit: bool,
}

impl Transaction {
    fn of<const N: usize>(statements: [String; N]) -> Self {
        Self { statements: statements.into(), commit: true }
    }
}

/// What a shard starts with.
pub(super) fn first_rows(shared: &Shared, random: &mut StdRng) -> Vec<Transaction> {
    let mut all = vec![Transaction::of([customers(random, 300)]), Transaction::of([parcels(shared, random, 60)])];
    all.extend((0..3).map(|_| Transaction::of([orders(shared, random, 200)])));
    all
}

/// Draws the next transaction.
pub(super) fn transaction(shared: &Shared, random: &mut StdRng) -> Transaction {
    let order = shared.some_order(random);
    match random.random_range(0..100) {
        0..10 => {
            let rows = random.random_range(1..6);
            Transaction::of([customers(random, rows), event("signup")])
        }
        10..34 => sale(shared, random),
        34..44 => Transaction::of([format!(
            "UPDATE shop.orders SET status = 1 + {} % 4, note = {}, ratio = {:e}, is_gift = NOT is_gift WHERE id = {order}",
            random.random_range(0..4),
            text_or_null(random),
            random.random::<f32>() * 1e6 - 5e5,
        )]),
        44..52 => {
            let last = order + random.random_range(1..60);
            let mut set = "total = total + 0.05, pieces = (pieces + 1) % 200, attributes = JSON_SET(attributes, '$.step', pieces)".to_owned();
            if shared.altered.load(Ordering::Relaxed) {
                let _ = write!(set, ", priority = (priority + 1) % 1000, channel = {}", text_or_null_short(random));
            }
            Transaction::of([
                format!("UPDATE shop.orders SET {set} WHERE id BETWEEN {order} AND {last}"),
                event("sweep"),
            ])
        }
        52..58 => Transaction::of([
            format!("DELETE FROM shop.items WHERE order_id = {order}"),
            format!("DELETE FROM shop.orders WHERE id = {order}"),
        ]),
        58..62 => key_of_order(shared, random, order),
        // Every key of the order moves on by one: the new key of a row is the old key of the next.
        62..67 => Transaction::of([format!(
            "UPDATE shop.items SET line = line + 1, quantity = quantity + 1 WHERE order_id = {order} AND line < 60000 ORDER BY line DESC"
        )]),
        67..72 => Transaction::of([format!("REPLACE INTO shop.stock VALUES {}", stock(random, 3))]),
        72..80 => Transaction::of([format!(
            "INSERT INTO shop.stock VALUES {} AS new ON DUPLICATE KEY UPDATE amount = stock.amount + new.amount, counted_at = new.counted_at",
            stock(random, 4)
        )]),
        // The collation calls both spellings one key; the bytes of the key change.
        80..83 => Transaction::of([format!(
            "UPDATE shop.stock SET sku = IF(CAST(sku AS BINARY) = CAST(UPPER(sku) AS BINARY), LOWER(sku), UPPER(sku)) WHERE depot = 'D{}' LIMIT 3",
            random.random_range(0..DEPOTS)
        )]),
        83..85 => Transaction::of([format!(
            "DELETE FROM shop.stock WHERE depot = 'D{}' LIMIT 2",
            random.random_range(0..DEPOTS)
        )]),
        85..91 => parcel(shared, random),
        91..94 => born_and_gone(shared, random),
        94..96 => undone(random, order),
        96..98 => Transaction::of([format!(
            "UPDATE shop.customers SET balance = balance + 1.0001 ORDER BY id DESC LIMIT {}",
            random.random_range(1..400)
        )]),
        98 => {
            let rows = random.random_range(100..=ROWS_MAX);
            Transaction::of([format!(
                "UPDATE shop.orders SET delta = IFNULL(delta, 0) % 30000 + 1, tax = {}.0625 WHERE id >= {order} LIMIT {rows}",
                random.random_range(0..9999)
            )])
        }
        _ => {
            let rows = random.random_range(50..300);
            Transaction::of([orders(shared, random, rows)])
        }
    }
}

fn event(kind: &str) -> String {
    format!("INSERT INTO shop.events (kind, at) VALUES ('{kind}', NOW(3))")
}

fn customers(random: &mut StdRng, rows: u64) -> String {
    let mut sql = "INSERT INTO shop.customers (name, email, balance, tier, born, created_at) VALUES ".to_owned();
    for row in 0..rows {
        let _ = write!(
            sql,
            "{}({}, {}, {}.{:04}, {}, '{}-{:02}-{:02}', NOW(3))",
            separator(row),
            text(random),
            text_or_null(random),
            random.random_range(-100_000..100_000),
            random.random_range(0..10_000),
            random.random_range(1..=3),
            random.random_range(1000..2100),
            random.random_range(1..=12),
            random.random_range(1..=28),
        );
    }
    sql
}

/// One order with items, paid by a customer.
fn sale(shared: &Shared, random: &mut StdRng) -> Transaction {
    let order = shared.next_orders(1);
    let mut items = "INSERT INTO shop.items VALUES ".to_owned();
    for line in 0..random.random_range(1..6) {
        let _ = write!(
            items,
            "{}({order}, {}, {}, {}, {}.{:02})",
            separator(line),
            line + 1,
            article(random),
            random.random_range(-5..100),
            random.random_range(0..100_000),
            random.random_range(0..100),
        );
    }
    let customer = random.random_range(1..300);
    let mut sale = Transaction::of([
        format!("{ORDERS}{}", order_row(random, order)),
        items,
        format!("UPDATE shop.customers SET balance = balance - 3.25 WHERE id = {customer}"),
        event("sale"),
    ]);
    sale.commit = random.random_bool(0.95);
    sale
}

const ORDERS: &str = "INSERT INTO shop.orders (id, customer_id, status, tags, total, tax, factor, pieces, delta, area, weight, \
    ratio, is_paid, is_gift, name, code, note, attributes, photo, token, ship_date, ship_time, model, created_at) VALUES ";

fn orders(shared: &Shared, random: &mut StdRng, rows: u64) -> String {
    let first = shared.next_orders(rows);
    let mut sql = ORDERS.to_owned();
    for row in 0..rows {
        sql.push_str(separator(row));
        sql.push_str(&order_row(random, first + row));
    }
    sql
}

fn order_row(random: &mut StdRng, id: u64) -> String {
    let customer = match random.random_range(0..20) {
        0 => u64::MAX.to_string(),
        1 => "NULL".to_owned(),
        _ => random.random_range(1..300).to_string(),
    };
    let optional = |random: &mut StdRng, value: String| if random.random_bool(0.2) { "NULL".to_owned() } else { value };
    let tax = format!("{}.{:04}", random.random_range(-9999..=9999), random.random_range(0..10_000));
    let factor = format!(
        "{}{:027}.{:010}",
        ["", "-"][random.random_range(0..2)],
        random.random::<u64>(),
        random.random_range(0..10_000_000_000_u64)
    );
    let weight = format!("{:e}", (random.random::<f64>() - 0.5) * 10f64.powi(random.random_range(-30..30)));
    let ratio = format!("{:e}", random.random::<f32>());
    let code = ["'A 1'", "'é'", "''", "'Straße'", "NULL"][random.random_range(0..5)];
    let (photo, token) = (bytes(random, 0, 60), bytes(random, 1, 8));
    let (photo, token) = (optional(random, photo), optional(random, token));
    let time = format!(
        "'{}{}:{:02}:{:02}.{:03}'",
        ["", "-"][random.random_range(0..2)],
        random.random_range(0..838),
        random.random_range(0..60),
        random.random_range(0..60),
        random.random_range(0..1000)
    );
    format!(
        "({id}, {customer}, {}, {}, {}.{:02}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {}, {code}, {}, {}, {photo}, {token}, \
         '{}-{:02}-{:02}', {}, {}, '{}-{:02}-{:02} {:02}:{:02}:{:02}.{:06}')",
        random.random_range(1..=4),
        random.random_range(0..8),
        random.random_range(0..10_000_000),
        random.random_range(0..100),
        optional(random, tax),
        optional(random, factor),
        random.random_range(0..200),
        optional(random, "-32768".to_owned()),
        optional(random, random_number(id)),
        optional(random, weight),
        optional(random, ratio),
        random.random_range(0..2),
        ["b'0'", "b'1'", "NULL"][random.random_range(0..3)],
        text(random),
        text_or_null(random),
        json(random),
        random.random_range(1000..9999),
        random.random_range(1..=12),
        random.random_range(1..=28),
        optional(random, time),
        random.random_range(1901..=2155),
        random.random_range(1000..9999),
        random.random_range(1..=12),
        random.random_range(1..=28),
        random.random_range(0..24),
        random.random_range(0..60),
        random.random_range(0..60),
        random.random_range(0..1_000_000),
    )
}

/// A number of MEDIUMINT UNSIGNED, up to its greatest.
fn random_number(id: u64) -> String {
    (0xff_ffff - id % 1000).to_string()
}

/// The order and its items get another key, or come back to the first.
fn key_of_order(shared: &Shared, random: &mut StdRng, order: u64) -> Transaction {
    let away = random.random_bool(0.7);
    let (from, to) =
        if away { (order, order + MOVED_ORDERS) } else { (shared.some_order(random) + MOVED_ORDERS, order) };
    Transaction::of([
        format!("UPDATE shop.orders SET id = {to} WHERE id = {from}"),
        format!("UPDATE shop.items SET order_id = {to} WHERE order_id = {from}"),
    ])
}

fn stock(random: &mut StdRng, rows: u64) -> String {
    let mut sql = String::new();
    for row in 0..rows {
        let _ = write!(
            sql,
            "{}('D{}', {}, {}, NOW())",
            separator(row),
            random.random_range(0..DEPOTS),
            article(random),
            random.random_range(-100..1000)
        );
    }
    sql
}

fn article(random: &mut StdRng) -> String {
    format!("'{}-{}'", ["art", "Art", "PART"][random.random_range(0..3)], random.random_range(0..ARTICLES))
}

fn parcel(shared: &Shared, random: &mut StdRng) -> Transaction {
    let id = shared.some_parcel(random);
    match random.random_range(0..10) {
        0..4 => Transaction::of([parcels(shared, random, 2)]),
        4..8 => Transaction::of([format!(
            "UPDATE shop.parcels SET grams = {}, updated_at = NOW(6) WHERE id = {id}",
            random.random::<u32>()
        )]),
        8 => Transaction::of([format!("UPDATE shop.parcels SET id = {} WHERE id = {id}", shared.next_parcel())]),
        _ => Transaction::of([format!("DELETE FROM shop.parcels WHERE id = {id}")]),
    }
}

fn parcels(shared: &Shared, random: &mut StdRng, rows: u64) -> String {
    let mut sql = "INSERT INTO shop.parcels VALUES ".to_owned();
    for row in 0..rows {
        let _ = write!(
            sql,
            "{}({}, {}, {}, NOW(6))",
            separator(row),
            shared.next_parcel(),
            text(random),
            random.random::<u32>()
        );
    }
    sql
}

/// Rows that live inside one transaction only, beside one that stays.
fn born_and_gone(shared: &Shared, random: &mut StdRng) -> Transaction {
    let first = shared.next_orders(3);
    let rows: Vec<String> = (first..first + 3).map(|id| order_row(random, id)).collect();
    Transaction::of([
        format!("{ORDERS}{}", rows.join(",")),
        format!("UPDATE shop.orders SET total = total + 1 WHERE id BETWEEN {first} AND {}", first + 2),
        format!("DELETE FROM shop.orders WHERE id IN ({first}, {})", first + 1),
        format!("{ORDERS}{}", order_row(random, first)),
        format!("DELETE FROM shop.orders WHERE id = {first}"),
    ])
}

/// Part of the transaction is rolled back to a savepoint.
fn undone(random: &mut StdRng, order: u64) -> Transaction {
    Transaction::of([
        format!("UPDATE shop.orders SET name = {} WHERE id = {order}", text(random)),
        "SAVEPOINT here".to_owned(),
        format!("DELETE FROM shop.orders WHERE id BETWEEN {order} AND {}", order + 20),
        "ROLLBACK TO SAVEPOINT here".to_owned(),
        event("undone"),
    ])
}

fn separator(row: u64) -> &'static str {
    if row == 0 { "" } else { "," }
}

const WORDS: [&str; 14] = [
    "plain",
    "Grüße",
    "日本語",
    "🦀",
    "a,b",
    "tab\there",
    "line\nend",
    "it's",
    "back\\slash",
    "\"quoted\"",
    "",
    " lead",
    "%_",
    "ﬀ",
];

/// A string literal.
fn text(random: &mut StdRng) -> String {
    let words: Vec<&str> = (0..random.random_range(1..6)).map(|_| WORDS[random.random_range(0..WORDS.len())]).collect();
    let literal = words.join(" ").replace('\\', "\\\\").replace('\'', "''").replace('\n', "\\n");
    format!("'{literal}'")
}

fn text_or_null(random: &mut StdRng) -> String {
    if random.random_bool(0.3) { "NULL".to_owned() } else { text(random) }
}

fn text_or_null_short(random: &mut StdRng) -> &'static str {
    ["NULL", "'app'", "'shop'"][random.random_range(0..3)]
}

fn bytes(random: &mut StdRng, min: usize, max: usize) -> String {
    let length = random.random_range(min..=max);
    let digits: String = (0..length).map(|_| format!("{:02x}", random.random_range(0..6) * 51)).collect();
    format!("x'{digits}'")
}

fn json(random: &mut StdRng) -> String {
    if random.random_bool(0.2) {
        return "NULL".to_owned();
    }
    format!(
        "JSON_OBJECT('step', {}, 'ratio', CAST({} AS DOUBLE), 'name', {}, 'list', JSON_ARRAY(1, NULL, TRUE, {:e}), \
         'amount', CAST({} AS DECIMAL(10,3)), 'big', {}, 'when', CAST('2026-11-21 10:00:00.5' AS DATETIME(6)))",
        random.random_range(0..100),
        random.random_range(-9..9),
        text(random),
        random.random::<f64>() * 1e12,
        random.random_range(-999..999),
        random.random::<u64>(),
    )
}
