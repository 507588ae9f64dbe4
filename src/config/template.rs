//! A configuration file with every option in it: what is set stands as it is, the rest as a comment with its default and meaning.
//!
//! All of it comes from the JSON Schema, as the reference in the documentation does. Lines that begin with `# ` explain; lines
//! that begin with `#` and a key are options, which are set by removing the `#`.

use std::collections::BTreeMap;

use serde_json::{Map, Value};

use super::schema::{choices, deref, describe, schema};

/// Columns of the file's comments.
const WIDTH: usize = 100;

/// A number for options that have no default, within their bounds: small ones would throttle whoever sets them unread.
const EXAMPLE: i64 = 10_000;

/// What a new configuration file says beside the options.
#[derive(Clone, Debug, Default)]
pub struct Template {
    /// The values that are set, as the file has them. Must hold no secret.
    pub tree: Map<String, Value>,
    /// Comments in front of a section, by `source[0]`, `lake`, `table[1]`; the empty name is the head of the file.
    pub notes: BTreeMap<String, Vec<String>>,
}

impl Template {
    /// The file.
    pub fn text(&self) -> String {
        let root = schema();
        let mut writer = Writer { root: &root, notes: &self.notes, out: String::new() };
        writer.notes("");
        writer.keys(&root, &self.tree, Form::EXPLAINED);
        for (key, property) in sections(&root, &root) {
            writer.section(key, key, property, self.tree.get(key), Form::EXPLAINED);
        }
        writer.out
    }
}

/// How a section is written.
#[derive(Clone, Copy)]
struct Form {
    /// Its header is a comment too: nothing of it is set.
    off: bool,
    /// Options that are not set are written with their meaning.
    explained: bool,
}

impl Form {
    const EXPLAINED: Self = Self { off: false, explained: true };
}

/// Properties that are sections of their own: tables, lists of tables, tables by name.
fn sections<'a>(root: &'a Value, node: &'a Value) -> impl Iterator<Item = (&'a str, &'a Value)> {
    properties(node).filter(|(_, property)| table_of(root, property).is_some())
}

fn properties(node: &Value) -> impl Iterator<Item = (&str, &Value)> {
    node.get("properties").and_then(Value::as_object).into_iter().flatten().map(|(key, node)| (key.as_str(), node))
}

/// The table that a property is or holds, and of which kind.
fn table_of<'a>(root: &'a Value, property: &'a Value) -> Option<(&'a Value, Kind)> {
    let node = deref(root, property);
    let holds = |node: Option<&'a Value>| node.map(|n| deref(root, n)).filter(|n| n.get("properties").is_some());
    if node.get("properties").is_some() {
        return Some((node, Kind::One));
    }
    let list = holds(node.get("items")).map(|item| (item, Kind::List));
    list.or_else(|| holds(node.get("additionalProperties")).map(|item| (item, Kind::Named)))
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    One,
    List,
    Named,
}

struct Writer<'a> {
    root: &'a Value,
    notes: &'a BTreeMap<String, Vec<String>>,
    out: String,
}

