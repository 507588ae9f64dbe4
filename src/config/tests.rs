#![allow(clippy::unwrap_used)]

use super::*;

fn env(name: &str) -> Option<String> {
    match name {
        "SHARD_PASSWORD" => Some("hunter2".to_owned()),
        "HOST" => Some("db-1".to_owned()),
        _ => None,
    }
}

fn problems(text: &str) -> Vec<Problem> {
    Config::parse(text, Role::Both, &env).unwrap_err().list
}

const FULL: &str = r#"
pipeline = "shop"

[[source]]
name = "s1"
url = "mysql://cdc@${HOST}:3307"
password_env = "SHARD_PASSWORD"
start = "earliest"
heartbeat = "10s"
tls = { mode = "verify_ca", ca = "/etc/ca.pem" }

[[source]]
name = "s2"
url = "mysql://cdc:hunter2@db-2"

[lake]
url = "s3://bucket/lake"
endpoint = "http://127.0.0.1:9000"

[warehouse]
url = "postgres://dw:hunter2@pg/dw"
tick = "5s"

[[table]]
match = "shop.audit"
exclude = true

[[table]]
match = "shop_*.orders_*"
target = "shop.orders"
key = "global"
updated_at = "updated_at"
deletes = "soft"

[limits]
batch_memory = "128 MiB"
"#;

#[test]
fn a_full_file_becomes_a_configuration_without_showing_secrets() {
    let config = Config::parse(FULL, Role::Both, &env).unwrap();
    assert_eq!(config.source[0].url.host, "db-1");
    assert_eq!(config.source[0].password().unwrap().reveal(), "hunter2");
    assert_eq!(config.source[1].password().unwrap().reveal(), "hunter2");
    assert_eq!(config.flush_interval().as_secs(), 5);
    assert!(config.lake.uses_path_style());
    let orders = config.table_rules().resolve("shop_1", "orders_2").unwrap();
    assert_eq!((orders.target.as_str(), orders.key, orders.deletes), ("shop.orders", KeyScope::Global, Deletes::Soft));
    for shown in [format!("{config:?}"), serde_json::to_string(&config).unwrap()] {
        assert!(!shown.contains("hunter2"), "{shown}");
    }
}

#[test]
fn the_digest_ignores_passwords_and_sees_what_is_copied() {
    let digest = |text: &str| Config::parse(text, Role::Both, &env).unwrap().digest();
    assert_eq!(digest(FULL), digest(&FULL.replace("hunter2", "other")));
    assert_ne!(digest(FULL), digest(&FULL.replace("\"soft\"", "\"hard\"")));
}

#[test]
fn every_problem_is_reported_at_once_with_line_and_mend() {
    let found = problems(
        r#"
pipline = "x"
[[source]]
url = "mysql://h:hunter2"
tls = { mod = "required" }
server_id = 0
heartbeat = "10 parsecs"
[[source]]
name = "bad name"
url = "mysql://u@h"
start = "erliest"
[lake]
url = "gs://x"
path_style = "yes"
codec = "zst"
[warehouse]
url = "oracle:x"
tick = "1ms"
[[table]]
match = "orders"
deletes = "softly"
[limits]
batch_memory = "1 MiB"
"#,
    );
    let text = found.iter().map(|p| format!("{p}\n")).collect::<String>();
    for (key, line) in [
        ("pipline", 2),
        ("source[0].url", 4),
        ("source[0].tls.mod", 5),
        ("source[0].server_id", 6),
        ("source[0].heartbeat", 7),
        ("source[0].name", 3),
        ("source[1].name", 9),
        ("source[1].start", 11),
        ("lake.url", 13),
        ("lake.path_style", 14),
        ("lake.codec", 15),
        ("warehouse.url", 17),
        ("warehouse.tick", 18),
        ("table[0].match", 20),
        ("table[0].deletes", 21),
        ("limits.batch_memory", 23),
    ] {
        assert!(found.iter().any(|p| p.key == key && p.line == Some(line)), "{key} line {line} in\n{text}");
    }
    assert!(found.iter().all(|p| !p.mend.is_empty()));
    assert!(text.contains("pipline: unknown key, did you mean \"pipeline\"?"), "{text}");
    assert!(text.contains("did you mean \"mode\"?") && text.contains("did you mean \"earliest\"?"), "{text}");
    assert!(text.contains("did you mean \"soft\"?") && text.contains("did you mean \"zstd\"?"), "{text}");
    assert!(!text.contains("hunter2"), "{text}");
}

#[test]
fn a_missing_section_is_said_once() {
    let found = problems("");
    let keys: Vec<&str> = found.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["lake", "source", "warehouse"]);
    assert!(Config::parse("[lake]\nurl = \"./lake\"\n", Role::Look, &env).is_ok());
}

