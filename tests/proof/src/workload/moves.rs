//! Rows that move from one shard to another.

use std::time::Duration;

use anyhow::Result;
use mysql_async::prelude::Queryable;
use mysql_async::{Conn, Row, Value, params};
use rand::Rng;
use rand::rngs::StdRng;
use tokio::sync::watch;
use tokio::time::interval;

use super::Counts;

/// How a row moves. Either order may be seen first by a reader of two binlogs.
#[derive(Debug, Clone, Copy)]
pub struct Move {
    /// Insert at the new place before the delete at the old one.
    pub insert_first: bool,
    /// Seconds that are added to `updated_at` on the way; zero and less happen with skewed clocks.
    pub clock_seconds: i64,
    /// Delete it at the new place at once and leave the old row alone: the move is given up.
    pub given_up: bool,
}

impl Move {
    fn draw(random: &mut StdRng) -> Self {
        Self {
            insert_first: random.random_bool(0.6),
            clock_seconds: [1, 1, 0, -3][random.random_range(0..4)],
            given_up: random.random_bool(0.1),
        }
    }
}

/// Moves one parcel between two shards. Answers whether it was there to move.
///
/// # Errors
/// An error of either server.
pub async fn move_parcel(from: &mut Conn, to: &mut Conn, id: i64, how: Move) -> Result<bool> {
    let read = "SELECT id, owner, grams, updated_at + INTERVAL :clock SECOND FROM shop.parcels WHERE id = :id";
    let found: Option<Row> = from.exec_first(read, params! { "clock" => how.clock_seconds, "id" => id }).await?;
    let Some(row) = found.map(Row::unwrap) else { return Ok(false) };
    if how.given_up {
        insert(to, row).await?;
        delete(to, id).await?;
    } else if how.insert_first {
        insert(to, row).await?;
        delete(from, id).await?;
    } else {
        delete(from, id).await?;
        insert(to, row).await?;
    }
    Ok(true)
}

async fn insert(conn: &mut Conn, row: Vec<Value>) -> Result<()> {
    Ok(conn.exec_drop("INSERT INTO shop.parcels (id, owner, grams, updated_at) VALUES (?, ?, ?, ?)", row).await?)
}

async fn delete(conn: &mut Conn, id: i64) -> Result<()> {
    Ok(conn.exec_drop("DELETE FROM shop.parcels WHERE id = ?", (id,)).await?)
}

/// Moves random parcels until it is told to stop; one in five comes back at once.
pub(super) async fn keep_moving(
    mut conns: Vec<Conn>,
    mut random: StdRng,
    period: Duration,
    mut stopped: watch::Receiver<bool>,
) -> Result<Counts> {
    let mut counts = Counts::default();
    let mut ticks = interval(period);
    while !*stopped.borrow() {
        tokio::select! {
            _ = stopped.changed() => break,
            _ = ticks.tick() => {}
        }
        let from = random.random_range(0..conns.len());
        let mut to = random.random_range(0..conns.len() - 1);
        if to >= from {
            to += 1;
        }
        let [from, to] = conns.get_disjoint_mut([from, to])?;
        let Some(id) = from.query_first::<i64, _>("SELECT id FROM shop.parcels ORDER BY RAND() LIMIT 1").await? else {
            continue;
        };
        let how = Move::draw(&mut random);
        if move_parcel(from, to, id, how).await? && !how.given_up {
            counts.moves += 1;
            if random.random_bool(0.2) && move_parcel(to, from, id, Move::draw(&mut random)).await? {
                counts.moves += 1;
            }
        }
    }
    for conn in conns {
        conn.disconnect().await?;
    }
    Ok(counts)
}
