//! Lakes that are full, another pipeline's, or replaced.

use std::{
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use anyhow::{Result, ensure};
use tailwater_servers::{Mysql, MysqlOptions};

use super::place::{Place, fit_server, url};

#[test]
fn a_lake_of_another_pipeline_is_refused() -> Result<()> {
    let (mine, other) = (Mysql::start(MysqlOptions::default())?, fit_server());
    mine.sql("CREATE DATABASE shop; CREATE TABLE shop.t (id INT PRIMARY KEY); INSERT INTO shop.t VALUES (1)")?;
    let place = Place::new(&[url(&mine)], "shop.*")?;
    place.ends_with(0, &["run", "--once"])?;
    let stored = fs::read_dir(place.path("lake/default/data"))?.count();

    place.configure(&[url(other)], "*.*", "./lake", "warehouse.db")?;
    place.refuses(66, &["run", "--once"], &["it is another server or was restored"])?;
    assert_eq!(fs::read_dir(place.path("lake/default/data"))?.count(), stored);
    let said = place.ends_with(1, &["check"])?;
    ensure!(said.contains("set pipeline to a name of its own"), "{said}");

    place.configure(&[url(&mine)], "shop.*", "./lake", "warehouse.db")?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM shop_t")?, 1);
    Ok(())
}

#[test]
fn a_replaced_lake_is_not_applied_over_the_old_one() -> Result<()> {
    let server = fit_server();
    server.sql(
        "CREATE DATABASE replaced; CREATE TABLE replaced.t (id INT PRIMARY KEY); INSERT INTO replaced.t VALUES (1)",
    )?;
    let place = Place::new(&[url(server)], "replaced.*")?;
    place.ends_with(0, &["run", "--once"])?;
    fs::rename(place.path("lake"), place.path("kept"))?;
    server.sql("INSERT INTO replaced.t VALUES (2)")?;

    place.refuses(65, &["run", "--once"], &["the lake was replaced", "point to the old lake"])?;
    assert_eq!(place.number("SELECT count(*) FROM replaced_t")?, 1);
    let said = place.ends_with(1, &["check"])?;
    ensure!(said.contains("has applied") && said.contains("point to the lake that was applied before"), "{said}");

    fs::remove_dir_all(place.path("lake"))?;
    fs::rename(place.path("kept"), place.path("lake"))?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM replaced_t")?, 2);
    Ok(())
}

/// A file system of a few megabytes; unmounted when dropped.
struct Small(PathBuf);

impl Small {
    /// `None` where mounting is not allowed.
    fn mount(at: &Path) -> Result<Option<Self>> {
        fs::create_dir_all(at)?;
        let status = Command::new("mount").args(["-t", "tmpfs", "-o", "size=2m", "tmpfs"]).arg(at).output();
        Ok(status.is_ok_and(|o| o.status.success()).then(|| Self(at.to_owned())))
    }

    fn grow(&self) -> Result<()> {
        let status = Command::new("mount").args(["-o", "remount,size=64m"]).arg(&self.0).status()?;
        ensure!(status.success(), "the file system cannot grow");
        Ok(())
    }
}

impl Drop for Small {
    fn drop(&mut self) {
        // Lazily: nothing of the test uses it any more.
        let _ = Command::new("umount").arg("-l").arg(&self.0).status();
    }
}

#[test]
fn a_full_disk_loses_nothing() -> Result<()> {
    let server = fit_server();
    // Random text, so that files are not small: 8 MB in 2,000 rows.
    let random = "CONCAT(TO_BASE64(RANDOM_BYTES(1000)), TO_BASE64(RANDOM_BYTES(1000)), TO_BASE64(RANDOM_BYTES(1000)))";
    server.sql(&format!(
        "CREATE DATABASE filled; CREATE TABLE filled.t (id INT PRIMARY KEY, v TEXT); SET SESSION cte_max_recursion_depth = 2000;
         INSERT INTO filled.t WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 2000) SELECT i, {random} FROM n"
    ))?;
    let place = Place::new(&[url(server)], "filled.*")?;
    let Some(small) = Small::mount(&place.path("lake"))? else {
        eprintln!("skipped: mounting a small file system needs root");
        return Ok(());
    };
    let error = place.refuses(74, &["run", "--once"], &["lake"])?;
    ensure!(error.contains("free") || error.contains("space") || error.contains("full"), "{error}");
    small.grow()?;
    place.ends_with(0, &["run", "--once"])?;
    assert_eq!(place.number("SELECT count(*) FROM filled_t")?, 2000);
    Ok(())
}
