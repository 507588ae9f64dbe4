//! One canonical text for every value and row, so that databases which share no type and no collation can be compared by
//! checksums that each computes for itself.
//!
//! # The form
//! A value becomes a *token*, a NULL the token `N`. Which form a token has follows from the type of the *target's* column
//! alone ([`Form`]), so both sides agree also where a column was widened. The tokens of a row's columns are joined with commas;
//! no token can be taken for several, because text carries its length in bytes and everything else has no comma. SHA-256
//! of that text is the row's digest: the one hash that MySQL from 5.7 to 9.7, MariaDB, PostgreSQL from 11 and Redshift
//! all have. Its first [`CONTENT_DIGITS`] hexadecimal digits are the row's *content*, a number below 2^60 that every
//! database can make a BIGINT of and sum up exactly. A sum does not ask for an order. Two sets of rows with equal counts
//! and sums are equal but for a chance of 2^-60 per comparison.
//!
//! The hash of the key's tokens names the row's *bucket*, by its leading digits. A bucket means the same rows on both sides,
//! whatever collation orders the keys, and more digits split it further. Ranges of keys are only used over types whose order is
//! the same everywhere ([`Form::orders_alike`]).
//!
//! # What counts as equal
//! What a documented policy changes on the way is changed in the form too: dates that are none are NULL, TINYINT(1)
//! is whether it is not 0, -0.0 is 0.0, text is UTF-8. JSON is compared by the text that MySQL prints, or, where a warehouse
//! keeps it parsed, by the kind of its outermost value ([`Form::JsonKind`]). Floating-point numbers are compared bit by bit.

use std::{collections::BTreeSet, fmt::Write as _, ops::Range};

use sha2::{Digest as _, Sha256};

use super::ColumnType;

/// Token of NULL. No other token is equal to it: text begins with digits, hexadecimal digits are lower-case.
pub const NULL: &str = "N";

/// Hexadecimal digits of a digest that make the number which is summed up: the most that stay below 2^63.
pub const CONTENT_DIGITS: usize = 15;

/// Declared length up to which text and bytes stand in a row's text themselves; longer values stand there by their SHA-256. A
/// hash per value costs more than a copy of a short one, and a copy of a long one may break a limit on concatenated text.
const INLINE_BYTES_MAX: u32 = 1024;

/// Longest text that is hashed at once, in bytes: Redshift's VARCHAR has 65 535, half of it is kept free for a margin.
/// Rows that can be longer are hashed in packs of columns, and the packs' digests are hashed again.
const PACK_BYTES_MAX: usize = 32_000;

/// Hexadecimal digits of a SHA-256.
const DIGEST_DIGITS: usize = 64;

/// How values of a column are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// `1` or `0`.
    Boolean,
    /// Decimal digits.
    Integer,
    /// With exactly this many decimals, and a zero in front of the point.
    Decimal {
        /// Total digits.
        precision: u8,
        /// Digits behind the point.
        scale: u8,
    },
    /// The 16 hexadecimal digits of the IEEE double, most significant first; -0.0 is 0.0.
    Float,
    /// `YYYY-MM-DD`.
    Date,
    /// `YYYY-MM-DD hh:mm:ss.ffffff`, the wall clock or UTC.
    Instant,
    /// `<bytes>:<text>`.
    Text,
    /// SHA-256 of the text in UTF-8.
    TextDigest,
    /// Hexadecimal digits.
    Bytes,
    /// SHA-256 of the bytes.
    BytesDigest,
    /// SHA-256 of the JSON text as MySQL prints it.
    JsonText,
    /// `o`, `a`, `s`, `n`, `b` or `z`: object, array, string, number, boolean or null.
    JsonKind,
}

impl Form {
    /// Form of a column's values. `json_text` says whether the warehouse keeps JSON as text.
    pub fn of(ty: ColumnType, json_text: bool) -> Self {
        let short = |max: Option<u32>| max.is_some_and(|max| max <= INLINE_BYTES_MAX);
        match ty {
            ColumnType::Json if json_text => Self::JsonText,
            ColumnType::Json => Self::JsonKind,
            ColumnType::Text { bytes_max } if !short(bytes_max) => Self::TextDigest,
            ColumnType::Binary { bytes_max } if !short(bytes_max) => Self::BytesDigest,
            other => Self::of_key(other),
        }
    }

