//! Writes frames.

use alloc::vec::Vec;

use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::eventstream::frame::PRELUDE_LEN;
use crate::eventstream::header::{Header, VALUE_MAX, Value};

/// Appends one frame to `out`.
///
/// # Errors
///
/// A header name that is empty or longer than 255 bytes, a value longer than 32,767 bytes, a frame of more than 4 GiB.
/// `out` is left as it was.
pub fn encode<'a>(
    headers: impl IntoIterator<Item = Header<'a>>,
    payload: &[u8],
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    let start = out.len();
    encode_with(headers, out, |out| out.extend_from_slice(payload)).inspect_err(|_| out.truncate(start))
}

/// The same with a payload that is written in place.
fn encode_with<'a>(
    headers: impl IntoIterator<Item = Header<'a>>,
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), DecodeError> {
    let start = begin(out);
    encode_headers(headers, out)?;
    finish(start, out.len() - start - PRELUDE_LEN, out, payload)
}

/// The same with headers that were encoded before.
pub(crate) fn encode_block(
    headers: &[u8],
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), DecodeError> {
    let start = begin(out);
    out.extend_from_slice(headers);
    finish(start, headers.len(), out, payload)
}

/// Appends headers without a frame around them.
pub(crate) fn encode_headers<'a>(
    headers: impl IntoIterator<Item = Header<'a>>,
    out: &mut Vec<u8>,
) -> Result<(), DecodeError> {
    headers.into_iter().try_for_each(|header| encode_header(&header, out).map_err(unencodable))
}

/// Makes room for the prelude, which is filled in once the lengths are known.
fn begin(out: &mut Vec<u8>) -> usize {
    out.extend_from_slice(&[0; PRELUDE_LEN]);
    out.len() - PRELUDE_LEN
}

fn finish(
    start: usize,
    headers_len: usize,
    out: &mut Vec<u8>,
    payload: impl FnOnce(&mut Vec<u8>),
) -> Result<(), DecodeError> {
    payload(out);
    let total = out.len() - start + 4;
    let (Ok(total), Ok(headers_len)) = (u32::try_from(total), u32::try_from(headers_len)) else {
        return Err(unencodable("frame is longer than 4 GiB"));
    };
    out[start..start + 4].copy_from_slice(&total.to_be_bytes());
    out[start + 4..start + 8].copy_from_slice(&headers_len.to_be_bytes());
    let prelude = crc32fast::hash(&out[start..start + 8]);
    out[start + 8..start + 12].copy_from_slice(&prelude.to_be_bytes());
    let message = crc32fast::hash(&out[start..]);
    out.extend_from_slice(&message.to_be_bytes());
    Ok(())
}

fn encode_header(header: &Header<'_>, out: &mut Vec<u8>) -> Result<(), &'static str> {
    let name = header.name.as_bytes();
    let name_len = u8::try_from(name.len()).map_err(|_| "header name is longer than 255 bytes")?;
    if name_len == 0 {
        return Err("header name is empty");
    }
    out.push(name_len);
    out.extend_from_slice(name);
    match header.value {
        Value::Bool(true) => out.push(0),
        Value::Bool(false) => out.push(1),
        Value::Byte(value) => fixed(2, &value.to_be_bytes(), out),
        Value::Short(value) => fixed(3, &value.to_be_bytes(), out),
        Value::Integer(value) => fixed(4, &value.to_be_bytes(), out),
        Value::Long(value) => fixed(5, &value.to_be_bytes(), out),
        Value::ByteArray(value) => variable(6, value, out)?,
        Value::String(value) => variable(7, value.as_bytes(), out)?,
        Value::Timestamp(value) => fixed(8, &value.to_be_bytes(), out),
        Value::Uuid(value) => fixed(9, &value, out),
    }
    Ok(())
}

fn fixed(kind: u8, value: &[u8], out: &mut Vec<u8>) {
    out.push(kind);
    out.extend_from_slice(value);
}

fn variable(kind: u8, value: &[u8], out: &mut Vec<u8>) -> Result<(), &'static str> {
    if value.len() > VALUE_MAX {
        return Err("header value is longer than 32,767 bytes");
    }
    out.push(kind);
    out.extend_from_slice(&(value.len() as u16).to_be_bytes());
    out.extend_from_slice(value);
    Ok(())
}

pub(crate) fn unencodable(what: &'static str) -> DecodeError {
    DecodeError::new(Layer::EventStream, 0, DecodeErrorKind::Unencodable(what))
}
