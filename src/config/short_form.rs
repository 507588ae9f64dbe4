//! The short form: a whole configuration in a few flags.

use serde_json::{Map, Value, json};

use super::{Problem, SourceUrl};

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
