//! Checksums computed by Redshift, over a channel of their own.

use async_trait::async_trait;

use crate::{
    model::Target,
    warehouse::{
        WarehouseError,
        checksum::{
            session::{Ask, Found, Reader},
            sql::RedshiftHashing,
        },
        error::Failure,
        session::Value,
    },
};

use super::{
    define,
    script::{Channel, Sql},
    sql::{Names, quoted},
};

/// A channel that only reads.
pub(super) fn over(channel: Box<dyn Channel>, names: Names) -> Reader<RedshiftAsked, RedshiftHashing> {
    Reader::new(RedshiftAsked { channel, names }, RedshiftHashing)
}

#[derive(Debug)]
pub(super) struct RedshiftAsked {
    channel: Box<dyn Channel>,
    names: Names,
}

#[async_trait]
impl Ask for RedshiftAsked {
    /// SUPER has no text of its own.
    const JSON_TEXT: bool = false;

    async fn ask(&mut self, sql: String) -> Result<Vec<Vec<Value>>, Failure> {
        // Key values stand in it.
        let answer = self.channel.run(&Sql::sensitive(sql)).await;
        answer.map(|answer| answer.rows).map_err(|trouble| trouble.failure)
    }

    async fn look(&mut self, target: &Target) -> Result<Option<Found>, WarehouseError> {
        let found = define::look(self.channel.as_mut(), &self.names, target).await?;
        Ok(found.map(|layout| {
            let (table, side) = (quoted(&layout.place), self.names.side(target));
            Found { layout, table, side }
        }))
    }
}
