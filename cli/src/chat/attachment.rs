//! What goes with a question: tools, and images.

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

/// Bytes of the largest image that is sent: the service takes 25 MB in all, and Base64 makes four bytes of three.
const IMAGE_MAX: u64 = 18 * 1024 * 1024;

/// Arguments that name files.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Model")]
pub(super) struct Args {
    /// The tools that the model may call: a JSON array, as OpenAI has it. Calls are told on standard error
    #[arg(long, value_name = "FILE")]
    tools: Option<PathBuf>,
    /// An image that the question is about: PNG, JPEG, GIF or WebP. May be given several times
    #[arg(long, value_name = "FILE")]
    image: Vec<PathBuf>,
}

impl Args {
    /// The model may not call any tools.
    pub(super) fn have_no_tools(&self) -> bool {
        self.tools.is_none()
    }

    /// The tools.
    pub(super) fn tools(&self) -> Result<Tools, Fault> {
        let Some(path) = &self.tools else { return Ok(Tools(None)) };
        let unusable = |why: &str| Fault::usage(format!("--tools: {}: {why}", path.display()));
        let text = input::read_text(path).map_err(|why| Fault::usage(format!("--tools: {why}")))?;
        let kinds: Vec<Kind> = serde_json::from_str(&text)
            .map_err(|error| unusable(&format!("no JSON array of tools: {error}")))?;
        let tools = Tools(Some(format!("{{\"tools\":{text},\"messages\":[]}}")));
        let request = tools.request().map_err(|error| unusable(&error.kind().to_string()))?;
        if request.tools.is_empty() || !request.extension_fields.is_empty() {
            return Err(unusable("has no tools"));
        }
        // Tools that are no functions are the container's own affair.
        if kinds
            .iter()
            .zip(&request.tools)
            .any(|(kind, tool)| kind.name == "function" && tool.name.is_empty())
        {
            return Err(unusable("a function has no name"));
        }
        Ok(tools)
    }

    /// The images, as parts of a message.
    pub(super) fn images(&self) -> Result<Vec<Part<'static>>, Fault> {
        let part = |path: &PathBuf| {
            let unusable = |why| Fault::usage(format!("--image: {}: {why}", path.display()));
            image(path).map_err(unusable)
        };
        self.image.iter().map(part).collect()
    }
}

/// What a tool is.
#[derive(Debug, Deserialize)]
struct Kind {
    #[serde(rename = "type")]
    name: String,
}

/// Tools, in the document that they are read from; `None` where there are none.
#[derive(Debug)]
pub(super) struct Tools(Option<String>);

impl Tools {
    /// A request that has the tools, if there are any, and nothing else.
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
    let media_type = media_type(&bytes).ok_or("is no PNG, JPEG, GIF or WebP")?;
    let source = Source::Base64 { media_type: media_type.into(), data: STANDARD.encode(bytes).into() };
    Ok(Part::new(Content::Image { source, detail: None }))
}

/// What the first bytes of an image say that it is.
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
    fn images_are_told_by_their_content() {
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
