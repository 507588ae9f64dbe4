//! Extremes of every column type, through staging, merge, defaults and fills.

use tailwater::{
    model::{Column, ColumnDefault, ColumnType, Op, Seq},
    warehouse::{Deletes, Fill, KeyMode, TableFiles, WarehouseError},
};

use super::{
    applier::{Applier, Change, SHARD},
    redshift::world::RedshiftWorld,
    world::{Files, PostgresWorld, SqliteWorld, TEXT, World, column, origin, plan, row, schema},
};

const T: &str = "shop.types";

fn decimal(precision: u8, scale: u8) -> ColumnType {
    ColumnType::Decimal { precision, scale }
}

/// A value as files have it, and as each product shows it.
struct Case {
    ty: ColumnType,
    file: &'static str,
    postgres: &'static str,
    sqlite: &'static str,
}

fn case(ty: ColumnType, file: &'static str, postgres: &'static str, sqlite: &'static str) -> Case {
    Case { ty, file, postgres, sqlite }
}

fn same(ty: ColumnType, file: &'static str, both: &'static str) -> Case {
    case(ty, file, both, both)
}

fn cases() -> Vec<Case> {
    use ColumnType::{Boolean, Date, Float32, Float64, Int16, Int32, Int64, Json, Timestamp, TimestampTz};
    const NINES: &str = "99999999999999999999999999999999999999";
    let binary = ColumnType::Binary { bytes_max: None };
    vec![
        case(Boolean, "true", "t", "1"),
        case(Boolean, "false", "f", "0"),
        same(Int16, "-32768", "-32768"),
        same(Int32, "-2147483648", "-2147483648"),
        same(Int64, "-9223372036854775808", "-9223372036854775808"),
        same(Int64, "9223372036854775807", "9223372036854775807"),
        case(Float32, "3.4028235e38", "3.4028235e+38", "340282346638528860000000000000000000000"),
        same(Float64, "0.1", "0.1"),
        case(Float64, "1.7976931348623157e308", "1.7976931348623157e+308", ""),
        case(Float64, "5e-324", "5e-324", ""),
        same(decimal(20, 0), "18446744073709551615", "18446744073709551615"),
        same(decimal(38, 0), NINES, NINES),
        same(decimal(38, 38), "1", "0.00000000000000000000000000000000000001"),
        same(decimal(38, 37), NINES, "9.9999999999999999999999999999999999999"),
        same(decimal(10, 2), "-1", "-0.01"),
        same(decimal(10, 2), "0", "0.00"),
        same(decimal(10, 4), "100000000", "10000.0000"),
        same(decimal(10, 3), "10000", "10.000"),
        same(decimal(12, 1), "-99999999990", "-9999999999.0"),
        same(decimal(30, 5), "100000000000000000000000000000", "1000000000000000000000000.00000"),
        same(Date, "0", "1970-01-01"),
        same(Date, "-719162", "0001-01-01"),
        same(Date, "2932896", "9999-12-31"),
        case(Timestamp, "-30610224000000000", "1000-01-01 00:00:00", "1000-01-01 00:00:00.000000"),
        same(Timestamp, "253402300799999999", "9999-12-31 23:59:59.999999"),
        case(TimestampTz, "1", "1970-01-01 00:00:00.000001+00", "1970-01-01 00:00:00.000001"),
        case(TimestampTz, "2147483647999999", "2038-01-19 03:14:07.999999+00", "2038-01-19 03:14:07.999999"),
        same(TEXT, "", ""),
        same(TEXT, "\\N", "\\N"),
        same(TEXT, "tab\tline\nquote'\"\\ \u{1f600}", "tab\tline\nquote'\"\\ \u{1f600}"),
        same(Json, "{\"a\": [1, 2.50, \"\\u0000\", null]}", "{\"a\": [1, 2.50, \"\\u0000\", null]}"),
        same(binary, "\0\u{1}'\\", "\\x0001275c"),
        same(binary, "", "\\x"),
    ]
}

/// Stages one row with all cases and one with only NULLs; answers what is shown.
async fn shown(world: &dyn World) -> Vec<Vec<Option<String>>> {
    shown_of(world, &cases()).await
}