impl Writer<'_> {
    /// `path` is the section's name in its header, `place` that of its notes.
    fn section(&mut self, path: &str, place: &str, property: &Value, value: Option<&Value>, form: Form) {
        let Some((node, kind)) = table_of(self.root, property) else { return };
        let about = if describe(property).is_empty() { describe(node) } else { describe(property) };
        match (kind, value) {
            (Kind::List, Some(Value::Array(items))) if !items.is_empty() => {
                for (i, item) in items.iter().enumerate() {
                    // Once is enough: at the first server, and at the last rule, which is the most general one.
                    let explained = i == if path == "table" { items.len() - 1 } else { 0 };
                    let about = if i == 0 { about } else { "" };
                    self.one(
                        &Head::list(path, about),
                        &format!("{place}[{i}]"),
                        node,
                        Some(item),
                        Form { explained, ..form },
                    );
                }
            }
            (Kind::List, _) => self.one(&Head::list(path, about), place, node, None, Form { off: true, ..form }),
            (Kind::One, value) => {
                // A section with defaults for everything may stand there; one that changes what is meant may not.
                let off = form.off || (value.is_none() && (path.contains('.') || node.get("required").is_some()));
                self.one(&Head::one(path, about), place, node, value, Form { off, ..form });
            }
            (Kind::Named, Some(Value::Object(items))) if !items.is_empty() => {
                for (name, item) in items {
                    let head = Head::one(&format!("{path}.{}", quoted(name)), "");
                    self.one(&head, place, node, Some(item), Form { explained: false, ..form });
                }
            }
            (Kind::Named, _) => {
                self.one(&Head::one(&format!("{path}.NAME"), about), place, node, None, Form { off: true, ..form });
            }
        }
    }

    fn one(&mut self, head: &Head, place: &str, node: &Value, value: Option<&Value>, form: Form) {
        if value.is_none() && !form.explained {
            return;
        }
        self.out.push('\n');
        if form.explained {
            self.comment(&head.about);
        }
        self.notes(place);
        self.out.push_str(&format!("{}{}\n", if form.off { "#" } else { "" }, head.text));
        let none = Map::new();
        let values = value.and_then(Value::as_object).unwrap_or(&none);
        self.keys(node, values, form);
        for (key, property) in sections(self.root, node) {
            let path = format!("{}.{key}", head.path);
            self.section(&path, &format!("{place}.{key}"), property, values.get(key), form);
        }
    }

    /// The plain keys of a section.
    fn keys(&mut self, node: &Value, values: &Map<String, Value>, form: Form) {
        let required: Vec<&str> =
            node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
        for (key, property) in properties(node).filter(|(_, p)| table_of(self.root, p).is_none()) {
            let value = values.get(key);
            if value.is_none() && !form.explained {
                continue;
            }
            if form.explained {
                self.meaning(property);
            }
            let set = (value.is_some() || required.contains(&key)) && !form.off;
            let text = value.map_or_else(|| self.stand_in(property), toml_text);
            self.out.push_str(&format!("{}{key} = {text}\n", if set { "" } else { "#" }));
        }
    }

    fn meaning(&mut self, property: &Value) {
        let inner = deref(self.root, property);
        let about = if describe(property).is_empty() { describe(inner) } else { describe(property) };
        self.comment(about);
        for (choice, what) in choices(inner).unwrap_or_default().into_iter().filter(|(_, what)| !what.is_empty()) {
            self.comment(&format!("  {choice}: {what}"));
        }
    }

    /// Some value that the option can have: its default where it has one.
    fn stand_in(&self, property: &Value) -> String {
        let inner = deref(self.root, property);
        let known = |node: &Value| node.get("default").or_else(|| node.get("examples")?.get(0)).map(toml_text);
        if let Some(text) = known(property).or_else(|| known(inner)) {
            return text;
        }
        if let Some((first, _)) = choices(inner).and_then(|choices| choices.first().copied()) {
            return quoted(first);
        }
        let bound = |name: &str| inner.get(name).and_then(Value::as_i64);
        let number = || EXAMPLE.min(bound("maximum").unwrap_or(EXAMPLE)).max(bound("minimum").unwrap_or(1)).to_string();
        match (inner.get("format").and_then(Value::as_str), inner.get("type").and_then(Value::as_str)) {
            (Some("human-duration"), _) => quoted("1m"),
            (Some("byte-size"), _) => quoted("64 MiB"),
            (Some("http-url"), _) => quoted("http://127.0.0.1:9000"),
            (Some("shard-name" | "group-name" | "pipeline-name"), _) => quoted("s1"),
            (_, Some("boolean")) => "true".to_owned(),
            (_, Some("integer")) => number(),
            (_, Some("array")) => "[]".to_owned(),
            _ => quoted("…"),
        }
    }

    fn notes(&mut self, place: &str) {
        let notes = self.notes;
        for line in notes.get(place).into_iter().flatten() {
            self.out.push_str(format!("# {}", clean(line)).trim_end());
            self.out.push('\n');
        }
    }

    /// Text as comment lines of a bounded width; what follows a line that is indented is indented too.
    fn comment(&mut self, text: &str) {
        let indent = &text[..text.len() - text.trim_start().len()];
        let mut line = String::new();
        for word in text.split_whitespace() {
            if !line.is_empty() && line.chars().count() + word.chars().count() + 3 > WIDTH {
                self.out.push_str(&format!("# {line}\n"));
                line = format!("{indent}{indent}");
            } else if !line.is_empty() && !line.ends_with(' ') {
                line.push(' ');
            } else if line.is_empty() {
                line.push_str(indent);
            }
            line.push_str(&clean(word));
        }
        if !line.trim().is_empty() {
            self.out.push_str(&format!("# {line}\n"));
        }
    }
}

