//! A reader of one server, as the decoding thread is one.

use std::time::Duration;

use tailwater::source::mysql::{
    assembler::{Assembler, Event},
    channel::{self, IN_FLIGHT_BYTES, Message, Receiver},
    connect::Address,
    follow::follow,
    rows::RowsKind,
    start::{self, StartError, StartPoint},
    stream::{Identity, StreamError},
};
use tokio::{task::JoinHandle, time::timeout};

/// Longest wait for an event. Generous: machines that run tests are slow at times.
const PATIENCE: Duration = Duration::from_secs(60);

/// Reads a server and writes down what comes.
pub(crate) struct Reading {
    pub(crate) assembler: Assembler,
    receiver: Receiver,
    task: JoinHandle<Result<(), StreamError>>,
    /// What the open transaction has brought.
    open: Vec<String>,
    /// What is committed, in order.
    pub(crate) seen: Vec<String>,
    /// Heartbeats outside of groups.
    pub(crate) idle: usize,
    /// Reconnections.
    pub(crate) restarts: usize,
}

pub(crate) fn identity(server_id: u32) -> Identity {
    let replica_uuid = format!("7461696c-0000-4000-8000-{server_id:012}");
    Identity { server_id, replica_uuid, heartbeat: Duration::from_secs(1) }
}

impl Reading {
    /// Reads the tables of database `d` at `url` from `start` on.
    pub(crate) async fn start(url: &str, start: StartPoint) -> Result<Self, StartError> {
        Self::with_id(url, start, 1_900_000_001).await
    }

    pub(crate) async fn with_id(url: &str, start: StartPoint, server_id: u32) -> Result<Self, StartError> {
        let address = Address::from_url(url).unwrap();
        let mut conn = address.connect().await.unwrap();
        let position = start::resolve(&mut conn, &start).await?;
        let flavor = start::flavor(&mut conn).await?;
        conn.disconnect().await.unwrap();
        let assembler = Assembler::new(flavor, position.clone(), Box::new(|database, _| database == "d"));
        let (sender, receiver) = channel::channel(IN_FLIGHT_BYTES);
        let task =
            tokio::spawn(async move { follow("s1", &address, &identity(server_id), position, sender, None).await });
        Ok(Self { assembler, receiver, task, open: vec![], seen: vec![], idle: 0, restarts: 0 })
    }

    /// Reads until `done` holds.
    pub(crate) async fn until(&mut self, done: impl Fn(&Self) -> bool) {
        while !done(self) {
            let message = timeout(PATIENCE, self.receiver.recv()).await;
            match message.unwrap_or_else(|_| panic!("nothing comes any more after {:?}", self.seen)) {
                Some(message) => self.take(message),
                None => panic!("the stream ended: {:?}, seen {:?}", (&mut self.task).now(), self.seen),
            }
        }
    }

    /// Reads until `count` things were committed and returns them.
    pub(crate) async fn take_seen(&mut self, count: usize) -> Vec<String> {
        self.until(|r| r.seen.len() >= count).await;
        std::mem::take(&mut self.seen)
    }

    /// Reads to the end of the stream and returns its error.
    pub(crate) async fn failure(mut self) -> StreamError {
        while let Some(message) = timeout(PATIENCE, self.receiver.recv()).await.expect("the stream goes on") {
            self.take(message);
        }
        timeout(PATIENCE, self.task).await.unwrap().unwrap().unwrap_err()
    }

    fn take(&mut self, message: Message) {
        match message {
            Message::Connected(server) => self.assembler.connected(server),
            Message::Restart(answer) => {
                self.restarts += 1;
                self.open.clear();
                let _ = answer.send(self.assembler.restart());
            }
            Message::Events(delivery) => {
                for raw in delivery.batch.iter() {
                    let event = self.assembler.push(raw).unwrap();
                    if let Some(event) = event {
                        note(event, &mut self.open, &mut self.seen, &mut self.idle);
                    }
                }
            }
        }
    }
}

fn note(event: Event<'_>, open: &mut Vec<String>, seen: &mut Vec<String>, idle: &mut usize) {
    match event {
        Event::Begin { .. } => assert!(open.is_empty(), "a transaction begins inside another"),
        Event::Rows { table, event } => {
            let kind = match event.kind {
                RowsKind::Insert => '+',
                RowsKind::Delete => '-',
                _ => '~',
            };
            // Tables of one INT column: a byte of null bits and four of number an image.
            let ids = event.data.chunks_exact(5).map(|image| i32::from_le_bytes(image[1..].try_into().unwrap()));
            open.extend(ids.map(|id| format!("{}{kind}{id}", table.table)));
        }
        Event::Commit => seen.append(open),
        Event::Rollback => open.clear(),
        Event::Ddl { ddl, .. } => seen.push(format!("{:?}", ddl.change)),
        Event::StatementDml { tables } => {
            seen.push(format!("text {:?}", tables.iter().map(|t| &t.table).collect::<Vec<_>>()));
        }
        Event::XaPrepare { xid } => {
            seen.push(format!("prepared {xid}"));
            seen.append(open);
        }
        Event::XaCommit { xid, .. } => seen.push(format!("committed {xid}")),
        Event::XaRollback { xid } => seen.push(format!("undone {xid}")),
        Event::Idle => *idle += 1,
        Event::Skipped => {}
    }
}

/// The outcome of a task that has ended, for messages.
trait Now {
    fn now(&mut self) -> String;
}

impl Now for &mut JoinHandle<Result<(), StreamError>> {
    fn now(&mut self) -> String {
        use futures::FutureExt as _;
        format!("{:?}", (&mut **self).now_or_never())
    }
}

/// `d.table` with rows `first..=last`, each a transaction.
pub(crate) fn inserts(table: &str, first: i32, last: i32) -> String {
    (first..=last).map(|id| format!("INSERT INTO d.{table} VALUES ({id});\n")).collect()
}

/// What reading [`inserts`] gives.
pub(crate) fn inserted(table: &str, first: i32, last: i32) -> Vec<String> {
    (first..=last).map(|id| format!("{table}+{id}")).collect()
}
