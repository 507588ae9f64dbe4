//! The eleven questions, each with how it is asked.

use std::time::Duration;

use sqlx::{Row, ValueRef};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
    time::timeout,
};

use super::{
    cluster::{Cluster, Session, words},
    files::{Pages, Values, one_column},
};

/// Number of questions.
pub(crate) const COUNT: usize = 11;
/// A silent server is given up after this.
const ANSWER_MAX: Duration = Duration::from_secs(20);
/// Bytes of the string that makes a document longer than any VARCHAR.
const LONG: usize = 60_000;

/// What was found.
pub(crate) struct Answer {
    pub(crate) number: usize,
    pub(crate) question: &'static str,
    pub(crate) facts: Vec<String>,
}

fn answer(number: usize, question: &'static str, facts: Vec<String>) -> Answer {
    Answer { number, question, facts }
}

/// Asks all of them, in order.
pub(crate) async fn ask_all(cluster: &Cluster) -> Vec<Answer> {
    vec![
        json_annotation(cluster).await,
        json_of_bytes(cluster).await,
        short_decimals(cluster).await,
        narrow_integers(cluster).await,
        other_timestamps(cluster).await,
        pages(cluster).await,
        zero_bytes(cluster).await,
        authentication(cluster).await,
        binary_numeric(cluster).await,
        conflicting_positions(cluster).await,
        refused_syntax(cluster).await,
    ]
}

/// What a load did: what the query says of it, or why it was refused.
async fn loaded(what: &str, load: Result<Session, String>, query: &str) -> String {
    let outcome = match load {
        Ok(mut session) => match session.one(query).await {
            Ok(value) => format!("loaded: {value}"),
            Err(why) => format!("loaded, but reading fails: {why}"),
        },
        Err(why) => format!("refused: {why}"),
    };
    format!("{what}: {outcome}")
}

async fn json_annotation(cluster: &Cluster) -> Answer {
    let file = one_column("binary c (JSON)", &Values::Bytes(&[b"{\"a\": [1, 2]}"]), Pages::Plain);
    let load = cluster.copy("q1", "SUPER", file, "SERIALIZETOJSON").await;
    let fact = loaded("JSON annotation into SUPER", load, &cluster.of("SELECT JSON_TYPEOF(c) FROM {}.q1")).await;
    answer(1, "does the JSON annotation with SERIALIZETOJSON make objects (an object) or strings?", vec![fact])
}

async fn json_of_bytes(cluster: &Cluster) -> Answer {
    let long = "x".repeat(LONG);
    let document = format!("{{\"a\": \"{long}\", \"b\": \"{long}\"}}");
    let file = one_column("binary c", &Values::Bytes(&[document.as_bytes()]), Pages::Plain);
    let mut facts = Vec::new();
    match cluster.copy("q2", "VARBYTE(16777216)", file, "").await {
        Err(why) => facts.push(format!("{} bytes into VARBYTE: refused: {why}", document.len())),
        Ok(mut session) => {
            facts.push(format!("{} bytes into VARBYTE: loaded", document.len()));
            let parsed = async {
                session.run(&cluster.of("CREATE TABLE {0}.q2s (c SUPER)")).await?;
                session.run(&cluster.of("INSERT INTO {0}.q2s (c) SELECT JSON_PARSE(c) FROM {0}.q2")).await?;
                session.one(&cluster.of("SELECT JSON_TYPEOF(c) FROM {}.q2s")).await
            };
            facts.push(match parsed.await {
                Ok(kind) => format!("JSON_PARSE made an {kind}"),
                Err(why) => format!("JSON_PARSE refused: {why}"),
            });
        }
    }
    answer(2, "does JSON_PARSE take a VARBYTE of more than 64 KB that came from Parquet?", facts)
}

async fn short_decimals(cluster: &Cluster) -> Answer {
    let file = one_column("int32 c (DECIMAL(9,2))", &Values::Int32(&[-1234]), Pages::Plain);
    let load = cluster.copy("q3", "DECIMAL(9,2)", file, "").await;
    let query = cluster.of("SELECT c FROM {}.q3");
    let fact = loaded("DECIMAL(9,2) as INT32", load, &query).await;
    answer(3, "does a DECIMAL of at most nine digits load from INT32?", vec![fact])
}

