//! A pipeline in which everything happens that a figure tells: changes on two shards, a snapshot, broken connections, tables that
//! park on both halves, values that do not fit, a change of definition that makes rows stale, comparisons, a row that differs.

use std::net::SocketAddr;

use anyhow::{Context, Result};
use tailwater_proof::program::Running;
use tailwater_servers::{PASSWORD, Proxy, USER};

use super::super::{
    http::serve,
    scene::{Scene, Setup},
};
use super::scrape::Scrape;

/// Rows of the table that a snapshot reads slowly enough to be seen.
const BIG: u32 = 3000;

/// A running program to which all of it has happened.
pub(super) struct Situations {
    pub(super) scene: Scene,
    pub(super) running: Running,
    pub(super) address: SocketAddr,
    source: Proxy,
}

impl Situations {
    /// Begins: the program runs, and a snapshot of a large table is under way.
    pub(super) fn begin(name: &str) -> Result<Self> {
        let mut source = None;
        let setup = Setup::new(name)
            .begins("snapshot")
            .rule("notes", "text_bytes_max = 8\nlong_text = \"cut\"")
            .rule("strict", "text_bytes_max = 8\nlong_text = \"park\"")
            .lines("[snapshot]\nrows_per_second = 60\nchunk_rows_max = 100\n[verify]\npause = \"1s\"")
            .through(|mysql| {
                let proxy = source.insert(Proxy::start(mysql.address())?);
                Ok(format!("mysql://{USER}:{PASSWORD}@127.0.0.1:{}", proxy.port()))
            })?;
        let scene = setup.start()?;
        let source = source.context("no proxy")?;
        for table in ["orders", "clash", "stale"] {
            scene.sql_all(&format!("CREATE TABLE {table} (id INT PRIMARY KEY, v VARCHAR(20))"))?;
            scene.sql_all(&format!("INSERT INTO {table} VALUES (1, 'a'), (2, 'b')"))?;
        }
        for table in ["notes", "strict"] {
            scene.sql(0, &format!("CREATE TABLE {table} (id INT PRIMARY KEY, note VARCHAR(40))"))?;
        }
        std::fs::File::create(scene.folder().join("warehouse.db"))?;
        // A table of somebody else's where a target would go.
        scene.change(&format!("CREATE TABLE {} (id INT)", scene.target("clash")))?;
        let rows: Vec<String> = (1..=BIG).map(|n| format!("({n}, 'row {n}')")).collect();
        scene.sql(
            1,
            &format!("CREATE TABLE big (id INT PRIMARY KEY, v VARCHAR(20)); INSERT INTO big VALUES {}", rows.join(",")),
        )?;
        let mut running = scene.start(&["run", "--http", "127.0.0.1:0"])?;
        let address = serve::address(&scene, &mut running)?;
        Ok(Self { scene, running, address, source })
    }

    /// Waits until the figures are as `done` says.
    pub(super) fn until(&mut self, what: &str, mut done: impl FnMut(&Scrape) -> bool) -> Result<Scrape> {
        let (mut last, address) = (Scrape::default(), self.address);
        let waited = self.scene.wait(what, &mut self.running, || {
            last = Scrape::of(address)?;
            Ok(done(&last))
        });
        waited.with_context(|| last.text.clone())?;
        Ok(last)
    }

    /// Lets everything else happen.
    pub(super) fn happen(&mut self) -> Result<()> {
        self.until("a first round of comparisons", |s| s.most("tailwater_verify_rounds_total", &[]) >= Some(1.0))?;
        self.scene.sql_all(
            "INSERT INTO orders VALUES (3, 'c'), (4, 'd'); UPDATE orders SET v = 'x' WHERE id = 1; DELETE FROM orders WHERE id = 2",
        )?;
        self.scene.sql(
            0,
            "INSERT INTO notes VALUES (1, 'far too long to fit'); INSERT INTO strict VALUES (1, 'far too long to fit')",
        )?;
        self.scene.sql(
            0,
            "ALTER TABLE stale ADD COLUMN at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6); INSERT INTO stale (id, v) VALUES (3, 'c')",
        )?;
        self.until("the changes", |s| s.most("tailwater_apply_rows_total", &["op=\"delete\""]) >= Some(2.0))?;
        self.source.cut();
        self.until("a broken connection", |s| {
            s.most("tailwater_extract_reconnects_total", &["shard=\"s1\""]) >= Some(1.0)
        })?;
        let proven = |s: &Scrape| {
            let orders = ["shard=\"s1\"", ".orders\""];
            s.most("tailwater_verified_through_timestamp_seconds", &orders).is_some()
        };
        self.until("a proof of equality", proven)?;
        let orders = self.scene.target("orders");
        self.scene.change(&format!("UPDATE {orders} SET v = 'wrong' WHERE id = 3 AND _tw_origin LIKE 's1:%'"))?;
        Ok(())
    }
}
