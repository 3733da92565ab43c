//! Tools and images of a request.

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use sagewire_codec::model::{Content, Part, Request, Source};
use sagewire_codec::{Api, read_request};
use serde::Deserialize;

use crate::fault::Fault;
use crate::input;

/// Maximum size of an image in bytes: the service takes 25 MB in total, and Base64 adds a third.
const IMAGE_MAX: u64 = 18 * 1024 * 1024;

/// Arguments with files to send.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Model options")]
pub(super) struct Args {
    /// JSON array of tools in OpenAI's format; calls are printed to standard error
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// Image to send: PNG, JPEG, GIF or WebP (repeatable)
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
}

impl Args {
    /// Whether there are tools.
    pub(super) fn has_tools(&self) -> bool {
        self.tools.is_some()
    }

    /// Reads the tools.
    pub(super) fn tools(&self) -> Result<Tools, Fault> {
        let Some(path) = &self.tools else { return Ok(Tools(None)) };
        let invalid = |reason: &str| Fault::usage(format!("--tools: {}: {reason}", path.display()));
        let text = input::read_text(path).map_err(|reason| Fault::usage(format!("--tools: {reason}")))?;
        let kinds: Vec<Kind> = serde_json::from_str(&text)
            .map_err(|error| invalid(&format!("not a JSON array of tools: {error}")))?;
        let tools = Tools(Some(format!("{{\"tools\":{text},\"messages\":[]}}")));
        let request = tools.request().map_err(|error| invalid(&error.kind().to_string()))?;
        if request.tools.is_empty() || !request.extension_fields.is_empty() {
            return Err(invalid("has no tools"));
        }
        // Other kinds of tools are passed to the container unchecked.
        if kinds
            .iter()
            .zip(&request.tools)
            .any(|(kind, tool)| kind.name == "function" && tool.name.is_empty())
        {
            return Err(invalid("a function has no name"));
        }
        Ok(tools)
    }

    /// Reads the images, as parts of a message.
    pub(super) fn images(&self) -> Result<Vec<Part<'static>>, Fault> {
        let part = |path: &PathBuf| {
            let invalid = |reason| Fault::usage(format!("--image: {}: {reason}", path.display()));
            image(path).map_err(invalid)
        };
        self.image.iter().map(part).collect()
    }
}

/// The type of a tool.
#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    name: String,
}

/// A request with tools, as JSON; `None` if there are no tools.
#[derive(Debug)]
pub(super) struct Tools(Option<String>);

impl Tools {
    /// A request with the tools and nothing else.
    pub(super) fn request(&self) -> Result<Request<'_>, sagewire_codec::ConvertError> {
        match &self.0 {
            Some(document) => read_request(Api::OpenAi, document.as_bytes()),
            None => Ok(Request::default()),
        }
    }
}

fn image(path: &Path) -> Result<Part<'static>, String> {
    let mut bytes = Vec::new();
    let file = File::open(path).map_err(|error| error.to_string())?;
    file.take(IMAGE_MAX + 1).read_to_end(&mut bytes).map_err(|error| error.to_string())?;
    if bytes.len() as u64 > IMAGE_MAX {
        return Err(format!("has more than {IMAGE_MAX} bytes"));
    }
    let media_type = media_type(&bytes).ok_or("not a PNG, JPEG, GIF or WebP")?;
    let source = Source::Base64 { media_type: media_type.into(), data: STANDARD.encode(bytes).into() };
    Ok(Part::new(Content::Image { source, detail: None }))
}

/// Detects the type of an image by its first bytes.
fn media_type(bytes: &[u8]) -> Option<&'static str> {
    match bytes {
        [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1a, b'\n', ..] => Some("image/png"),
        [0xff, 0xd8, 0xff, ..] => Some("image/jpeg"),
        [b'G', b'I', b'F', b'8', b'7' | b'9', b'a', ..] => Some("image/gif"),
        [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some("image/webp"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_are_detected_by_their_content() {
        for (bytes, found) in [
            (&b"\x89PNG\r\n\x1a\n..."[..], Some("image/png")),
            (b"\xff\xd8\xff\xe0", Some("image/jpeg")),
            (b"GIF87a", Some("image/gif")),
            (b"GIF89a..", Some("image/gif")),
            (b"RIFF\x10\0\0\0WEBPVP8 ", Some("image/webp")),
            (b"RIFF\x10\0\0\0WAVEfmt ", None),
            (b"<svg/>", None),
            (b"", None),
        ] {
            assert_eq!(media_type(bytes), found);
        }
    }
}
