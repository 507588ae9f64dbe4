//! What identifies a row: keys of every kind, collisions between shards, and rows that move.

use anyhow::{Result, ensure};

use super::scene::{Engine, Setup};

/// Keys that change, collide, or differ only by case, each in one batch and over two.
#[test]
fn keys_of_every_kind_keep_rows_apart() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("keys").to(engine).start()?;
        scene.sql_all(
            "CREATE TABLE composite (b INT, a VARCHAR(20), n INT, PRIMARY KEY (a, b));
             CREATE TABLE words (w VARCHAR(20) COLLATE utf8mb4_0900_ai_ci PRIMARY KEY, n INT);
             CREATE TABLE blobs (k VARBINARY(8) PRIMARY KEY, n INT);
             CREATE TABLE moments (at DATETIME(6), d DECIMAL(10,3), n INT, PRIMARY KEY (at, d));
             CREATE TABLE auto_ids (id BIGINT UNSIGNED AUTO_INCREMENT PRIMARY KEY, n INT);
             CREATE TABLE only_unique (a INT, code CHAR(8) NOT NULL, UNIQUE KEY (code));
             CREATE TABLE nullable_first (a INT NULL, code CHAR(8) NOT NULL, UNIQUE KEY aa (a), UNIQUE KEY zz (code));
             SET SESSION sql_generate_invisible_primary_key = ON;
             CREATE TABLE invisible (n INT);
             SET SESSION sql_generate_invisible_primary_key = OFF;
             INSERT INTO composite VALUES (1, 'x', 1), (2, 'x', 2), (1, 'y', 3), (2, '', 4);
             INSERT INTO words VALUES ('a', 1), ('b', 2), ('straße', 3), ('  ', 4), ('e', 5);
             INSERT INTO blobs VALUES (x'', 0), (x'00', 1), (x'0000', 2), (x'61', 3), (x'6100', 4);
             INSERT INTO moments VALUES ('2024-01-01 00:00:00.000001', 1.5, 1), ('2024-01-01 00:00:00.000001', -1.5, 2);
             INSERT INTO only_unique VALUES (1, 'one'), (NULL, 'two'); INSERT INTO nullable_first VALUES (NULL, 'a'), (NULL, 'b');
             INSERT INTO invisible VALUES (1), (1), (2);",
        )?;
        // Both shards hand out the same ids.
        scene.sql(0, "INSERT INTO auto_ids (n) VALUES (10), (11), (12)")?;
        scene.sql(1, "INSERT INTO auto_ids (n) VALUES (20), (21)")?;
        let tables =
            ["composite", "words", "blobs", "moments", "auto_ids", "only_unique", "nullable_first", "invisible"];
        scene.once()?;
        scene.equal(&tables)?;
        const CHANGES: &str = "
            UPDATE composite SET b = b + 10 WHERE a = 'x'; UPDATE composite SET a = 'z' WHERE a = 'y';
            DELETE FROM composite WHERE a = ''; INSERT INTO composite VALUES (2, '', 44);
            UPDATE words SET w = 'A' WHERE w = 'a'; UPDATE words SET w = 'STRASSE' WHERE n = 3; UPDATE words SET w = 'é' WHERE n = 5;
            REPLACE INTO words VALUES ('B', 20); INSERT INTO words VALUES ('A', 0) ON DUPLICATE KEY UPDATE n = n + 100;
            UPDATE blobs SET k = CONCAT(k, x'00') ORDER BY k DESC; DELETE FROM blobs WHERE n = 3;
            UPDATE moments SET at = at + INTERVAL 1 MICROSECOND, d = d * 2;
            UPDATE auto_ids SET id = id + 100 WHERE id = 1; UPDATE auto_ids SET id = 1 WHERE id = 2; UPDATE auto_ids SET id = 2 WHERE id = 101;
            UPDATE only_unique SET code = 'uno' WHERE code = 'one'; REPLACE INTO only_unique VALUES (3, 'two');
            UPDATE nullable_first SET a = 1 WHERE code = 'a'; DELETE FROM nullable_first WHERE code = 'b';
            UPDATE invisible SET n = n + 1; DELETE FROM invisible WHERE n = 3;";
        scene.sql_all(CHANGES)?;
        scene.once()?;
        scene.equal(&tables)?;
        // There and back again within one batch; every key is taken by another row in the end.
        scene.sql_all(
            "UPDATE auto_ids SET id = id + 1000 ORDER BY id DESC; UPDATE auto_ids SET id = id - 1001 WHERE id > 1001;
             UPDATE words SET w = 'a' WHERE w = 'A'; UPDATE words SET w = 'A' WHERE w = 'a'; UPDATE words SET w = 'a' WHERE w = 'A';
             DELETE FROM composite; INSERT INTO composite VALUES (1, 'x', 100);",
        )?;
        scene.once()?;
        scene.equal(&tables)?;
    }
    Ok(())
}

