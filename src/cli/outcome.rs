//! Why a run failed, as an exit code and a hint.

use super::Failure;
use crate::{
    exit::Exit,
    lake::{LogError, SchemaError, StoreError, StoreErrorKind, consumers::ConsumerError, gc::GcError},
    pipeline::{
        apply::ApplyError, extract::ExtractError, gc::command::CommandError, reanchor::ReanchorError, run::RunError,
        verify::VerifyError,
    },
    source::mysql::{
        catalog::CatalogError, checksum::ChecksumError, connect::ConnectError, preflight::UnfitError,
        start::StartError, stream::StreamError,
    },
    warehouse::WarehouseError,
};

/// Access denied: wrong password, host not allowed, account locked (MySQL error reference).
const DENIED: [u16; 5] = [1044, 1045, 1130, 1227, 3118];

/// The failure that a run's error is.
pub(super) fn explain(error: RunError) -> Failure {
    let verdict = match &error {
        RunError::Store(e) => (of_store(e), None),
        RunError::Warehouse(e) => of_warehouse(e),
        RunError::Extract { source, .. } => of_extract(source),
        RunError::Apply { source, .. } => of_apply(source),
        RunError::Panicked(_) => (Exit::Internal, Some("please report this with the log around it")),
    };
    failure(error, verdict)
}

/// The failure that a comparison's error is.
pub(super) fn explain_verify(error: VerifyError) -> Failure {
    let verdict = match &error {
        VerifyError::Warehouse(e) => of_warehouse(e),
        VerifyError::Log(e) => of_log(e),
        VerifyError::Store(e) | VerifyError::Schema(SchemaError::Store(e)) => (of_store(e), None),
        VerifyError::Source(ChecksumError::Connect(e)) => of_connect(e),
        VerifyError::Source(_) => (Exit::Unavailable, None),
        VerifyError::Schema(_) => (Exit::Data, None),
        VerifyError::Position(_) => (Exit::Usage, None),
        VerifyError::Behind { .. } | VerifyError::NotFollowed(_) | VerifyError::Stopped => (Exit::NotCompared, None),
    };
    failure(error, verdict)
}

/// The failure that a catalog's error is.
pub(super) fn explain_catalog(error: CatalogError) -> Failure {
    let verdict = match &error {
        CatalogError::Connect(e) => of_connect(e),
        CatalogError::Start(_) | CatalogError::Query { .. } => {
            (Exit::Unavailable, Some("`tailwater check` lists the grants it needs"))
        }
    };
    failure(error, verdict)
}

/// The failure that a log's new beginning is refused by.
pub(super) fn explain_reanchor(error: ReanchorError) -> Failure {
    let verdict = match &error {
        ReanchorError::Store(e) => (of_store(e), None),
        ReanchorError::Log(e) => match of_log(e) {
            (Exit::Fenced, _) => {
                (Exit::Fenced, Some("stop the shard's extractor first, or pass --take-over to fence it"))
            }
            verdict => verdict,
        },
        ReanchorError::Connect(e) => of_connect(e),
        ReanchorError::Start(e) => of_start(e),
        ReanchorError::OtherStart { .. } => {
            (Exit::Config, Some("set start = \"snapshot\" in the shard's [[source]], also for the next extractor"))
        }
        ReanchorError::NotNeeded { .. } => {
            (Exit::Usage, Some("start its extractor; --anyway gives the place up all the same, and reads all tables"))
        }
        ReanchorError::NotFollowed(_) | ReanchorError::NoLog(_) | ReanchorError::Already(_) => (Exit::Usage, None),
    };
    failure(error, verdict)
}

/// The failure that removing from the lake ended with.
pub(super) fn explain_gc(error: CommandError) -> Failure {
    let of_consumers = |e: &ConsumerError| match e {
        ConsumerError::Store(e) => of_store(e),
        ConsumerError::Damaged { .. } => Exit::Data,
    };
    let verdict = match &error {
        CommandError::Store(e) | CommandError::Shard { source: GcError::Store(e), .. } => (of_store(e), None),
        CommandError::Log(e) | CommandError::Shard { source: GcError::Log(e), .. } => of_log(e),
        CommandError::Consumers(e) | CommandError::Shard { source: GcError::Consumers(e), .. } => {
            (of_consumers(e), None)
        }
        CommandError::NoRetention => (Exit::Usage, Some("pass --retention 30d, or set `retention` in [lake]")),
        CommandError::UnknownConsumer { .. } => (Exit::Usage, None),
        CommandError::AtWork { .. } => {
            (Exit::Usage, Some("stop its applier first; one that crashed counts as gone after a quarter of an hour"))
        }
    };
    failure(error, verdict)
}

/// What goes on where the source no longer has what is next.
const REANCHOR: &str = "where what is missing cannot be brought back, `tailwater reanchor --shard NAME` gives up the place, and the \
                        next start reads the shard's tables anew";

