//! Functions: those that Redshift has (M1), those of the leader node (R10), and no other (R9).

use sqlparser::ast::{Expr, Function, FunctionArguments, ObjectNamePart, WindowType};

use super::expression::raw;
use super::{Walk, not_served};
use crate::Refusal;

/// Served under their own name, by PostgreSQL or by a function of the schema `redshift`.
#[rustfmt::skip]
const KEPT: &[&str] = &[
    // aggregates and windows
    "count", "sum", "avg", "min", "max", "stddev", "stddev_samp", "stddev_pop", "variance", "var_samp", "var_pop", "bool_and",
    "bool_or", "bit_and", "bit_or", "percentile_cont", "row_number", "rank", "dense_rank", "percent_rank", "cume_dist", "ntile",
    "lag", "lead", "first_value", "last_value", "nth_value",
    // numbers
    "abs", "ceil", "ceiling", "floor", "round", "trunc", "sqrt", "exp", "ln", "log", "power", "pow", "mod", "sign", "random", "pi",
    "sin", "cos", "tan", "asin", "acos", "atan", "atan2", "degrees", "radians", "cbrt", "coalesce", "nullif", "greatest", "least",
    // text
    "lower", "upper", "initcap", "length", "len", "char_length", "character_length", "octet_length", "btrim", "trim", "ltrim", "rtrim",
    "lpad", "rpad", "left", "right", "substring", "substr", "strpos", "charindex", "replace", "reverse", "repeat", "replicate",
    "split_part", "ascii", "chr", "translate", "regexp_replace", "regexp_substr", "regexp_count", "quote_ident",
    "quote_literal", "md5", "sha", "sha1", "func_sha1", "sha2", "fnv_hash", "to_char", "to_date", "to_timestamp", "to_number", "strtol",
    // time
    "date_trunc", "getdate", "last_day", "months_between", "add_months", "convert_timezone",
    // semi-structured data and bytes
    "json_parse", "can_json_parse", "json_serialize", "json_typeof", "json_size", "is_valid_json", "is_valid_json_array",
    "json_extract_path_text", "json_array_length", "get_array_length", "is_object", "is_array", "is_varchar", "is_bigint", "is_boolean",
    "to_hex", "from_hex", "to_varbyte", "from_varbyte",
    // the system
    "current_database", "has_schema_privilege", "has_database_privilege", "has_table_privilege", "pg_get_userbyid",
    "pg_table_is_visible", "pg_get_expr", "format_type", "obj_description", "col_description", "pg_encoding_to_char", "pg_get_viewdef", "current_setting",
];

/// Only where no table of a user is (R10).
const LEADER_ONLY: &[&str] = &[
    "now",
    "current_timestamp",
    "current_time",
    "localtime",
    "localtimestamp",
    "current_schema",
    "current_schemas",
    "generate_series",
    "has_schema_privilege",
    "has_database_privilege",
    "has_table_privilege",
    "pg_get_userbyid",
    "pg_table_is_visible",
    "format_type",
    "age",
];

/// Rewritten in [`Walk::function`].
const REWRITTEN: &[&str] = &[
    "nvl",
    "nvl2",
    "concat",
    "dateadd",
    "date_add",
    "datediff",
    "date_diff",
    "date_part",
    "datepart",
    "object",
    "array",
    "listagg",
    "version",
    "pg_last_copy_count",
    "pg_last_copy_id",
    "pg_last_query_id",
    "pg_backend_pid",
    "current_user",
    "session_user",
    "user",
    "current_date",
    "sysdate",
];

fn name_of(function: &Function) -> Option<String> {
    let (last, before) = function.name.0.split_last()?;
    let ObjectNamePart::Identifier(name) = last else { return None };
    match before {
        [] => {}
        [ObjectNamePart::Identifier(schema)] if schema.value == "pg_catalog" => {}
        _ => return None,
    }
    Some(name.value.to_ascii_lowercase())
}