async fn narrow_integers(cluster: &Cluster) -> Answer {
    let file = || one_column("int32 c", &Values::Int32(&[-7]), Pages::Plain);
    let wide = cluster.copy("q4a", "BIGINT", file(), "").await;
    let narrow = cluster.copy("q4b", "SMALLINT", file(), "").await;
    let query = |table: &str| format!("SELECT c FROM {}.{table}", cluster.schema);
    let facts = vec![
        loaded("INT32 into BIGINT", wide, &query("q4a")).await,
        loaded("INT32 without annotation into SMALLINT", narrow, &query("q4b")).await,
    ];
    answer(4, "does INT32 load into BIGINT, and without annotation into SMALLINT?", facts)
}

async fn other_timestamps(cluster: &Cluster) -> Answer {
    let mut facts = Vec::new();
    for (table, unit, value) in [("q5a", "MILLIS", 1_700_000_000_123), ("q5b", "NANOS", 1_700_000_000_123_456_789)] {
        let column = format!("int64 c (TIMESTAMP({unit},false))");
        let load =
            cluster.copy(table, "TIMESTAMP", one_column(&column, &Values::Int64(&[value]), Pages::Plain), "").await;
        let query = format!("SELECT c FROM {}.{table}", cluster.schema);
        facts.push(loaded(unit, load, &query).await);
    }
    answer(5, "do timestamps load in milliseconds and nanoseconds?", facts)
}

async fn pages(cluster: &Cluster) -> Answer {
    let mut facts = Vec::new();
    for (table, what, pages) in [("q6a", "zstd", Pages::Zstd), ("q6b", "page index", Pages::Indexed)] {
        let load = cluster.copy(table, "BIGINT", one_column("int64 c", &Values::Int64(&[1, 2, 3]), pages), "").await;
        let query = format!("SELECT COUNT(*) FROM {}.{table}", cluster.schema);
        facts.push(loaded(what, load, &query).await);
    }
    answer(6, "do files load that are compressed by zstd, and files with a page index?", facts)
}

async fn zero_bytes(cluster: &Cluster) -> Answer {
    let file = one_column("binary c (STRING)", &Values::Bytes(&[b"a\0b"]), Pages::Plain);
    let load = cluster.copy("q7", "VARCHAR(10)", file, "").await;
    let query = cluster.of("SELECT OCTET_LENGTH(c) FROM {}.q7");
    let fact = loaded("a text of 3 bytes with U+0000 in the middle", load, &query).await;
    answer(7, "does text with U+0000 load, and with how many bytes?", vec![fact])
}

async fn authentication(cluster: &Cluster) -> Answer {
    let mut facts = vec![match requested(cluster).await {
        Ok(code) => format!("without TLS the server asks for authentication code {code} (3 text, 5 md5, 13 sha256)"),
        Err(why) => format!("the server does not say without TLS: {why}"),
    }];
    // The suite is connected by the same driver as Tailwater: this user can log in.
    facts.push("sqlx logged in with this user's password".to_owned());
    answer(8, "how does the server ask for passwords, and does the driver answer?", facts)
}

/// Says hello by hand and reads which authentication the server asks for.
async fn requested(cluster: &Cluster) -> Result<i32, String> {
    let text = |e: std::io::Error| e.to_string();
    let options = &cluster.options;
    let ask = async {
        let mut stream = TcpStream::connect((options.get_host(), options.get_port())).await.map_err(text)?;
        let mut body = 196_608_i32.to_be_bytes().to_vec();
        let database = options.get_database().unwrap_or_default();
        for word in ["user", options.get_username(), "database", database, ""] {
            body.extend_from_slice(word.as_bytes());
            body.push(0);
        }
        let length = i32::try_from(body.len() + 4).unwrap_or_default();
        stream.write_all(&length.to_be_bytes()).await.map_err(text)?;
        stream.write_all(&body).await.map_err(text)?;
        let mut head = [0; 9];
        stream.read_exact(&mut head).await.map_err(text)?;
        match head {
            [b'R', _, _, _, _, code @ ..] => Ok(i32::from_be_bytes(code)),
            [kind, ..] => Err(format!("it answers with message {:?}", char::from(kind))),
        }
    };
    timeout(ANSWER_MAX, ask).await.map_err(|_| "no answer".to_owned())?
}