#[test]
fn contradictions_between_keys_are_found() {
    let found = problems(
        r#"
[[source]]
name = "a"
url = "mysql://u:p@h"
password = "q"
[[source]]
name = "A"
url = "mysql://u@h:3306"
password_file = "/no/such/file"
[lake]
url = "./lake"
[warehouse]
url = "sqlite:w.db"
password = "x"
[[table]]
match = "a.x"
target = "t"
[[table]]
match = "a.y"
target = "t"
deletes = "soft"
updated_at = "u"
[[table]]
match = "*.*"
[[table]]
match = "a.z"
[[table]]
match = "a.z"
exclude = true
group = "g"
"#,
    );
    let keys: Vec<&str> = found.iter().map(|p| p.key.as_str()).collect();
    for key in [
        "source[0]",
        "source[1].name",
        "source[1].url",
        "source[1].password_file",
        "warehouse.password",
        "table[1].target",
        "table[1].updated_at",
        "table[3].match",
        "table[4].match",
        "table[4].exclude",
    ] {
        assert!(keys.contains(&key), "{key} in {found:#?}");
    }
}

#[test]
fn an_unset_variable_is_one_problem() {
    let found = problems(
        "[[source]]\nurl = \"mysql://u:${NOT_SET}@h\"\n[lake]\nurl = \"${NOT_SET}\"\n[warehouse]\nurl = \"sqlite:w\"\n",
    );
    let keys: Vec<&str> = found.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["source[0].url", "lake.url"]);
}

#[test]
fn the_short_form_is_a_whole_configuration() {
    let flags = ShortForm {
        http: Some("off".to_owned()),
        sources: vec!["s1=mysql://u:a=b@h:1".to_owned(), "s2=mysql://u@h:2".to_owned()],
        tables: vec!["shop.*".to_owned()],
        lake: Some("./lake".to_owned()),
        warehouse: Some("sqlite:warehouse.db".to_owned()),
        start: Some("earliest".to_owned()),
        pipeline: None,
    };
    let config = Config::from_short_form(&flags, Role::Both, &env).unwrap();
    assert_eq!(config.source[0].password().unwrap().reveal(), "a=b");
    assert!(config.source.iter().all(|s| s.start == StartPoint::Earliest));
    assert!(config.table_rules().resolve("shop", "x").is_some() && config.table_rules().resolve("crm", "x").is_none());
    let lone = ShortForm { sources: vec!["mysql://u@h".to_owned()], ..flags.clone() };
    assert_eq!(Config::from_short_form(&lone, Role::Both, &env).unwrap().source[0].shard().as_str(), "s1");
    let two = ShortForm { sources: vec!["mysql://u@h".to_owned(), "mysql://u@g".to_owned()], ..flags };
    let keys: Vec<String> =
        Config::from_short_form(&two, Role::Both, &env).unwrap_err().list.into_iter().map(|p| p.key).collect();
    assert_eq!(keys, ["source[0].name", "source[1].name"]);
}

#[test]
fn flags_replace_parts_of_a_file() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("tailwater.toml");
    std::fs::write(&path, FULL).unwrap();
    let flags =
        ShortForm { lake: Some("./other".to_owned()), start: Some("latest".to_owned()), ..ShortForm::default() };
    let config = Config::load_with(&path, &flags, Role::Both, &env).unwrap();
    assert_eq!(config.lake.url.to_string(), "./other");
    assert_eq!(config.lake.endpoint.as_deref(), Some("http://127.0.0.1:9000"));
    assert!(config.source.iter().all(|s| s.start == StartPoint::Latest));
}

#[test]
fn layouts_are_for_redshift_alone() {
    let text = r#"
[[source]]
url = "mysql://u@h"
[lake]
url = "./lake"
[warehouse]
url = "sqlite:w.db"
[[table]]
match = "a.*"
dist_key = "even"
sort_key = ["b", "b"]
[table.columns.note]
encode = "zstd"
zero_dates = "park"
[table.columns.other]
encode = "zst"
encod = "zstd"
"#;
    let found = problems(text);
    let keys: Vec<&str> = found.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(
        keys,
        [
            "table[0].dist_key",
            "table[0].sort_key",
            "table[0].sort_key",
            "table[0].columns.note.encode",
            "table[0].columns.other.encode",
            "table[0].columns.other.encod",
        ]
    );
    assert!(found[5].what.contains("did you mean \"encode\"?"), "{found:#?}");
    // Extraction alone does not know what the warehouse is.
    let alone = text.replace("[warehouse]\nurl = \"sqlite:w.db\"\n", "").replace("\"b\", \"b\"", "\"b\"");
    let alone = alone.split("[table.columns.other]").next().unwrap();
    let config = Config::parse(alone, Role::Extract, &env).unwrap();
    let table = config.table_rules().resolve("a", "x").unwrap();
    assert_eq!((table.dist_key, table.sort_key), (DistKey::Even, Some(vec!["b".to_owned()])));
    assert_eq!(table.columns["note"].encode, Some(Encoding::Zstd));
}

