//! How fast rows get in. Not a test of anything but the wish to know: `cargo test --release … -- --ignored speed`.

use std::{sync::Arc, time::Instant};

use arrow::{
    array::{Date32Array, Int32Array, Int64Array, StringArray, TimestampMicrosecondArray},
    record_batch::RecordBatch,
};
use tailwater::{
    model::{Column, ColumnType},
    warehouse::{Deletes, KeyMode},
};

use super::{
    applier::{Applier, Change},
    world::{Files, PostgresWorld, SqliteWorld, TEXT, World, column, plan, schema},
};

const ROWS: usize = 200_000;

fn columns() -> Vec<Column> {
    vec![
        column("id", ColumnType::Int64, Some(0)),
        column("customer", ColumnType::Int32, None),
        column("status", TEXT, None),
        column("note", TEXT, None),
        column("amount", ColumnType::Decimal { precision: 12, scale: 2 }, None),
        column("ordered_on", ColumnType::Date, None),
        column("created_at", ColumnType::Timestamp, None),
        column("updated_at", ColumnType::TimestampTz, None),
    ]
}

fn rows(first_seq: i64, ids: impl Iterator<Item = i64>) -> RecordBatch {
    let ids: Vec<i64> = ids.collect();
    let n = ids.len();
    let instants = || TimestampMicrosecondArray::from_iter_values(ids.iter().map(|i| 1_700_000_000_000_000 + i * 997));
    RecordBatch::try_new(
        schema(&columns()).arrow(),
        vec![
            Arc::new(StringArray::from_iter_values((0..n).map(|_| "s1:shop.orders"))),
            Arc::new(Int64Array::from_iter_values((0..n).map(|i| first_seq + i as i64))),
            Arc::new(StringArray::from_iter_values((0..n).map(|_| "u"))),
            Arc::new(instants().with_timezone("UTC")),
            Arc::new(Int64Array::from(ids.clone())),
            Arc::new(Int32Array::from_iter_values(ids.iter().map(|i| (i % 9973) as i32))),
            Arc::new(StringArray::from_iter_values(ids.iter().map(|i| if i % 3 == 0 { "paid" } else { "open" }))),
            Arc::new(StringArray::from_iter_values(ids.iter().map(|i| format!("order number {i} of the shop")))),
            Arc::new(
                arrow::array::Decimal128Array::from_iter_values(ids.iter().map(|i| i128::from(i * 7)))
                    .with_precision_and_scale(12, 2)
                    .unwrap(),
            ),
            Arc::new(Date32Array::from_iter_values(ids.iter().map(|i| (i % 20_000) as i32))),
            Arc::new(instants()),
            Arc::new(instants().with_timezone("UTC")),
        ],
    )
    .unwrap()
}

async fn measure(name: &str, world: &dyn World) {
    for global in [false, true] {
        let mode = if global { KeyMode::Global { updated_at: None } } else { KeyMode::PerOrigin };
        let target = format!("speed.g{global}");
        let mut applier = Applier::open(world, "one").await;
        applier.ensure(&plan(&target, &columns(), mode, Deletes::Hard)).await.unwrap();
        for (what, batch) in [
            ("first load", rows(1, 0..ROWS as i64)),
            ("update of a tenth", rows(10_000_000, (0..ROWS as i64).step_by(10))),
            ("tick of 100", rows(20_000_000, (0..100).map(|i| i * 977))),
        ] {
            let n = batch.num_rows();
            let mut files = Files::default();
            let staged = vec![files.add_batch(&schema(&columns()), batch)];
            let started = Instant::now();
            let merge = applier.stage(&files, &[Change::files(&target, staged)]).await.unwrap();
            let half = started.elapsed();
            applier.merge(&merge).await.unwrap();
            let whole = started.elapsed();
            println!(
                "{name} global={global} {what}: {n} rows, stage {half:?} ({:.0} rows/s), merge {:?} ({:.0} rows/s)",
                n as f64 / half.as_secs_f64(),
                whole - half,
                n as f64 / (whole - half).as_secs_f64()
            );
        }
    }
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed_of_sqlite() {
    measure("sqlite", &SqliteWorld::new()).await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "a measurement"]
async fn speed_of_postgres() {
    measure("postgres", &PostgresWorld::new()).await;
}
