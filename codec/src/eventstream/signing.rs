//! Signed events: what a client sends in a bidirectional stream (feature `signing`).
//!
//! ```text
//! frame { :date, :chunk-signature, payload: frame { headers of the event, payload of the event } }
//! ```
//!
//! Each event is a frame within a frame. Its signature covers the time, the event, and the previous signature; the first one
//! continues the signature of the HTTP request. So events cannot be changed, dropped, repeated or reordered. A signed frame with
//! an empty payload ends the stream. Events of the service are not signed.
//!
//! The layout and the string to sign are those of
//! [Signature Version 4 for event streams](https://docs.aws.amazon.com/transcribe/latest/dg/streaming-setting-up.html), which
//! SageMaker's `InvokeEndpointWithBidirectionalStream` uses with the service name `sagemaker`, and Bedrock's
//! `InvokeModelWithBidirectionalStream` with `bedrock`. There is no clock here: the caller passes the time to [`Signer`], and
//! compares the time that [`Verifier`] returns.
//!
//! ```
//! use sagewire_codec::eventstream::{Signer, SigningParams, Verifier, parse};
//! use sagewire_codec::sagemaker::{DataType, PayloadPart};
//!
//! let params = SigningParams { secret_access_key: "EXAMPLE", region: "us-east-1", service: "sagemaker" };
//! // The signature of the HTTP request, from its `Authorization` header.
//! let request_signature = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
//!
//! let (mut event, mut wire) = (Vec::new(), Vec::new());
//! PayloadPart::new(b"{\"type\":\"session.update\"}").data_type(DataType::Utf8).encode(&mut event)?;
//! let mut signer = Signer::new(&params, request_signature)?;
//! signer.sign(1_790_000_000, &event, &mut wire)?;
//! signer.finish(1_790_000_001, &mut wire)?;
//!
//! let (mut verifier, limits) = (Verifier::new(&params, request_signature)?, Default::default());
//! let mut rest = &wire[..];
//! while let Some((frame, after)) = parse(rest, &limits)? {
//!     rest = after;
//!     let signed = verifier.verify(&frame, &limits)?;
//!     if let Some(event) = signed.event {
//!         assert_eq!(event.payload(), b"{\"type\":\"session.update\"}");
//!     }
//! }
//! verifier.finish()?;
//! # Ok::<(), sagewire_codec::DecodeError>(())
//! ```

use alloc::format;
use alloc::string::{String, ToString};
use alloc::vec::Vec;
use core::fmt;

use hmac::{Hmac, KeyInit, Mac};
use sha2::{Digest, Sha256};

use crate::error::{DecodeError, DecodeErrorKind, Layer};
use crate::eventstream::encode::{encode, encode_headers, unencodable};
use crate::eventstream::frame::{Frame, parse};
use crate::eventstream::header::{Header, Value};
use crate::limits::Limits;

const DATE: &str = ":date";
const SIGNATURE: &str = ":chunk-signature";

/// What signatures are made with, in addition to the events: the same as for the HTTP request.
#[derive(Clone, Copy)]
pub struct SigningParams<'a> {
    /// The secret access key of the credentials.
    pub secret_access_key: &'a str,
    /// The region, such as `us-east-1`.
    pub region: &'a str,
    /// The signing name of the service: `sagemaker` or `bedrock`.
    pub service: &'a str,
}

impl fmt::Debug for SigningParams<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningParams")
            .field("region", &self.region)
            .field("service", &self.service)
            .finish_non_exhaustive()
    }
}

/// Signs the events of one stream, in order.
#[derive(Clone, Debug)]
pub struct Signer(Chain);

impl Signer {
    /// A signer for the stream of a request with this signature: 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The signature is not one of Signature Version 4.
    pub fn new(params: &SigningParams<'_>, request_signature: &str) -> Result<Self, DecodeError> {
        Chain::new(params, request_signature).map(Self)
    }

    /// Appends an event to `out`, signed at this time. `event` is a frame, as [`encode`](crate::eventstream::encode) writes it.
    ///
    /// # Errors
    ///
    /// The event is empty, the stream was finished, the year has more than four digits, or the frame is longer than 4 GiB.
    /// Nothing is written, and the next event continues the previous one.
    pub fn sign(&mut self, unix_seconds: u64, event: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if event.is_empty() {
            return Err(unencodable("an empty event, which would end the stream"));
        }
        self.append(unix_seconds, event, out)
    }

