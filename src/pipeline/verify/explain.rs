//! Which columns of a row differ, and whether a policy explains it.

use crate::model::{
    ColumnType,
    checksum::{ComparedColumn, unhex},
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
) -> Compared {
    let mut compared = Compared::default();
    for ((column, source), warehouse) in columns.iter().zip(source).zip(warehouse) {
        if source == warehouse {
            continue;
        }
        if is_explained(column.ty, source.as_deref(), warehouse.as_deref()) {
            compared.explained = true;
        } else {
            compared.columns.push(column.name.clone());
        }
    }
    compared
}

/// Bytes that are no UTF-8 become U+FFFD when they are decoded, and PostgreSQL cannot hold U+0000, which becomes U+FFFD too.
fn is_explained(ty: ColumnType, source: Option<&str>, warehouse: Option<&str>) -> bool {
    let (ColumnType::Text { .. } | ColumnType::Json, Some(source), Some(warehouse)) = (ty, source, warehouse) else {
        return false;
    };
    let (Some(source), Some(warehouse)) = (unhex(source), unhex(warehouse)) else { return false };
    let decoded = String::from_utf8_lossy(&source);
    decoded.as_bytes() == warehouse || decoded.replace('\0', "\u{fffd}").as_bytes() == warehouse
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::checksum::hex;

    #[test]
    fn replaced_bytes_are_explained_and_others_are_not() {
        let text = ColumnType::Text { bytes_max: None };
        let explained = |source: &[u8], warehouse: &str| {
            is_explained(text, Some(&hex(source)), Some(&hex(warehouse.as_bytes())))
        };
        assert!(explained(b"a\xffb", "a\u{fffd}b"));
        assert!(explained(b"a\0b", "a\u{fffd}b"));
        assert!(!explained(b"a\xffb", "ab") && !explained(b"", "x"));
        assert!(!is_explained(text, None, Some("")) && !is_explained(ColumnType::Int64, Some("1"), Some("2")));
    }

    #[test]
    fn a_null_is_not_an_empty_text() {
        let column = ComparedColumn {
            name: "note".to_owned(),
            ty: ColumnType::Text { bytes_max: None },
            source: "text".to_owned(),
        };
        let compared = compare(&[column], &[None], &[Some(String::new())]);
        assert_eq!(compared, Compared { columns: vec!["note".to_owned()], explained: false });
    }
}
