//! A cursor over bytes that came from a server: every read is checked, none can panic.

/// Fewer bytes than the format promises, or a length that cannot be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("event is shorter than its format says")]
pub struct Truncated;

/// Reads little-endian fields from the front of a slice.
#[derive(Clone, Copy, Debug)]
pub struct Wire<'a>(pub &'a [u8]);

impl<'a> Wire<'a> {
    /// The next `n` bytes.
    pub fn bytes(&mut self, n: usize) -> Result<&'a [u8], Truncated> {
        let (head, tail) = self.0.split_at_checked(n).ok_or(Truncated)?;
        self.0 = tail;
        Ok(head)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], Truncated> {
        let (head, tail) = self.0.split_first_chunk::<N>().ok_or(Truncated)?;
        self.0 = tail;
        Ok(*head)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Truncated> {
        self.array().map(|[b]: [u8; 1]| b)
    }

    /// Two bytes.
    pub fn u16(&mut self) -> Result<u16, Truncated> {
        self.array().map(u16::from_le_bytes)
    }

    /// Four bytes.
    pub fn u32(&mut self) -> Result<u32, Truncated> {
        self.array().map(u32::from_le_bytes)
    }

    /// Eight bytes.
    pub fn u64(&mut self) -> Result<u64, Truncated> {
        self.array().map(u64::from_le_bytes)
    }

    /// `n` ≤ 8 bytes.
    pub fn uint(&mut self, n: usize) -> Result<u64, Truncated> {
        Ok(self.bytes(n)?.iter().rev().fold(0, |value, byte| value << 8 | u64::from(*byte)))
    }

    /// Sixteen bytes of a UUID.
    pub fn uuid(&mut self) -> Result<[u8; 16], Truncated> {
        self.array()
    }

    /// A length-encoded integer (MySQL Internals, "Protocol::LengthEncodedInteger").
    pub fn lenenc(&mut self) -> Result<u64, Truncated> {
        match self.u8()? {
            small @ 0..=0xfa => Ok(u64::from(small)),
            0xfc => self.uint(2),
            0xfd => self.uint(3),
            0xfe => self.u64(),
            _ => Err(Truncated),
        }
    }

    /// A variable-length integer of MySQL's serialization library: the number of trailing one bits of the first byte says
    /// how many bytes follow, nine bytes in all when it is 0xff.
    pub fn varint(&mut self) -> Result<u64, Truncated> {
        let first = *self.0.first().ok_or(Truncated)?;
        let following = first.trailing_ones() as usize;
        if following == 8 {
            self.u8()?;
            return self.u64();
        }
        Ok(self.uint(following + 1)? >> (following + 1))
    }

    /// A signed [`varint`](Self::varint): the lowest bit is the sign.
    pub fn signed_varint(&mut self) -> Result<i64, Truncated> {
        let raw = self.varint()?;
        let magnitude = (raw >> 1) as i64;
        Ok(if raw & 1 == 0 { magnitude } else { -magnitude - 1 })
    }
}
