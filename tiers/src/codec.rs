//! The one way in which rows, records and ops are written as bytes: varints, zigzag, length-prefixed bytes.
//!
//! Promises: reading foreign bytes never panics and never allocates more than the input is long.

use std::fmt;

/// Why bytes could not be read: where, and what was expected there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Malformed {
    /// Offset in the input.
    pub offset: usize,
    /// What should have been there.
    pub expected: &'static str,
}

impl fmt::Display for Malformed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "expected {} at byte {}", self.expected, self.offset)
    }
}

impl std::error::Error for Malformed {}

/// Appends values to a buffer.
#[derive(Clone, Debug, Default)]
pub struct Writer {
    out: Vec<u8>,
}

impl Writer {
    /// An empty one.
    pub fn new() -> Writer {
        Writer::default()
    }

    /// What was written.
    pub fn into_bytes(self) -> Vec<u8> {
        self.out
    }

    /// Bytes so far.
    pub fn len(&self) -> usize {
        self.out.len()
    }

    /// Whether nothing was written.
    pub fn is_empty(&self) -> bool {
        self.out.is_empty()
    }

    /// One byte.
    pub fn u8(&mut self, value: u8) -> &mut Self {
        self.out.push(value);
        self
    }

    /// Little-endian.
    pub fn u16(&mut self, value: u16) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Little-endian.
    pub fn u32(&mut self, value: u32) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// Little-endian.
    pub fn u64(&mut self, value: u64) -> &mut Self {
        self.raw(&value.to_le_bytes())
    }

    /// LEB128, shortest form.
    pub fn varint(&mut self, value: impl Into<u64>) -> &mut Self {
        let mut value = value.into();
        while value >= 0x80 {
            self.out.push(value.to_le_bytes()[0] | 0x80);
            value >>= 7;
        }
        self.out.push(value.to_le_bytes()[0]);
        self
    }

    /// A count or length.
    pub fn count(&mut self, value: usize) -> &mut Self {
        self.varint(u64::try_from(value).expect("a length fits 64 bits"))
    }

    /// Signed: zigzag, then LEB128.
    pub fn zigzag(&mut self, value: i64) -> &mut Self {
        self.varint(((value << 1) ^ (value >> 63)).cast_unsigned())
    }

    /// Bytes as they are, without a length.
    pub fn raw(&mut self, bytes: &[u8]) -> &mut Self {
        self.out.extend_from_slice(bytes);
        self
    }

    /// Length and bytes.
    pub fn bytes(&mut self, bytes: &[u8]) -> &mut Self {
        self.count(bytes.len()).raw(bytes)
    }

    /// Length and UTF-8.
    pub fn text(&mut self, text: &str) -> &mut Self {
        self.bytes(text.as_bytes())
    }
}

/// Reads values from foreign bytes.
#[derive(Clone, Debug)]
pub struct Reader<'a> {
    input: &'a [u8],
    at: usize,
}

impl<'a> Reader<'a> {
    /// From the first byte.
    pub fn new(input: &'a [u8]) -> Reader<'a> {
        Reader { input, at: 0 }
    }

    /// Offset of the next byte.
    pub fn offset(&self) -> usize {
        self.at
    }

    /// Bytes not yet read.
    pub fn rest(&self) -> &'a [u8] {
        self.input.get(self.at..).unwrap_or_default()
    }

    /// An error at this place.
    pub fn malformed(&self, expected: &'static str) -> Malformed {
        Malformed {
            offset: self.at,
            expected,
        }
    }

    /// Fails unless everything was read.
    pub fn end(&self) -> Result<(), Malformed> {
        if self.rest().is_empty() {
            Ok(())
        } else {
            Err(self.malformed("the end"))
        }
    }