    /// Form of a key column's values: always the whole value, which can be found again by it.
    pub fn of_key(ty: ColumnType) -> Self {
        match ty {
            ColumnType::Boolean => Self::Boolean,
            ColumnType::Int16 | ColumnType::Int32 | ColumnType::Int64 => Self::Integer,
            ColumnType::Float32 | ColumnType::Float64 => Self::Float,
            ColumnType::Decimal { precision, scale } => Self::Decimal { precision, scale },
            ColumnType::Date => Self::Date,
            ColumnType::Timestamp | ColumnType::TimestampTz => Self::Instant,
            ColumnType::Text { .. } | ColumnType::Json => Self::Text,
            ColumnType::Binary { .. } => Self::Bytes,
        }
    }

    /// Whether every database sorts the values in the same way. Text is not among them: collations differ.
    pub fn orders_alike(self) -> bool {
        matches!(self, Self::Integer | Self::Decimal { .. } | Self::Date | Self::Instant | Self::Bytes)
    }

    /// Bytes that a token has at most.
    fn width(self, ty: ColumnType) -> usize {
        let declared = match ty {
            ColumnType::Text { bytes_max } | ColumnType::Binary { bytes_max } => bytes_max.unwrap_or(u32::MAX) as usize,
            _ => 0,
        };
        match self {
            Self::Boolean | Self::JsonKind => 1,
            Self::Integer => 20,
            Self::Decimal { precision, .. } => usize::from(precision) + 3,
            Self::Float => 16,
            Self::Date => 10,
            Self::Instant => 26,
            Self::Text => declared + 11,
            Self::Bytes => declared * 2,
            Self::TextDigest | Self::BytesDigest | Self::JsonText => DIGEST_DIGITS,
        }
    }
}

/// A column that is compared.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ComparedColumn {
    /// Name, on both sides.
    pub name: String,
    /// Type in the target.
    pub ty: ColumnType,
    /// The MySQL type as a schema in the lake has it, for instance `enum` or `time(6)`.
    pub source: String,
}

/// What of a table is compared, in which form.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comparison {
    /// Columns, key columns included.
    pub columns: Vec<ComparedColumn>,
    /// Indexes of the key's columns, in key order.
    pub key: Vec<usize>,
    /// Whether the warehouse keeps JSON as text.
    pub json_text: bool,
}

impl Comparison {
    /// Key columns in key order.
    pub fn key_columns(&self) -> impl Iterator<Item = &ComparedColumn> {
        self.key.iter().filter_map(|index| self.columns.get(*index))
    }

    /// Form of a column's values.
    pub fn form(&self, column: &ComparedColumn) -> Form {
        Form::of(column.ty, self.json_text)
    }

    /// Columns that are hashed together; one pack is the usual case.
    pub fn packs(&self) -> Vec<Range<usize>> {
        let mut packs = Vec::new();
        let (mut first, mut bytes) = (0, 0);
        for (index, column) in self.columns.iter().enumerate() {
            let width = self.form(column).width(column.ty) + 1;
            if bytes + width > PACK_BYTES_MAX && index > first {
                packs.push(first..index);
                (first, bytes) = (index, 0);
            }
            bytes += width;
        }
        packs.push(first..self.columns.len());
        packs
    }

    /// How many leading key columns every database sorts in the same way.
    pub fn prefix_that_orders_alike(&self) -> usize {
        self.key_columns().take_while(|c| Form::of_key(c.ty).orders_alike()).count()
    }

    /// Content of a row, from the tokens of its columns in order.
    pub fn content(&self, tokens: &[impl AsRef<str>]) -> u64 {
        let digests: Vec<String> = self
            .packs()
            .into_iter()
            .map(|pack| {
                let tokens: Vec<&str> = tokens.get(pack).unwrap_or_default().iter().map(AsRef::as_ref).collect();
                sha256(tokens.join(",").as_bytes())
            })
            .collect();
        match &digests[..] {
            [digest] => leading(digest),
            digests => leading(&sha256(digests.concat().as_bytes())),
        }
    }
}

/// SHA-256 in hexadecimal digits.
pub fn sha256(bytes: &[u8]) -> String {
    hex(&Sha256::digest(bytes))
}

/// Lower-case hexadecimal digits.
pub fn hex(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len() * 2);
    for byte in bytes {
        // Writing to a String cannot fail.
        let _ = write!(text, "{byte:02x}");
    }
    text
}

/// The bytes of hexadecimal digits; `None` when they are none.
pub fn unhex(digits: &str) -> Option<Vec<u8>> {
    let pairs = digits.as_bytes().chunks(2);
    pairs.map(|pair| u8::from_str_radix(std::str::from_utf8(pair).ok().filter(|p| p.len() == 2)?, 16).ok()).collect()
}

