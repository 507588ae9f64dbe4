//! Patterns on `database.table`.

use std::{fmt, str::FromStr};

use super::{problem::Misfit, written::written};

/// Most plain patterns that the braces of one pattern may stand for; each is tried for every new table.
const ALTERNATIVES_MAX: usize = 256;

/// A compiled pattern. Database and table are matched apart, so `*` never runs across the dot between them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    alternatives: Vec<(Vec<Token>, Vec<Token>)>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token {
    Char(char),
    One,
    Any,
    Set { not: bool, ranges: Vec<(char, char)> },
    Dot,
}

impl Pattern {
    /// Whether the pattern covers a table.
    pub fn matches(&self, database: &str, table: &str) -> bool {
        self.alternatives.iter().any(|(d, t)| covers(d, database) && covers(t, table))
    }

    /// The text of a pattern that covers one table alone.
    pub fn exactly(database: &str, table: &str) -> String {
        format!("{}.{}", Self::plain(database), Self::plain(table))
    }

    /// Text of a pattern's part that stands for one name alone.
    pub fn plain(name: &str) -> String {
        let special = |c: char| matches!(c, '*' | '?' | '[' | ']' | '{' | '}' | ',' | '\\' | '.');
        name.chars().flat_map(|c| special(c).then_some('\\').into_iter().chain([c])).collect()
    }

    /// Whether the pattern covers every table.
    pub fn is_everything(&self) -> bool {
        self.alternatives.iter().any(|(d, t)| *d == [Token::Any] && *t == [Token::Any])
    }
}

/// Greedy matching with one point of return: time is bounded by the product of the lengths.
fn covers(tokens: &[Token], text: &str) -> bool {
    let text: Vec<char> = text.chars().collect();
    let (mut t, mut c) = (0, 0);
    let mut back: Option<(usize, usize)> = None;
    while c < text.len() {
        match (tokens.get(t), text.get(c)) {
            (Some(Token::Any), _) => {
                back = Some((t + 1, c));
                t += 1;
                continue;
            }
            (Some(token), Some(letter)) if token.takes(*letter) => {
                t += 1;
                c += 1;
                continue;
            }
            _ => {}
        }
        match back {
            Some((after_any, from)) => {
                back = Some((after_any, from + 1));
                (t, c) = (after_any, from + 1);
            }
            None => return false,
        }
    }
    tokens.iter().skip(t).all(|token| *token == Token::Any)
}

impl Token {
    fn takes(&self, letter: char) -> bool {
        match self {
            Self::Char(c) => *c == letter,
            Self::One => true,
            Self::Dot => letter == '.',
            Self::Any => false,
            Self::Set { not, ranges } => ranges.iter().any(|(a, z)| (*a..=*z).contains(&letter)) != *not,
        }
    }
}

impl FromStr for Pattern {
    type Err = Misfit;

    fn from_str(text: &str) -> Result<Self, Misfit> {
        let mut alternatives = Vec::new();
        for plain in expand(text)? {
            let tokens = tokenize(&plain)?;
            let dot = tokens.iter().position(|t| *t == Token::Dot).ok_or_else(|| {
                Misfit::new(
                    "the pattern has no dot between database and table",
                    "write \"database.table\", e.g. \"shop.*\"",
                )
            })?;
            let (database, table) = tokens.split_at(dot);
            let table = table.get(1..).unwrap_or_default();
            if database.is_empty() || table.is_empty() {
                return Err(Misfit::new("the pattern lacks a part", "write \"database.table\", e.g. \"shop.*\""));
            }
            alternatives.push((database.to_vec(), table.to_vec()));
        }
        Ok(Self { text: text.to_owned(), alternatives })
    }
}

/// The patterns without braces that `text` stands for.
fn expand(text: &str) -> Result<Vec<String>, Misfit> {
    let unclosed = || Misfit::new("a { is not closed", "close it with }, or write \\{ for the character itself");
    let mut done = vec![String::new()];
    let mut chars = text.chars();
    while let Some(c) = chars.next() {
        match c {
            '{' => {
                let mut choices = vec![String::new()];
                loop {
                    match chars.next().ok_or_else(unclosed)? {
                        '}' => break,
                        ',' => choices.push(String::new()),
                        '{' => return Err(Misfit::new("a { stands inside another", "write the choices side by side")),
                        '\\' => push(&mut choices, &['\\', chars.next().ok_or_else(unclosed)?]),
                        c => push(&mut choices, &[c]),
                    }
                }
                done = done.iter().flat_map(|head| choices.iter().map(move |c| format!("{head}{c}"))).collect();
                if done.len() > ALTERNATIVES_MAX {
                    let what = format!("the braces stand for more than {ALTERNATIVES_MAX} patterns");
                    return Err(Misfit::new(what, "use * or several rules"));
                }
            }
            '\\' => done.iter_mut().for_each(|d| d.extend(['\\'].into_iter().chain(chars.clone().next()))),
            c => done.iter_mut().for_each(|d| d.push(c)),
        }
        if c == '\\' {
            chars.next();
        }
    }
    Ok(done)
}

