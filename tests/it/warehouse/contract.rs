//! Fence, watermarks, exceptions: who may write, and that a tick is applied once or not at all.

use std::task::Poll;

use tailwater::{
    model::{ColumnType, Op, Origin, Shard, Target},
    warehouse::{
        Deletes, Exception, ExceptionChange, ExceptionKind, KeyMode, LogPosition, Outcome, TablePlan, WarehouseError,
        Watermark,
    },
};

use super::{
    applier::{Applier, Change, GROUP, SHARD, at, claim},
    on_every_warehouse,
    world::{Files, TEXT, World, column, origin, plan, row, schema},
};

on_every_warehouse!(
    a_new_warehouse_has_nothing_to_mend,
    a_second_applier_fences_the_first,
    a_live_writer_is_respected_until_it_is_quiet,
    a_repeated_tick_changes_nothing,
    a_position_of_another_log_is_refused,
    exceptions_are_kept_beside_the_watermarks,
    staged_rows_belong_to_their_tick,
    a_failing_table_takes_nothing_with_it,
    a_wrong_row_count_parks_the_table,
    a_dropped_merge_is_all_or_nothing,
    readers_see_whole_ticks,
);

pub(crate) fn orders(target: &str) -> TablePlan {
    plan(target, &columns(), KeyMode::PerOrigin, Deletes::Hard)
}

fn columns() -> Vec<tailwater::model::Column> {
    vec![column("id", ColumnType::Int64, Some(0)), column("note", TEXT, None)]
}

/// A file with one row per note, ids from 1.
pub(crate) fn notes(files: &mut Files, seq: i64, notes: &[&str]) -> Vec<tailwater::warehouse::StagedFile> {
    let rows: Vec<_> = notes
        .iter()
        .enumerate()
        .map(|(i, note)| row(&origin(SHARD, "t"), seq + i as i64, Op::Insert, &[&(i + 1).to_string(), note]))
        .collect();
    vec![files.add(&schema(&columns()), &rows)]
}

/// Notes in the order of their ids.
pub(crate) async fn shown(world: &dyn World, target: &str) -> Vec<String> {
    let rows = world.query(&format!("SELECT note FROM {} ORDER BY id", world.table(target))).await;
    rows.into_iter().map(|r| r[0].clone().unwrap()).collect()
}

async fn a_new_warehouse_has_nothing_to_mend(world: &dyn World) {
    let warehouse = world.connect();
    assert_eq!(warehouse.check().await, []);
    assert_eq!(warehouse.group_state(GROUP).await.unwrap(), None);
    assert!(!warehouse.describe().contains("secret"), "{}", warehouse.describe());
    let applier = Applier::over(warehouse, "one").await;
    assert_eq!(applier.warehouse.check().await, []);
    let state = applier.warehouse.group_state(GROUP).await.unwrap().unwrap();
    assert_eq!((state.epoch, state.writer.as_str()), (1, "one"));
    assert!(state.watermarks.is_empty());
}

pub(crate) async fn a_second_applier_fences_the_first(world: &dyn World) {
    let mut files = Files::default();
    let mut first = Applier::open(world, "first").await;
    first.ensure(&orders("shop.orders")).await.unwrap();
    first.apply(&files.clone(), &[]).await.unwrap();
    let staged = notes(&mut files, 10, &["of the first"]);
    let merge = first.stage(&files, &[Change::files("shop.orders", staged)]).await.unwrap();

    let mut second = Applier::open(world, "second").await;
    assert_eq!(second.at, Some(at(1, 0)));
    assert!(second.fence.epoch > first.fence.epoch);

    match first.merge(&merge).await {
        Err(WarehouseError::Fenced { writer, epoch, .. }) => {
            assert_eq!((writer.as_str(), epoch), ("second", second.fence.epoch));
        }
        other => panic!("{other:?}"),
    }
    assert!(matches!(first.ensure(&orders("shop.orders")).await, Err(WarehouseError::Fenced { .. })));
    assert!(matches!(first.ensure(&orders("shop.other")).await, Err(WarehouseError::Fenced { .. })));
    assert!(shown(world, "shop.orders").await.is_empty());

    second.ensure(&orders("shop.orders")).await.unwrap();
    let staged = notes(&mut files, 20, &["of the second"]);
    second.apply(&files, &[Change::files("shop.orders", staged)]).await.unwrap();
    assert_eq!(shown(world, "shop.orders").await, ["of the second"]);
    // The first gives back what it no longer has: the second keeps its fence.
    first.warehouse.close_group(&first.fence).await.unwrap();
    second.apply(&files, &[]).await.unwrap();
}

