//! What depends on several keys, or on bounds that the schema cannot say.

use std::{collections::HashMap, time::Duration};

use super::{
    ByteSize, Config, DistKey, Encoding, Http, MadeFor, Problem, REDSHIFT_TEXT_BYTES_MAX, SORT_KEY_COLUMNS_MAX, Span,
    TableRule, WarehouseUrl, problem::suggestion, warehouse::PRIVATE_SCHEMA,
};

/// Which halves a verb runs; each needs its own sections.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// Both halves: `run`, `check`.
    Both,
    /// MySQL to the lake.
    Extract,
    /// The lake to the warehouse.
    Apply,
    /// Only looks: whatever is configured.
    Look,
}

impl Role {
    fn extracts(self) -> bool {
        matches!(self, Self::Both | Self::Extract)
    }

    fn applies(self) -> bool {
        matches!(self, Self::Both | Self::Apply)
    }
}

impl Config {
    /// Adds every problem that reading single keys could not find.
    pub(super) fn validate(&self, role: Role, problems: &mut Vec<Problem>) {
        self.sections(role, problems);
        self.sources(problems);
        self.tables(problems);
        super::poll::problems(self, problems);
        self.bounds(problems);
    }

    fn sections(&self, role: Role, problems: &mut Vec<Problem>) {
        let reported = |p: &[Problem], key: &str| p.iter().any(|p| p.key.starts_with(key));
        if role.extracts() && self.source.is_empty() && !reported(problems, "source") {
            let mend = "add [[source]] with name and url, or --source name=mysql://user:password@host:port";
            problems.push(Problem::new("source", "no source is configured", mend));
        }
        if role.applies() && self.warehouse.is_none() && !reported(problems, "warehouse") {
            let mend = "add [warehouse] with its url, or --warehouse sqlite:warehouse.db";
            problems.push(Problem::new("warehouse", "no warehouse is configured", mend));
        }
    }

    fn sources(&self, problems: &mut Vec<Problem>) {
        let mut names: HashMap<String, usize> = HashMap::new();
        let mut servers: HashMap<(&str, u16), usize> = HashMap::new();
        for (i, source) in self.source.iter().enumerate() {
            let at = |key: &str| format!("source[{i}].{key}");
            if source.name.is_none() && self.source.len() > 1 {
                // A refused name has its problem already.
                if !problems.iter().any(|p| p.key == at("name")) {
                    let mend = "give each source a name; it is stored in every row and must not change later";
                    problems.push(Problem::new(at("name"), "the key is missing", mend));
                }
            } else if let Some(first) = names.insert(source.shard().as_str().to_ascii_lowercase(), i) {
                let what = format!("the name {:?} is taken by source[{first}]", source.shard().as_str());
                problems.push(Problem::new(at("name"), what, "give each source a name of its own"));
            }
            // The host of a stand-in for an address that was refused.
            let real = source.url.host != "example.invalid";
            if let Some(first) = servers.insert((&source.url.host, source.url.port), i).filter(|_| real) {
                let what = format!("the server is read by source[{first}] already");
                let mend = "remove one of the two: every row would arrive twice, under two origins";
                problems.push(Problem::new(at("url"), what, mend));
            }
            within(at("heartbeat"), source.heartbeat, Duration::from_secs(1), Duration::from_secs(300), problems);
        }
    }

    fn tables(&self, problems: &mut Vec<Problem>) {
        // Stand-ins for patterns that were refused would match everything.
        let refused = problems.iter().any(|p| p.key.starts_with("table[") && p.key.ends_with("].match"));
        let mut targets: HashMap<&str, (usize, &TableRule)> = HashMap::new();
        for (i, rule) in self.table.iter().enumerate() {
            let at = |key: &str| format!("table[{i}].{key}");
            let earlier = self.table[..i].iter().position(|e| e.pattern == rule.pattern || e.pattern.is_everything());
            if let Some(earlier) = earlier.filter(|_| !refused) {
                let what = format!("the rule never applies: table[{earlier}] matches first");
                problems.push(Problem::new(at("match"), what, "put the narrower rule first, or remove one"));
            }
            if rule.exclude {
                let plain = TableRule { exclude: true, ..TableRule::new(rule.pattern.clone()) };
                if serde_json::to_value(rule).ok() != serde_json::to_value(plain).ok() {
                    let mend = "keep only match and exclude, or remove exclude";
                    problems.push(Problem::new(at("exclude"), "an excluded table has further settings", mend));
                }
                continue;
            }
            self.layout(i, rule, problems);
            self.widths(i, rule, problems);
            let Some(target) = rule.target.literal() else { continue };
            match targets.get(target) {
                Some((first, other)) if !agree(rule, other) => {
                    let what = format!("the target {target:?} has other settings in table[{first}]");
                    let mend = "give both rules the same key, updated_at, deletes, no_key, group, dist_key, sort_key and encodings: \
                                they describe one table";
                    problems.push(Problem::new(at("target"), what, mend));
                }
                Some(_) => {}
                None => {
                    targets.insert(target, (i, rule));
                }
            }
        }
    }