#[test]
fn a_table_without_a_key_is_parked_with_its_mend_where_the_rule_says_so() -> Result<()> {
    let scene = Setup::new("keyless").one_shard().rule("bare", "no_key = \"park\"").start()?;
    scene.sql(
        0,
        "CREATE TABLE bare (n INT, UNIQUE KEY (n)); INSERT INTO bare VALUES (1), (1 + 1), (NULL);
         CREATE TABLE good (id INT PRIMARY KEY); INSERT INTO good VALUES (1);",
    )?;
    let said = scene.ends_with(&["run", "--once"], 4)?;
    let mend = format!("ALTER TABLE `{}`.`bare` ADD COLUMN", scene.name);
    ensure!(said.contains("no primary key") && said.contains(&mend), "{said}");
    scene.equal(&["good"])?;
    let status = scene.ends_with(&["status"], 1)?;
    ensure!(status.contains("parked: it has no primary key") && status.contains(&mend), "{status}");
    // Nothing is written to it; it is parked all the same.
    scene.sql(0, "INSERT INTO good VALUES (2)")?;
    scene.ends_with(&["run", "--once"], 4)?;
    scene.equal(&["good"])?;
    // A table that comes anew under the name is another one.
    scene.sql(0, "DROP TABLE bare; CREATE TABLE bare (id INT PRIMARY KEY, n INT); INSERT INTO bare VALUES (1, 1)")?;
    scene.once()?;
    scene.equal(&["bare", "good"])?;
    scene.ends_with(&["status"], 0).map(drop)
}

const PARCELS: &str = "CREATE TABLE parcels (id INT PRIMARY KEY, v VARCHAR(20), updated_at DATETIME(6) NULL);";

/// A row with a global key goes from one shard to the other: both orders, there and back, given up, any clock.
#[test]
fn rows_that_move_between_shards_end_where_they_live() -> Result<()> {
    for engine in Engine::ALL {
        let scene =
            Setup::new("moves").to(engine).rule("parcels", "key = \"global\"\nupdated_at = \"updated_at\"").start()?;
        scene.sql_all(PARCELS)?;
        scene.sql(
            0,
            "INSERT INTO parcels VALUES (1, 'insert first', '2024-01-01'), (2, 'delete first', '2024-01-01'), (3, 'back', '2024-01-01'),
                (4, 'given up', '2024-01-01'), (5, 'equal clock', '2024-01-01'), (6, 'backward clock', '2024-01-01'),
                (7, 'no clock', NULL), (8, 'copied, not moved', '2024-01-01'), (9, 'stays', '2024-01-01')",
        )?;
        scene.once()?;
        scene.equal_globally(&["parcels"])?;
        // 1: there before it leaves here. 2: gone before it is there.
        scene.sql(1, "INSERT INTO parcels VALUES (1, 'there', '2024-01-02')")?;
        scene.sql(0, "DELETE FROM parcels WHERE id = 2")?;
        scene.once()?;
        let query = "SELECT v FROM {parcels} WHERE id IN (1, 2)";
        ensure!(scene.rows(query)? == ["there"]);
        scene.sql(0, "DELETE FROM parcels WHERE id = 1")?;
        scene.sql(1, "INSERT INTO parcels VALUES (2, 'there', '2024-01-02')")?;
        scene.once()?;
        scene.equal_globally(&["parcels"])?;
        // 3 goes and comes back; 4 goes and is deleted there; 5 to 7 go with clocks that say nothing or the contrary.
        scene.sql(1, "INSERT INTO parcels VALUES (3, 'there', '2024-01-02'), (4, 'there', '2024-01-02'), (5, 'there', '2024-01-01'), (6, 'there', '2023-01-01'), (7, 'there', NULL), (8, 'older copy', '2023-12-31')")?;
        scene.once()?;
        let both = scene.rows("SELECT v FROM {parcels} WHERE id = 8")?;
        ensure!(both == ["copied, not moved"], "{both:?}");
        scene.sql(0, "DELETE FROM parcels WHERE id IN (3, 4, 5, 6, 7)")?;
        scene.once()?;
        let moved = scene.rows("SELECT v FROM {parcels} WHERE id BETWEEN 3 AND 7")?;
        ensure!(moved == ["there"; 5], "{moved:?}");
        scene.sql(0, "INSERT INTO parcels VALUES (3, 'back again', '2024-01-02')")?;
        scene.sql(1, "DELETE FROM parcels WHERE id IN (3, 4, 8)")?;
        scene.once()?;
        scene.equal_globally(&["parcels"])?;
        // Everything in one batch: there, back, there.
        scene.sql(0, "DELETE FROM parcels WHERE id = 9")?;
        scene.sql(1, "INSERT INTO parcels VALUES (9, 'there', '2024-01-03'); DELETE FROM parcels WHERE id = 9;")?;
        scene.sql(0, "INSERT INTO parcels VALUES (9, 'back', '2024-01-02'); DELETE FROM parcels WHERE id = 9;")?;
        scene.sql(1, "INSERT INTO parcels VALUES (9, 'there to stay', '2020-01-01');")?;
        scene.once()?;
        scene.equal_globally(&["parcels"])?;
        // A truncated shard takes its own rows only.
        scene.sql(0, "TRUNCATE parcels")?;
        scene.once()?;
        scene.equal_globally(&["parcels"])?;
    }
    Ok(())
}