pub(crate) async fn a_live_writer_is_respected_until_it_is_quiet(world: &dyn World) {
    let first = Applier::open(world, "first").await;
    let other = world.connect();
    match other.open_group(&claim("second", 600)).await {
        Err(WarehouseError::Busy { writer, seconds, .. }) => {
            assert_eq!(writer, "first");
            assert!((0..600).contains(&seconds), "{seconds}");
        }
        answer => panic!("{answer:?}"),
    }
    // The same writer after its own crash need not wait.
    let (fence, _) = other.open_group(&claim("first", 600)).await.unwrap();
    assert_eq!(fence.epoch, first.fence.epoch + 1);
    // Neither must anybody when the fence was given back.
    other.close_group(&fence).await.unwrap();
    let (fence, state) = other.open_group(&claim("second", 600)).await.unwrap();
    assert_eq!((fence.epoch, state.writer.as_str()), (3, "second"));
    // Groups do not see each other.
    let mut claim = claim("third", 600);
    claim.group = "another".to_owned();
    assert_eq!(other.open_group(&claim).await.unwrap().0.epoch, 1);
}

pub(crate) async fn a_repeated_tick_changes_nothing(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    applier.ensure(&orders("shop.orders")).await.unwrap();
    let staged = notes(&mut files, 10, &["a", "b"]);
    let merge = applier.stage(&files, &[Change::files("shop.orders", staged)]).await.unwrap();
    let report = applier.merge(&merge).await.unwrap();
    let table = report.tables[&Target::new("shop.orders")];
    assert_eq!((table.inserted, table.deleted), (2, 0));

    let staged = notes(&mut files, 20, &["x", "y"]);
    let mut again = applier.stage(&files, &[Change::files("shop.orders", staged)]).await.unwrap();
    again.moves.clone_from(&merge.moves);
    match applier.warehouse.merge(&again).await {
        Err(WarehouseError::Moved { found, shard, .. }) => {
            assert_eq!((found, shard), (Some(at(1, 0)), Shard::new(SHARD)));
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(shown(world, "shop.orders").await, ["a", "b"]);
    let state = world.connect().group_state(GROUP).await.unwrap().unwrap();
    assert_eq!(state.watermarks[&Shard::new(SHARD)], at(1, 0));
    assert_eq!(state.committed_at[&Shard::new(SHARD)], 1);
    assert_eq!(state.outcome(&merge.moves), Outcome::Applied);
    again.moves[0].from = Some(at(1, 0));
    again.moves[0].to = at(2, 3);
    assert_eq!(state.outcome(&again.moves), Outcome::NotApplied);
    // The refused tick was rolled back, its staged rows with it: it can be merged from the right place.
    applier.merge(&again).await.unwrap();
    assert_eq!(shown(world, "shop.orders").await, ["x", "y"]);
    let state = applier.warehouse.group_state(GROUP).await.unwrap().unwrap();
    assert_eq!(state.outcome(&again.moves), Outcome::Applied);
    assert_eq!(state.outcome(&merge.moves), Outcome::Unexpected);
}

async fn a_position_of_another_log_is_refused(world: &dyn World) {
    let files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    applier.apply(&files, &[]).await.unwrap();
    let other = Watermark { log_id: "log-2".to_owned(), ..at(1, 0) };
    let mut merge = applier.stage(&files, &[]).await.unwrap();
    merge.moves[0].from = Some(other.clone());
    merge.moves[0].to = Watermark { log_id: "log-2".to_owned(), ..at(2, 0) };
    match applier.warehouse.merge(&merge).await {
        Err(WarehouseError::Moved { found, .. }) => assert_eq!(found, Some(at(1, 0))),
        answer => panic!("{answer:?}"),
    }
    // Whether a new log is accepted is the caller's decision, told by `from`.
    merge.moves[0].from = Some(at(1, 0));
    merge.moves[0].to = other.clone();
    applier.warehouse.merge(&merge).await.unwrap();
    let state = applier.warehouse.group_state(GROUP).await.unwrap().unwrap();
    assert_eq!(state.watermarks[&Shard::new(SHARD)], other);
}

pub(crate) async fn exceptions_are_kept_beside_the_watermarks(world: &dyn World) {
    let files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    let origin: Origin = "s1:shop.orders".parse().unwrap();
    let exception = |kind, entry, reason: &str| Exception {
        kind,
        position: LogPosition { entry, step: 2 },
        reason: reason.to_owned(),
    };
    let held = exception(ExceptionKind::Held, 5, "");
    let parked = exception(ExceptionKind::Parked, 6, "it's broken");
    let steps = [(None, Some(held.clone())), (Some(held), Some(parked.clone())), (Some(parked), None)];
    for (from, to) in steps {
        let from = from.map(|e: Exception| e.position);
        let change = ExceptionChange { origin: origin.clone(), from, to: to.clone() };
        let mut wrong = applier.stage(&files, &[]).await.unwrap();
        let elsewhere = Some(LogPosition { entry: 99, step: 0 });
        wrong.exceptions = vec![ExceptionChange { from: elsewhere, ..change.clone() }];
        assert!(matches!(applier.warehouse.merge(&wrong).await, Err(WarehouseError::Moved { .. })));
        let mut merge = applier.stage(&files, &[]).await.unwrap();
        merge.exceptions = vec![change];
        applier.merge(&merge).await.unwrap();
        let state = world.connect().group_state(GROUP).await.unwrap().unwrap();
        assert_eq!(state.exceptions.get(&origin), to.as_ref());
        assert_eq!(state.watermarks.get(&Shard::new(SHARD)), applier.at.as_ref());
    }
}

pub(crate) async fn staged_rows_belong_to_their_tick(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    applier.ensure(&orders("shop.orders")).await.unwrap();
    let staged = notes(&mut files, 10, &["a"]);
    let merge = applier.stage(&files, &[Change::files("shop.orders", staged)]).await.unwrap();
    // Another tick, another number of rows, another connection: the rows meant are not there.
    let mut other = merge.clone();
    other.tick = applier.tick();
    let mut more = merge.clone();
    more.tables[0].staged_rows = 2;
    for wrong in [other, more] {
        assert!(matches!(applier.warehouse.merge(&wrong).await, Err(WarehouseError::Transient { .. })));
    }
    let elsewhere = world.connect();
    elsewhere.ensure_table(&applier.fence, &orders("shop.orders")).await.unwrap();
    assert!(matches!(elsewhere.merge(&merge).await, Err(WarehouseError::Transient { .. })));
    assert!(shown(world, "shop.orders").await.is_empty());
    applier.merge(&merge).await.unwrap();
    // Merged once, they are gone.
    let mut again = merge.clone();
    again.moves[0].from.clone_from(&applier.at);
    again.moves[0].to = at(2, 0);
    assert!(matches!(applier.warehouse.merge(&again).await, Err(WarehouseError::Transient { .. })));
}

pub(crate) async fn a_failing_table_takes_nothing_with_it(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    for target in ["shop.good", "shop.bad"] {
        applier.ensure(&orders(target)).await.unwrap();
    }
    world.spoil("shop.bad", "note").await;
    let mut changes = vec![
        Change::files("shop.good", notes(&mut files, 10, &["same", "same"])),
        Change::files("shop.bad", notes(&mut files, 10, &["same", "same"])),
    ];
    match applier.apply(&files, &changes).await {
        Err(WarehouseError::Table { target, reason }) => {
            assert_eq!(target, Target::new("shop.bad"));
            assert!(!reason.contains("same"), "a row's value in {reason}");
        }
        other => panic!("{other:?}"),
    }
    assert!(shown(world, "shop.good").await.is_empty());
    assert!(applier.warehouse.group_state(GROUP).await.unwrap().unwrap().watermarks.is_empty());
    changes.pop();
    applier.apply(&files, &changes).await.unwrap();
    assert_eq!(shown(world, "shop.good").await, ["same", "same"]);
    assert!(shown(world, "shop.bad").await.is_empty());
}

pub(crate) async fn a_wrong_row_count_parks_the_table(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    applier.ensure(&orders("shop.orders")).await.unwrap();
    let whole = notes(&mut files, 10, &["a", "b", "c"]);
    for rows in [2, 4] {
        let mut short = whole.clone();
        short[0].rows = rows;
        match applier.stage(&files, &[Change::files("shop.orders", short)]).await {
            Err(WarehouseError::Table { target, .. }) => assert_eq!(target, Target::new("shop.orders")),
            other => panic!("{other:?}"),
        }
    }
    let missing = vec![tailwater::warehouse::StagedFile { path: "nowhere".to_owned(), ..whole[0].clone() }];
    let staged = applier.stage(&files, &[Change::files("shop.orders", missing)]).await;
    assert!(matches!(staged, Err(WarehouseError::Table { .. })), "{staged:?}");
    // The connection is as good as before.
    applier.apply(&files, &[Change::files("shop.orders", whole)]).await.unwrap();
    assert_eq!(shown(world, "shop.orders").await, ["a", "b", "c"]);
}

/// Drops the future of a merge at each of its waits in turn.
async fn a_dropped_merge_is_all_or_nothing(world: &dyn World) {
    /// A merge of two tables waits for some fifty answers, less often when they come at once.
    const WAITS: i64 = 48;
    let mut files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    for target in ["shop.a", "shop.b"] {
        applier.ensure(&orders(target)).await.unwrap();
    }
    let mut interrupted = 0;
    let mut expected = vec![Vec::new(), Vec::new()];
    for polls in 1..=WAITS {
        let seq = 1_000 * polls;
        let text = format!("after {polls}");
        let staged = notes(&mut files, seq, &[&text, &text]);
        let changes = ["shop.a", "shop.b"].map(|t| Change::files(t, staged.clone()));
        let merge = applier.stage(&files, &changes).await.unwrap();
        let mut left = polls;
        let finished;
        {
            let mut call = Box::pin(applier.warehouse.merge(&merge));
            finished = std::future::poll_fn(|context| {
                left -= 1;
                match call.as_mut().poll(context) {
                    Poll::Ready(done) => Poll::Ready(done.is_ok()),
                    Poll::Pending if left == 0 => Poll::Ready(false),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
        }
        // A dropped connection ends in its own time: the next claim waits for its locks.
        let next = Applier::over(world.connect(), "one").await;
        let state = next.warehouse.group_state(GROUP).await.unwrap().unwrap();
        match state.outcome(&merge.moves) {
            Outcome::Applied => expected = vec![vec![text.clone(), text.clone()]; 2],
            Outcome::NotApplied => {
                assert!(!finished);
                interrupted += 1;
            }
            Outcome::Unexpected => panic!("{state:?}"),
        }
        assert_eq!(vec![shown(world, "shop.a").await, shown(world, "shop.b").await], expected, "after {polls} waits");
        applier = next;
        for target in ["shop.a", "shop.b"] {
            applier.ensure(&orders(target)).await.unwrap();
        }
    }
    assert!(interrupted > 0, "no merge was interrupted");
}

/// What one tick wrote to two tables appears together, while it is being written.
async fn readers_see_whole_ticks(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = Applier::open(world, "one").await;
    for target in ["shop.a", "shop.b"] {
        applier.ensure(&orders(target)).await.unwrap();
    }
    let both = format!(
        "SELECT coalesce((SELECT max(_tw_seq) FROM {}), 0), coalesce((SELECT max(_tw_seq) FROM {}), 0)",
        world.table("shop.a"),
        world.table("shop.b")
    );
    for tick in 1..=5 {
        let staged = notes(&mut files, tick * 10, &["x"]);
        let changes = ["shop.a", "shop.b"].map(|t| Change::files(t, staged.clone()));
        let (done, seen) = tokio::join!(applier.apply(&files, &changes), async {
            let mut seen = Vec::new();
            for _ in 0..5 {
                seen.extend(world.query(&both).await);
            }
            seen
        });
        done.unwrap();
        assert!(seen.iter().all(|row| row[0] == row[1]), "{seen:?}");
    }
}
