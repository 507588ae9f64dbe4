//! Shadows: private tables that are filled like targets, and whose rows take the place of a target's at once.

use std::task::Poll;

use tailwater::{
    model::Target,
    warehouse::{
        Exception, ExceptionChange, ExceptionKind, LogPosition, RebuildChange, Swap, SwapReport, TablePlan, Warehouse,
        WarehouseError,
    },
};

use super::{
    applier::{Applier, Change, GROUP, SHARD},
    contract::{notes, orders, shown},
    on_every_warehouse,
    world::{Files, World, origin},
};

on_every_warehouse!(
    a_shadow_takes_the_place_of_its_target,
    a_table_that_is_gone_comes_back,
    a_fenced_applier_swaps_nothing,
    a_dropped_swap_is_all_or_nothing,
    a_rebuild_that_is_given_up_leaves_nothing,
);

const TARGET: &str = "shop.orders";

fn shadow_plan() -> TablePlan {
    TablePlan { target: Target::new(TARGET).shadow(), ..orders(TARGET) }
}

fn place(entry: u64) -> Exception {
    let position = LogPosition { entry, step: 0 };
    Exception { kind: ExceptionKind::CatchingUp, position, reason: String::new() }
}

fn change(from: Option<u64>, to: Option<u64>) -> RebuildChange {
    let from = from.map(|entry| place(entry).position);
    RebuildChange {
        target: Target::new(TARGET),
        change: ExceptionChange { origin: origin(SHARD, "t"), from, to: to.map(place) },
    }
}

/// A target with rows, and a shadow with others that stands at entry 5 of the log.
async fn rebuilt(world: &dyn World, files: &mut Files) -> Applier {
    let mut applier = Applier::open(world, "one").await;
    applier.ensure(&orders(TARGET)).await.unwrap();
    let staged = notes(files, 10, &["old", "older"]);
    applier.apply(files, &[Change::files(TARGET, staged)]).await.unwrap();
    fill(&mut applier, files, &["new", "newer", "newest"]).await;
    applier
}

async fn fill(applier: &mut Applier, files: &mut Files, rows: &[&str]) {
    applier.warehouse.drop_shadow(&applier.fence, &Target::new(TARGET), &[]).await.unwrap();
    applier.ensure(&shadow_plan()).await.unwrap();
    let staged = notes(files, 10, rows);
    let mut merge = applier.stage(files, &[Change::files(shadow_plan().target.as_str(), staged)]).await.unwrap();
    merge.rebuilds = vec![change(None, Some(5))];
    applier.merge(&merge).await.unwrap();
}

fn swap(applier: &Applier) -> Swap {
    let (fence, rebuilds) = (applier.fence.clone(), vec![change(Some(5), None)]);
    Swap { fence, target: Target::new(TARGET), exceptions: Vec::new(), rebuilds }
}

/// Where the origin stands in the rebuild.
async fn stands(warehouse: &dyn Warehouse) -> Option<u64> {
    let state = warehouse.group_state(GROUP).await.unwrap().unwrap();
    let places = state.rebuilds.get(&Target::new(TARGET))?;
    places.get(&origin(SHARD, "t")).map(|e| e.position.entry)
}

async fn a_shadow_takes_the_place_of_its_target(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = rebuilt(world, &mut files).await;
    assert_eq!(stands(&*applier.warehouse).await, Some(5));
    assert_eq!(shown(world, TARGET).await, ["old", "older"], "nobody sees the shadow");
    assert_eq!(world.private("rebuild").await.len(), 1);
    let held = ExceptionChange { origin: origin(SHARD, "t"), from: None, to: Some(place(3)) };
    let mut merge = applier.stage(&files, &[]).await.unwrap();
    merge.exceptions = vec![held.clone()];
    applier.merge(&merge).await.unwrap();
    // A place that is another one is found out before any row is touched.
    let wrong = Swap { rebuilds: vec![change(Some(4), None)], ..swap(&applier) };
    assert!(applier.warehouse.swap(&wrong).await.is_err());
    assert_eq!(shown(world, TARGET).await, ["old", "older"]);
    let closed = ExceptionChange { from: Some(place(3).position), to: None, ..held };
    let report = applier.warehouse.swap(&Swap { exceptions: vec![closed], ..swap(&applier) }).await.unwrap();
    assert_eq!(report, SwapReport { rows_before: 2, rows: 3 });
    assert_eq!(shown(world, TARGET).await, ["new", "newer", "newest"]);
    assert_eq!(stands(&*applier.warehouse).await, None);
    assert!(applier.warehouse.group_state(GROUP).await.unwrap().unwrap().exceptions.is_empty());
    assert_eq!(world.private("rebuild").await, Vec::<String>::new());
    // The next tick finds a target like any other.
    let staged = notes(&mut files, 20, &["newest of all"]);
    applier.apply(&files, &[Change::files(TARGET, staged)]).await.unwrap();
    assert_eq!(shown(world, TARGET).await, ["newest of all", "newer", "newest"]);
}

