//! Compares a configuration tree with the schema and reports every difference, each with its mend.
//!
//! What does not fit is taken out of the tree (or replaced by the schema's example where it is required), so that the
//! rest can still become a [`Config`](super::Config) and be checked for what depends on several keys. A configuration
//! that was changed in this way is never used: the problems say so.

use serde_json::{Map, Value};

use super::{
    ByteSize, LakeUrl, Listen, Log, Pattern, SourceUrl, Span, StartPoint, TargetTemplate, WarehouseUrl,
    problem::{Misfit, Problem, suggestion},
    schema::{choices, deref},
};

/// Longest name of a pipeline, shard or group: they become parts of paths and of table keys.
const NAME_LEN_MAX: usize = 64;

/// Checks `tree` against `root`, the schema of the whole configuration.
pub(super) fn check(root: &Value, tree: &mut Value, problems: &mut Vec<Problem>) {
    Shape { root, problems }.value(root, tree, "");
}

struct Shape<'a> {
    root: &'a Value,
    problems: &'a mut Vec<Problem>,
}

impl Shape<'_> {
    /// Whether `value` fits `node`; reports what does not.
    fn value(&mut self, node: &Value, value: &mut Value, at: &str) -> bool {
        let node = deref(self.root, node);
        if let Some(choices) = choices(node) {
            return self.choice(&choices, value, at);
        }
        let misfit = match (node.get("type"), &mut *value) {
            (Some(Value::String(t)), Value::Object(map)) if t == "object" => {
                self.table(node, map, at);
                None
            }
            (Some(Value::String(t)), Value::Array(items)) if t == "array" => {
                let item = node.get("items").unwrap_or(&Value::Null);
                let mut i = 0;
                items.retain_mut(|v| {
                    i += 1;
                    self.value(item, v, &format!("{at}[{}]", i - 1))
                });
                None
            }
            (Some(Value::String(t)), Value::Object(_)) if t == "array" => {
                Some(Misfit::new("a list is expected", format!("write [[{at}]] with two brackets")))
            }
            (expected, found) => {
                let expected = type_names(expected);
                let name = type_name(found);
                if expected.contains(&name) {
                    number(node, found).or_else(|| format(node, found))
                } else {
                    let what = format!("{} is expected, not {}", words(&expected), words(&[name]));
                    Some(Misfit::new(what, example(node)))
                }
            }
        };
        let fits = misfit.is_none();
        self.problems.extend(misfit.map(|m| Problem::misfit(at, m)));
        fits
    }

    fn table(&mut self, node: &Value, map: &mut Map<String, Value>, at: &str) {
        let empty = Map::new();
        let any = node.get("additionalProperties").filter(|a| a.is_object());
        let known = node.get("properties").and_then(Value::as_object).unwrap_or(&empty);
        map.retain(|key, value| {
            let path = join(at, key);
            match known.get(key).or(any) {
                Some(property) => self.value(property, value, &path),
                None => {
                    let hint = suggestion(key, known.keys().map(String::as_str));
                    let mend = match hint.is_empty() {
                        true => {
                            format!("remove it; known here: {}", known.keys().cloned().collect::<Vec<_>>().join(", "))
                        }
                        false => "correct its spelling or remove it".to_owned(),
                    };
                    self.problems.push(Problem::new(path, format!("unknown key{hint}"), mend));
                    false
                }
            }
        });
        let required = node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str);
        for key in required.filter(|k| !map.contains_key(*k)).collect::<Vec<_>>() {
            let path = join(at, key);
            let property = known.get(key).map(|p| deref(self.root, p)).unwrap_or(&Value::Null);
            if !self.problems.iter().any(|p| p.key == path || p.key.starts_with(&format!("{path}."))) {
                let (what, mend) = match property.get("type").is_some_and(|t| t == "object") {
                    true => (
                        format!("the section [{path}] is missing"),
                        format!("add [{path}] with its url, or --{path} on the command line"),
                    ),
                    false => ("the key is missing".to_owned(), example(property)),
                };
                self.problems.push(Problem::new(path, what, mend));
            }
            let stand_in = stand_in(self.root, property);
            map.insert(key.to_owned(), stand_in);
        }
    }

    fn choice(&mut self, choices: &[(&str, &str)], value: &Value, at: &str) -> bool {
        let names: Vec<&str> = choices.iter().map(|(name, _)| *name).collect();
        let given = value.as_str();
        if given.is_some_and(|g| names.contains(&g)) {
            return true;
        }
        let what = match given {
            Some(g) => format!("{g:?} is not a choice{}", suggestion(g, names.iter().copied())),
            None => format!("text is expected, not {}", words(&[type_name(value)])),
        };
        self.problems.push(Problem::new(at, what, format!("write one of {}", quoted(&names))));
        false
    }
}