    /// Settings that only Redshift has, and sort keys that no table can have.
    fn layout(&self, index: usize, rule: &TableRule, problems: &mut Vec<Problem>) {
        let at = |key: &str| format!("table[{index}].{key}");
        let other = self.warehouse.as_ref().and_then(|w| w.url.without_layout());
        let mut only_redshift = |key: String| {
            if let Some(product) = other {
                let what = format!("only Redshift lets one choose this, and the warehouse is {product}");
                problems.push(Problem::new(key, what, "remove it"));
            }
        };
        if rule.dist_key != DistKey::default() {
            only_redshift(at("dist_key"));
        }
        if rule.sort_key.is_some() {
            only_redshift(at("sort_key"));
        }
        for (name, _) in rule.columns.iter().filter(|(_, c)| c.encode.is_some()) {
            only_redshift(at(&format!("columns.{name}.encode")));
        }
        let names = rule.sort_key.as_deref().unwrap_or_default();
        if names.len() > SORT_KEY_COLUMNS_MAX {
            let what = format!("{} columns are more than {SORT_KEY_COLUMNS_MAX}", names.len());
            problems.push(Problem::new(
                at("sort_key"),
                what,
                "name the first few: the later ones sort next to nothing",
            ));
        }
        let twice = names.iter().enumerate().find(|(i, name)| names[..*i].contains(name));
        if let Some((_, name)) = twice {
            problems.push(Problem::new(at("sort_key"), format!("{name:?} stands in it twice"), "remove one"));
        }
    }

    /// Texts wider than Redshift's widest column.
    fn widths(&self, index: usize, rule: &TableRule, problems: &mut Vec<Problem>) {
        let columns = rule.columns.iter().map(|(name, c)| (format!("columns.{name}.text_bytes_max"), c.text_bytes_max));
        let all = std::iter::once(("text_bytes_max".to_owned(), rule.text_bytes_max)).chain(columns);
        for (key, _) in all.filter(|(_, bytes)| bytes.is_some_and(|b| b > REDSHIFT_TEXT_BYTES_MAX)) {
            if self.made_for() == MadeFor::Redshift {
                let what = format!("Redshift holds {REDSHIFT_TEXT_BYTES_MAX} bytes of text");
                let mend = format!("write at most {REDSHIFT_TEXT_BYTES_MAX}, or remove it");
                problems.push(Problem::new(format!("table[{index}].{key}"), what, mend));
            }
        }
    }