/// The number that a digest's leading digits are.
fn leading(digest: &str) -> u64 {
    digest.get(..CONTENT_DIGITS).and_then(|digits| u64::from_str_radix(digits, 16).ok()).unwrap_or_default()
}

/// Token of a double.
pub fn float_token(value: f64) -> String {
    format!("{:016x}", (value + 0.0).to_bits())
}

/// The double of a token.
pub fn float_of(token: &str) -> Option<f64> {
    u64::from_str_radix(token, 16).ok().map(f64::from_bits)
}

/// Token of a text.
pub fn text_token(text: &str) -> String {
    format!("{}:{text}", text.len())
}

/// The text of a token.
pub fn text_of(token: &str) -> &str {
    token.split_once(':').map_or(token, |(_, text)| text)
}

/// Tokens of a row's key columns, in key order.
pub type Key = Vec<String>;

/// The bucket of a key: the leading `digits` of its hash.
pub fn bucket(key: &[impl AsRef<str>], digits: u8) -> String {
    let tokens: Vec<&str> = key.iter().map(AsRef::as_ref).collect();
    let mut digest = sha256(tokens.join(",").as_bytes());
    digest.truncate(digits.into());
    digest
}

/// How one key column is compared with a bound.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Relation {
    /// `=`
    Equal,
    /// `>`
    Above,
    /// `>=`
    From,
    /// `<`
    Below,
    /// `<=`
    UpTo,
}

impl Relation {
    /// The operator, the same in every database.
    pub fn operator(self) -> &'static str {
        match self {
            Self::Equal => "=",
            Self::Above => ">",
            Self::From => ">=",
            Self::Below => "<",
            Self::UpTo => "<=",
        }
    }
}

/// One comparison: place in the key, relation, token.
pub type Term<'a> = (usize, Relation, &'a str);

/// Keys behind one bound up to and including another, in lexicographic order of the leading key columns that the bounds
/// have. Without a bound the range is open on that side.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct KeyRange {
    /// Not in the range any more.
    pub after: Option<Key>,
    /// The last of the range.
    pub through: Option<Key>,
}

impl KeyRange {
    /// The range as a conjunction of disjunctions of conjunctions. Leading columns that both bounds have in common are
    /// compared for equality, and the first that differs has plain bounds beside the exact ones, because few planners see them
    /// in the nested form; row constructors are left out because older servers do not use an index for them.
    pub fn clauses(&self) -> Vec<Vec<Vec<Term<'_>>>> {
        let (after, through) = (self.after.as_deref(), self.through.as_deref());
        let mut clauses = Vec::new();
        let common = match (after, through) {
            (Some(a), Some(b)) => a.iter().zip(b).take_while(|(a, b)| a == b).count(),
            _ => 0,
        };
        for (place, token) in through.unwrap_or_default().iter().take(common).enumerate() {
            clauses.push(vec![vec![(place, Relation::Equal, token.as_str())]]);
        }
        for (bound, plain, strict, last) in [
            (after, Relation::From, Relation::Above, Relation::Above),
            (through, Relation::UpTo, Relation::Below, Relation::UpTo),
        ] {
            let Some(bound) = bound.filter(|b| b.len() > common) else { continue };
            if bound.len() - common > 1
                && let Some(token) = bound.get(common)
            {
                clauses.push(vec![vec![(common, plain, token.as_str())]]);
            }
            clauses.push(lexicographic(bound, common, strict, last));
        }
        // Equal bounds: nothing is behind a key and up to it.
        if common > 0 && after.is_some_and(|a| a.len() == common) && through.is_some_and(|b| b.len() == common) {
            clauses.push(vec![vec![(0, Relation::Above, through.and_then(|b| b.first()).map_or("", String::as_str))]]);
        }
        clauses
    }
}

/// `(a > x) OR (a = x AND b > y) OR …` from column `first` on.
fn lexicographic(bound: &[String], first: usize, strict: Relation, last: Relation) -> Vec<Vec<Term<'_>>> {
    let places = first..bound.len();
    places
        .clone()
        .map(|place| {
            let relation = if place + 1 == bound.len() { last } else { strict };
            bound
                .iter()
                .enumerate()
                .take(place + 1)
                .skip(first)
                .map(|(at, token)| (at, if at == place { relation } else { Relation::Equal }, token.as_str()))
                .collect()
        })
        .collect()
}