    /// Appends the end of the stream to `out`, signed at this time.
    ///
    /// # Errors
    ///
    /// Those of [`sign`](Self::sign).
    pub fn finish(&mut self, unix_seconds: u64, out: &mut Vec<u8>) -> Result<(), DecodeError> {
        self.append(unix_seconds, &[], out)
    }

    fn append(&mut self, unix_seconds: u64, event: &[u8], out: &mut Vec<u8>) -> Result<(), DecodeError> {
        if self.0.is_finished {
            return Err(unencodable("an event after the end of the stream"));
        }
        let milliseconds = i64::try_from(unix_seconds).ok().and_then(|seconds| seconds.checked_mul(1000));
        let signed = milliseconds.and_then(|date| Some((date, self.0.mac(date, event)?)));
        let Some((date, mac)) = signed else { return Err(unencodable("a year of more than four digits")) };
        let signature: [u8; 32] = mac.finalize().into_bytes().into();
        let headers =
            [Header::new(SIGNATURE, Value::ByteArray(&signature)), Header::new(DATE, Value::Timestamp(date))];
        encode(headers, event, out)?;
        self.0.advance(&signature, event);
        Ok(())
    }
}

/// Verifies the signed events of one stream, in order.
#[derive(Clone, Debug)]
pub struct Verifier {
    chain: Chain,
    /// The offset of the next frame in the stream.
    offset: u64,
    failed: Option<DecodeError>,
}

/// A verified event.
#[derive(Clone, Copy, Debug)]
#[non_exhaustive]
pub struct Signed<'a> {
    /// When the client signed it: milliseconds since the Unix epoch. The service refuses events whose time differs too much from
    /// its own.
    pub date: i64,
    /// The event; `None` for the end of the stream.
    pub event: Option<Frame<'a>>,
}

impl Verifier {
    /// A verifier for the stream of a request with this signature: 64 hexadecimal digits.
    ///
    /// # Errors
    ///
    /// The signature is not one of Signature Version 4.
    pub fn new(params: &SigningParams<'_>, request_signature: &str) -> Result<Self, DecodeError> {
        Ok(Self { chain: Chain::new(params, request_signature)?, offset: 0, failed: None })
    }

    /// Verifies the next frame. The signatures are compared in constant time.
    ///
    /// # Errors
    ///
    /// The frame has no date or no signature, the signature is not that of this frame after the previous ones, the stream had
    /// ended, or the payload is not one frame within the limits. Later frames continue this one, so the error is permanent.
    pub fn verify<'a>(&mut self, frame: &Frame<'a>, limits: &Limits) -> Result<Signed<'a>, DecodeError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        let signed = self.check(frame, limits).inspect_err(|error| self.failed = Some(error.clone()))?;
        self.offset += frame.as_bytes().len() as u64;
        Ok(signed)
    }

    fn check<'a>(&mut self, frame: &Frame<'a>, limits: &Limits) -> Result<Signed<'a>, DecodeError> {
        let fault = |why| {
            let kind = DecodeErrorKind::Malformed { what: "signed event", why };
            DecodeError::new(Layer::EventStream, self.offset, kind)
        };
        if self.chain.is_finished {
            return Err(fault("it follows the end of the stream"));
        }
        let Some(Value::Timestamp(date)) = frame.headers().get(DATE) else {
            return Err(fault("it has no date"));
        };
        let Some(Value::ByteArray(signature)) = frame.headers().get(SIGNATURE) else {
            return Err(fault("it has no signature"));
        };
        let payload = frame.payload();
        let mac = self.chain.mac(date, payload).ok_or_else(|| fault("its year does not have four digits"))?;
        mac.verify_slice(signature).map_err(|_| fault("the signature does not match"))?;
        let event = match payload {
            [] => None,
            payload => match parse(payload, limits)? {
                Some((event, [])) => Some(event),
                _ => return Err(fault("its payload is not one frame")),
            },
        };
        self.chain.advance(signature, payload);
        Ok(Signed { date, event })
    }

    /// The end of the input.
    ///
    /// # Errors
    ///
    /// *Truncated* if the client did not end the stream; or the error of [`verify`](Self::verify).
    pub fn finish(&self) -> Result<(), DecodeError> {
        match &self.failed {
            Some(error) => Err(error.clone()),
            None if self.chain.is_finished => Ok(()),
            None => {
                let kind =
                    DecodeErrorKind::Truncated { what: "the signed end of the stream is missing", len: 0 };
                Err(DecodeError::new(Layer::EventStream, self.offset, kind))
            }
        }
    }
}