async fn shown_of(world: &dyn World, cases: &[Case]) -> Vec<Vec<Option<String>>> {
    let mut applier = Applier::open(world, "one").await;
    let mut columns = vec![column("id", ColumnType::Int16, Some(0))];
    columns.extend(cases.iter().enumerate().map(|(i, c)| column(&format!("c{i}"), c.ty, None)));
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Hard)).await.unwrap();
    let o = origin(SHARD, "t");
    let values: Vec<&str> = std::iter::once("1").chain(cases.iter().map(|c| c.file)).collect();
    let nulls: Vec<&str> = std::iter::once("2").chain(cases.iter().map(|_| "NULL")).collect();
    let mut files = Files::default();
    let rows = [row(&o, 1, Op::Insert, &values), row(&o, 2, Op::Insert, &nulls)];
    let staged = vec![files.add(&schema(&columns), &rows)];
    let report = applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
    assert_eq!(report.tables.len(), 1);
    let names: Vec<String> = columns[1..].iter().map(|c| c.name.clone()).collect();
    world.query(&format!("SELECT {} FROM {} ORDER BY id", names.join(", "), world.table(T))).await
}

#[tokio::test]
async fn extremes_arrive_in_postgres() {
    let rows = shown(&PostgresWorld::new()).await;
    for (case, got) in cases().iter().zip(&rows[0]) {
        assert_eq!(got.as_deref(), Some(case.postgres), "{:?}", case.ty);
    }
    assert!(rows[1].iter().all(Option::is_none));
}

#[tokio::test]
async fn extremes_arrive_in_sqlite() {
    let rows = shown(&SqliteWorld::new()).await;
    for (case, got) in cases().iter().zip(&rows[0]) {
        if case.ty == ColumnType::Float64 && case.sqlite.is_empty() {
            // Floats are compared as such: their text is the test's own.
            assert_eq!(got.as_ref().unwrap().parse::<f64>().unwrap(), case.file.parse::<f64>().unwrap());
        } else {
            assert_eq!(got.as_deref(), Some(case.sqlite), "{:?}", case.ty);
        }
    }
    assert!(rows[1].iter().all(Option::is_none));
}

/// What Redshift holds of the cases: its decimals end at 37 digits behind the point (MySQL's at 30), and SUPER is a value,
/// not the text it was parsed from.
async fn extremes_arrive_in_redshift(world: &RedshiftWorld) {
    const DOCUMENT: &str = r#"{"a": [1, 2.50, "\\ \" ü", null], "b": {}}"#;
    let fits = |c: &Case| c.ty != decimal(38, 38);
    let mut cases: Vec<Case> = cases().into_iter().filter(fits).collect();
    for case in cases.iter_mut().filter(|c| c.ty == ColumnType::Json) {
        case.file = DOCUMENT;
    }
    let rows = shown_of(world, &cases).await;
    for (case, got) in cases.iter().zip(&rows[0]) {
        let got = got.as_deref().unwrap();
        if case.ty == ColumnType::Json {
            let value = |text| serde_json::from_str::<serde_json::Value>(text).unwrap();
            assert_eq!(value(got), value(DOCUMENT));
        } else if matches!(case.ty, ColumnType::Binary { .. }) {
            assert_eq!(got.trim_start_matches("\\x"), case.postgres.trim_start_matches("\\x"));
        } else {
            assert_eq!(got, case.postgres, "{:?}", case.ty);
        }
    }
    assert!(rows[1].iter().all(Option::is_none));
}

#[tokio::test]
async fn extremes_arrive_in_redshift_by_copy() {
    extremes_arrive_in_redshift(&RedshiftWorld::new()).await;
}

#[tokio::test]
async fn extremes_arrive_in_redshift_by_insert() {
    extremes_arrive_in_redshift(&RedshiftWorld::inserting()).await;
}