    /// The next `n` bytes.
    pub fn raw(&mut self, n: usize) -> Result<&'a [u8], Malformed> {
        let got = self.rest().get(..n).ok_or(self.malformed("more bytes"))?;
        self.at += n;
        Ok(got)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let at = self.malformed("more bytes");
        self.raw(N)?.try_into().map_err(|_| at)
    }

    /// One byte.
    pub fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.array::<1>()?[0])
    }

    /// Little-endian.
    pub fn u16(&mut self) -> Result<u16, Malformed> {
        Ok(u16::from_le_bytes(self.array()?))
    }

    /// Little-endian.
    pub fn u32(&mut self) -> Result<u32, Malformed> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    /// Little-endian.
    pub fn u64(&mut self) -> Result<u64, Malformed> {
        Ok(u64::from_le_bytes(self.array()?))
    }

    /// LEB128, shortest form, at most 10 bytes.
    pub fn varint(&mut self) -> Result<u64, Malformed> {
        let start = self.malformed("a varint of at most 64 bits in its shortest form");
        let mut value = 0_u64;
        for shift in (0..64).step_by(7) {
            let byte = self.u8().map_err(|_| start)?;
            let bits = u64::from(byte & 0x7f);
            if shift == 63 && bits > 1 {
                return Err(start);
            }
            value |= bits << shift;
            if byte & 0x80 == 0 {
                return if byte == 0 && shift > 0 {
                    Err(start)
                } else {
                    Ok(value)
                };
            }
        }
        Err(start)
    }

    /// Passes over a varint whose value nobody wants.
    pub fn pass_varint(&mut self) -> Result<(), Malformed> {
        let last = self
            .rest()
            .iter()
            .take(10)
            .position(|byte| byte & 0x80 == 0);
        let last = last.ok_or(self.malformed("a varint of at most 64 bits"))?;
        self.at += last + 1;
        Ok(())
    }

    /// A varint that fits the type asked for.
    pub fn number<T: TryFrom<u64>>(&mut self) -> Result<T, Malformed> {
        let at = self.malformed("a smaller number");
        T::try_from(self.varint()?).map_err(|_| at)
    }

    /// A count of things that take at least one byte each: never more than bytes are left.
    pub fn count(&mut self) -> Result<usize, Malformed> {
        let at = self.malformed("a count that its bytes can hold");
        let count: usize = self.number()?;
        if count > self.rest().len() {
            Err(at)
        } else {
            Ok(count)
        }
    }

    /// Zigzag.
    pub fn zigzag(&mut self) -> Result<i64, Malformed> {
        let value = self.varint()?;
        Ok((value >> 1).cast_signed() ^ -((value & 1).cast_signed()))
    }

    /// Length and bytes.
    pub fn bytes(&mut self) -> Result<&'a [u8], Malformed> {
        let n = self.count()?;
        self.raw(n)
    }

    /// Length and UTF-8.
    pub fn text(&mut self) -> Result<&'a str, Malformed> {
        let at = self.malformed("UTF-8 text");
        std::str::from_utf8(self.bytes()?).map_err(|_| at)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn what_is_written_is_read(a: u64, b: i64, c: Vec<u8>, d: String) {
            let mut w = Writer::new();
            w.varint(a).zigzag(b).bytes(&c).text(&d).u16(7);
            let bytes = w.into_bytes();
            let mut r = Reader::new(&bytes);
            prop_assert_eq!(r.varint().unwrap(), a);
            prop_assert_eq!(r.zigzag().unwrap(), b);
            prop_assert_eq!(r.bytes().unwrap(), &c[..]);
            prop_assert_eq!(r.text().unwrap(), &d[..]);
            prop_assert_eq!(r.u16().unwrap(), 7);
            prop_assert!(r.end().is_ok());
        }

        #[test]
        fn foreign_bytes_never_panic_and_varints_have_one_form(bytes: Vec<u8>) {
            let mut r = Reader::new(&bytes);
            if let Ok(value) = r.varint() {
                let mut w = Writer::new();
                w.varint(value);
                prop_assert_eq!(w.into_bytes(), bytes[..r.offset()].to_vec());
            }
            let mut r = Reader::new(&bytes);
            while r.bytes().is_ok() && !r.rest().is_empty() {}
        }
    }
}
