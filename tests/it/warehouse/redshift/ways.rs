//! Ways to the cluster: logins, temporary credentials, the Data API.

use tailwater::warehouse::{
    Warehouse, WarehouseError,
    redshift::{CopyAccess, Login, TlsMode},
};
use tailwater_redshift::{Auth, Fault, Options};

use super::world::{RedshiftWorld, Way};
use crate::warehouse::{
    applier::{Applier, Change, GROUP, claim},
    contract::{self, notes, orders, shown},
    tables,
    world::{Files, World},
};

const T: &str = "shop.orders";

/// The parts of the contract that look at transactions hold through the Data API too.
#[tokio::test]
async fn the_data_api_fences_and_decides_as_a_connection_does() {
    let world = || RedshiftWorld::by(Way::DataApi);
    contract::a_second_applier_fences_the_first(&world()).await;
    contract::a_live_writer_is_respected_until_it_is_quiet(&world()).await;
    contract::a_repeated_tick_changes_nothing(&world()).await;
    contract::exceptions_are_kept_beside_the_watermarks(&world()).await;
    contract::staged_rows_belong_to_their_tick(&world()).await;
    contract::a_failing_table_takes_nothing_with_it(&world()).await;
    contract::a_wrong_row_count_parks_the_table(&world()).await;
}

#[tokio::test]
async fn the_data_api_merges_as_a_connection_does() {
    let world = || RedshiftWorld::by(Way::DataApi);
    tables::older_files_take_the_default_of_a_newer_column(&world()).await;
    tables::types_widen_and_never_narrow(&world()).await;
    tables::soft_deletes_keep_tombstones_and_seqs(&world()).await;
    tables::a_moved_row_shows_its_winner(&world()).await;
}

/// A batch that crossed another transaction is sent again.
#[tokio::test]
async fn the_data_api_tries_crossed_batches_again() {
    let world = RedshiftWorld::by(Way::DataApi);
    let mut applier = Applier::over(Box::new(world.uploading(world.options())), "one").await;
    applier.ensure(&orders(T)).await.unwrap();
    let mut files = Files::default();
    let changes = [Change::files(T, notes(&mut files, 1, &["a"]))];
    world.server().inject(Fault::serialization_violation().on("^insert into \"shop\"").in_database(&world.database));
    applier.apply(&files, &changes).await.unwrap();
    assert_eq!(shown(&world, T).await, ["a"]);
}

/// Each way of temporary credentials lets one in, with whatever its password looks like, and is asked anew for every connection.
#[tokio::test]
async fn temporary_credentials_let_one_in() {
    let world = RedshiftWorld::new();
    let name = || "stand-in".to_owned();
    for login in [
        Login::Cluster { cluster: name(), groups: Vec::new() },
        Login::ClusterIam { cluster: name() },
        Login::Workgroup { workgroup: name() },
    ] {
        let mut options = world.options();
        options.login = login.clone();
        for _ in 0..2 {
            let warehouse = world.redshift(options.clone());
            assert_eq!(warehouse.group_state(GROUP).await.unwrap(), None, "{login:?}");
        }
        // Keys that AWS does not know.
        if let Some(keys) = &mut options.keys {
            keys.secret_access_key = "another".to_owned();
        }
        let refused = world.redshift(options).group_state(GROUP).await;
        assert!(matches!(refused, Err(WarehouseError::Config { .. })), "{refused:?}");
    }
}

/// A whole life as a user with a temporary password, COPY with the default role and with keys.
#[tokio::test]
async fn every_access_of_copy_loads() {
    let world = RedshiftWorld::new();
    let mut options = world.options();
    options.login = Login::Cluster { cluster: "stand-in".to_owned(), groups: Vec::new() };
    let mut files = Files::default();
    let accesses = [
        CopyAccess::Default,
        CopyAccess::Keys,
        CopyAccess::Role("arn:aws:iam::123456789012:role/a,arn:aws:iam::210987654321:role/b".into()),
    ];
    for (turn, copy) in accesses.into_iter().enumerate() {
        options.copy = copy;
        let mut applier = Applier::over(Box::new(world.uploading(options.clone())), "one").await;
        applier.ensure(&orders(T)).await.unwrap();
        let text = format!("turn {turn}");
        let changes = [Change::files(T, notes(&mut files, 1_000 * (turn as i64 + 1), &[&text]))];
        applier.apply(&files, &changes).await.unwrap();
        assert_eq!(shown(&world, T).await, [text]);
        applier.warehouse.close_group(&applier.fence).await.unwrap();
    }
    assert!(world.private("stage_").await.is_empty());
}

/// By default the certificate must be of a trusted authority and name the host.
#[tokio::test]
async fn the_certificate_is_proven_before_anything_is_said() {
    let world = RedshiftWorld::new();
    let folder = tempfile::tempdir().unwrap();
    let (certificate, key) = (folder.path().join("certificate.pem"), folder.path().join("key.pem"));
    std::fs::write(&certificate, include_str!("../../../redshift/tests/data/certificate.pem")).unwrap();
    std::fs::write(&key, include_str!("../../../redshift/tests/data/key.pem")).unwrap();
    let everywhere = ([0, 0, 0, 0], 0).into();
    let tls = Some((certificate.clone(), key));
    let server = tailwater_redshift::Redshift::start(Options {
        listen: everywhere,
        tls,
        require_tls: true,
        ..Options::default()
    });
    let server = server.unwrap();
    let connect = |host: &str, tls: TlsMode, ca: bool| {
        let mut options = world.options();
        (options.host, options.port, options.database) =
            (host.to_owned(), server.address().port(), Options::default().database);
        options.tls = tls;
        options.ca = ca.then(|| certificate.clone());
        world.redshift(options)
    };
    let trusted = connect("localhost", TlsMode::VerifyFull, true);
    trusted.open_group(&claim("one", 0)).await.unwrap();
    assert!(trusted.group_state(GROUP).await.unwrap().is_some());
    // The certificate does not name 127.0.0.2.
    assert!(connect("127.0.0.2", TlsMode::VerifyCa, true).group_state(GROUP).await.is_ok());
    for refused in [
        connect("127.0.0.2", TlsMode::VerifyFull, true),
        connect("localhost", TlsMode::VerifyFull, false),
        connect("localhost", TlsMode::Disable, false),
    ] {
        let refused = refused.group_state(GROUP).await.unwrap_err().to_string();
        assert!(!refused.contains("Secret-1234"), "{refused}");
        println!("{refused}");
    }
}

/// What keeps a login from working is said with its mend.
#[tokio::test]
async fn logins_that_cannot_work_are_explained() {
    let world = RedshiftWorld::new();
    // The stand-in has no certificate.
    let mut options = world.options();
    options.tls = TlsMode::VerifyFull;
    let refused = world.redshift(options).group_state(GROUP).await;
    assert!(refused.is_err(), "{refused:?}");
    let digest = Options { auth: Auth::Sha256, ..Options::default() };
    let server = tailwater_redshift::Redshift::start(digest).unwrap();
    let mut options = world.options();
    (options.port, options.database) = (server.address().port(), Options::default().database);
    let warehouse = world.redshift(options);
    let refused = warehouse.group_state(GROUP).await;
    assert!(matches!(refused, Err(WarehouseError::Config { .. })), "{refused:?}");
    assert!(format!("{refused:?}").contains("MD5"), "{refused:?}");
    let findings = warehouse.check().await;
    assert!(findings.len() == 1 && findings[0].problem.contains("authentication method 13"), "{findings:?}");
}
