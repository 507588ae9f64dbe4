//! COPY: the text with which Redshift loads files of the lake.

use crate::warehouse::redshift::script::Sql;

use super::{
    stage::{FileColumn, file_columns},
    text_literal,
};

/// What Redshift reads the lake with.
#[derive(Clone)]
pub(crate) enum Access {
    /// The role that is the cluster's default.
    Default,
    /// A role by its ARN, or a chain of them with commas.
    Role(String),
    /// Keys that stand in the statement: its text is a secret.
    Keys { id: String, secret: String, token: Option<String> },
}

impl std::fmt::Debug for Access {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Default => f.write_str("Default"),
            Self::Role(arn) => write!(f, "Role({arn})"),
            Self::Keys { id, .. } => write!(f, "Keys({id}, ***)"),
        }
    }
}

impl Access {
    fn clause(&self) -> String {
        match self {
            Self::Default => "IAM_ROLE default".to_owned(),
            Self::Role(arn) => format!("IAM_ROLE {}", text_literal(arn)),
            Self::Keys { id, secret, token } => {
                let token = token.as_ref().map(|t| format!(" SESSION_TOKEN {}", text_literal(t))).unwrap_or_default();
                format!("ACCESS_KEY_ID {} SECRET_ACCESS_KEY {}{token}", text_literal(id), text_literal(secret))
            }
        }
    }
}

/// Loads the files of a manifest. Columns map by position, so their list is always given, in the files' own order. What
/// is not written here is refused for Parquet: REGION, MAXERROR, COMPUPDATE, TRUNCATECOLUMNS and all options of texts.
pub(crate) fn copy(table: &str, columns: &[FileColumn], manifest: &str, access: &Access) -> Sql {
    let text = format!(
        "COPY {table} ({}) FROM {} {} FORMAT AS PARQUET MANIFEST STATUPDATE OFF",
        file_columns(columns),
        text_literal(manifest),
        access.clause()
    );
    match access {
        Access::Keys { .. } => Sql::sensitive(text),
        Access::Default | Access::Role(_) => Sql::new(text),
    }
}

/// Rows that the last COPY of this session loaded.
pub(crate) fn count_copied() -> &'static str {
    "SELECT pg_last_copy_count()"
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::ColumnType;

    #[test]
    fn keys_are_never_printed() {
        let columns = [("Id".to_owned(), ColumnType::Int64)];
        let role = copy("t", &columns, "s3://b/m.json", &Access::Role("arn:aws:iam::1:role/r".to_owned()));
        assert_eq!(
            role.text(),
            "COPY t (\"_tw_origin\", \"_tw_seq\", \"_tw_op\", \"_tw_committed_at\", \"id\") FROM 's3://b/m.json' \
             IAM_ROLE 'arn:aws:iam::1:role/r' FORMAT AS PARQUET MANIFEST STATUPDATE OFF"
        );
        let access =
            Access::Keys { id: "AKIA".to_owned(), secret: "hunter2".to_owned(), token: Some("to'ken".to_owned()) };
        let keys = copy("t", &columns, "s3://b/m.json", &access);
        assert!(keys.is_sensitive() && keys.text().contains("SESSION_TOKEN 'to''ken'"));
        assert!(!format!("{keys:?} {access:?}").contains("hunter2"));
    }
}
