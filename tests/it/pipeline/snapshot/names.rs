//! Tables whose names are hard to carry, and many tables.

use std::time::Instant;

use anyhow::{Context, Result, ensure};

use super::{
    super::{
        scene::{Engine, Scene, Setup},
        verify::verify,
    },
    SMALL,
};

/// What a source may call its tables: in paths, patterns, URLs, JSON and the SQL of every warehouse some of it means something.
const NAMES: [&str; 14] = [
    "Order Items",
    "per%cent",
    "per%25cent",
    "Größe_表",
    "semi;colon",
    "co:lon",
    "quote\"d",
    "apo'strophe",
    "sl/ash",
    "back\\slash",
    "select",
    "hash#?and=amp&",
    "tw_{brace}",
    " leading",
];

#[test]
fn tables_of_any_name_are_read_followed_compared_and_rebuilt() -> Result<()> {
    for engine in Engine::ALL {
        // A dot in a name needs a rule.
        let setup = Setup::new("snapnames")
            .to(engine)
            .one_shard()
            .begins("snapshot")
            .rule("dot.ted", "target = \"else.dot_ted\"");
        let scene = setup.lines(SMALL).start()?;
        scene.sql_all("CREATE TABLE `dot.ted` (id INT PRIMARY KEY); INSERT INTO `dot.ted` VALUES (1), (2)")?;
        for (name, n) in NAMES.iter().zip(0..) {
            scene.sql_all(&format!(
                "CREATE TABLE `{name}` (`the key` INT PRIMARY KEY, `wert %` VARCHAR(20)); INSERT INTO `{name}` VALUES (1, 'a{n}'), (2, 'b')"
            ))?;
        }
        let parked = |scene: &Scene| -> String {
            let log = scene.log().unwrap_or_default();
            log.lines()
                .filter(|line| line.contains("\"WARN\"") || line.contains("\"ERROR\""))
                .collect::<Vec<_>>()
                .join("\n")
        };
        scene.once().with_context(|| parked(&scene))?;
        scene.equal(&NAMES)?;
        for name in NAMES {
            scene.sql_all(&format!(
                "UPDATE `{name}` SET `wert %` = 'c' WHERE `the key` = 2; INSERT INTO `{name}` VALUES (3, NULL)"
            ))?;
        }
        scene.complete(&["snapshot", "--table", &format!("{}.*%*", scene.name)])?;
        scene.once()?;
        scene.equal(&NAMES)?;
        let answer = verify(&scene, &["--table", &format!("{}.*", scene.name)])?;
        answer.is_equal()?;
        ensure!(answer.report["tables"].as_array().map(Vec::len) == Some(NAMES.len() + 1), "{}", answer.text);
        let dotted =
            scene.rows(&format!("SELECT CAST(count(*) AS VARCHAR(9)) FROM {}", scene.place("else", "dot_ted")))?;
        ensure!(dotted == ["2"], "{dotted:?}");
        scene.complete(&["rebuild", "--table", &format!("{}.*", scene.name)])?;
        scene.complete(&["apply", "--once"])?;
        scene.equal(&NAMES)?;
        scene.log_is_whole()?;
    }
    Ok(())
}

/// Small tables of one source; thousands by `TAILWATER_TEST_TABLES`.
fn tables() -> usize {
    std::env::var("TAILWATER_TEST_TABLES").ok().and_then(|n| n.parse().ok()).unwrap_or(120)
}

/// Many small tables share connections, entries and merges: what each costs does not grow with their number.
#[test]
fn many_small_tables_share_what_they_need() -> Result<()> {
    let scene = Setup::new("snapmany").own_servers().one_shard().begins("snapshot").start()?;
    let names: Vec<String> = (0..tables()).map(|n| format!("t{n}")).collect();
    let sql: String = names
        .iter()
        .map(|name| {
            format!("CREATE TABLE {name} (id INT PRIMARY KEY, v INT); INSERT INTO {name} VALUES (1, 2), (3, 4);\n")
        })
        .collect();
    scene.sql(0, &sql)?;
    let connections = |scene: &Scene| -> Result<u64> {
        let row = scene.source_rows(0, "SHOW GLOBAL STATUS LIKE 'Connections'")?;
        Ok(row[0].split('\t').nth(1).unwrap_or_default().parse()?)
    };
    let before = connections(&scene)?;
    let began = Instant::now();
    let mut running = scene.start(&["run", "--once"])?;
    let status = running.wait(super::super::scene::LIMIT * (1 + u32::try_from(names.len() / 200)?))?;
    let (took, opened) = (began.elapsed(), connections(&scene)? - before);
    eprintln!("{} tables in {took:?} over {opened} connections", names.len());
    ensure!(status.success(), "{}", scene.log()?);
    let names: Vec<&str> = names.iter().map(String::as_str).collect();
    scene.equal(&names)?;
    ensure!(opened < 40, "{opened} connections for {} tables", names.len());
    Ok(())
}