/// Which rows of a table are meant.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Keys.
    pub range: KeyRange,
    /// Buckets by their leading digits, all of one length; empty means all.
    pub buckets: BTreeSet<String>,
}

/// The rows of one bucket.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// Leading digits of the key's hash.
    pub bucket: String,
    /// Rows.
    pub rows: u64,
    /// Sum of their contents.
    pub sum: u128,
}

/// One row by its digest.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RowDigest {
    /// Tokens of the key.
    pub key: Key,
    /// The row's content.
    pub content: u64,
    /// `_tw_seq` of the row; `None` on the source.
    pub seq: Option<i64>,
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn range(after: &[&str], through: &[&str]) -> KeyRange {
        let key =
            |tokens: &[&str]| (!tokens.is_empty()).then(|| tokens.iter().map(|t| (*t).to_owned()).collect::<Key>());
        KeyRange { after: key(after), through: key(through) }
    }

    /// Evaluates the clauses on integer keys.
    fn holds(range: &KeyRange, key: &[i64]) -> bool {
        range.clauses().iter().all(|any| {
            any.iter().any(|all| {
                all.iter().all(|(place, relation, token)| {
                    let (value, bound) = (key[*place], token.parse::<i64>().unwrap());
                    match relation {
                        Relation::Equal => value == bound,
                        Relation::Above => value > bound,
                        Relation::From => value >= bound,
                        Relation::Below => value < bound,
                        Relation::UpTo => value <= bound,
                    }
                })
            })
        })
    }

    #[test]
    fn a_range_holds_the_keys_between_its_bounds() {
        let bounds: Vec<Vec<i64>> = vec![vec![], vec![1, 1], vec![1, 2], vec![2, 0], vec![2, 2]];
        for after in &bounds {
            for through in &bounds {
                let text = |b: &[i64]| b.iter().map(i64::to_string).collect::<Vec<_>>();
                let (a, b) = (text(after), text(through));
                let range = range(
                    &a.iter().map(String::as_str).collect::<Vec<_>>(),
                    &b.iter().map(String::as_str).collect::<Vec<_>>(),
                );
                for key in (0..4).flat_map(|x| (0..4).map(move |y| vec![x, y])) {
                    let inside = (after.is_empty() || key > *after) && (through.is_empty() || key <= *through);
                    assert_eq!(holds(&range, &key), inside, "{key:?} in {range:?}");
                }
            }
        }
    }

    #[test]
    fn a_bound_on_fewer_columns_takes_whole_groups() {
        let range = range(&["1"], &["2"]);
        assert!(!holds(&range, &[1, 9]) && holds(&range, &[2, 9]) && !holds(&range, &[3, 0]));
    }

    #[test]
    fn tokens_cannot_be_taken_for_each_other() {
        let column = |name: &str| ComparedColumn {
            name: name.to_owned(),
            ty: ColumnType::Text { bytes_max: Some(20) },
            source: String::new(),
        };
        let comparison = Comparison { columns: vec![column("a"), column("b")], key: vec![0], json_text: true };
        let content = |a: &str, b: &str| comparison.content(&[text_token(a), text_token(b)]);
        assert_ne!(content("a,1:b", "c"), content("a", "b,1:c"));
        assert_ne!(comparison.content(&[NULL, "0:"]), comparison.content(&["0:", "0:"]));
        assert_ne!(comparison.content(&[NULL, "1:N"]), comparison.content(&["1:N", NULL]));
    }

    #[test]
    fn wide_rows_are_hashed_in_packs() {
        let column = |n: usize| ComparedColumn {
            name: format!("c{n}"),
            ty: ColumnType::Text { bytes_max: Some(1000) },
            source: String::new(),
        };
        let comparison = Comparison { columns: (0..100).map(column).collect(), key: vec![0], json_text: true };
        let packs = comparison.packs();
        assert_eq!(packs.len(), 4);
        assert_eq!(packs.first().unwrap().start, 0);
        assert_eq!(packs.last().unwrap().end, 100);
        assert!(packs.windows(2).all(|w| w[0].end == w[1].start));
    }

    #[test]
    fn floats_are_their_bits() {
        assert_eq!(float_token(0.1), "3fb999999999999a");
        assert_eq!(float_token(-0.0), "0000000000000000");
        assert_eq!(float_of("8000000000000001"), Some(-5e-324));
        assert_eq!(unhex(&hex(b"\x00\xff")).unwrap(), b"\x00\xff");
        assert!(unhex("abc").is_none() && unhex("zz").is_none());
    }
}
