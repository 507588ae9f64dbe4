//! From configuration to things that can be used: lake, warehouse, sources.

use std::{sync::Arc, time::Duration};

use crate::{
    config::{self, Config, LakeUrl, Source, WarehouseUrl},
    lake::{
        Directory, S3, S3Options, Store, StoreError,
        parquet::{Codec, Form},
        paths,
    },
    pipeline::extract::SnapshotOptions,
    source::mysql::{
        connect::{Address, Secret, TlsMode},
        start::StartPoint,
        stream::Identity,
    },
    warehouse::{
        Product, Warehouse, WarehouseError,
        postgres::Postgres,
        redshift::{CopyAccess, DataApiTarget, Login, Redshift, RedshiftOptions, TlsMode as RedshiftTls},
        sqlite::{Durability, Sqlite},
    },
};

/// Longest time for connecting to a source and logging in.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The pipeline's part of the lake.
///
/// # Errors
/// When a folder cannot be made or no region is known.
pub async fn store(config: &Config) -> Result<Arc<dyn Store>, StoreError> {
    let pipeline = paths::part(&config.pipeline);
    match &config.lake.url {
        LakeUrl::Folder(path) => Ok(Arc::new(Directory::open(path.join(pipeline))?)),
        LakeUrl::S3 { bucket, prefix } => {
            let prefix = if prefix.is_empty() { pipeline } else { format!("{prefix}/{pipeline}") };
            let options = S3Options {
                bucket: bucket.clone(),
                prefix,
                region: config.lake.region.clone(),
                endpoint: config.lake.endpoint.clone(),
                path_style: config.lake.uses_path_style(),
                keys: None,
                request_timeout: config.lake.request_timeout.map(|span| span.get()),
            };
            Ok(Arc::new(S3::open(options).await?))
        }
    }
}

/// How files are compressed.
pub fn form(config: &Config) -> Form {
    let codec = match config.codec() {
        config::Codec::Zstd => Codec::Zstd,
        config::Codec::Snappy => Codec::Snappy,
    };
    Form { codec, for_copy: config.made_for() == config::MadeFor::Redshift }
}

/// The warehouse; Redshift reads its rows from `store`, the others can do without. Connects when it is first used.
///
/// # Errors
/// When its address cannot be understood, or when Redshift has no lake to read.
pub fn warehouse(
    config: &config::Warehouse,
    store: Option<&Arc<dyn Store>>,
) -> Result<Arc<dyn Warehouse>, WarehouseError> {
    Ok(match &config.url {
        WarehouseUrl::Sqlite(path) => Arc::new(Sqlite::new(path, Durability::Full)),
        WarehouseUrl::Postgres(_) => {
            let url = config.postgres_url();
            let url = url.as_ref().map(config::Secret::reveal).unwrap_or_default();
            Arc::new(Postgres::new(url, &config.schema)?)
        }
        WarehouseUrl::Redshift(url) => {
            let store = store.ok_or_else(|| WarehouseError::Config {
                what: "read a lake that cannot be opened".to_owned(),
                mend: "mend the lake first".to_owned(),
                source: None,
            })?;
            Arc::new(Redshift::new(redshift(config, url), Arc::clone(store))?)
        }
    })
}

/// The product behind a warehouse's address, with the names that its statements have.
pub fn product(config: &config::Warehouse) -> Product {
    match &config.url {
        WarehouseUrl::Sqlite(_) => Product::Sqlite,
        WarehouseUrl::Postgres(_) => Product::Postgres { schema: config.schema.clone() },
        WarehouseUrl::Redshift(url) => Product::Redshift {
            schema: config.schema.clone(),
            private_schema: config.redshift_settings().private_schema,
            user: if url.user.is_empty() { "tailwater".to_owned() } else { url.user.clone() },
        },
    }
}

