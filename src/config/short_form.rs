//! The short form: a whole configuration in a few flags.

use serde_json::{Map, Value, json};
use url::Url;

use super::{LONE_SHARD, Problem, SourceUrl};

/// What the flags of the short form say, as text. Each flag replaces its part of a configuration file.
#[derive(Clone, Default)]
pub struct ShortForm {
    /// `--pipeline`.
    pub pipeline: Option<String>,
    /// `--source`, each `name=mysql://…`; a lone one may leave out its name. May hold passwords.
    pub sources: Vec<String>,
    /// `--tables`, patterns.
    pub tables: Vec<String>,
    /// `--lake`.
    pub lake: Option<String>,
    /// `--warehouse`. May hold a password.
    pub warehouse: Option<String>,
    /// `--start`, for every source.
    pub start: Option<String>,
    /// `--http`.
    pub http: Option<String>,
}

impl std::fmt::Debug for ShortForm {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("ShortForm").field("sources", &self.sources.len()).finish_non_exhaustive()
    }
}

impl ShortForm {
    /// Whether the flags describe a pipeline of their own, so that no file is looked for unless one is named.
    pub fn is_given(&self) -> bool {
        !self.sources.is_empty() || self.lake.is_some() || self.warehouse.is_some()
    }

    /// Puts the flags over a tree. Sources and table rules replace those of the file as a whole; the addresses of lake
    /// and warehouse replace only the address.
    pub(super) fn overlay(&self, tree: &mut Value, problems: &mut Vec<Problem>) {
        let Value::Object(map) = tree else { return };
        if let Some(pipeline) = &self.pipeline {
            map.insert("pipeline".to_owned(), json!(pipeline));
        }
        if !self.sources.is_empty() {
            let sources = self.sources.iter().enumerate().map(|(i, s)| source(i, s, problems)).collect();
            map.insert("source".to_owned(), Value::Array(sources));
        }
        if !self.tables.is_empty() {
            map.insert("table".to_owned(), self.tables.iter().map(|t| json!({ "match": t })).collect());
        }
        for (section, url) in [("lake", &self.lake), ("warehouse", &self.warehouse)] {
            let Some(url) = url else { continue };
            let entry = map.entry(section).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(section) = entry {
                section.insert("url".to_owned(), json!(url));
            }
        }
        if let Some(listen) = &self.http {
            let entry = map.entry("http").or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(section) = entry {
                section.insert("listen".to_owned(), json!(listen));
            }
        }
        if let (Some(start), Some(Value::Array(sources))) = (&self.start, map.get_mut("source")) {
            for source in sources.iter_mut().filter_map(Value::as_object_mut) {
                source.insert("start".to_owned(), json!(start));
            }
        }
    }
}

/// What the flags say as a file has it, without secrets.
#[derive(Debug, Default)]
pub struct Written {
    /// The keys of the file.
    pub tree: Map<String, Value>,
    /// Environment variables that stand for the passwords of the addresses.
    pub secrets: Vec<String>,
}

impl ShortForm {
    /// The flags as a file. A password that stands in an address becomes the name of an environment variable.
    pub fn written(&self) -> Written {
        let mut tree = Value::Object(Map::new());
        // Problems have been told when the flags were read.
        self.overlay(&mut tree, &mut Vec::new());
        let Value::Object(mut tree) = tree else { return Written::default() };
        let mut secrets = Vec::new();
        let sources = tree.get_mut("source").and_then(Value::as_array_mut).into_iter().flatten();
        for source in sources.filter_map(Value::as_object_mut) {
            let name = source.get("name").and_then(Value::as_str).unwrap_or(LONE_SHARD).to_owned();
            let url = source.remove("url");
            let start = source.remove("start");
            source.insert("name".to_owned(), json!(name));
            source.extend(url.map(|url| ("url".to_owned(), url)));
            source.extend(start.map(|start| ("start".to_owned(), start)));
            hide_password(source, &name, &mut secrets);
        }
        if let Some(warehouse) = tree.get_mut("warehouse").and_then(Value::as_object_mut) {
            hide_password(warehouse, "warehouse", &mut secrets);
        }
        Written { tree, secrets }
    }
}

/// Takes the password out of the section's address.
fn hide_password(section: &mut Map<String, Value>, name: &str, secrets: &mut Vec<String>) {
    let Some(mut url) = section.get("url").and_then(Value::as_str).and_then(|url| Url::parse(url.trim()).ok()) else {
        return;
    };
    // libpq takes a password as a parameter too.
    let others: Vec<(String, String)> = url.query_pairs().into_owned().filter(|(key, _)| key != "password").collect();
    let as_parameter = others.len() < url.query_pairs().count();
    if url.password().is_none() && !as_parameter {
        return;
    }
    // Refused for addresses without a host, which have no password either.
    let _ = url.set_password(None);
    if as_parameter {
        url.set_query(None);
        if !others.is_empty() {
            url.query_pairs_mut().extend_pairs(others);
        }
    }
    let plain: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
    let mut variable = format!("TAILWATER_{plain}_PASSWORD");
    while secrets.contains(&variable) {
        variable.push('_');
    }
    section.insert("url".to_owned(), json!(url.as_str()));
    section.insert("password_env".to_owned(), json!(variable));
    secrets.push(variable);
}

/// `name=mysql://…` or `mysql://…` as a `[[source]]`.
fn source(i: usize, text: &str, problems: &mut Vec<Problem>) -> Value {
    // The = of a password comes after the ://, the = behind a name before it.
    let (name, url) = match text.split_once('=') {
        Some((name, url)) if !name.contains("://") => (Some(name), url),
        _ => (None, text),
    };
    let mut map = Map::new();
    if let Some(name) = name {
        map.insert("name".to_owned(), json!(name));
    }
    if let Err(misfit) = url.parse::<SourceUrl>() {
        // Said once, by flag; the stand-in keeps the rest checkable.
        problems.push(Problem::misfit(format!("source[{i}].url"), misfit));
    }
    map.insert("url".to_owned(), json!(url));
    Value::Object(map)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_flags_has_no_secret() {
        let flags = ShortForm {
            sources: vec![
                "a-b=mysql://u%40x:hunter2@h:3307".into(),
                "a_b=mysql://u:hunter2@h".into(),
                "c=mysql://u@h".into(),
            ],
            warehouse: Some("postgres://u@h/dw?sslmode=require&password=hunter2".into()),
            lake: Some("./lake".into()),
            start: Some("latest".into()),
            ..ShortForm::default()
        };
        let written = flags.written();
        let text = serde_json::to_string(&written.tree).unwrap();
        assert!(!text.contains("hunter2"), "{text}");
        assert_eq!(
            written.secrets,
            ["TAILWATER_A_B_PASSWORD", "TAILWATER_A_B_PASSWORD_", "TAILWATER_WAREHOUSE_PASSWORD"]
        );
        assert_eq!(written.tree["source"][0]["url"], "mysql://u%40x@h:3307");
        assert_eq!(written.tree["source"][2], json!({ "name": "c", "url": "mysql://u@h", "start": "latest" }));
        assert_eq!(written.tree["warehouse"]["url"], "postgres://u@h/dw?sslmode=require");
    }
}
