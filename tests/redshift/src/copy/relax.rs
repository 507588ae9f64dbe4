//! What nobody has measured on a real cluster.
//!
//! Redshift does not publish which Parquet types, encodings and codecs a column takes. What is known comes from loads
//! that people measured or run every day; everything else is refused here, because a loader that is tested against a
//! guess finds out in production. Whoever has measured a pair, or wants to try, lets it through by name.

use std::collections::BTreeSet;
use std::fmt;
use std::str::FromStr;

/// Something that may load on a real cluster, or not.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Unverified {
    /// INT32 into BIGINT.
    Int32ToBigint,
    /// INT32 without an annotation into SMALLINT.
    PlainInt32ToSmallint,
    /// INT32 annotated with 8 or 16 bits into INTEGER, or 32 bits or more into SMALLINT.
    OtherIntWidth,
    /// Unsigned integers.
    UnsignedInt,
    /// DECIMAL of at most 9 digits as INT32.
    DecimalInt32,
    /// DECIMAL of at most 9 digits as INT64.
    DecimalShortInt64,
    /// DECIMAL as BYTE_ARRAY.
    DecimalByteArray,
    /// DECIMAL as a FIXED_LEN_BYTE_ARRAY longer than it must be.
    DecimalLongFixed,
    /// FLOAT into DOUBLE PRECISION and DOUBLE into REAL.
    FloatWidth,
    /// Timestamps in milliseconds.
    TimestampMillis,
    /// A timestamp without a zone (isAdjustedToUTC=false, or INT96) into TIMESTAMPTZ.
    LocalToTimestamptz,
    /// BYTE_ARRAY without an annotation into CHAR or VARCHAR.
    BytesToText,
    /// BYTE_ARRAY annotated JSON, BSON or ENUM into CHAR or VARCHAR.
    OtherTextAnnotation,
    /// BYTE_ARRAY annotated as any text into VARBYTE.
    TextToVarbyte,
    /// Text annotated JSON into SUPER; it is parsed then.
    JsonToSuper,
    /// Numbers and booleans into SUPER.
    ScalarToSuper,
    /// Data pages of version 2.
    PageV2,
    /// The DELTA encodings.
    DeltaEncoding,
    /// Column and offset indexes.
    PageIndex,
    /// Pages compressed with zstd.
    Zstd,
}

impl Unverified {
    /// All of them, in the order of the documentation.
    pub const ALL: [Self; 20] = [
        Self::Int32ToBigint,
        Self::PlainInt32ToSmallint,
        Self::OtherIntWidth,
        Self::UnsignedInt,
        Self::DecimalInt32,
        Self::DecimalShortInt64,
        Self::DecimalByteArray,
        Self::DecimalLongFixed,
        Self::FloatWidth,
        Self::TimestampMillis,
        Self::LocalToTimestamptz,
        Self::BytesToText,
        Self::OtherTextAnnotation,
        Self::TextToVarbyte,
        Self::JsonToSuper,
        Self::ScalarToSuper,
        Self::PageV2,
        Self::DeltaEncoding,
        Self::PageIndex,
        Self::Zstd,
    ];

    /// The name by which it is let through.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Int32ToBigint => "int32-to-bigint",
            Self::PlainInt32ToSmallint => "plain-int32-to-smallint",
            Self::OtherIntWidth => "other-int-width",
            Self::UnsignedInt => "unsigned-int",
            Self::DecimalInt32 => "decimal-int32",
            Self::DecimalShortInt64 => "decimal-short-int64",
            Self::DecimalByteArray => "decimal-byte-array",
            Self::DecimalLongFixed => "decimal-long-fixed",
            Self::FloatWidth => "float-width",
            Self::TimestampMillis => "timestamp-millis",
            Self::LocalToTimestamptz => "local-to-timestamptz",
            Self::BytesToText => "bytes-to-text",
            Self::OtherTextAnnotation => "other-text-annotation",
            Self::TextToVarbyte => "text-to-varbyte",
            Self::JsonToSuper => "json-to-super",
            Self::ScalarToSuper => "scalar-to-super",
            Self::PageV2 => "page-v2",
            Self::DeltaEncoding => "delta-encoding",
            Self::PageIndex => "page-index",
            Self::Zstd => "zstd",
        }
    }
}

impl fmt::Display for Unverified {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

impl FromStr for Unverified {
    type Err = String;

    fn from_str(name: &str) -> Result<Self, Self::Err> {
        Self::ALL.into_iter().find(|one| one.name() == name).ok_or_else(|| {
            let names: Vec<&str> = Self::ALL.into_iter().map(Self::name).collect();
            format!("\"{name}\" is none of {}", names.join(", "))
        })
    }
}

/// What is let through although nobody has measured it; nothing unless asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Relax(BTreeSet<Unverified>);

impl Relax {
    /// Everything.
    #[must_use]
    pub fn all() -> Self {
        Unverified::ALL.into_iter().collect()
    }

    /// With one more.
    #[must_use]
    pub fn and(mut self, one: Unverified) -> Self {
        self.0.insert(one);
        self
    }

    /// Whether it is let through.
    #[must_use]
    pub fn admits(&self, one: Unverified) -> bool {
        self.0.contains(&one)
    }
}

impl FromIterator<Unverified> for Relax {
    fn from_iter<I: IntoIterator<Item = Unverified>>(several: I) -> Self {
        Self(several.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_leads_back() {
        for one in Unverified::ALL {
            assert_eq!(one.name().parse(), Ok(one));
            assert!(Relax::all().admits(one) && !Relax::default().admits(one));
        }
        let documented = include_str!("../../COPY.md");
        for one in Unverified::ALL {
            assert!(documented.contains(&format!("| `{one}` |")), "{one} is not documented");
        }
        assert!("zst".parse::<Unverified>().is_err_and(|text| text.contains("zstd")));
    }
}