async fn binary_numeric(cluster: &Cluster) -> Answer {
    let fact = match cluster.connect().await {
        Err(why) => why,
        Ok(mut session) => {
            // The extended protocol: the driver asks for binary results.
            let query = sqlx::query("SELECT CAST(12.34 AS DECIMAL(10,2)) AS n").persistent(false);
            match query.fetch_one(&mut session.connection).await {
                Err(e) => format!("refused: {}", words(&e)),
                Ok(row) => match row.try_get_raw(0) {
                    Err(e) => format!("no value: {}", words(&e)),
                    Ok(value) if value.is_null() => "NULL".to_owned(),
                    Ok(value) => {
                        let bytes = value.as_bytes().unwrap_or_default();
                        let hex: String = bytes.iter().map(|b| format!("{b:02x}")).collect();
                        // PostgreSQL: 0002 0000 0000 0002 000c 0d48.
                        format!("12.34 is answered as {:?} of {} bytes: {hex}", value.format(), bytes.len())
                    }
                },
            }
        }
    };
    answer(9, "what is NUMERIC in the binary format?", vec![fact])
}

/// Two transactions read the newest position of a table and each append one.
pub(crate) async fn conflicting_positions(cluster: &Cluster) -> Answer {
    const QUESTION: &str = "do transactions that append to one table of positions fail with 1023?";
    let mut facts = Vec::new();
    let outcome = async {
        let (mut a, mut b) = (cluster.connect().await?, cluster.connect().await?);
        a.run(&cluster.of("CREATE TABLE {}.q10 (shard VARCHAR(8), n BIGINT)")).await?;
        let level = "SELECT isolation_level FROM stv_db_isolation_level WHERE db_name = current_database()";
        facts.push(match b.one(level).await {
            Ok(level) => format!("the database's isolation is {}", level.trim()),
            Err(why) => format!("the database's isolation is not told: {why}"),
        });
        let newest = cluster.of("SELECT CAST(MAX(n) AS VARCHAR) FROM {}.q10");
        let insert = |shard: &str| format!("INSERT INTO {}.q10 VALUES ('{shard}', 1)", cluster.schema);
        for session in [&mut a, &mut b] {
            session.run("BEGIN").await?;
            session.run(&newest).await?;
        }
        a.run(&insert("a")).await?;
        // Under serializable isolation the second waits for the first.
        let (first, second) = (insert("b"), "COMMIT");
        let (inserted, committed) = tokio::join!(b.run(&first), a.run(second));
        let committed_b = match &inserted {
            Ok(_) => b.run("COMMIT").await,
            Err(why) => Err(why.clone()),
        };
        facts.push(match (committed, committed_b) {
            (Ok(_), Ok(_)) => "both committed".to_owned(),
            (first, second) => format!("first: {}; second: {}", told(first), told(second)),
        });
        // A failed transaction is over before the connection is.
        let _ = b.run("ROLLBACK").await;
        a.close().await;
        b.close().await;
        Ok::<(), String>(())
    };
    if let Err(why) = outcome.await {
        facts.push(format!("could not be tried: {why}"));
    }
    answer(10, QUESTION, facts)
}

fn told<T>(outcome: Result<T, String>) -> String {
    outcome.map_or_else(|why| why, |_| "committed".to_owned())
}

async fn refused_syntax(cluster: &Cluster) -> Answer {
    const QUESTION: &str = "what exactly does Redshift say to SAVEPOINT, ON CONFLICT and RETURNING?";
    let mut facts = Vec::new();
    let tried = async {
        let mut session = cluster.connect().await?;
        session.run(&cluster.of("CREATE TABLE {}.q11 (a INTEGER)")).await?;
        let insert = cluster.of("INSERT INTO {}.q11 VALUES (1)");
        for (what, statements) in [
            ("SAVEPOINT", vec!["BEGIN".to_owned(), "SAVEPOINT s".to_owned()]),
            ("ON CONFLICT", vec![format!("{insert} ON CONFLICT DO NOTHING")]),
            ("RETURNING", vec![format!("{insert} RETURNING a")]),
        ] {
            let mut said = "accepted".to_owned();
            for statement in statements {
                if let Err(why) = session.run(&statement).await {
                    said = format!("refused: {why}");
                }
            }
            // Outside of a transaction it only warns.
            let _ = session.run("ROLLBACK").await;
            facts.push(format!("{what}: {said}"));
        }
        Ok::<(), String>(())
    };
    if let Err(why) = tried.await {
        facts.push(format!("could not be tried: {why}"));
    }
    answer(11, QUESTION, facts)
}

impl Cluster {
    /// The statement with the run's schema in place of `{}` and `{0}`.
    fn of(&self, statement: &str) -> String {
        statement.replace("{0}", &self.schema).replace("{}", &self.schema)
    }
}