type Verdict = (Exit, Option<&'static str>);

fn failure(error: impl Into<anyhow::Error>, (exit, hint): Verdict) -> Failure {
    let failure = Failure::new(exit, error);
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

fn of_extract(error: &ExtractError) -> Verdict {
    match error {
        ExtractError::Connect(e) | ExtractError::Catalog(CatalogError::Connect(e)) => of_connect(e),
        ExtractError::Unfit(e) => of_unfit(e),
        ExtractError::Start(e) => of_start(e),
        ExtractError::Stream(e) => of_stream(e),
        ExtractError::Log(e) => of_log(e),
        ExtractError::Store(e) | ExtractError::Schema(SchemaError::Store(e)) => (of_store(e), None),
        ExtractError::Assembler(_) | ExtractError::Schema(_) | ExtractError::Parquet(_) => (Exit::Data, None),
        ExtractError::Unfollowed { .. } => (Exit::Config, None),
        ExtractError::RolledBackRows { .. } | ExtractError::StatementDml { .. } => (Exit::Data, None),
        ExtractError::Interrupted
        | ExtractError::StreamEnded
        | ExtractError::Catalog(_)
        | ExtractError::Snapshot(_) => (Exit::Unavailable, None),
        ExtractError::CommitterGone | ExtractError::Seal(_) | ExtractError::Panicked { .. } => {
            (Exit::Internal, Some("please report this with the log around it"))
        }
    }
}

fn of_connect(error: &ConnectError) -> Verdict {
    match error {
        ConnectError::Unreachable { .. } => (Exit::Unavailable, Some("check host, port and firewall")),
        ConnectError::Refused { code, .. } if DENIED.contains(code) => (
            Exit::Permission,
            Some("check user and password of the source; `tailwater check` lists the grants it needs"),
        ),
        ConnectError::Refused { .. } => (Exit::Unavailable, None),
        ConnectError::NoTls { .. } | ConnectError::WrongName { .. } => (Exit::Config, None),
    }
}

fn of_unfit(error: &UnfitError) -> Verdict {
    match error {
        UnfitError::Connect(e) => of_connect(e),
        UnfitError::Query(_) => (Exit::Unavailable, None),
        UnfitError::Unfit { rights_only: true, .. } => (Exit::Permission, None),
        UnfitError::Unfit { .. } => (Exit::Config, None),
    }
}

fn of_start(error: &StartError) -> Verdict {
    match error {
        StartError::Purged { .. }
        | StartError::Ahead { .. }
        | StartError::OtherServer { .. }
        | StartError::BeyondReach { .. } => (Exit::Gone, Some(REANCHOR)),
        StartError::Query(_) => (Exit::Unavailable, Some("`tailwater check` lists the grants it needs")),
        StartError::Position(_) | StartError::NoBinlog | StartError::Mismatch { .. } => (Exit::Config, None),
    }
}

fn of_stream(error: &StreamError) -> Verdict {
    match error {
        StreamError::Connect(e) => of_connect(e),
        StreamError::Start(e) => of_start(e),
        StreamError::Server { code: 1227, .. } => {
            (Exit::Permission, Some("GRANT REPLICATION SLAVE, REPLICATION CLIENT ON *.* TO the source's user"))
        }
        // MySQL keeps the newer connection of two replicas that call themselves the same.
        StreamError::Server { code: 1236, message } if message.contains("same server_uuid/server_id") => (
            Exit::Fenced,
            Some(
                "another process follows the source as the same replica: a successor of this one, or another replica with \
                 this server id; give each source a `server_id` that nobody else uses",
            ),
        ),
        StreamError::Server { code: 1236, message } if message.contains("purged") || message.contains("first log") => {
            (Exit::Gone, Some(REANCHOR))
        }
        StreamError::Server { .. } | StreamError::Lost(_) | StreamError::Closed | StreamError::Silent(_) => {
            (Exit::Unavailable, None)
        }
        StreamError::Checksum { .. }
        | StreamError::Malformed { .. }
        | StreamError::Payload { .. }
        | StreamError::Incident { .. }
        | StreamError::UnknownEvent { .. } => (Exit::Data, None),
        StreamError::Position(_) => (Exit::Config, None),
    }
}

fn of_apply(error: &ApplyError) -> Verdict {
    match error {
        ApplyError::Warehouse(e) => of_warehouse(e),
        ApplyError::Log(e) => of_log(e),
        ApplyError::Store(e) | ApplyError::Schema(SchemaError::Store(e)) => (of_store(e), None),
        ApplyError::Schema(_) => (Exit::Data, None),
        ApplyError::Undecided { .. } => (Exit::Fenced, None),
    }
}

fn of_log(error: &LogError) -> Verdict {
    match error {
        LogError::Fenced { .. } | LogError::Busy { .. } => (Exit::Fenced, None),
        LogError::Store(e) => (of_store(e), None),
        LogError::Undecided { .. } => (Exit::Unavailable, None),
        LogError::Collected { .. }
        | LogError::Damaged { .. }
        | LogError::Unsupported { .. }
        | LogError::OtherLog { .. } => (Exit::Data, None),
        LogError::Invalid { .. } => (Exit::Internal, Some("please report this with the log around it")),
    }
}

fn of_store(error: &StoreError) -> Exit {
    match error.kind {
        StoreErrorKind::Transient | StoreErrorKind::Other => Exit::Unavailable,
        StoreErrorKind::Denied => Exit::Permission,
        StoreErrorKind::Missing | StoreErrorKind::Full => Exit::Io,
        StoreErrorKind::Refused => Exit::Config,
    }
}

fn of_warehouse(error: &WarehouseError) -> Verdict {
    match error {
        WarehouseError::Transient { .. } => (Exit::Unavailable, None),
        WarehouseError::Table { .. } => (Exit::Parked, None),
        WarehouseError::Config { .. } => (Exit::Config, None),
        WarehouseError::Busy { .. } => (Exit::Fenced, Some("stop the other process, or pass --take-over to fence it")),
        WarehouseError::Fenced { .. } | WarehouseError::Moved { .. } => (Exit::Fenced, None),
        WarehouseError::Fatal { .. } => (Exit::Internal, Some("please report this with the log around it")),
    }
}