struct Head {
    path: String,
    text: String,
    about: String,
}

impl Head {
    fn one(path: &str, about: &str) -> Self {
        Self { path: path.to_owned(), text: format!("[{path}]"), about: about.to_owned() }
    }

    fn list(path: &str, about: &str) -> Self {
        Self { path: path.to_owned(), text: format!("[[{path}]]"), about: about.to_owned() }
    }
}

/// Names come from servers: a comment ends with its line, and a terminal that shows the file is not steered by it.
fn clean(text: &str) -> String {
    text.replace(|c: char| c.is_control(), "\u{fffd}")
}

fn quoted(text: &str) -> String {
    toml::Value::String(text.to_owned()).to_string()
}

fn toml_text(value: &Value) -> String {
    match value {
        Value::String(text) => quoted(text),
        Value::Array(items) => format!("[{}]", items.iter().map(toml_text).collect::<Vec<_>>().join(", ")),
        other => other.to_string(),
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::config::{document::Document, shape};

    fn full() -> Template {
        let tree = json!({
            "pipeline": "shop",
            "source": [{ "name": "a", "url": "mysql://u@h:3306" }, { "name": "b", "url": "mysql://u@i:3306" }],
            "lake": { "url": "./lake" },
            "warehouse": { "url": "sqlite:w.db" },
            "table": [{ "match": "shop.orders_[0-9]*", "target": "shop.orders" }, { "match": "shop.*" }],
        });
        let notes = BTreeMap::from([("table[0]".to_owned(), vec!["two\nlines".to_owned()])]);
        Template { tree: tree.as_object().unwrap().clone(), notes }
    }

    fn misfits(text: &str) -> Vec<crate::config::Problem> {
        let mut document = Document::parse(text).unwrap_or_else(|e| panic!("{e:?} in\n{text}"));
        let mut problems = Vec::new();
        shape::check(&schema(), &mut document.tree, &mut problems);
        problems
    }

    #[test]
    fn a_template_is_a_configuration_of_what_is_set_alone() {
        let template = full();
        let text = template.text();
        let document = Document::parse(&text).unwrap();
        let mut tree = document.tree.as_object().unwrap().clone();
        for empty in ["snapshot", "verify", "limits", "log", "http"] {
            if let Some(section) = tree.remove(empty) {
                assert_eq!(section, json!({}), "{empty}");
            }
        }
        tree.retain(|key, value| template.tree.contains_key(key) || *value != json!({}));
        assert_eq!(tree, template.tree, "{text}");
        assert!(text.contains("# two\u{fffd}lines\n[[table]]"), "{text}");
        assert!(text.lines().all(|line| line.chars().count() <= WIDTH + 20), "{text}");
    }

    #[test]
    fn without_anything_it_begins_with_examples() {
        let tree = json!({ "lake": { "url": "./lake" } });
        let text = Template { tree: tree.as_object().unwrap().clone(), ..Template::default() }.text();
        assert!(
            text.contains("#[[source]]\n") && text.contains("\n[lake]\n") && text.contains("#[warehouse]\n"),
            "{text}"
        );
        assert_eq!(misfits(&text), [], "{text}");
    }

    /// Every option stands there, and removing its `#` gives a value that the option can have.
    #[test]
    fn every_option_can_be_set_by_removing_its_mark() {
        let text = full().text();
        let lines: Vec<&str> = text.lines().collect();
        let is_option =
            |line: &str| line.strip_prefix('#').is_some_and(|rest| rest.starts_with(|c: char| c.is_ascii_lowercase()));
        let mut options = 0;
        for (at, line) in lines.iter().enumerate().filter(|(_, line)| is_option(line)) {
            options += 1;
            let head = lines[..at].iter().rposition(|line| line.trim_start_matches('#').starts_with('[')).unwrap_or(at);
            let set = |(i, line): (usize, &&str)| {
                let line = if i == at || i == head { line.strip_prefix('#').unwrap_or(line) } else { line };
                format!("{line}\n")
            };
            let set: String = lines.iter().enumerate().map(set).collect();
            assert_eq!(misfits(&set), [], "{line}");
        }
        let known = super::super::reference_table().lines().filter(|l| l.starts_with("| `")).count();
        // Set above: pipeline, two urls of sections, url and name of sources, two keys of rules.
        assert!(options + 7 >= known && options > 40, "{options} options of {known}");
    }
}