    fn bounds(&self, problems: &mut Vec<Problem>) {
        const TICK_MIN: Duration = Duration::from_millis(100);
        const TICK_MAX: Duration = Duration::from_secs(3600);
        const IDLE_MAX: Duration = Duration::from_secs(86_400);
        if let Some(interval) = self.lake.flush_interval {
            within("lake.flush_interval".to_owned(), interval, TICK_MIN, TICK_MAX, problems);
        }
        if let Some(timeout) = self.lake.request_timeout {
            let (min, max) = (Duration::from_secs(1), Duration::from_secs(300));
            within("lake.request_timeout".to_owned(), timeout, min, max, problems);
        }
        if let Some(retention) = self.lake.retention {
            let (min, max) = super::Lake::RETENTION;
            within("lake.retention".to_owned(), retention, min, max, problems);
        }
        if let Some(warehouse) = &self.warehouse {
            if self.lake.made_for == Some(MadeFor::Any) && warehouse.url.without_layout().is_none() {
                let what = "Redshift reads the files itself, and these would not be made for it";
                problems.push(Problem::new("lake.made_for", what, "remove it, or write \"redshift\""));
            }
            within("warehouse.tick".to_owned(), warehouse.tick(), TICK_MIN, TICK_MAX, problems);
            if let Some(idle) = warehouse.idle_commit {
                within("warehouse.idle_commit".to_owned(), idle, TICK_MIN, IDLE_MAX, problems);
            }
            let password = warehouse.password.is_some() || warehouse.password_file.is_some();
            if matches!(warehouse.url, WarehouseUrl::Sqlite(_)) && password {
                problems.push(Problem::new("warehouse.password", "SQLite has no password", "remove it"));
            }
            super::redshift::problems(warehouse, &self.lake, problems);
            // PostgreSQL cuts identifiers behind 63 bytes.
            let schema = &warehouse.schema;
            if schema.is_empty() || schema.len() > 63 || schema.contains(['.', '\0']) {
                problems.push(Problem::new("warehouse.schema", "not a schema name", "use 1 to 63 bytes without a dot"));
            } else if schema == PRIVATE_SCHEMA {
                let what = format!("{PRIVATE_SCHEMA} holds Tailwater's own tables");
                problems.push(Problem::new("warehouse.schema", what, "choose another schema"));
            }
        }
        let (ready_min, ready_max) = Http::READY_LAG;
        within("http.ready_lag".to_owned(), self.http.ready_lag, ready_min, ready_max, problems);
        if self.http.token.as_ref().is_some_and(|token| token.reveal().trim().is_empty()) {
            problems.push(Problem::new("http.token", "the token is empty", "write a token, or remove the key"));
        }
        let limits = &self.limits;
        let (patience_min, patience_max) = (Duration::from_secs(1), Duration::from_secs(24 * 3600));
        within("limits.once_patience".to_owned(), limits.once_patience, patience_min, patience_max, problems);
        let (pause_min, pause_max) = (Duration::from_secs(1), Duration::from_secs(30 * 24 * 3600));
        within("verify.pause".to_owned(), self.verify.pause, pause_min, pause_max, problems);
        for (key, size, min) in [
            ("batch_memory", limits.batch_memory, ByteSize::mib(16)),
            ("batch_bytes_max", limits.batch_bytes_max, ByteSize::mib(1)),
            ("tick_bytes_max", limits.tick_bytes_max, ByteSize::mib(1)),
        ] {
            if size < min {
                let mend = format!("write at least {min}");
                problems.push(Problem::new(format!("limits.{key}"), format!("{size} is too small"), mend));
            }
        }
        if limits.batch_bytes_max > limits.batch_memory {
            let what = format!("{} is more than batch_memory, {}", limits.batch_bytes_max, limits.batch_memory);
            problems.push(Problem::new("limits.batch_bytes_max", what, "lower it or raise batch_memory"));
        }
    }

    /// The configured source called `name`.
    ///
    /// # Errors
    /// There is none; the problem names those that there are.
    pub fn source_named(&self, name: &str) -> Result<&super::Source, Problem> {
        self.source.iter().find(|s| s.shard().as_str() == name).ok_or_else(|| {
            let names: Vec<String> = self.source.iter().map(|s| s.shard().to_string()).collect();
            let hint = suggestion(name, names.iter().map(String::as_str));
            let mend = format!("name one of: {}", names.join(", "));
            Problem::new("--shard", format!("no source is called {name:?}{hint}"), mend)
        })
    }
}

/// Whether two rules may feed one target.
fn agree(a: &TableRule, b: &TableRule) -> bool {
    let encodings = |r: &TableRule| -> Vec<(String, Option<Encoding>)> {
        let set = r.columns.iter().filter(|(_, c)| c.encode.is_some());
        set.map(|(name, c)| (name.clone(), c.encode)).collect()
    };
    let layouts = (&a.dist_key, &a.sort_key, encodings(a)) == (&b.dist_key, &b.sort_key, encodings(b));
    layouts
        && (a.key, &a.updated_at, a.deletes, a.no_key, &a.group)
            == (b.key, &b.updated_at, b.deletes, b.no_key, &b.group)
}

pub(super) fn within(key: String, span: Span, min: Duration, max: Duration, problems: &mut Vec<Problem>) {
    if span.get() < min || span.get() > max {
        let mend = format!("write a duration from {} to {}", Span(min), Span(max));
        problems.push(Problem::new(key, format!("{span} is out of bounds"), mend));
    }
}