#[test]
fn deletes_are_marked_or_ignored_where_the_rule_says_so() -> Result<()> {
    for engine in Engine::ALL {
        let scene = Setup::new("deletes")
            .to(engine)
            .rule("soft", "deletes = \"soft\"")
            .rule("kept", "deletes = \"ignore\"")
            .rule("soft_global", "deletes = \"soft\"\nkey = \"global\"")
            .start()?;
        scene.sql_all(
            "CREATE TABLE soft (id INT PRIMARY KEY, v VARCHAR(9)); CREATE TABLE kept LIKE soft; CREATE TABLE soft_global LIKE soft;
             INSERT INTO soft VALUES (1, 'a'), (2, 'b'), (3, 'c'); INSERT INTO kept SELECT * FROM soft;",
        )?;
        scene.sql(0, "INSERT INTO soft_global SELECT * FROM soft")?;
        scene.once()?;
        scene.equal(&["soft", "kept"])?;
        scene.sql_all(
            "DELETE FROM soft WHERE id < 3; DELETE FROM kept WHERE id < 3; DELETE FROM soft_global WHERE id < 3",
        )?;
        scene.sql(1, "INSERT INTO soft_global VALUES (1, 'moved')")?;
        scene.once()?;
        // The comparison leaves marked rows out; they keep their values.
        scene.equal(&["soft"])?;
        scene.equal_globally(&["soft_global"])?;
        let marked = scene.rows("SELECT v FROM {soft} WHERE _tw_deleted ORDER BY id, _tw_origin")?;
        ensure!(marked == ["a", "a", "b", "b"], "{marked:?}");
        let kept = scene.rows("SELECT v FROM {kept} ORDER BY id, _tw_origin")?;
        ensure!(kept == ["a", "a", "b", "b", "c", "c"], "{kept:?}");
        // A marked row that is written again lives; a truncate marks.
        scene.sql_all(
            "INSERT INTO soft VALUES (1, 'again'); UPDATE kept SET v = 'C'; INSERT INTO kept VALUES (1, 'A')",
        )?;
        scene.sql(0, "TRUNCATE soft; TRUNCATE kept")?;
        scene.once()?;
        scene.equal(&["soft"])?;
        let kept = scene.rows("SELECT v FROM {kept} ORDER BY id, _tw_origin")?;
        ensure!(kept == ["A", "A", "b", "b", "C", "C"], "{kept:?}");
        let marked = scene.rows("SELECT v FROM {soft} WHERE _tw_deleted ORDER BY id, _tw_origin")?;
        ensure!(marked == ["again", "b", "b", "c"], "{marked:?}");
    }
    Ok(())
}