fn push(choices: &mut [String], text: &[char]) {
    if let Some(last) = choices.last_mut() {
        last.extend(text);
    }
}

fn tokenize(plain: &str) -> Result<Vec<Token>, Misfit> {
    let mut tokens = Vec::new();
    let mut chars = plain.chars();
    let mut dotted = false;
    while let Some(c) = chars.next() {
        tokens.push(match c {
            '*' if tokens.last() == Some(&Token::Any) => continue,
            '*' => Token::Any,
            '?' => Token::One,
            // The first dot parts database and table; names may contain further ones.
            '.' if !dotted => {
                dotted = true;
                Token::Dot
            }
            '[' => set(&mut chars)?,
            '\\' => Token::Char(
                chars
                    .next()
                    .ok_or_else(|| Misfit::new("the pattern ends with \\", "write \\\\ for the character itself"))?,
            ),
            c => Token::Char(c),
        });
    }
    Ok(tokens)
}

fn set(chars: &mut std::str::Chars<'_>) -> Result<Token, Misfit> {
    let bad = || Misfit::new("a [ is not closed or its set is empty", "write a set such as [0-9] or [abc]");
    let not = chars.as_str().starts_with(['!', '^']);
    if not {
        chars.next();
    }
    let mut letters = Vec::new();
    loop {
        match chars.next().ok_or_else(bad)? {
            ']' => break,
            '\\' => letters.push(chars.next().ok_or_else(bad)?),
            c => letters.push(c),
        }
    }
    let mut ranges = Vec::new();
    let mut rest = letters.as_slice();
    while let [first, tail @ ..] = rest {
        match tail {
            ['-', last, after @ ..] => {
                if first > last {
                    return Err(Misfit::new(
                        format!("the range {first}-{last} is backward"),
                        "write the lesser one first",
                    ));
                }
                ranges.push((*first, *last));
                rest = after;
            }
            _ => {
                ranges.push((*first, *first));
                rest = tail;
            }
        }
    }
    if ranges.is_empty() { Err(bad()) } else { Ok(Token::Set { not, ranges }) }
}

impl fmt::Display for Pattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

written!(Pattern, "table-pattern");

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn patterns_cover_what_they_say() {
        for (pattern, database, table, covered) in [
            ("shop.*", "shop", "orders", true),
            ("shop.*", "shop2", "orders", false),
            ("shop_*.orders_[0-9][0-9]", "shop_07", "orders_03", true),
            ("shop_*.orders_[0-9][0-9]", "shop_07", "orders_3", false),
            ("shop_*.orders_[!0-9]*", "shop_07", "orders_x1", true),
            ("*.*", "a", "b.c", true),
            ("{a,b*}.{x,y}", "bcd", "y", true),
            ("{a,b*}.{x,y}", "c", "y", false),
            ("*.*a*b*c", "d", "xxaxxbxxbxxc", true),
            ("*.*a*b*c", "d", "xxaxxbxxbxxcd", false),
            ("shop.or?ers", "shop", "orders", true),
            ("sh\\*p.a", "shop", "a", false),
            ("sh\\*p.a", "sh*p", "a", true),
            ("a\\.b.c", "a.b", "c", true),
            ("shop.Orders", "shop", "orders", false),
        ] {
            let p: Pattern = pattern.parse().unwrap();
            assert_eq!(p.matches(database, table), covered, "{pattern} on {database}.{table}");
        }
    }

    #[test]
    fn bad_patterns_say_why() {
        for bad in ["", "orders", ".a", "a.", "a.[", "a.[]", "a.[z-a]", "a.{b", "a.{b,{c}}", "a.b\\"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        let many = "{0,1}".repeat(9) + ".t";
        assert!(many.parse::<Pattern>().is_err());
    }
}
