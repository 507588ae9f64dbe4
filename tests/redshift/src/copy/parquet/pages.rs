//! Which pages, encodings, codecs and indexes are read.

use std::fmt;

use parquet::basic::{Compression, Encoding};
use parquet::column::page::{Page, PageMetadata, PageReader};
use parquet::errors::{ParquetError, Result};
use parquet::file::metadata::ParquetMetaData;

use super::super::relax::{Relax, Unverified};

/// Something in the file that the fleet may not be able to read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Unreadable {
    /// What follows `File '…'` in the error.
    pub(super) what: String,
    /// What would let it through.
    pub(super) unverified: Option<Unverified>,
}

impl fmt::Display for Unreadable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.what)
    }
}

impl std::error::Error for Unreadable {}

/// Checks what the footer tells.
pub(super) fn check_footer(metadata: &ParquetMetaData, relax: &Relax) -> std::result::Result<(), Unreadable> {
    for column in metadata.row_groups().iter().flat_map(|group| group.columns()) {
        let name = column.column_path().string();
        let doubt = match column.compression() {
            Compression::UNCOMPRESSED | Compression::SNAPPY => None,
            Compression::GZIP(_) => {
                let what = format!("has gzip pages for column '{name}', which load there but not in the stand-in.");
                return Err(Unreadable { what, unverified: None });
            }
            Compression::ZSTD(_) => Some(Unverified::Zstd),
            other => {
                let what = format!("uses an unsupported compression: {other} for column '{name}'.");
                return Err(Unreadable { what, unverified: None });
            }
        };
        if let Some(doubt) = doubt.filter(|doubt| !relax.admits(*doubt)) {
            let what = format!("uses an unsupported compression: {} for column '{name}'.", column.compression());
            return Err(Unreadable { what, unverified: Some(doubt) });
        }
        let indexed = column.column_index_offset().is_some() || column.offset_index_offset().is_some();
        if indexed && !relax.admits(Unverified::PageIndex) {
            let what = format!("has a page index for column '{name}'.");
            return Err(Unreadable { what, unverified: Some(Unverified::PageIndex) });
        }
        for encoding in column.encodings() {
            check_encoding(encoding, &name, relax)?;
        }
    }
    Ok(())
}

fn check_encoding(encoding: Encoding, column: &str, relax: &Relax) -> std::result::Result<(), Unreadable> {
    let unverified = match encoding {
        Encoding::PLAIN | Encoding::PLAIN_DICTIONARY | Encoding::RLE | Encoding::RLE_DICTIONARY => return Ok(()),
        Encoding::DELTA_BINARY_PACKED | Encoding::DELTA_LENGTH_BYTE_ARRAY | Encoding::DELTA_BYTE_ARRAY => {
            Some(Unverified::DeltaEncoding)
        }
        _ => None,
    };
    if unverified.is_some_and(|doubt| relax.admits(doubt)) {
        return Ok(());
    }
    let what = format!("uses an unsupported encoding: {encoding} for column '{column}'.");
    Err(Unreadable { what, unverified })
}

/// Checks every page that is read: footers need not tell about pages, and may be wrong.
pub(super) struct CheckedPages {
    inner: Box<dyn PageReader>,
    column: String,
    relax: Relax,
}

impl CheckedPages {
    pub(super) fn new(inner: Box<dyn PageReader>, column: String, relax: Relax) -> Self {
        Self { inner, column, relax }
    }

    fn check(&self, page: &Page) -> std::result::Result<(), Unreadable> {
        if matches!(page, Page::DataPageV2 { .. }) && !self.relax.admits(Unverified::PageV2) {
            let what = format!("has data pages of version 2 for column '{}'.", self.column);
            return Err(Unreadable { what, unverified: Some(Unverified::PageV2) });
        }
        check_encoding(page.encoding(), &self.column, &self.relax)
    }
}

impl Iterator for CheckedPages {
    type Item = Result<Page>;

    fn next(&mut self) -> Option<Self::Item> {
        self.get_next_page().transpose()
    }
}

impl PageReader for CheckedPages {
    fn get_next_page(&mut self) -> Result<Option<Page>> {
        let page = self.inner.get_next_page()?;
        if let Some(page) = &page {
            self.check(page).map_err(|unreadable| ParquetError::External(Box::new(unreadable)))?;
        }
        Ok(page)
    }

    fn peek_next_page(&mut self) -> Result<Option<PageMetadata>> {
        self.inner.peek_next_page()
    }

    fn skip_next_page(&mut self) -> Result<()> {
        self.inner.skip_next_page()
    }
}
