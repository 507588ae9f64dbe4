//! Exactly once, whatever the cluster and the lake do.

use std::sync::Arc;

use tailwater::{
    model::{Shard, Target},
    warehouse::{Merge, Outcome, StagedFile, TableFiles, Warehouse, WarehouseError},
};
use tailwater_redshift::Fault;
use tailwater_servers::S3Fault;

use super::world::RedshiftWorld;
use crate::warehouse::{
    applier::{Applier, Change, GROUP, SHARD, claim},
    contract::{notes, orders, shown},
    world::{Files, World},
};

const T: &str = "shop.orders";

async fn begin(world: &RedshiftWorld) -> Applier {
    let applier = Applier::open(world, "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    applier
}

/// Begins anew, as a session does after an error, and decides by the watermark what became of the merge.
async fn decide(world: &RedshiftWorld, merge: &Merge) -> (Applier, Outcome) {
    let applier = begin(world).await;
    let state = applier.warehouse.group_state(GROUP).await.unwrap().unwrap();
    (applier, state.outcome(&merge.moves))
}

/// The connection is lost 20 times before and 20 times after the server performed COMMIT.
#[tokio::test]
async fn a_commit_whose_answer_is_lost_is_decided_by_the_watermark() {
    let world = RedshiftWorld::new();
    let mut files = Files::default();
    let mut applier = begin(&world).await;
    for turn in 0..40 {
        let fault = if turn % 2 == 0 { Fault::lose_before() } else { Fault::lose_after() };
        let text = format!("turn {turn}");
        let changes = [Change::files(T, notes(&mut files, 1_000 * (turn + 1), &[&text, "same"]))];
        let merge = applier.stage(&files, &changes).await.unwrap();
        world.server().inject(fault.on("^commit").in_database(&world.database));
        let lost = applier.warehouse.merge(&merge).await;
        assert!(matches!(lost, Err(WarehouseError::Transient { .. })), "{lost:?}");
        let (next, outcome) = decide(&world, &merge).await;
        applier = next;
        if turn % 2 == 0 {
            assert_eq!(outcome, Outcome::NotApplied, "turn {turn}");
            applier.apply(&files, &changes).await.unwrap();
        } else {
            assert_eq!(outcome, Outcome::Applied, "turn {turn}");
        }
        assert_eq!(shown(&world, T).await, [text, "same".to_owned()]);
    }
    assert_eq!(applier.at.unwrap().position.entry, 40);
}

/// A third of all commits crosses another transaction: the merge tries again in place and nobody hears of it.
#[tokio::test]
async fn crossed_transactions_are_tried_again() {
    let world = RedshiftWorld::new();
    let mut files = Files::default();
    let mut applier = begin(&world).await;
    let fault = || Fault::serialization_violation().in_database(&world.database);
    world.server().inject(fault().on("^commit").every(3));
    for turn in 0..30 {
        let text = format!("turn {turn}");
        let changes = [Change::files(T, notes(&mut files, 1_000 * (turn + 1), &[&text, "same"]))];
        applier.apply(&files, &changes).await.unwrap();
    }
    assert_eq!(shown(&world, T).await, ["turn 29", "same"]);
    // In the middle of the merge, and as a deadlock.
    for fault in [
        fault().on("^delete from \"shop\""),
        Fault::deadlock().in_database(&world.database).on("^insert into \"shop\""),
    ] {
        world.server().inject(fault);
        let changes = [Change::files(T, notes(&mut files, 100_000, &["after", "same"]))];
        applier.apply(&files, &changes).await.unwrap();
    }
    assert_eq!(applier.at.unwrap().position.entry, 32);
}

/// Two appliers begin at the same moment, again and again: one of them is fenced, and every tick is applied once.
#[tokio::test]
async fn of_two_appliers_one_is_fenced() {
    let world = RedshiftWorld::new();
    for turn in 0..6 {
        let open = || async {
            let warehouse = world.connect();
            let opened = warehouse.open_group(&claim("same", 0)).await;
            opened.map(|(fence, state)| Applier {
                warehouse,
                fence,
                number: 0,
                at: state.watermarks.get(&Shard::new(SHARD)).cloned(),
            })
        };
        let (a, b) = tokio::join!(open(), open());
        let (mut a, mut b) = (a.unwrap(), b.unwrap());
        assert_ne!(a.fence.epoch, b.fence.epoch);
        let mut files = Files::default();
        let text = format!("turn {turn}");
        let staged = notes(&mut files, 1_000 * (turn + 1), &[&text]);
        let work = async |applier: &mut Applier| -> Result<(), WarehouseError> {
            applier.ensure(&orders(T)).await?;
            applier.apply(&files, &[Change::files(T, staged.clone())]).await.map(|_| ())
        };
        let results = tokio::join!(work(&mut a), work(&mut b));
        let (won, lost) = if a.fence.epoch > b.fence.epoch { (results.0, results.1) } else { (results.1, results.0) };
        won.unwrap();
        assert!(matches!(lost, Err(WarehouseError::Fenced { .. })), "{lost:?}");
        assert_eq!(shown(&world, T).await, [text]);
        let state = world.connect().group_state(GROUP).await.unwrap().unwrap();
        assert_eq!(state.watermarks[&Shard::new(SHARD)].position.entry, turn as u64 + 1);
    }
}

/// A file that the log names is not in the bucket: a clear error of its table alone.
#[tokio::test]
async fn a_missing_file_parks_its_table_and_no_other() {
    let world = RedshiftWorld::new();
    let mut files = Files::default();
    let mut applier = begin(&world).await;
    applier.ensure(&orders("shop.other")).await.unwrap();
    let there = notes(&mut files, 1, &["a"]);
    let gone = StagedFile { path: "data/gone.parquet".to_owned(), ..there[0].clone() };
    let table =
        |target: &str, files: Vec<StagedFile>| TableFiles { target: Target::new(target), files, floors: Vec::new() };
    let tables = [table(T, vec![there[0].clone(), gone]), table("shop.other", there)];
    let tick = applier.tick();
    let outcomes = applier.warehouse.stage(&tick, &tables, &files).await.unwrap();
    match &outcomes[0] {
        Err(WarehouseError::Table { target, reason }) => {
            assert_eq!(target.as_str(), T);
            assert!(reason.contains("missing"), "{reason}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(outcomes[1].as_ref().unwrap().rows, 1);
    assert!(shown(&world, T).await.is_empty());
}

/// S3 answers the manifest's PUT, and COPY's reads, with errors of a busy server: the tick is repeated, nothing is parked.
#[tokio::test]
async fn a_busy_lake_is_waited_for() {
    let world = RedshiftWorld::new();
    let mut files = Files::default();
    let mut applier = begin(&world).await;
    for (turn, status) in [503, 500, 503].into_iter().enumerate() {
        let text = format!("turn {turn}");
        let changes = [Change::files(T, notes(&mut files, 1_000 * (turn as i64 + 1), &[&text]))];
        world.s3().inject(S3Fault::answer(status).on("GET", &format!("/{}/manifests/", world.database)).times(4));
        let mut tries = 0;
        while let Err(error) = applier.apply(&files, &changes).await {
            assert!(matches!(error, WarehouseError::Transient { .. }), "{error:?}");
            tries += 1;
            assert!(tries < 20, "{error:?}");
        }
        assert_eq!(shown(&world, T).await, [text]);
    }
}

/// Nothing that staging needs for a moment stays behind.
#[tokio::test]
async fn nothing_is_left_behind() {
    let world = RedshiftWorld::new();
    let mut files = Files::default();
    let mut applier = begin(&world).await;
    for turn in 0..5 {
        let changes = [Change::files(T, notes(&mut files, 1_000 * (turn + 1), &["a"]))];
        applier.apply(&files, &changes).await.unwrap();
        assert_eq!(world.private("stage_").await.len(), 1);
    }
    let manifests = format!("{}/manifests/", world.database);
    let left = |keys: Vec<String>| keys.into_iter().filter(|k| k.starts_with(&manifests)).count();
    assert_eq!(left(world.s3().keys("lake").unwrap()), 0);
    // What a crash left, the next claim removes.
    drop(applier);
    let path = tailwater::lake::paths::manifest(GROUP, 1, "stage_x-0");
    world.store.put(&path, "{}".into()).await.unwrap();
    let next = Applier::open(&world, "two").await;
    assert_eq!(left(world.s3().keys("lake").unwrap()), 0);
    assert_eq!(world.private("stage_").await.len(), 0);
    next.warehouse.close_group(&next.fence).await.unwrap();
}

/// A password, a session token and a row's value never stand in what is printed.
#[tokio::test]
async fn secrets_stay_secret() {
    use tailwater::warehouse::redshift::{CopyAccess, Login};
    let world = RedshiftWorld::new();
    let mut options = world.options();
    options.copy = CopyAccess::Keys;
    let warehouse = Box::new(world.uploading(options.clone()));
    let mut applier = Applier::over(warehouse, "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    let mut files = Files::default();
    let changes = [Change::files(T, notes(&mut files, 1, &["a"]))];
    applier.apply(&files, &changes).await.unwrap();
    world.server().inject(Fault::disk_full().on("^copy").in_database(&world.database));
    let failed = applier.apply(&files, &changes).await;
    let printed = format!("{failed:?} {options:?}");
    assert!(matches!(failed, Err(WarehouseError::Transient { .. })), "{printed}");
    for secret in [tailwater_servers::S3::SECRET_KEY, &tailwater_redshift::Options::default().password] {
        assert!(!printed.contains(secret), "{printed}");
    }
    let mut wrong = world.options();
    wrong.login = Login::Password("hunter2".to_owned());
    let refused = world.redshift(wrong).group_state(GROUP).await;
    assert!(matches!(refused, Err(WarehouseError::Config { .. })), "{refused:?}");
    assert!(!format!("{refused:?}").contains("hunter2"));
    let _: Arc<dyn Warehouse> = Arc::new(world.redshift(options));
}
