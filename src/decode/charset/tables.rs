//! The sets by name.

use super::multi::Multi;
use super::single::Single;
use super::{Charset, Encoding};

macro_rules! table {
    ($kind:ident, $new:expr, $name:ident) => {{
        static SET: $kind = $new(include_bytes!(concat!("tables/", stringify!($name), ".bin")));
        Some(Charset { name: stringify!($name), encoding: Encoding::$kind(&SET) })
    }};
}

macro_rules! sets {
    ($wanted:expr;
     unicode: $($unicode:ident = $encoding:ident),*;
     single: $($single:ident),*;
     two_bytes: $($two:ident),*;
     euc: $($euc:ident),*;
    ) => {
        match $wanted {
            $(stringify!($unicode) => Some(Charset { name: stringify!($unicode), encoding: Encoding::$encoding }),)*
            $(stringify!($single) => table!(Single, Single::new, $single),)*
            $(stringify!($two) => table!(Multi, Multi::two_bytes, $two),)*
            $(stringify!($euc) => table!(Multi, Multi::euc, $euc),)*
            "gb18030" => table!(Multi, Multi::gb18030, gb18030),
            _ => None,
        }
    };
}

pub(super) fn find(name: &str) -> Option<Charset> {
    // Servers before MySQL 8.0.30 and MariaDB 10.6 call utf8mb3 so.
    let name = if name == "utf8" { "utf8mb3" } else { name };
    sets! { name;
        unicode: ascii = Utf8, binary = Binary, utf8mb3 = Utf8, utf8mb4 = Utf8, ucs2 = Ucs2, utf16 = Utf16Be, utf16le = Utf16Le,
            utf32 = Utf32;
        single: armscii8, cp1250, cp1251, cp1256, cp1257, cp850, cp852, cp866, dec8, geostd8, greek, hebrew, hp8,
            keybcs2, koi8r, koi8u, latin1, latin2, latin5, latin7, macce, macroman, swe7, tis620;
        two_bytes: big5, cp932, euckr, gb2312, gbk, sjis;
        euc: eucjpms, ujis;
    }
}
