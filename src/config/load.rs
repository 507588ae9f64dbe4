//! From a file or the command line to a checked [`Config`].

use std::path::Path;

use serde_json::Value;

use super::{
    Config, Problem, Problems, Role, Secret, ShortForm,
    document::Document,
    reference::{self, Env},
    schema, shape,
};

impl Config {
    /// Reads, resolves and checks a configuration file for `role`.
    ///
    /// # Errors
    /// Every problem of the file at once.
    pub fn load(path: &Path, role: Role, env: Env<'_>) -> Result<Self, Problems> {
        Self::load_with(path, &ShortForm::default(), role, env)
    }

    /// Like [`Config::load`], with flags that replace parts of the file.
    ///
    /// # Errors
    /// Every problem of the file and the flags at once.
    pub fn load_with(path: &Path, flags: &ShortForm, role: Role, env: Env<'_>) -> Result<Self, Problems> {
        let from = path.display().to_string();
        let text = std::fs::read_to_string(path).map_err(|e| {
            let mend = "name an existing file with --config, or use --source, --lake and --warehouse";
            Problems::new(&from, vec![Problem::new("", format!("cannot read the file: {e}"), mend)])
        })?;
        let document = Document::parse(&text).map_err(|list| Problems::new(&from, list))?;
        Self::build(document, flags, role, env, &from)
    }

    /// Builds the configuration from the short form alone.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn from_short_form(flags: &ShortForm, role: Role, env: Env<'_>) -> Result<Self, Problems> {
        Self::build(Document::of(Value::Object(Default::default())), flags, role, env, "the command line")
    }

    /// Like [`Config::load`] for a text that stands in no file.
    ///
    /// # Errors
    /// Every problem at once.
    pub fn parse(text: &str, role: Role, env: Env<'_>) -> Result<Self, Problems> {
        let document = Document::parse(text).map_err(|list| Problems::new("text", list))?;
        Self::build(document, &ShortForm::default(), role, env, "text")
    }

    fn build(mut doc: Document, flags: &ShortForm, role: Role, env: Env<'_>, from: &str) -> Result<Self, Problems> {
        let mut problems = Vec::new();
        reference::resolve(&mut doc.tree, env, &mut problems);
        // Flags come from a shell, which has its own way to expand variables.
        flags.overlay(&mut doc.tree, &mut problems);
        // A reference that could not be resolved has its problem; what stands there instead needs no second one.
        let unresolved: Vec<String> = problems.iter().map(|p| p.key.clone()).collect();
        let mut misfits = Vec::new();
        shape::check(&schema::schema(), &mut doc.tree, &mut misfits);
        problems.extend(misfits.into_iter().filter(|p| !unresolved.contains(&p.key)));
        match serde_json::from_value::<Self>(doc.tree.clone()) {
            Ok(mut config) => {
                config.resolve_passwords(env, &mut problems);
                config.validate(role, &mut problems);
                if problems.is_empty() {
                    return Ok(config);
                }
            }
            // The schema check lets nothing pass that serde refuses; should it ever, the refusal is shown.
            Err(e) if problems.is_empty() => problems.push(Problem::new("", e.to_string(), "correct the value")),
            Err(_) => {}
        }
        for problem in &mut problems {
            problem.line = problem.line.or_else(|| doc.line(&problem.key));
        }
        Err(Problems::new(from, problems))
    }

    /// Replaces `password_file`, `token_file` and their likes by what they name.
    fn resolve_passwords(&mut self, env: Env<'_>, problems: &mut Vec<Problem>) {
        for (i, source) in self.source.iter_mut().enumerate() {
            let given = Given {
                what: "password",
                at: format!("source[{i}]"),
                in_url: source.url.password.is_some(),
                file: source.password_file.as_deref(),
                env: source.password_env.as_deref(),
            };
            given.resolve(&mut source.password, env, problems);
        }
        if let Some(warehouse) = &mut self.warehouse {
            let given = Given {
                what: "password",
                at: "warehouse".to_owned(),
                in_url: warehouse.url.has_password(),
                file: warehouse.password_file.as_deref(),
                env: warehouse.password_env.as_deref(),
            };
            given.resolve(&mut warehouse.password, env, problems);
        }
        let given = Given {
            what: "token",
            at: "http".to_owned(),
            in_url: false,
            file: self.http.token_file.as_deref(),
            env: self.http.token_env.as_deref(),
        };
        given.resolve(&mut self.http.token, env, problems);
    }
}

/// The ways a secret was given.
struct Given<'a> {
    /// Which one: the first word of its keys.
    what: &'static str,
    at: String,
    in_url: bool,
    file: Option<&'a Path>,
    env: Option<&'a str>,
}

impl Given<'_> {
    fn resolve(&self, secret: &mut Option<Secret>, env: Env<'_>, problems: &mut Vec<Problem>) {
        let ways = [secret.is_some(), self.in_url, self.file.is_some(), self.env.is_some()];
        if ways.into_iter().filter(|given| *given).count() > 1 {
            let name = self.what;
            let what = format!("the {name} is given more than once");
            let in_url = if name == "password" { " and the password in url" } else { "" };
            let mend = format!("keep one of {name}, {name}_file, {name}_env{in_url}");
            problems.push(Problem::new(&self.at, what, mend));
            return;
        }
        if let Some(path) = self.file {
            match reference::read_file(path) {
                Ok(text) => *secret = Some(Secret::new(text)),
                Err(misfit) => problems.push(Problem::misfit(format!("{}.{}_file", self.at, self.what), misfit)),
            }
        }
        if let Some(name) = self.env {
            match env(name) {
                Some(text) => *secret = Some(Secret::new(text)),
                None => {
                    let what = format!("the environment variable {name} is not set");
                    let mend = format!("set {name} before starting");
                    problems.push(Problem::new(format!("{}.{}_env", self.at, self.what), what, mend));
                }
            }
        }
    }
}