fn join(at: &str, key: &str) -> String {
    if at.is_empty() { key.to_owned() } else { format!("{at}.{key}") }
}

/// A value that stands where a required one is missing, so that checking can go on.
fn stand_in(root: &Value, node: &Value) -> Value {
    if let Some(example) = node.get("examples").and_then(|e| e.get(0)) {
        return example.clone();
    }
    let mut map = Map::new();
    let properties = node.get("properties").and_then(Value::as_object);
    for key in node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str) {
        if let Some(property) = properties.and_then(|p| p.get(key)) {
            map.insert(key.to_owned(), stand_in(root, deref(root, property)));
        }
    }
    Value::Object(map)
}

fn type_names(expected: Option<&Value>) -> Vec<&str> {
    match expected {
        Some(Value::String(t)) => vec![t],
        Some(Value::Array(types)) => types.iter().filter_map(Value::as_str).collect(),
        _ => Vec::new(),
    }
}

fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(n) if n.is_f64() => "number",
        Value::Number(_) => "integer",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

fn words(types: &[&str]) -> String {
    let word = |t: &&str| match *t {
        "string" => "text",
        "integer" => "a whole number",
        "number" => "a number",
        "boolean" => "true or false",
        "array" => "a list",
        "object" => "a section",
        _ => "nothing",
    };
    types.iter().map(word).collect::<Vec<_>>().join(" or ")
}

fn quoted(names: &[&str]) -> String {
    names.iter().map(|n| format!("{n:?}")).collect::<Vec<_>>().join(", ")
}

fn example(node: &Value) -> String {
    let written = match (node.get("examples").and_then(|e| e.get(0)), type_names(node.get("type")).first()) {
        (Some(example), _) => example.to_string(),
        (None, Some(&"boolean")) => "true or false".to_owned(),
        (None, Some(&"integer")) => "a whole number without quotes".to_owned(),
        (None, Some(&"object")) => "it as a section".to_owned(),
        (None, Some(&"array")) => "a list".to_owned(),
        (None, _) => "it in quotes".to_owned(),
    };
    format!("write {written}")
}

/// Whether a number lies outside of the schema's bounds.
fn number(node: &Value, value: &Value) -> Option<Misfit> {
    let n = value.as_i64()?;
    let (min, max) = (node.get("minimum").and_then(Value::as_i64), node.get("maximum").and_then(Value::as_i64));
    if min.is_none_or(|m| n >= m) && max.is_none_or(|m| n <= m) {
        return None;
    }
    let bounds = match (min, max) {
        (Some(min), Some(max)) => format!("from {min} to {max}"),
        (Some(min), None) => format!("of at least {min}"),
        (None, Some(max)) => format!("of at most {max}"),
        (None, None) => return None,
    };
    Some(Misfit::new(format!("{n} is out of bounds"), format!("write a number {bounds}")))
}

/// Whether a text breaks its format. The formats are the parsers of the types themselves.
fn format(node: &Value, value: &Value) -> Option<Misfit> {
    let text = value.as_str()?;
    match node.get("format")?.as_str()? {
        "byte-size" => text.parse::<ByteSize>().err(),
        "human-duration" => text.parse::<Span>().err(),
        "mysql-url" => text.parse::<SourceUrl>().err(),
        "warehouse-url" => text.parse::<WarehouseUrl>().err(),
        "lake-url" => text.parse::<LakeUrl>().err(),
        "listen-address" => text.parse::<Listen>().err(),
        "start-point" => text.parse::<StartPoint>().err(),
        "table-pattern" => text.parse::<Pattern>().err(),
        "target-template" => text.parse::<TargetTemplate>().err(),
        "pipeline-name" | "shard-name" | "group-name" => name(text),
        "http-url" => (!["http://", "https://"].iter().any(|p| text.starts_with(p)))
            .then(|| Misfit::new("not an HTTP address", "write \"http://host:port\" or \"https://host\"")),
        "dist-key" => text.is_empty().then(|| {
            Misfit::new("no column is named", "write \"key\", \"even\", \"all\", \"auto\" or the name of a column")
        }),
        "log-level" => Log::level_fits(text).err(),
        _ => None,
    }
}

fn name(text: &str) -> Option<Misfit> {
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '_' || c == '-';
    let fits = !text.is_empty() && text.len() <= NAME_LEN_MAX && text.chars().all(plain);
    (!fits).then(|| {
        let mend = format!("use letters, digits, _ and -, at most {NAME_LEN_MAX} characters");
        Misfit::new(format!("{text:?} is not a name"), mend)
    })
}
