//! TABLE_MAP and rows events written by hand, for tests.

/// A column of a hand-written TABLE_MAP.
#[derive(Clone, Debug)]
pub(crate) struct Col {
    pub(crate) name: String,
    pub(crate) code: u8,
    pub(crate) metadata: Vec<u8>,
    pub(crate) unsigned: bool,
    pub(crate) nullable: bool,
    pub(crate) collation: Option<u8>,
    pub(crate) labels: Vec<String>,
    pub(crate) dimensions: Option<u8>,
}

/// A nullable column.
pub(crate) fn col(name: &str, code: u8, metadata: &[u8]) -> Col {
    Col {
        name: name.to_owned(),
        code,
        metadata: metadata.to_vec(),
        unsigned: false,
        nullable: true,
        collation: None,
        labels: Vec::new(),
        dimensions: None,
    }
}

impl Col {
    pub(crate) fn unsigned(mut self) -> Self {
        self.unsigned = true;
        self
    }

    pub(crate) fn not_null(mut self) -> Self {
        self.nullable = false;
        self
    }

    pub(crate) fn collation(mut self, id: u8) -> Self {
        self.collation = Some(id);
        self
    }

    pub(crate) fn labels(mut self, labels: &[&str]) -> Self {
        self.labels = labels.iter().map(|l| (*l).to_owned()).collect();
        self
    }

    fn is_labelled(&self, kind: u8) -> bool {
        self.code == 254 && self.metadata.first() == Some(&kind)
    }

    fn is_text(&self) -> bool {
        let labelled = self.is_labelled(0xf7) || self.is_labelled(0xf8);
        matches!(self.code, 15 | 252 | 253 | 242) || self.code == 254 && !labelled
    }
}

/// Most significant bit first.
fn bits(set: impl Iterator<Item = bool>) -> Vec<u8> {
    let set: Vec<bool> = set.collect();
    set.chunks(8)
        .map(|chunk| chunk.iter().enumerate().fold(0, |byte, (i, bit)| byte | u8::from(*bit) << (7 - i)))
        .collect()
}

fn lenenc(out: &mut Vec<u8>, n: usize) {
    if n < 251 {
        out.push(n as u8);
    } else {
        out.push(252);
        out.extend((n as u16).to_le_bytes());
    }
}

fn field(out: &mut Vec<u8>, kind: u8, value: &[u8]) {
    if !value.is_empty() {
        out.push(kind);
        lenenc(out, value.len());
        out.extend(value);
    }
}

/// Collation ids, utf8mb4 where none is given.
fn collations<'a>(columns: impl Iterator<Item = &'a Col>) -> Vec<u8> {
    let mut out = Vec::new();
    columns.for_each(|c| lenenc(&mut out, usize::from(c.collation.unwrap_or(45))));
    out
}

/// The TABLE_MAP of `shop.t` behind its table id, with full metadata.
pub(crate) fn table_map(columns: &[Col], key: &[u8]) -> Vec<u8> {
    let mut out = minimal_table_map(columns);
    let mut names = Vec::new();
    for column in columns {
        lenenc(&mut names, column.name.len());
        names.extend(column.name.as_bytes());
    }
    field(&mut out, 4, &names);
    for (kind, real) in [(5, 0xf8), (6, 0xf7)] {
        let mut value = Vec::new();
        for column in columns.iter().filter(|c| c.is_labelled(real)) {
            lenenc(&mut value, column.labels.len());
            for label in &column.labels {
                lenenc(&mut value, label.len());
                value.extend(label.as_bytes());
            }
        }
        field(&mut out, kind, &value);
    }
    let labelled = |c: &&Col| c.is_labelled(0xf7) || c.is_labelled(0xf8);
    field(&mut out, 11, &collations(columns.iter().filter(labelled)));
    field(&mut out, 8, key);
    field(&mut out, 13, &columns.iter().filter_map(|c| c.dimensions).collect::<Vec<_>>());
    out
}

/// The same with `binlog_row_metadata=MINIMAL`.
pub(crate) fn minimal_table_map(columns: &[Col]) -> Vec<u8> {
    let mut out = vec![1, 0];
    out.extend(b"\x04shop\0\x01t\0");
    lenenc(&mut out, columns.len());
    out.extend(columns.iter().map(|c| c.code));
    let metadata: Vec<u8> = columns.iter().flat_map(|c| c.metadata.clone()).collect();
    lenenc(&mut out, metadata.len());
    out.extend(metadata);
    for chunk in columns.chunks(8) {
        out.push(chunk.iter().enumerate().fold(0, |byte, (i, c)| byte | u8::from(c.nullable) << i));
    }
    let signed = columns.iter().filter(|c| matches!(c.code, 1..=5 | 8 | 9 | 13 | 246));
    field(&mut out, 1, &bits(signed.map(|c| c.unsigned)));
    let texts = columns.iter().filter(|c| c.is_text());
    field(&mut out, 3, &collations(texts));
    out
}

/// The body of a V2 rows event with full images of fewer than 251 columns.
pub(crate) fn rows_event(event_type: u8, columns: usize, images: &[&[u8]]) -> Vec<u8> {
    let mut out = vec![9, 0, 0, 0, 0, 0, 1, 0, 2, 0, columns as u8];
    for _ in 0..if event_type == 31 { 2 } else { 1 } {
        out.extend(std::iter::repeat_n(0xff, columns.div_ceil(8)));
    }
    images.iter().for_each(|image| out.extend(*image));
    out
}
