//! Every warehouse is held to one list of tests.

pub(crate) mod applier;
mod contract;
mod faults;
pub(crate) mod redshift;
mod shadows;
mod speed;
mod tables;
mod types;
pub(crate) mod world;

/// Makes each of the functions a test on every warehouse.
macro_rules! on_every_warehouse {
    ($($name:ident),* $(,)?) => {
        mod sqlite {
            $(#[tokio::test] async fn $name() {
                super::$name(&crate::warehouse::world::SqliteWorld::new()).await;
            })*
        }
        mod postgres {
            $(#[tokio::test] async fn $name() {
                super::$name(&crate::warehouse::world::PostgresWorld::new()).await;
            })*
        }
        mod redshift {
            $(#[tokio::test] async fn $name() {
                super::$name(&crate::warehouse::redshift::world::RedshiftWorld::new()).await;
            })*
        }
        mod redshift_by_insert {
            $(#[tokio::test] async fn $name() {
                super::$name(&crate::warehouse::redshift::world::RedshiftWorld::inserting()).await;
            })*
        }
    };
}
pub(crate) use on_every_warehouse;