/// How to reach a Redshift cluster or workgroup. What a login needs is there: validation has seen to it.
fn redshift(config: &config::Warehouse, url: &config::RedshiftUrl) -> RedshiftOptions {
    let settings = config.redshift_settings();
    let cluster = settings.cluster.clone().unwrap_or_default();
    let workgroup = settings.workgroup.clone().unwrap_or_default();
    let password = config.password.as_ref().or(url.password.as_ref());
    let data_api = settings.data_api.then(|| match &settings.workgroup {
        Some(workgroup) => DataApiTarget::Workgroup { workgroup: workgroup.clone() },
        None => {
            let user = (!url.user.is_empty()).then(|| url.user.clone());
            DataApiTarget::Cluster { cluster: cluster.clone(), user }
        }
    });
    RedshiftOptions {
        host: url.host.clone(),
        port: url.port,
        database: url.database.clone(),
        user: url.user.clone(),
        tls: match url.tls {
            config::RedshiftTls::Disable => RedshiftTls::Disable,
            config::RedshiftTls::Require => RedshiftTls::Require,
            config::RedshiftTls::VerifyCa => RedshiftTls::VerifyCa,
            config::RedshiftTls::VerifyFull => RedshiftTls::VerifyFull,
        },
        ca: url.ca.clone(),
        schema: config.schema.clone(),
        private_schema: settings.private_schema,
        login: match settings.login {
            config::RedshiftLogin::Password => {
                Login::Password(password.map(config::Secret::reveal).unwrap_or_default().to_owned())
            }
            config::RedshiftLogin::Cluster => Login::Cluster { cluster, groups: settings.groups },
            config::RedshiftLogin::ClusterIam => Login::ClusterIam { cluster },
            config::RedshiftLogin::Workgroup => Login::Workgroup { workgroup },
        },
        data_api,
        copy: match settings.iam_role.as_str() {
            "default" => CopyAccess::Default,
            "keys" => CopyAccess::Keys,
            role => CopyAccess::Role(role.to_owned()),
        },
        // From 1 to 16 by the schema.
        connections: settings.connections as usize,
        insert_rows_max: settings.insert_rows_max,
        region: settings.region.or_else(|| url.region().map(str::to_owned)),
        endpoint: settings.endpoint,
        keys: None,
    }
}

/// A group's name in the warehouse, which other pipelines may share.
pub fn group(pipeline: &str, group: &str) -> String {
    format!("{pipeline}/{group}")
}

/// How to reach a source.
pub fn address(source: &Source) -> Address {
    let tls = match source.tls_mode() {
        config::TlsMode::Disabled => TlsMode::Disabled,
        config::TlsMode::Preferred => TlsMode::Preferred,
        config::TlsMode::Required => TlsMode::Required,
        config::TlsMode::VerifyCa => TlsMode::VerifyCa,
        config::TlsMode::VerifyIdentity => TlsMode::VerifyIdentity,
    };
    Address {
        host: source.url.host.clone(),
        port: source.url.port,
        user: source.url.user.clone(),
        password: Secret::new(source.password().map(config::Secret::reveal).unwrap_or_default()),
        tls,
        ca: source.tls.ca.clone(),
        tls_name: source.tls.server_name.clone(),
        connect_timeout: CONNECT_TIMEOUT,
    }
}

/// How to present ourselves to a source. The UUID is derived from the server id, so that a successor of this process on the
/// same machine replaces its dump thread at once.
pub fn identity(source: &Source, pipeline: &str, hostname: &str) -> Identity {
    let server_id = source.server_id(pipeline, hostname);
    let digest = crate::model::Digest::of(format!("{pipeline}\0{}\0{server_id}", source.shard()).as_bytes());
    let hex = digest.as_str();
    // Version 8 of RFC 9562: content of our own choice.
    let replica_uuid = format!("{}-{}-8{}-8{}-{}", &hex[..8], &hex[8..12], &hex[13..16], &hex[17..20], &hex[20..32]);
    Identity { server_id, replica_uuid, heartbeat: source.heartbeat.get() }
}

/// How a source's tables are read by snapshots.
pub fn snapshots(config: &Config, source: &Source) -> SnapshotOptions {
    SnapshotOptions {
        // Where nobody follows, tables are found by those who ask.
        of_unknown: source.start == config::StartPoint::Snapshot && source.mode == config::Mode::Binlog,
        connections: config.snapshot.connections as usize,
        chunk_rows_max: config.snapshot.chunk_rows_max,
        rows_per_second: config.snapshot.rows_per_second,
        threads_running_max: config.snapshot.threads_running_max,
        replica_lag_max: config.snapshot.replica_lag_max.map(config::Span::get),
    }
}

/// Where a shard without a log begins.
pub fn start(source: &Source) -> StartPoint {
    match &source.start {
        config::StartPoint::Snapshot => StartPoint::Anchor,
        config::StartPoint::Earliest => StartPoint::Earliest,
        config::StartPoint::Latest => StartPoint::Latest,
        config::StartPoint::Gtid(set) => StartPoint::Gtids(set.clone()),
    }
}

/// Name under which this machine's processes of the pipeline write logs: a process of the same name is the successor.
pub fn writer_name(config: &Config, hostname: &str) -> String {
    format!("{hostname}:{}", config.pipeline)
}