#[test]
fn what_the_lake_is_made_for_decides_the_defaults() {
    let text = "[lake]\nurl = \"./lake\"\nmade_for = \"redshift\"\n[[source]]\nurl = \"mysql://u@h\"\n";
    let config = |text: &str| Config::parse(text, Role::Extract, &env).unwrap();
    assert_eq!((config(text).made_for(), config(text).codec()), (MadeFor::Redshift, Codec::Snappy));
    let zstd = text.replace("made_for", "codec = \"zstd\"\nmade_for");
    assert_eq!(config(&zstd).codec(), Codec::Zstd);
    let any = text.replace("made_for = \"redshift\"\n", "");
    assert_eq!((config(&any).made_for(), config(&any).codec()), (MadeFor::Any, Codec::Zstd));

    let redshift = any.replace("./lake", "s3://bucket/lake") + "[warehouse]\nurl = \"redshift://u:hunter2@h/d\"\n";
    let both = |text: &str| Config::parse(text, Role::Both, &env);
    assert_eq!(both(&redshift).unwrap().codec(), Codec::Snappy);
    let against = redshift.replace("[[source]]", "made_for = \"any\"\n[[source]]");
    assert_eq!(both(&against).unwrap_err().list[0].key, "lake.made_for");

    let wide = "[[table]]\nmatch = \"*.*\"\nlong_text = \"null\"\ntext_bytes_max = 65536\n\
                columns = { note = { long_text = \"park\", text_bytes_max = 70000 }, other = { text_bytes_max = 9 } }\n";
    let found = Config::parse(&format!("{text}{wide}"), Role::Extract, &env).unwrap_err().list;
    let keys: Vec<&str> = found.iter().map(|p| p.key.as_str()).collect();
    assert_eq!(keys, ["table[0].text_bytes_max", "table[0].columns.note.text_bytes_max"]);
    let table = config(&format!("{any}{wide}")).table_rules().resolve("a", "x").unwrap();
    assert_eq!((table.long_text, table.columns["note"].long_text), (LongText::Null, Some(LongText::Park)));
}

/// The TOML blocks of a page that have a warehouse, each made whole with what it leaves out.
fn examples(page: &str) -> Vec<String> {
    let blocks = page.split("```toml\n").skip(1).filter_map(|rest| rest.split("```").next());
    let whole = |block: &str| {
        let mut text = block.to_owned();
        // A block about the login says all of it.
        let login = if block.contains("[warehouse") { "" } else { "tailwater:hunter2@" };
        let address = format!("url = \"redshift://{login}dw.1.eu-west-1.redshift-serverless.amazonaws.com/dev\"");
        for (section, content) in [
            ("[lake]", "url = \"s3://company-lake/tailwater\""),
            ("[[source]]", "url = \"mysql://cdc@db-1\""),
            ("[warehouse]", &address),
        ] {
            if !text.contains(section) {
                text.push_str(&format!("\n{section}\n{content}\n"));
            }
        }
        text
    };
    blocks.filter(|b| b.contains("[warehouse") || b.contains("[[table]]")).map(whole).collect()
}

#[test]
fn the_examples_of_the_documentation_are_configurations() {
    let env = |name: &str| name.ends_with("_PASSWORD").then(|| "hunter2".to_owned());
    let redshift = examples(include_str!("../../docs/redshift.md"));
    assert_eq!(redshift.len(), 5);
    for text in redshift {
        let config = Config::parse(&text, Role::Both, &env).unwrap_or_else(|e| panic!("{e}\n{text}"));
        assert_eq!(config.made_for(), MadeFor::Redshift, "{text}");
    }
}

#[test]
fn only_a_warehouse_that_sleeps_is_left_alone_for_long() {
    let idle = |warehouse: &str| {
        let text =
            format!("[[source]]\nurl = \"mysql://u@h\"\n[lake]\nurl = \"s3://bucket/p\"\n[warehouse]\n{warehouse}");
        Config::parse(&text, Role::Look, &env).unwrap().warehouse.unwrap().idle_commit().get().as_secs()
    };
    assert_eq!(idle("url = \"postgres://u@h/d\""), 10);
    assert_eq!(idle("url = \"redshift://u@dw.abc.eu-west-1.redshift.amazonaws.com/d\"\npassword = \"p\""), 60);
    assert_eq!(
        idle(
            "url = \"redshift://dw.1.eu-west-1.redshift-serverless.amazonaws.com/d\"\n[warehouse.redshift]\nlogin = \"workgroup\"\nworkgroup = \"dw\""
        ),
        900
    );
    assert_eq!(idle("url = \"postgres://u@h/d\"\ntick = \"1h\"\nidle_commit = \"1s\""), 3600);
}
