//! Checksums computed by Redshift, over a channel of their own.

use async_trait::async_trait;

use crate::{
    model::{
        Target,
        checksum::{Form, Group, Key, RowDigest, Selection},
    },
    warehouse::{
        WarehouseError,
        checksum::{
            Checksums, ComparedTarget, Part,
            session::{Ask, Reader},
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
#[derive(Debug)]
pub(super) struct RedshiftChecksums {
    channel: Box<dyn Channel>,
    names: Names,
    reader: Reader<RedshiftHashing>,
}

impl RedshiftChecksums {
    pub(super) fn new(channel: Box<dyn Channel>, names: Names) -> Self {
        Self { channel, names, reader: Reader::new(RedshiftHashing) }
    }
}

#[async_trait]
impl Ask for Box<dyn Channel> {
    async fn ask(&mut self, sql: String) -> Result<Vec<Vec<Value>>, Failure> {
        // Key values stand in it.
        let answer = self.run(&Sql::sensitive(sql)).await;
        answer.map(|answer| answer.rows).map_err(|trouble| trouble.failure)
    }
}

#[async_trait]
impl Checksums for RedshiftChecksums {
    async fn target(&mut self, target: &Target) -> Result<Option<ComparedTarget>, WarehouseError> {
        let Some(layout) = define::look(self.channel.as_mut(), &self.names, target).await? else { return Ok(None) };
        self.reader.learn(&layout, quoted(&layout.place), self.names.side(target));
        // JSON is SUPER there, which has no text of its own.
        Ok(Some(ComparedTarget::of(&layout, false, |ty| Form::of_key(ty).orders_alike())))
    }

    async fn groups(
        &mut self,
        part: Part<'_>,
        selection: &Selection,
        digits: u8,
    ) -> Result<Vec<Group>, WarehouseError> {
        self.reader.groups(&mut self.channel, part, selection, digits).await
    }

    async fn rows(&mut self, part: Part<'_>, selection: &Selection) -> Result<Vec<RowDigest>, WarehouseError> {
        self.reader.rows(&mut self.channel, part, selection).await
    }

    async fn rows_of(&mut self, part: Part<'_>, keys: &[Key]) -> Result<Vec<RowDigest>, WarehouseError> {
        self.reader.rows_of(&mut self.channel, part, keys).await
    }

    async fn values_of(&mut self, part: Part<'_>, key: &Key) -> Result<Option<Vec<Option<String>>>, WarehouseError> {
        self.reader.values_of(&mut self.channel, part, key).await
    }
}