async fn a_table_that_is_gone_comes_back(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = rebuilt(world, &mut files).await;
    world.query(&format!("DROP TABLE {}", world.table(TARGET))).await;
    let report = applier.warehouse.swap(&swap(&applier)).await.unwrap();
    assert_eq!(report, SwapReport { rows_before: 0, rows: 3 });
    assert_eq!(shown(world, TARGET).await, ["new", "newer", "newest"]);
    // A column that is gone, too.
    fill(&mut applier, &mut files, &["a", "b"]).await;
    world.query(&format!("ALTER TABLE {} DROP COLUMN note", world.table(TARGET))).await;
    applier.warehouse.swap(&swap(&applier)).await.unwrap();
    assert_eq!(shown(world, TARGET).await, ["a", "b"]);
    applier.ensure(&orders(TARGET)).await.unwrap();
}

async fn a_fenced_applier_swaps_nothing(world: &dyn World) {
    let mut files = Files::default();
    let first = rebuilt(world, &mut files).await;
    let second = Applier::open(world, "two").await;
    let refused = first.warehouse.swap(&swap(&first)).await;
    assert!(matches!(refused, Err(WarehouseError::Fenced { .. })), "{refused:?}");
    let refused = first.warehouse.drop_shadow(&first.fence, &Target::new(TARGET), &[]).await;
    assert!(matches!(refused, Err(WarehouseError::Fenced { .. })), "{refused:?}");
    assert_eq!(shown(world, TARGET).await, ["old", "older"]);
    // The second one goes on where the first one stood.
    assert_eq!(stands(&*second.warehouse).await, Some(5));
    second.warehouse.swap(&swap(&second)).await.unwrap();
    assert_eq!(shown(world, TARGET).await, ["new", "newer", "newest"]);
}

/// Drops the future of a swap at some of its waits.
async fn a_dropped_swap_is_all_or_nothing(world: &dyn World) {
    let mut files = Files::default();
    let mut applier = rebuilt(world, &mut files).await;
    let mut expected = vec!["old".to_owned(), "older".to_owned()];
    let mut interrupted = 0;
    for polls in (1..40).step_by(6) {
        let text = format!("after {polls}");
        if stands(&*applier.warehouse).await.is_some() {
            let places = [change(Some(5), None)];
            applier.warehouse.drop_shadow(&applier.fence, &Target::new(TARGET), &places).await.unwrap();
        }
        fill(&mut applier, &mut files, &[&text]).await;
        let asked = swap(&applier);
        let mut left = polls;
        {
            let mut call = Box::pin(applier.warehouse.swap(&asked));
            std::future::poll_fn(|context| {
                left -= 1;
                match call.as_mut().poll(context) {
                    Poll::Ready(done) => Poll::Ready(assert!(done.is_ok(), "{done:?}")),
                    Poll::Pending if left == 0 => Poll::Ready(()),
                    Poll::Pending => Poll::Pending,
                }
            })
            .await;
        }
        applier = Applier::over(world.connect(), "one").await;
        match stands(&*applier.warehouse).await {
            Some(_) => interrupted += 1,
            None => expected = vec![text],
        }
        assert_eq!(shown(world, TARGET).await, expected, "after {polls} waits");
    }
    assert!(interrupted > 0, "no swap was interrupted");
}

async fn a_rebuild_that_is_given_up_leaves_nothing(world: &dyn World) {
    let mut files = Files::default();
    let applier = rebuilt(world, &mut files).await;
    let places = [change(Some(5), None)];
    applier.warehouse.drop_shadow(&applier.fence, &Target::new(TARGET), &places).await.unwrap();
    assert_eq!(world.private("rebuild").await, Vec::<String>::new());
    assert_eq!(stands(&*applier.warehouse).await, None);
    assert_eq!(shown(world, TARGET).await, ["old", "older"]);
    let gone = applier.warehouse.swap(&swap(&applier)).await;
    assert!(gone.is_err(), "{gone:?}");
    let columns = applier.warehouse.columns(&applier.fence, &Target::new(TARGET)).await.unwrap().unwrap();
    assert_eq!(columns.iter().map(|c| c.column.name.as_str()).collect::<Vec<_>>(), ["id", "note"]);
    assert_eq!(applier.warehouse.columns(&applier.fence, &Target::new("shop.none")).await.unwrap(), None);
}
