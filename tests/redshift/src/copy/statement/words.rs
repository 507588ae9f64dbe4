//! The words that may stand behind the source of a COPY.

/// Formats that are no Parquet.
pub(super) const OTHER_FORMATS: &[&str] =
    &["CSV", "JSON", "AVRO", "ORC", "FIXEDWIDTH", "SHAPEFILE", "RCFILE", "DELIMITER"];

/// Parameters that COPY from columnar files does not admit: those of text formats, and of loading and compression
/// that Parquet has no use for. ("COPY from columnar data formats" lists the admitted ones; the text of the refusal
/// was seen for REGION and TRUNCATECOLUMNS.)
pub(super) const REFUSED: &[&str] = &[
    "ACCEPTANYDATE",
    "BLANKSASNULL",
    "BZIP2",
    "COMPROWS",
    "COMPUPDATE",
    "DATEFORMAT",
    "EMPTYASNULL",
    "ENCODING",
    "ENCRYPTED",
    "ESCAPE",
    "GZIP",
    "IGNOREALLERRORS",
    "IGNOREBLANKLINES",
    "IGNOREHEADER",
    "LZOP",
    "MASTER_SYMMETRIC_KEY",
    "MAXERROR",
    "NOLOAD",
    "NULL",
    "QUOTE",
    "READRATIO",
    "REGION",
    "REMOVEQUOTES",
    "ROUNDEC",
    "SSH",
    "TIMEFORMAT",
    "TRIMBLANKS",
    "TRUNCATECOLUMNS",
    "ZSTD",
];

/// Words that a parameter may have for an argument.
pub(super) const ARGUMENTS: &[&str] =
    &["ON", "OFF", "TRUE", "FALSE", "PRESET", "UTF8", "UTF16", "UTF16LE", "UTF16BE", "AUTO"];
