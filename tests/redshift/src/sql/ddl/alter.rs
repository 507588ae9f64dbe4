//! ALTER TABLE: one action a statement (D4).

use sqlparser::tokenizer::Token;

use super::create::{ColumnSpec, DistStyle, parse_column, parse_diststyle};
use super::{Name, parse_name};
use crate::sql::cursor::Cursor;
use crate::sql::types;
use crate::{ColumnType, Refusal};

/// A parsed ALTER TABLE.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct AlterTable {
    pub(crate) name: Name,
    pub(crate) action: AlterAction,
}

/// What it does.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AlterAction {
    AddColumn(ColumnSpec),
    DropColumn {
        column: String,
        cascade: bool,
    },
    RenameTo(String),
    RenameColumn {
        from: String,
        to: String,
    },
    /// Only VARCHAR to VARCHAR, which is found out when the column is known.
    SetType {
        column: String,
        to: ColumnType,
    },
    Encode {
        column: String,
        encoding: String,
    },
    DistStyle(DistStyle),
    DistKey(String),
    SortKey {
        interleaved: bool,
        columns: Vec<String>,
    },
    SortNone,
    /// `ENCODE AUTO`, `ALTER SORTKEY AUTO`, `ALTER DISTSTYLE AUTO` and constraints, which change nothing here.
    Nothing,
    AddKey(super::create::Key),
    OwnerTo(String),
    Append {
        source: Name,
        ignore_extra: bool,
        fill_target: bool,
    },
}

/// Reads what follows `ALTER TABLE`.
pub(crate) fn parse_alter(cursor: &mut Cursor) -> Result<AlterTable, Refusal> {
    let name = parse_name(cursor)?;
    let action = parse_action(cursor)?;
    cursor.end()?;
    Ok(AlterTable { name, action })
}

fn parse_action(cursor: &mut Cursor) -> Result<AlterAction, Refusal> {
    if cursor.accept("add") {
        return parse_add(cursor);
    }
    if cursor.accept("drop") {
        if cursor.accept("constraint") {
            cursor.ident()?;
            return Ok(AlterAction::Nothing);
        }
        let _ = cursor.accept("column");
        let column = cursor.ident()?;
        let cascade = cursor.accept("cascade");
        if !cascade {
            let _ = cursor.accept("restrict");
        }
        return Ok(AlterAction::DropColumn { column, cascade });
    }
    if cursor.accept("rename to") {
        return Ok(AlterAction::RenameTo(cursor.ident()?));
    }
    if cursor.accept("rename") {
        let _ = cursor.accept("column");
        let from = cursor.ident()?;
        cursor.expect("to")?;
        return Ok(AlterAction::RenameColumn { from, to: cursor.ident()? });
    }
    if cursor.accept("owner to") {
        return Ok(AlterAction::OwnerTo(cursor.ident()?));
    }
    if cursor.accept("append from") {
        let source = parse_name(cursor)?;
        let ignore_extra = cursor.accept("ignoreextra");
        let fill_target = !ignore_extra && cursor.accept("filltarget");
        return Ok(AlterAction::Append { source, ignore_extra, fill_target });
    }
    cursor.expect("alter")?;
    parse_change(cursor)
}

fn parse_add(cursor: &mut Cursor) -> Result<AlterAction, Refusal> {
    if cursor.is_word("constraint")
        || cursor.is_word("primary")
        || cursor.is_word("unique")
        || cursor.is_word("foreign")
    {
        let key = super::create::parse_key(cursor)?.ok_or_else(|| cursor.syntax_error())?;
        return Ok(AlterAction::AddKey(key));
    }
    let _ = cursor.accept("column");
    let column = parse_column(cursor)?;
    if column.key.is_some() || column.identity.is_some() {
        return Err(Refusal::new(
            "0A000",
            "ALTER TABLE ADD COLUMN does not support PRIMARY KEY, UNIQUE or IDENTITY columns",
        ));
    }
    if column.distkey || column.sortkey {
        return Err(Refusal::new("0A000", "ALTER TABLE ADD COLUMN does not support DISTKEY or SORTKEY"));
    }
    if column.not_null && column.default.is_none() {
        return Err(Refusal::new(
            "0A000",
            "ALTER TABLE ADD COLUMN defined as NOT NULL must have a non-null default expression",
        ));
    }
    Ok(AlterAction::AddColumn(column))
}

/// Reads what follows `ALTER TABLE t ALTER`.
fn parse_change(cursor: &mut Cursor) -> Result<AlterAction, Refusal> {
    if cursor.accept("diststyle") {
        let style = parse_diststyle(cursor)?;
        if style == DistStyle::Key {
            cursor.expect("distkey")?;
            return Ok(AlterAction::DistKey(cursor.ident()?));
        }
        return Ok(AlterAction::DistStyle(style));
    }
    if cursor.accept("distkey") {
        return Ok(AlterAction::DistKey(cursor.ident()?));
    }
    if cursor.accept("compound sortkey") || (cursor.is_word("sortkey") && cursor.peek_at(1) == Some(&Token::LParen)) {
        let _ = cursor.accept("sortkey");
        return Ok(AlterAction::SortKey { interleaved: false, columns: cursor.ident_list()? });
    }
    if cursor.accept("interleaved sortkey") {
        return Ok(AlterAction::SortKey { interleaved: true, columns: cursor.ident_list()? });
    }
    if cursor.accept("sortkey auto") || cursor.accept("encode auto") {
        return Ok(AlterAction::Nothing);
    }
    if cursor.accept("sortkey none") {
        return Ok(AlterAction::SortNone);
    }
    let _ = cursor.accept("column");
    let column = cursor.ident()?;
    if cursor.accept("type") {
        return Ok(AlterAction::SetType { column, to: types::parse(cursor)?.column_type });
    }
    if cursor.accept("encode") {
        // Which encodings the column can have is checked when its type is known.
        return Ok(AlterAction::Encode { column, encoding: cursor.word()? });
    }
    // SET/DROP NOT NULL, SET/DROP DEFAULT do not exist.
    Err(cursor.syntax_error())
}
