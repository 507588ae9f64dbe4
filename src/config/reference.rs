//! `${NAME}` and `${file:/path}` inside the strings of a configuration.
//!
//! References are replaced in values that are already parsed, so what an environment variable contains can never add
//! a key or close a quote.

use std::{io::Read, path::Path};

use serde_json::Value;

use super::problem::{Misfit, Problem};

/// Largest file that a reference may name: secrets and certificates are a few KiB, a device file never ends.
const FILE_BYTES_MAX: u64 = 64 * 1024;

/// Looks up an environment variable. An argument, so that tests need not change the process' environment.
pub type Env<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces the references in every string of `tree` and reports each that cannot be resolved.
pub(super) fn resolve(tree: &mut Value, env: Env<'_>, problems: &mut Vec<Problem>) {
    walk(tree, "", env, problems);
}

fn walk(value: &mut Value, at: &str, env: Env<'_>, problems: &mut Vec<Problem>) {
    match value {
        Value::String(text) if text.contains("${") => match expand(text, env) {
            Ok(expanded) => *text = expanded,
            Err(misfits) => problems.extend(misfits.into_iter().map(|m| Problem::misfit(at, m))),
        },
        Value::Array(items) => {
            for (i, item) in items.iter_mut().enumerate() {
                walk(item, &format!("{at}[{i}]"), env, problems);
            }
        }
        Value::Object(map) => {
            for (key, item) in map {
                let path = if at.is_empty() { key.clone() } else { format!("{at}.{key}") };
                walk(item, &path, env, problems);
            }
        }
        _ => {}
    }
}

/// `text` with its references replaced; `$${` stands for a literal `${`.
fn expand(text: &str, env: Env<'_>) -> Result<String, Vec<Misfit>> {
    let mut out = String::with_capacity(text.len());
    let mut misfits = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find("${") {
        let (before, after) = rest.split_at(at);
        if let Some(literal) = before.strip_suffix('$') {
            out.extend([literal, "${"]);
            rest = &after[2..];
            continue;
        }
        out.push_str(before);
        let Some((name, tail)) = after[2..].split_once('}') else {
            misfits.push(Misfit::new("a ${ is not closed", "close it with }, or write $${ for a literal ${"));
            break;
        };
        match one(name, env) {
            Ok(value) => out.push_str(&value),
            Err(misfit) => misfits.push(misfit),
        }
        rest = tail;
    }
    out.push_str(rest);
    if misfits.is_empty() { Ok(out) } else { Err(misfits) }
}

fn one(name: &str, env: Env<'_>) -> Result<String, Misfit> {
    if let Some(path) = name.strip_prefix("file:") {
        return read_file(Path::new(path));
    }
    let plain = !name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    if !plain {
        return Err(Misfit::new(
            format!("${{{name}}} is not a reference"),
            "write ${NAME} for an environment variable, ${file:/path} for a file, $${ for a literal ${",
        ));
    }
    env(name).ok_or_else(|| {
        Misfit::new(format!("the environment variable {name} is not set"), format!("set {name} before starting"))
    })
}

/// The text of a small file without the line end that editors append.
///
/// # Errors
/// The file cannot be read, is larger than 64 KiB or not UTF-8.
pub(super) fn read_file(path: &Path) -> Result<String, Misfit> {
    let shown = path.display();
    let cannot = |e: std::io::Error| {
        Misfit::new(format!("cannot read {shown}: {e}"), "create the file or make it readable for this user")
    };
    let mut text = String::new();
    let file = std::fs::File::open(path).map_err(cannot)?;
    file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text).map_err(cannot)?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(Misfit::new(format!("{shown} is larger than 64 KiB"), "name a file that holds only the value"));
    }
    text.truncate(text.trim_end_matches(['\n', '\r']).len());
    Ok(text)
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn env(name: &str) -> Option<String> {
        (name == "PW").then(|| "a\"b${X}".to_owned())
    }

    #[test]
    fn references_are_replaced_once_and_only_in_values() {
        assert_eq!(expand("x${PW}y$${PW}", &env).unwrap(), "xa\"b${X}y${PW}");
    }

    #[test]
    fn every_unresolved_reference_is_a_problem_with_its_key() {
        let mut tree = serde_json::json!({ "source": [{ "url": "${A}/${B}" }], "lake": { "url": "${file:/no/such}" } });
        let mut problems = Vec::new();
        resolve(&mut tree, &env, &mut problems);
        let keys: Vec<&str> = problems.iter().map(|p| p.key.as_str()).collect();
        assert_eq!(keys, ["source[0].url", "source[0].url", "lake.url"]);
        assert!(problems[0].what.contains('A') && problems[1].what.contains('B'));
    }

    #[test]
    fn a_file_gives_its_text_without_the_last_line_end() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "pass word\r\n").unwrap();
        assert_eq!(expand(&format!("${{file:{}}}", file.path().display()), &env).unwrap(), "pass word");
        assert!(expand("${", &env).is_err());
        assert!(expand("${a b}", &env).is_err());
    }
}