/// What a signature depends on, from one event to the next.
#[derive(Clone)]
struct Chain {
    /// `AWS4` and the secret access key.
    secret: Vec<u8>,
    region: String,
    service: String,
    /// The key of the last day, and that day.
    key: (String, Vec<u8>),
    /// The last signature, in hexadecimal.
    previous: [u8; 64],
    is_finished: bool,
}

impl Chain {
    fn new(params: &SigningParams<'_>, request_signature: &str) -> Result<Self, DecodeError> {
        let is_hex = |byte: &u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
        let previous = <[u8; 64]>::try_from(request_signature.as_bytes()).ok();
        let Some(previous) = previous.filter(|digits| digits.iter().all(is_hex)) else {
            return Err(unencodable("the signature of the request is not 64 hexadecimal digits"));
        };
        Ok(Self {
            secret: [b"AWS4", params.secret_access_key.as_bytes()].concat(),
            region: params.region.to_string(),
            service: params.service.to_string(),
            key: (String::new(), Vec::new()),
            previous,
            is_finished: false,
        })
    }

    /// The signature of the next event, not finalized; `None` if the year does not have four digits.
    fn mac(&mut self, date: i64, event: &[u8]) -> Option<Hmac<Sha256>> {
        let (day, time) = date_time(date)?;
        if self.key.0 != day {
            let parts = [&*day, &*self.region, &*self.service, "aws4_request"];
            let mut key = self.secret.clone();
            for part in parts {
                key = keyed(&key, part.as_bytes())?.finalize().into_bytes().to_vec();
            }
            self.key = (day, key);
        }
        let mut header = Vec::new();
        encode_headers([Header::new(DATE, Value::Timestamp(date))], &mut header).ok()?;
        let (day, key) = &self.key;
        let begin = format!(
            "AWS4-HMAC-SHA256-PAYLOAD\n{day}T{time}Z\n{day}/{}/{}/aws4_request\n",
            self.region, self.service
        );
        let mut mac = keyed(key, begin.as_bytes())?;
        mac.update(&self.previous);
        for part in [&header[..], event] {
            mac.update(b"\n");
            mac.update(&hex(&Sha256::digest(part).into()));
        }
        Some(mac)
    }

    /// Continues after an event with this signature.
    fn advance(&mut self, signature: &[u8], event: &[u8]) {
        if let Ok(signature) = signature.try_into() {
            self.previous = hex(signature);
        }
        self.is_finished = event.is_empty();
    }
}

impl fmt::Debug for Chain {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Chain")
            .field("region", &self.region)
            .field("service", &self.service)
            .field("is_finished", &self.is_finished)
            .finish_non_exhaustive()
    }
}

/// HMAC-SHA-256 of `data`, which may be continued. Keys may have any length.
fn keyed(key: &[u8], data: &[u8]) -> Option<Hmac<Sha256>> {
    Some(Hmac::new_from_slice(key).ok()?.chain_update(data))
}

fn hex(bytes: &[u8; 32]) -> [u8; 64] {
    let mut digits = [0; 64];
    for (pair, byte) in digits.chunks_exact_mut(2).zip(bytes) {
        let digit = |value: u8| b"0123456789abcdef"[usize::from(value)];
        pair.copy_from_slice(&[digit(byte >> 4), digit(byte & 15)]);
    }
    digits
}

/// The day (`20260921`) and the time (`131320`) of milliseconds since the Unix epoch, in UTC.
fn date_time(date: i64) -> Option<(String, String)> {
    let seconds = date.div_euclid(1000);
    let (days, second) = (seconds.div_euclid(86_400), seconds.rem_euclid(86_400));
    // The Gregorian calendar repeats every 400 years, which have 146,097 days. Years begin in March here, so that a leap day is
    // the last of its year.
    let day = days + 719_468;
    let (era, day) = (day.div_euclid(146_097), day.rem_euclid(146_097));
    let year = (day - day / 1_460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let (day, month) = (day - (153 * month + 2) / 5 + 1, if month < 10 { month + 3 } else { month - 9 });
    let year = era * 400 + year + i64::from(month <= 2);
    let (hour, minute, second) = (second / 3600, second / 60 % 60, second % 60);
    (0..=9999)
        .contains(&year)
        .then(|| (format!("{year:04}{month:02}{day:02}"), format!("{hour:02}{minute:02}{second:02}")))
}
