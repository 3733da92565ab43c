//! Vectors, as JSON numbers or as Base64 of 32-bit floats, and pooling.

use alloc::borrow::Cow;
use alloc::string::ToString;
use alloc::vec::Vec;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::convert_error::ConvertError;
use crate::formats::embeddings::{DEPTH, malformed};
use crate::json::{Fault, Json as Cursor, Kind};
use crate::model::Json;

const WHAT: &str = "vector";

/// The encoding of a vector.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Encoding {
    /// A list of numbers.
    #[default]
    Float,
    /// Base64 of 32-bit floats, little-endian.
    Base64,
}

/// How the vectors of a text's tokens are pooled to one vector.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Pooling {
    /// The mean of all vectors. A response does not mark padding tokens, so they count too.
    Mean,
    /// The first vector, which represents the whole text in models like BERT (CLS).
    First,
    /// The last vector.
    Last,
}

/// A vector.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Vector<'a> {
    /// A list of numbers, as the source wrote them.
    Numbers(Json<'a>),
    /// Base64 of 32-bit floats, little-endian.
    Base64(Cow<'a, str>),
    /// The numbers.
    Floats(Vec<f32>),
}

impl Vector<'_> {
    /// The numbers.
    ///
    /// # Errors
    ///
    /// The text is not Base64, or not a whole number of floats.
    pub fn to_floats(&self) -> Result<Vec<f32>, ConvertError> {
        let fault = |why| malformed(WHAT, Fault { at: 0, why });
        match self {
            Self::Floats(floats) => Ok(floats.clone()),
            Self::Numbers(json) => {
                let mut floats = Vec::new();
                read_numbers(json.as_str(), |number| floats.push(number as f32))
                    .map_err(|fault| malformed(WHAT, fault))?;
                Ok(floats)
            }
            Self::Base64(text) => {
                let bytes = STANDARD.decode(text.as_bytes()).map_err(|_| fault("it is no Base64"))?;
                let floats = bytes.chunks_exact(4);
                if !floats.remainder().is_empty() {
                    return Err(fault("its bytes are no whole number of floats"));
                }
                Ok(floats.map(|bytes| f32::from_le_bytes(bytes.try_into().unwrap_or_default())).collect())
            }
        }
    }

    /// Appends the vector as JSON. A vector that already has the encoding is copied.
    pub(crate) fn write(&self, encoding: Encoding, out: &mut Vec<u8>) -> Result<(), ConvertError> {
        match (self, encoding) {
            (Self::Numbers(json), Encoding::Float) => out.extend_from_slice(json.as_str().as_bytes()),
            (_, Encoding::Float) => {
                out.push(b'[');
                for (index, number) in self.to_floats()?.into_iter().enumerate() {
                    if !number.is_finite() {
                        return Err(malformed(WHAT, Fault { at: 0, why: "a number is not finite" }));
                    }
                    if index > 0 {
                        out.push(b',');
                    }
                    out.extend_from_slice(number.to_string().as_bytes());
                }
                out.push(b']');
            }
            (vector, Encoding::Base64) => {
                out.push(b'"');
                match vector {
                    Self::Base64(text) => {
                        // Invalid Base64 could break the JSON as well.
                        vector.to_floats()?;
                        out.extend_from_slice(text.as_bytes());
                    }
                    _ => {
                        let bytes: Vec<u8> =
                            vector.to_floats()?.into_iter().flat_map(f32::to_le_bytes).collect();
                        out.extend_from_slice(STANDARD.encode(bytes).as_bytes());
                    }
                }
                out.push(b'"');
            }
        }
        Ok(())
    }
}

/// Reads a list of numbers.
pub(crate) fn read_numbers(json: &str, mut each: impl FnMut(f64)) -> Result<usize, Fault> {
    let mut count = 0;
    Cursor::new(json.as_bytes(), 0, DEPTH).array(|cursor| {
        let is_number = cursor.kind()? == Kind::Number;
        let range = cursor.skip()?;
        let fault = Fault { at: range.start, why: "a vector has something else than numbers" };
        if !is_number {
            return Err(fault);
        }
        each(json[range].parse().map_err(|_| fault)?);
        count += 1;
        Ok::<_, Fault>(())
    })?;
    Ok(count)
}

/// Pools the vectors of a text's tokens, a list of lists of numbers.
pub(crate) fn pool(json: &str, pooling: Pooling) -> Result<Vec<f32>, Fault> {
    let (mut sums, mut tokens): (Vec<f64>, u32) = (Vec::new(), 0);
    Cursor::new(json.as_bytes(), 0, DEPTH).array(|cursor| {
        let range = cursor.skip()?;
        let (mut index, first) = (0, tokens == 0);
        tokens += 1;
        let fault = Fault { at: range.start, why: "the tokens of a text have vectors of different lengths" };
        read_numbers(&json[range], |number| {
            match (first, pooling) {
                (true, _) => sums.push(number),
                (false, Pooling::First) => {}
                (false, Pooling::Mean) => sums.iter_mut().skip(index).take(1).for_each(|sum| *sum += number),
                (false, Pooling::Last) => sums.iter_mut().skip(index).take(1).for_each(|sum| *sum = number),
            }
            index += 1;
        })?;
        if index == sums.len() { Ok(()) } else { Err(fault) }
    })?;
    if sums.is_empty() {
        return Err(Fault { at: 0, why: "a text has no tokens" });
    }
    let divisor = if pooling == Pooling::Mean { f64::from(tokens) } else { 1.0 };
    Ok(sums.into_iter().map(|sum| (sum / divisor) as f32).collect())
}
