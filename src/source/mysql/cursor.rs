//! Reading binlog bytes: a cursor that never goes past its end.

/// The bytes end before the value they promise.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("bytes end inside a value")]
pub struct Short;

/// A position in borrowed bytes. Every read is checked; integers are little-endian unless the name says otherwise.
#[derive(Clone, Copy, Debug)]
pub struct Cursor<'a> {
    rest: &'a [u8],
}

impl<'a> Cursor<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    /// What has not been read.
    #[inline]
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Whether everything has been read.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    /// The next `n` bytes.
    #[inline(always)]
    pub fn take(&mut self, n: usize) -> Result<&'a [u8], Short> {
        let (head, rest) = self.rest.split_at_checked(n).ok_or(Short)?;
        self.rest = rest;
        Ok(head)
    }

    /// The next `N` bytes as an array.
    #[inline(always)]
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Short> {
        let (head, rest) = self.rest.split_first_chunk::<N>().ok_or(Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// An unsigned integer of `n` bytes, at most 8.
    #[inline]
    pub fn uint(&mut self, n: usize) -> Result<u64, Short> {
        Ok(self.take(n)?.iter().rev().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    /// A big-endian unsigned integer of `n` bytes, at most 8.
    #[inline]
    pub fn uint_be(&mut self, n: usize) -> Result<u64, Short> {
        Ok(self.take(n)?.iter().fold(0, |value, byte| (value << 8) | u64::from(*byte)))
    }

    /// One byte.
    #[inline(always)]
    pub fn u8(&mut self) -> Result<u8, Short> {
        let (head, rest) = self.rest.split_first().ok_or(Short)?;
        self.rest = rest;
        Ok(*head)
    }

    /// Two bytes.
    #[inline(always)]
    pub fn u16(&mut self) -> Result<u16, Short> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Three bytes.
    #[inline(always)]
    pub fn u24(&mut self) -> Result<u32, Short> {
        let [a, b, c] = self.array()?;
        Ok(u32::from_le_bytes([a, b, c, 0]))
    }

    /// Four bytes.
    #[inline(always)]
    pub fn u32(&mut self) -> Result<u32, Short> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Six bytes: a table id.
    pub fn u48(&mut self) -> Result<u64, Short> {
        self.uint(6)
    }

    /// Eight bytes.
    #[inline(always)]
    pub fn u64(&mut self) -> Result<u64, Short> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// A length-encoded integer of the MySQL protocol ("packed integer" in the binlog).
    pub fn lenenc(&mut self) -> Result<u64, Short> {
        match self.u8()? {
            small @ 0..=250 => Ok(u64::from(small)),
            252 => self.u16().map(u64::from),
            253 => self.u24().map(u64::from),
            254 => self.u64(),
            // 251 is NULL and 255 an error packet in the protocol: neither is a length.
            _ => Err(Short),
        }
    }

    /// A length-encoded integer that has to fit memory.
    pub fn lenenc_usize(&mut self) -> Result<usize, Short> {
        usize::try_from(self.lenenc()?).map_err(|_| Short)
    }

    /// Bytes behind a length-encoded length.
    pub fn lenenc_bytes(&mut self) -> Result<&'a [u8], Short> {
        let n = self.lenenc_usize()?;
        self.take(n)
    }
}
