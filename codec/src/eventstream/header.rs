//! Headers: ten value types, read in place.
//!
//! A frame's header block is checked once, when the frame is found. After that, reading it cannot fail and allocates
//! nothing.

use crate::error::DecodeErrorKind;

/// Bytes of the longest string or byte array: the specification's bound, which is less than a two-byte length allows.
pub(crate) const VALUE_MAX: usize = 32_767;

/// The value of a header.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Value<'a> {
    /// Types 0 (true) and 1 (false).
    Bool(bool),
    /// Type 2.
    Byte(i8),
    /// Type 3.
    Short(i16),
    /// Type 4.
    Integer(i32),
    /// Type 5.
    Long(i64),
    /// Type 6, at most 32,767 bytes.
    ByteArray(&'a [u8]),
    /// Type 7, at most 32,767 bytes.
    String(&'a str),
    /// Type 8: milliseconds since the Unix epoch.
    Timestamp(i64),
    /// Type 9.
    Uuid([u8; 16]),
}

impl<'a> Value<'a> {
    /// The specification's name for the type.
    pub fn type_name(&self) -> &'static str {
        match self {
            Self::Bool(true) => "bool_true",
            Self::Bool(false) => "bool_false",
            Self::Byte(_) => "byte",
            Self::Short(_) => "short",
            Self::Integer(_) => "integer",
            Self::Long(_) => "long",
            Self::ByteArray(_) => "byte_array",
            Self::String(_) => "string",
            Self::Timestamp(_) => "timestamp",
            Self::Uuid(_) => "uuid",
        }
    }

    /// The text of a string header, `None` for other types.
    pub fn as_str(&self) -> Option<&'a str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }
}

/// A header of a frame.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Header<'a> {
    /// 1 to 255 bytes. Names of the protocol itself begin with a colon.
    pub name: &'a str,
    /// The value with its type.
    pub value: Value<'a>,
}

impl<'a> Header<'a> {
    /// A header of this name and value.
    pub const fn new(name: &'a str, value: Value<'a>) -> Self {
        Self { name, value }
    }
}

/// The headers of a frame, in the order of the wire.
#[derive(Clone, Copy, Debug, Default)]
pub struct Headers<'a> {
    /// Checked by [`check`].
    block: &'a [u8],
}

impl<'a> Headers<'a> {
    pub(crate) fn new(block: &'a [u8]) -> Self {
        Self { block }
    }

    /// The value of the header of this name.
    pub fn get(&self, name: &str) -> Option<Value<'a>> {
        let mut block = self.block;
        while !block.is_empty() {
            let raw = Raw::split(&mut block).ok()?;
            if raw.name == name.as_bytes() {
                return raw.value().ok();
            }
        }
        None
    }

    /// All headers, in the order of the wire.
    pub fn iter(&self) -> Iter<'a> {
        Iter { block: self.block }
    }

    /// Whether there is no header.
    pub fn is_empty(&self) -> bool {
        self.block.is_empty()
    }
}

impl<'a> IntoIterator for Headers<'a> {
    type Item = Header<'a>;
    type IntoIter = Iter<'a>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

/// Iterator over the headers of a frame.
#[derive(Clone, Debug)]
pub struct Iter<'a> {
    block: &'a [u8],
}

impl<'a> Iterator for Iter<'a> {
    type Item = Header<'a>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.block.is_empty() {
            return None;
        }
        let raw = Raw::split(&mut self.block).ok()?;
        Some(Header { name: core::str::from_utf8(raw.name).ok()?, value: raw.value().ok()? })
    }
}

/// Checks a whole header block, with the offset in it of the first fault.
pub(crate) fn check(block: &[u8], count_limit: usize) -> Result<(), (usize, DecodeErrorKind)> {
    let mut rest = block;
    let mut count = 0;
    while !rest.is_empty() {
        let offset = block.len() - rest.len();
        let fault = |kind| (offset, kind);
        let raw = Raw::split(&mut rest).map_err(fault)?;
        raw.value().map_err(fault)?;
        if core::str::from_utf8(raw.name).is_err() {
            return Err(fault(DecodeErrorKind::Header("name is not UTF-8")));
        }
        count += 1;
        if count > count_limit {
            return Err(fault(DecodeErrorKind::Limit {
                what: "number of headers",
                len: Some(count as u64),
                limit: count_limit as u64,
            }));
        }
        // Quadratic, but bounded by the limit on the number of headers, and real frames have three.
        let mut before = &block[..offset];
        while !before.is_empty() {
            if Raw::split(&mut before).map_err(fault)?.name == raw.name {
                return Err(fault(DecodeErrorKind::Header("name occurs twice")));
            }
        }
    }
    Ok(())
}

/// The parts of a header, not interpreted yet.
struct Raw<'a> {
    name: &'a [u8],
    kind: u8,
    value: &'a [u8],
}

impl<'a> Raw<'a> {
    /// Takes the first header off `block`.
    fn split(block: &mut &'a [u8]) -> Result<Self, DecodeErrorKind> {
        let name_len = usize::from(take(block, 1)?[0]);
        if name_len == 0 {
            return Err(DecodeErrorKind::Header("name is empty"));
        }
        let name = take(block, name_len)?;
        let kind = take(block, 1)?[0];
        let len = match kind {
            0 | 1 => 0,
            2 => 1,
            3 => 2,
            4 => 4,
            5 | 8 => 8,
            6 | 7 => {
                let len = take(block, 2)?;
                usize::from(u16::from_be_bytes([len[0], len[1]]))
            }
            9 => 16,
            found => return Err(DecodeErrorKind::HeaderType(found)),
        };
        if len > VALUE_MAX {
            return Err(DecodeErrorKind::Header("value is longer than 32,767 bytes"));
        }
        Ok(Self { name, kind, value: take(block, len)? })
    }

    fn value(&self) -> Result<Value<'a>, DecodeErrorKind> {
        // `split` has taken as many bytes as the type has.
        let value = self.value;
        Ok(match self.kind {
            0 => Value::Bool(true),
            1 => Value::Bool(false),
            2 => Value::Byte(i8::from_be_bytes(array(value)?)),
            3 => Value::Short(i16::from_be_bytes(array(value)?)),
            4 => Value::Integer(i32::from_be_bytes(array(value)?)),
            5 => Value::Long(i64::from_be_bytes(array(value)?)),
            6 => Value::ByteArray(value),
            7 => Value::String(
                core::str::from_utf8(value).map_err(|_| DecodeErrorKind::Header("string is not UTF-8"))?,
            ),
            8 => Value::Timestamp(i64::from_be_bytes(array(value)?)),
            9 => Value::Uuid(array(value)?),
            found => return Err(DecodeErrorKind::HeaderType(found)),
        })
    }
}

fn take<'a>(block: &mut &'a [u8], len: usize) -> Result<&'a [u8], DecodeErrorKind> {
    let Some((head, tail)) = block.split_at_checked(len) else {
        return Err(DecodeErrorKind::Header("runs past the end of the headers"));
    };
    *block = tail;
    Ok(head)
}

fn array<const N: usize>(value: &[u8]) -> Result<[u8; N], DecodeErrorKind> {
    value.try_into().map_err(|_| DecodeErrorKind::Header("value has the wrong length"))
}