/// A document beyond the 64 KB of a VARCHAR becomes a SUPER value; text that is no JSON parks its table and is not told.
#[tokio::test]
async fn documents_become_super_values() {
    let world = RedshiftWorld::new();
    let mut applier = Applier::open(&world, "one").await;
    let columns = vec![column("id", ColumnType::Int16, Some(0)), column("doc", ColumnType::Json, None)];
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Hard)).await.unwrap();
    let long = format!("[{}]", vec!["\"some text\""; 10_000].join(","));
    let mut files = Files::default();
    for (seq, text) in [(1, long.as_str()), (2, "{secret")] {
        let rows = [row(&origin(SHARD, "t"), seq, Op::Insert, &["1", text])];
        let staged = vec![files.add(&schema(&columns), &rows)];
        let applied = applier.apply(&files, &[Change::files(T, staged)]).await;
        if seq == 1 {
            applied.unwrap();
            let kind = world.query(&format!("SELECT json_typeof(doc) FROM {}", world.table(T))).await;
            assert_eq!(kind[0][0].as_deref(), Some("array"));
            continue;
        }
        match applied {
            Err(error @ WarehouseError::Table { .. }) => {
                let text = format!("{error} {error:?}");
                assert!(!text.contains("secret") && text.contains("JSON"), "{text}");
            }
            other => panic!("{other:?}"),
        }
    }
}

/// A default, a fill and a staged value of the same meaning are the same value.
async fn literals_equal_staged_values(world: &dyn World) {
    use ColumnType::{Boolean, Date, Float32, Float64, Int64, Timestamp, TimestampTz};
    let binary = ColumnType::Binary { bytes_max: None };
    let cases: Vec<(ColumnType, &str, &str)> = vec![
        (Boolean, "true", "true"),
        (Int64, "-7", "-7"),
        (Float32, "0.1", "0.1"),
        (Float64, "-2.5", "-2.5"),
        (decimal(10, 2), "5", "500"),
        (decimal(38, 10), "-0.5", "-5000000000"),
        (Date, "2024-02-29", "19782"),
        (Timestamp, "2024-02-29 01:02:03.5", "1709168523500000"),
        (TimestampTz, "2024-02-29 01:02:03", "1709168523000000"),
        (TEXT, "it's \\ so", "it's \\ so"),
        (binary, "ab'\\", "ab'\\"),
    ];
    let mut applier = Applier::open(world, "one").await;
    let id = column("id", ColumnType::Int16, Some(0));
    let mut columns = vec![id.clone()];
    columns.extend(cases.iter().enumerate().map(|(i, c)| column(&format!("c{i}"), c.0, None)));
    let mut wanted = plan(T, &columns, KeyMode::PerOrigin, Deletes::Hard);
    for (column, (_, literal, _)) in wanted.columns[1..].iter_mut().zip(&cases) {
        column.default = ColumnDefault::Literal((*literal).to_owned());
    }
    applier.ensure(&wanted).await.unwrap();
    let (o, filled) = (origin(SHARD, "t"), origin("s2", "t"));
    let staged: Vec<&str> = std::iter::once("1").chain(cases.iter().map(|c| c.2)).collect();
    let nulls: Vec<&str> = std::iter::once("3").chain(cases.iter().map(|_| "NULL")).collect();
    let mut files = Files::default();
    let whole = files.add(&schema(&columns), &[row(&o, 1, Op::Insert, &staged), row(&filled, 3, Op::Insert, &nulls)]);
    let short = files.add(&schema(&[id]), &[row(&o, 2, Op::Insert, &["2"])]);
    applier.apply(&files, &[Change::files(T, vec![whole, short])]).await.unwrap();
    let fills = cases.iter().enumerate().map(|(i, c)| Fill {
        origin: filled.clone(),
        column: format!("c{i}"),
        value: ColumnDefault::Literal(c.1.to_owned()),
        below: Seq(10),
    });
    let change = Change { target: T.to_owned(), fills: fills.collect(), ..Change::default() };
    applier.apply(&files, &[change]).await.unwrap();
    let names: Vec<Column> = columns.split_off(1);
    let names: Vec<String> = names.into_iter().map(|c| c.name).collect();
    let rows = world.query(&format!("SELECT {} FROM {} ORDER BY id", names.join(", "), world.table(T))).await;
    assert_eq!(rows[0], rows[1], "defaults");
    assert_eq!(rows[0], rows[2], "fills");
    assert!(rows[0].iter().all(Option::is_some));
}

