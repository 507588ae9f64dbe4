//! Which columns of a row differ, and whether a policy explains it.

use crate::{
    decode::{LongValues, Policies},
    model::{
        ColumnType,
        checksum::{ComparedColumn, unhex},
    },
};

/// What comparing two whole rows says.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Compared {
    /// Columns whose difference nothing explains.
    pub(super) columns: Vec<String>,
    /// Whether any difference is what a policy does to the value.
    pub(super) explained: bool,
}

/// Compares two rows column by column: hexadecimal digits of texts and bytes, tokens of the rest, `None` for NULL.
pub(super) fn compare(
    columns: &[ComparedColumn],
    source: &[Option<String>],
    warehouse: &[Option<String>],
    policies: &Policies,
) -> Compared {
    let mut compared = Compared::default();
    for ((column, source), warehouse) in columns.iter().zip(source).zip(warehouse) {
        if source == warehouse {
            continue;
        }
        let limit = limit(column, policies);
        if is_explained(column.ty, source.as_deref(), warehouse.as_deref(), limit) {
            compared.explained = true;
        } else {
            compared.columns.push(column.name.clone());
        }
    }
    compared
}

/// Most bytes that a value of the column may have, by itself or as the longest of a long row.
fn limit(column: &ComparedColumn, policies: &Policies) -> Option<u32> {
    let policy = policies.of(&column.name);
    let own = match column.ty {
        ColumnType::Text { .. } => policy.text_bytes_max,
        ColumnType::Json => policies.bounds.json.into_iter().chain(policies.bounds.json_string).min(),
        ColumnType::Binary { .. } => policies.bounds.binary,
        _ => None,
    };
    let refused = policy.long_values == LongValues::Refuse;
    own.into_iter().chain(policies.bounds.row).min().filter(|_| !refused)
}

/// Bytes that are no UTF-8 become U+FFFD when they are decoded, and PostgreSQL cannot hold U+0000, which becomes U+FFFD too. What is
/// longer than `limit` is cut or becomes NULL.
fn is_explained(ty: ColumnType, source: Option<&str>, warehouse: Option<&str>, limit: Option<u32>) -> bool {
    let (ColumnType::Text { .. } | ColumnType::Json | ColumnType::Binary { .. }, Some(source)) = (ty, source) else {
        return false;
    };
    let Some(source) = unhex(source) else { return false };
    let long = limit.is_some_and(|limit| source.len() > limit as usize);
    let Some(warehouse) = warehouse.map(unhex) else { return long };
    let (Some(warehouse), false) = (warehouse, matches!(ty, ColumnType::Binary { .. })) else { return false };
    let decoded = String::from_utf8_lossy(&source);
    let same = |text: &str| text.as_bytes() == warehouse || (long && text.as_bytes().starts_with(&warehouse));
    same(&decoded) || same(&decoded.replace('\0', "\u{fffd}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checksum::hex;

    #[test]
    fn replaced_bytes_are_explained_and_others_are_not() {
        let text = ColumnType::Text { bytes_max: None };
        let explained = |source: &[u8], warehouse: &str| {
            is_explained(text, Some(&hex(source)), Some(&hex(warehouse.as_bytes())), None)
        };
        assert!(explained(b"a\xffb", "a\u{fffd}b"));
        assert!(explained(b"a\0b", "a\u{fffd}b"));
        assert!(!explained(b"a\xffb", "ab") && !explained(b"", "x"));
        assert!(!is_explained(text, None, Some(""), None));
        assert!(!is_explained(ColumnType::Int64, Some("1"), Some("2"), None));
    }

    #[test]
    fn what_is_too_long_is_cut_or_null() {
        let text = ColumnType::Text { bytes_max: None };
        let long = hex("abcdef".as_bytes());
        let explained =
            |warehouse: Option<&[u8]>, limit| is_explained(text, Some(&long), warehouse.map(hex).as_deref(), limit);
        assert!(explained(Some(b"abc"), Some(3)) && explained(None, Some(3)));
        assert!(!explained(Some(b"abc"), None) && !explained(Some(b"abd"), Some(3)) && !explained(None, Some(6)));
    }

    #[test]
    fn a_null_is_not_an_empty_text() {
        let column = ComparedColumn {
            name: "note".to_owned(),
            ty: ColumnType::Text { bytes_max: None },
            source: "text".to_owned(),
        };
        let compared = compare(&[column], &[None], &[Some(String::new())], &Policies::default());
        assert_eq!(compared, Compared { columns: vec!["note".to_owned()], explained: false });
    }
}
