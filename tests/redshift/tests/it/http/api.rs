//! The service on a port, over sessions that do as their statements say.

use std::net::{Ipv4Addr, SocketAddr};
use std::sync::{Arc, Mutex};
use std::time::SystemTime;

use async_trait::async_trait;
use aws_sdk_redshiftdata::config::{BehaviorVersion, Credentials, Region};
use tailwater_redshift::Refusal;
use tailwater_redshift::http::{Host, Keys, Options, Service, Session, serve};
use tailwater_redshift::session::{Field, Outcome, Rows};
use tokio::net::TcpListener;
use tokio::sync::Notify;
use tokio::task::JoinHandle;

pub const KEY: &str = "AKIASTANDIN";
pub const SECRET: &str = "stand-in-secret";

/// The service; it ends when this is dropped.
pub struct Api {
    pub address: SocketAddr,
    pub script: Script,
    server: JoinHandle<std::io::Result<()>>,
}

impl Api {
    pub async fn start(options: Options) -> Self {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).await.unwrap();
        let address = listener.local_addr().unwrap();
        let script = Script::default();
        let service = Service::new(options, Arc::new(script.clone()));
        let server = tokio::spawn(serve(listener, Arc::new(service)));
        Self { address, script, server }
    }

    pub fn endpoint(&self) -> String {
        format!("http://{}", self.address)
    }

    pub fn data(&self) -> aws_sdk_redshiftdata::Client {
        aws_sdk_redshiftdata::Client::from_conf(
            aws_sdk_redshiftdata::Config::builder()
                .behavior_version(BehaviorVersion::latest())
                .region(Region::new("eu-west-1"))
                .endpoint_url(self.endpoint())
                .credentials_provider(credentials(KEY, SECRET))
                .build(),
        )
    }
}

pub fn credentials(key: &str, secret: &str) -> Credentials {
    Credentials::new(key, secret, None, None, "test")
}

impl Drop for Api {
    fn drop(&mut self) {
        self.server.abort();
    }
}

/// Statements by what they say: `rows <n>` answers n rows, `types` one row of several types, `fail` fails, `wait` ends
/// when it is told to, anything else changes three rows.
#[derive(Clone, Default)]
pub struct Script {
    /// `user@database: statement`, as they ran.
    pub log: Arc<Mutex<Vec<String>>>,
    /// Who may come in.
    pub admitted: Arc<Mutex<Vec<Admitted>>>,
    pub go_on: Arc<Notify>,
    /// Told when a session is dropped.
    pub closed: Arc<Notify>,
}

/// Login name, password and database.
pub type Admitted = (String, String, Option<String>);

struct Scripted {
    script: Script,
    who: String,
}

#[async_trait]
impl Host for Script {
    fn keys(&self) -> Keys {
        Keys { access_key: KEY.to_owned(), secret_key: SECRET.to_owned() }
    }

    async fn admit(
        &self,
        login: &str,
        password: &str,
        database: Option<&str>,
        _expires: SystemTime,
    ) -> Result<(), Refusal> {
        let admitted = (login.to_owned(), password.to_owned(), database.map(str::to_owned));
        self.admitted.lock().unwrap().push(admitted);
        Ok(())
    }

    async fn open(&self, database: &str, user: &str) -> Result<Box<dyn Session>, Refusal> {
        if database == "nowhere" {
            return Err(Refusal::fatal("3D000", "database \"nowhere\" does not exist"));
        }
        Ok(Box::new(Scripted { script: self.clone(), who: format!("{user}@{database}") }))
    }
}

#[async_trait]
impl Session for Scripted {
    async fn execute(&mut self, sql: &str) -> Result<Vec<Outcome>, Refusal> {
        self.script.log.lock().unwrap().push(format!("{}: {sql}", self.who));
        let field = |name: &str, type_oid| Field { name: name.to_owned(), type_oid };
        let some = |text: &str| Some(text.to_owned());
        let outcome = match sql.split_once(' ').unwrap_or((sql, "")) {
            ("rows", count) => {
                let rows: Vec<Vec<Option<String>>> =
                    (0..count.parse::<u64>().unwrap()).map(|row| vec![Some(row.to_string())]).collect();
                let count = rows.len() as u64;
                let rows = Some(Rows { fields: vec![field("n", 20)], rows });
                Outcome { rows, count, ..Outcome::default() }
            }
            ("types", _) => {
                let fields = [("b", 16), ("i", 23), ("f", 701), ("d", 1700), ("v", 1043), ("s", 4000), ("z", 1043)];
                let fields = fields.map(|(name, oid)| field(name, oid)).to_vec();
                let row = vec![some("t"), some("-7"), some("0.5"), some("1.20"), some("é"), some("{\"a\":1}"), None];
                Outcome { rows: Some(Rows { fields, rows: vec![row] }), count: 1, ..Outcome::default() }
            }
            ("fail", _) => {
                return Err(Refusal::new("XX000", "Spectrum Scan Error").with_detail("code: 15007"));
            }
            ("wait", _) => {
                self.script.go_on.notified().await;
                Outcome::default()
            }
            _ => Outcome { count: 3, ..Outcome::default() },
        };
        Ok(vec![outcome])
    }

    fn pid(&self) -> i64 {
        4711
    }

    async fn close(self: Box<Self>) {}
}

impl Drop for Scripted {
    fn drop(&mut self) {
        self.script.closed.notify_one();
    }
}