#[tokio::test]
async fn literals_equal_staged_values_in_postgres() {
    literals_equal_staged_values(&PostgresWorld::new()).await;
}

#[tokio::test]
async fn literals_equal_staged_values_in_sqlite() {
    literals_equal_staged_values(&SqliteWorld::new()).await;
}

#[tokio::test]
async fn literals_equal_staged_values_in_redshift() {
    literals_equal_staged_values(&RedshiftWorld::new()).await;
}

#[tokio::test]
async fn literals_equal_staged_values_in_redshift_by_insert() {
    literals_equal_staged_values(&RedshiftWorld::inserting()).await;
}

#[tokio::test]
async fn zero_bytes_are_replaced_and_counted_in_postgres_but_not_in_keys() {
    let world = PostgresWorld::new();
    let mut applier = Applier::open(&world, "one").await;
    let columns = vec![column("code", TEXT, Some(0)), column("note", TEXT, None)];
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Hard)).await.unwrap();
    let o = origin(SHARD, "t");
    let mut files = Files::default();
    let rows = [row(&o, 1, Op::Insert, &["a", "x\0y\0"]), row(&o, 2, Op::Insert, &["b", "fine"])];
    let staged = [files.add(&schema(&columns), &rows)];
    let tick = applier.tick();
    let target = tailwater::model::Target::new(T);
    let tables = [TableFiles { target, files: staged.to_vec(), floors: Vec::new() }];
    let report = *applier.warehouse.stage(&tick, &tables, &files).await.unwrap()[0].as_ref().unwrap();
    assert_eq!((report.rows, report.replaced_zero_bytes), (2, 1));
    applier.apply(&files, &[Change::files(T, staged.to_vec())]).await.unwrap();
    let notes = world.query(&format!("SELECT note FROM {} ORDER BY code", world.table(T))).await;
    assert_eq!(notes[0][0].as_deref(), Some("x\u{fffd}y\u{fffd}"));
    let staged = vec![files.add(&schema(&columns), &[row(&o, 3, Op::Insert, &["a\0", "x"])])];
    let refused = applier.apply(&files, &[Change::files(T, staged)]).await;
    assert!(matches!(refused, Err(WarehouseError::Table { .. })), "{refused:?}");
}

#[tokio::test]
async fn sqlite_keeps_zero_bytes() {
    let world = SqliteWorld::new();
    let mut applier = Applier::open(&world, "one").await;
    let columns = vec![column("code", TEXT, Some(0))];
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Hard)).await.unwrap();
    let o = origin(SHARD, "t");
    let mut files = Files::default();
    let staged =
        vec![files.add(&schema(&columns), &[row(&o, 1, Op::Insert, &["a\0b"]), row(&o, 2, Op::Insert, &["a\0c"])])];
    applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
    let rows = world.query(&format!("SELECT hex(code) FROM {} ORDER BY 1", world.table(T))).await;
    assert_eq!(rows.concat(), [Some("610062".to_owned()), Some("610063".to_owned())]);
}

#[tokio::test]
async fn a_value_that_does_not_fit_is_not_told() {
    let world = PostgresWorld::new();
    let mut applier = Applier::open(&world, "one").await;
    let columns = vec![column("id", ColumnType::Int16, Some(0)), column("doc", ColumnType::Json, None)];
    applier.ensure(&plan(T, &columns, KeyMode::PerOrigin, Deletes::Hard)).await.unwrap();
    let mut files = Files::default();
    let broken = [row(&origin(SHARD, "t"), 1, Op::Insert, &["1", "{secret"])];
    let staged = vec![files.add(&schema(&columns), &broken)];
    match applier.apply(&files, &[Change::files(T, staged)]).await {
        Err(error @ WarehouseError::Table { .. }) => {
            let text = format!("{error} {error:?}");
            assert!(!text.contains("secret") && text.contains("22P02"), "{text}");
        }
        other => panic!("{other:?}"),
    }
    let staged = vec![files.add(&schema(&columns), &[row(&origin(SHARD, "t"), 1, Op::Insert, &["1", "{}"])])];
    applier.apply(&files, &[Change::files(T, staged)]).await.unwrap();
}