impl Walk<'_> {
    pub(super) fn check_function(&mut self, function: &Function) -> Result<(), Refusal> {
        let unknown = || {
            Refusal::new("42883", format!("function {} does not exist", function.name.to_string().to_ascii_lowercase()))
        };
        let name = name_of(function).ok_or_else(unknown)?;
        if name == "row" {
            return Err(self.refuse("row"));
        }
        if LEADER_ONLY.contains(&name.as_str()) {
            self.leader_only = true;
        } else if !KEPT.contains(&name.as_str()) && !REWRITTEN.contains(&name.as_str()) {
            return Err(unknown());
        }
        if function.filter.is_some() {
            return Err(self.refuse("filter"));
        }
        if function.null_treatment.is_some() {
            return Err(not_served("IGNORE NULLS"));
        }
        if matches!(function.over, Some(WindowType::NamedWindow(_))) {
            return Err(self.refuse("over"));
        }
        if !matches!(function.parameters, FunctionArguments::None) || function.uses_odbc_syntax {
            return Err(self.refuse(&name));
        }
        if let FunctionArguments::List(list) = &function.args
            && !list.clauses.is_empty()
        {
            return Err(self.refuse("order"));
        }
        Ok(())
    }

    /// The text of a call that PostgreSQL does not have; `None` leaves it as it is.
    pub(super) fn function(&mut self, function: &Function) -> Result<Option<String>, Refusal> {
        let Some(name) = name_of(function) else { return Ok(None) };
        let args = arguments(function);
        let wrong = || Refusal::new("42883", format!("function {name} with {} arguments does not exist", args.len()));
        let text = match (name.as_str(), args.as_slice()) {
            ("nvl", [_, ..]) => format!("COALESCE({})", args.join(", ")),
            ("nvl2", [test, some, none]) => format!("CASE WHEN {test} IS NOT NULL THEN {some} ELSE {none} END"),
            // Redshift's takes two and is NULL when one is.
            ("concat", [a, b]) => format!("({a} || {b})"),
            ("dateadd" | "date_add", [part, count, at]) => format!("redshift.dateadd({}, {count}, {})", part_name(part), moment(at)),
            ("datediff" | "date_diff", [part, from, to]) => {
                format!("redshift.datediff({}, {}, {})", part_name(part), moment(from), moment(to))
            }
            // Whole numbers in a double precision.
            ("date_part" | "datepart", [part, at]) => format!("floor(date_part({}, {}))", part_name(part), moment(at)),
            ("object", _) => format!("jsonb_build_object({})", args.join(", ")),
            ("array", _) => format!("jsonb_build_array({})", args.join(", ")),
            ("listagg", [value]) => listagg(function, value, "''"),
            ("listagg", [value, separator]) => listagg(function, value, separator),
            ("version", []) => "'PostgreSQL 8.0.2 on i686-pc-linux-gnu, compiled by GCC gcc (GCC) 3.4.2 20041017 (Red Hat 3.4.2-6.fc3), Redshift 1.0.436211'::varchar".to_owned(),
            ("pg_last_copy_count", []) => format!("CAST({} AS bigint)", self.values.last_copy_count),
            ("pg_last_copy_id", []) => format!("CAST({} AS bigint)", self.values.last_copy_id),
            ("pg_last_query_id", []) => format!("CAST({} AS bigint)", self.values.last_query_id),
            ("pg_backend_pid", []) => format!("CAST({} AS integer)", self.values.backend_pid),
            ("sysdate", []) => "redshift.sysdate()".to_owned(),
            ("regexp_count", [text, pattern]) => format!("redshift.regexp_count({text}, {pattern})"),
            ("current_user" | "session_user" | "user" | "current_date", []) => name.clone(),
            _ if REWRITTEN.contains(&name.as_str()) => return Err(wrong()),
            _ => return Ok(None),
        };
        // What has a window keeps it: only calls without one are rewritten above.
        if function.over.is_some() { Err(not_served("a window over this function")) } else { Ok(Some(text)) }
    }
}

/// The arguments as text for PostgreSQL.
fn arguments(function: &Function) -> Vec<String> {
    match &function.args {
        FunctionArguments::List(list) => list.args.iter().map(ToString::to_string).collect(),
        FunctionArguments::Subquery(query) => vec![format!("({query})")],
        FunctionArguments::None => Vec::new(),
    }
}

/// `day`, `'day'`: a part of time is a word or a literal.
fn part_name(part: &str) -> String {
    if part.starts_with('\'') { part.to_owned() } else { crate::catalog::quote_literal(part.trim_matches('"')) }
}

/// A literal is a timestamp without a zone.
fn moment(at: &str) -> String {
    if at.starts_with('\'') { format!("CAST({at} AS timestamp)") } else { at.to_owned() }
}

fn listagg(function: &Function, value: &str, separator: &str) -> String {
    let distinct = match &function.args {
        FunctionArguments::List(list) if list.duplicate_treatment.is_some() => "DISTINCT ",
        _ => "",
    };
    let order: Vec<_> = function.within_group.iter().map(ToString::to_string).collect();
    let order = if order.is_empty() { String::new() } else { format!(" ORDER BY {}", order.join(", ")) };
    format!("string_agg({distinct}redshift.as_varchar({value}, NULL), {separator}{order})")
}

/// Wraps a literal in a call.
pub(super) fn wrap_literal(expr: &mut Expr, function: &str) {
    let is_literal = matches!(expr, Expr::Value(value) if value.to_string().starts_with('\''));
    if is_literal {
        *expr = raw(format!("{function}({expr})"));
    }
}
