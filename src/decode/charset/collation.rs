//! Collation ids to character sets.
//!
//! Ids up to 255 are shared by MySQL and MariaDB. Above, MySQL 8.0 and later count on through `utf8mb4` collations, and
//! MariaDB uses blocks: its additions to the Unicode sets from 576, the "no pad" twin of collation n at n + 1024, and
//! the UCA 14.0.0 collations from 2048 in blocks of 256 for each set. Both servers were asked
//! (`information_schema.COLLATIONS` of MySQL 9.7 and MariaDB 10.11).

/// MariaDB's "no pad" collations: the id of the padding twin plus this.
const NO_PAD: u16 = 1024;

pub(super) fn charset_name(collation: u16) -> Option<&'static str> {
    Some(match collation {
        255..=323 => "utf8mb4",
        576..=591 => "utf8mb3",
        608..=623 => "utf8mb4",
        640..=655 => "ucs2",
        672..=687 => "utf16",
        736..=751 => "utf32",
        2048..=2303 => "utf8mb3",
        2304..=2559 => "utf8mb4",
        2560..=2815 => "ucs2",
        2816..=3071 => "utf16",
        3072..=3327 => "utf32",
        1025..=1279 => shared(collation - NO_PAD)?,
        _ => shared(collation)?,
    })
}

fn shared(collation: u16) -> Option<&'static str> {
    Some(match collation {
        1 | 84 => "big5",
        2 | 9 | 21 | 27 | 77 => "latin2",
        3 | 69 => "dec8",
        4 | 80 => "cp850",
        5 | 8 | 15 | 31 | 47 | 48 | 49 | 94 => "latin1",
        6 | 72 => "hp8",
        7 | 74 => "koi8r",
        10 | 82 => "swe7",
        11 | 65 => "ascii",
        12 | 91 => "ujis",
        13 | 88 => "sjis",
        14 | 23 | 50 | 51 | 52 => "cp1251",
        16 | 71 => "hebrew",
        18 | 89 => "tis620",
        19 | 85 => "euckr",
        20 | 41 | 42 | 79 => "latin7",
        22 | 75 => "koi8u",
        24 | 86 => "gb2312",
        25 | 70 => "greek",
        26 | 34 | 44 | 66 | 99 => "cp1250",
        28 | 87 => "gbk",
        29 | 58 | 59 => "cp1257",
        30 | 78 => "latin5",
        32 | 64 => "armscii8",
        33 | 76 | 83 | 192..=215 | 223 => "utf8mb3",
        35 | 90 | 128..=151 | 159 => "ucs2",
        36 | 68 => "cp866",
        37 | 73 => "keybcs2",
        38 | 43 => "macce",
        39 | 53 => "macroman",
        40 | 81 => "cp852",
        45 | 46 | 224..=247 => "utf8mb4",
        54 | 55 | 101..=124 => "utf16",
        56 | 62 => "utf16le",
        57 | 67 => "cp1256",
        60 | 61 | 160..=183 => "utf32",
        63 => "binary",
        92 | 93 => "geostd8",
        95 | 96 => "cp932",
        97 | 98 => "eucjpms",
        248..=250 => "gb18030",
        _ => return None,
    })
}
