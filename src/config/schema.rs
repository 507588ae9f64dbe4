//! The JSON Schema of the configuration, generated from the structs, and the reference table made of it.

use schemars::generate::SchemaSettings;
use serde_json::Value;

use super::Config;

/// JSON Schema (draft 2020-12) of a configuration file. Editors complete and check `tailwater.toml` with it; the loader
/// checks files against it.
pub fn schema() -> Value {
    let generator = SchemaSettings::draft2020_12().into_generator();
    let mut schema = generator.into_root_schema_for::<Config>().to_value();
    without_null(&mut schema);
    if let Some(map) = schema.as_object_mut() {
        map.insert("title".to_owned(), "Tailwater configuration".into());
    }
    schema
}

/// TOML has no null: an optional key is left out. Drops the null alternatives that serde's `Option` brings along.
fn without_null(value: &mut Value) {
    match value {
        Value::Object(map) => {
            if let Some(Value::Array(types)) = map.get_mut("type") {
                types.retain(|t| t != "null");
                if let [only] = types.as_slice() {
                    let only = only.clone();
                    map.insert("type".to_owned(), only);
                }
            }
            if let Some(Value::Array(choices)) = map.get_mut("anyOf") {
                choices.retain(|c| c.get("type").is_none_or(|t| t != "null"));
                if let [Value::Object(only)] = choices.as_slice() {
                    let only = only.clone();
                    map.remove("anyOf");
                    map.extend(only);
                }
            }
            if map.get("default") == Some(&Value::Null) {
                map.remove("default");
            }
            map.values_mut().for_each(without_null);
        }
        Value::Array(items) => items.iter_mut().for_each(without_null),
        _ => {}
    }
}

/// The schema that `node` refers to, or `node` itself.
pub(super) fn deref<'a>(root: &'a Value, node: &'a Value) -> &'a Value {
    let target = node.get("$ref").and_then(Value::as_str).and_then(|r| root.pointer(r.trim_start_matches('#')));
    target.unwrap_or(node)
}

/// The choices of an enumeration with their descriptions.
pub(super) fn choices(node: &Value) -> Option<Vec<(&str, &str)>> {
    if let Some(values) = node.get("enum").and_then(Value::as_array) {
        return Some(values.iter().filter_map(|v| Some((v.as_str()?, ""))).collect());
    }
    let variants = node.get("oneOf")?.as_array()?;
    variants.iter().map(|v| Some((v.get("const")?.as_str()?, describe(v)))).collect()
}

pub(super) fn describe(node: &Value) -> &str {
    node.get("description").and_then(Value::as_str).unwrap_or_default()
}

/// The configuration reference as Markdown: one table per section, from the schema alone.
pub fn reference_table() -> String {
    let root = schema();
    let mut out = String::new();
    section(&root, &root, "", &mut out);
    out
}

fn section(root: &Value, node: &Value, path: &str, out: &mut String) {
    let Some(properties) = node.get("properties").and_then(Value::as_object) else { return };
    let required: Vec<&str> =
        node.get("required").and_then(Value::as_array).into_iter().flatten().filter_map(Value::as_str).collect();
    if !path.is_empty() {
        out.push_str(&format!("\n### `{path}`\n\n{}\n", text(node)));
    }
    out.push_str("\n| Key | Value | Meaning |\n| --- | --- | --- |\n");
    let mut below = Vec::new();
    for (key, property) in properties {
        let inner = deref(root, property);
        let item = property.get("items").map(|i| deref(root, i));
        if let Some(table) = item.filter(|i| i.get("properties").is_some()) {
            below.push((format!("[[{key}]]"), table));
            continue;
        }
        let any = inner.get("additionalProperties").map(|a| deref(root, a)).filter(|a| a.get("properties").is_some());
        if any.is_some() || inner.get("properties").is_some() {
            let key = if any.is_some() { format!("{key}.NAME") } else { key.clone() };
            let name = match path.trim_matches(['[', ']']) {
                "" => format!("[{key}]"),
                parent => format!("[{parent}.{key}]"),
            };
            below.push((name, any.unwrap_or(inner)));
            continue;
        }
        let mut meaning = text(property);
        if meaning.is_empty() {
            meaning = text(inner);
        }
        for (choice, what) in choices(inner).unwrap_or_default() {
            meaning.push_str(&format!(" `{choice}`: {}", what.replace('\n', " ")));
        }
        if required.contains(&key.as_str()) {
            meaning.push_str(" **Required.**");
        }
        out.push_str(&format!("| `{key}` | {} | {} |\n", kind(inner), meaning.replace('|', "\\|")));
    }
    for (name, table) in below {
        section(root, table, &name, out);
    }
}

fn text(node: &Value) -> String {
    describe(node).replace('\n', " ")
}

fn kind(node: &Value) -> String {
    if let Some(choices) = choices(node) {
        return choices.iter().map(|(c, _)| format!("`{c}`")).collect::<Vec<_>>().join(", ");
    }
    match (node.get("format").and_then(Value::as_str), node.get("type").and_then(Value::as_str)) {
        (Some("byte-size"), _) => "size".to_owned(),
        (Some("human-duration"), _) => "duration".to_owned(),
        (Some("mysql-url" | "warehouse-url" | "lake-url" | "http-url"), _) => "address".to_owned(),
        (Some("listen-address"), _) => "address with port, `off`".to_owned(),
        (Some("start-point"), _) => "`snapshot`, `earliest`, `latest`, GTID set".to_owned(),
        (Some("table-pattern"), _) => "pattern".to_owned(),
        (_, Some("boolean")) => "true, false".to_owned(),
        (Some("dist-key"), _) => "`key`, `even`, `all`, `auto`, column".to_owned(),
        (_, Some("array")) => "list".to_owned(),
        (_, Some("integer")) => "number".to_owned(),
        _ => "text".to_owned(),
    }
}
