//! Reports of results: a table for a terminal, JSON, CSV, and one self-contained HTML file.
//!
//! | want | use |
//! |---|---|
//! | a file, by its ending | [`write()`] |
//! | a table for a terminal | [`terminal::table`] |
//! | the HTML itself | [`html::evaluation`], [`html::load`] |

use std::fmt;
use std::fs::{self, File};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};
use std::str::FromStr;

use crate::results::Results;

mod csv;
mod grid;
pub mod html;
mod load_page;
mod plot;
pub mod terminal;

/// The format of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Format {
    /// The results as they are.
    Json,
    /// One line for each call, for spreadsheets.
    Csv,
    /// One file for a browser.
    Html,
}

impl Format {
    /// The format that belongs to the ending of a file's name.
    ///
    /// # Errors
    ///
    /// The ending is another one, or missing.
    pub fn of(path: &Path) -> Result<Self, UnknownFormat> {
        let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
        ending.parse().map_err(|_| UnknownFormat { name: path.display().to_string() })
    }
}

/// Parses `json`, `csv` or `html`.
impl FromStr for Format {
    type Err = UnknownFormat;

    fn from_str(name: &str) -> Result<Self, UnknownFormat> {
        match name.to_ascii_lowercase().as_str() {
            "json" => Ok(Self::Json),
            "csv" => Ok(Self::Csv),
            "html" | "htm" => Ok(Self::Html),
            _ => Err(UnknownFormat { name: name.to_owned() }),
        }
    }
}

/// A file whose ending is not that of a format.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct UnknownFormat {
    name: String,
}

impl fmt::Display for UnknownFormat {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: reports end in .json, .csv or .html", self.name)
    }
}

impl std::error::Error for UnknownFormat {}

/// Renders results in a format.
///
/// # Errors
///
/// The results cannot be written as JSON: a score or a price is not a number.
pub fn render(format: Format, results: &Results) -> io::Result<Vec<u8>> {
    match format {
        Format::Json => json(results),
        Format::Csv => csv::evaluation(results),
        Format::Html => Ok(html::evaluation(results).into_bytes()),
    }
}

/// Writes results to a file, in the format of its ending. The file is written completely, or is left as it was.
///
/// # Errors
///
/// The ending is not one of `json`, `csv` and `html`, or the file cannot be written.
pub fn write(path: impl AsRef<Path>, results: &Results) -> io::Result<()> {
    let path = path.as_ref();
    let format = Format::of(path).map_err(|error| io::Error::new(io::ErrorKind::InvalidInput, error))?;
    replace(path, &render(format, results)?)
}

/// JSON for people and tools: indented, with a line feed at the end.
fn json(value: &impl serde::Serialize) -> io::Result<Vec<u8>> {
    let mut text = serde_json::to_vec_pretty(value)?;
    text.push(b'\n');
    Ok(text)
}

/// Writes a file completely, or leaves it as it was: the text goes to a file beside it, which then takes its place.
///
/// # Errors
///
/// The file, or the one beside it, cannot be written.
pub fn replace(path: &Path, text: &[u8]) -> io::Result<()> {
    // A device or a pipe cannot be replaced, and a link keeps what it points to.
    let path = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return fs::write(path, text),
        Ok(_) => fs::canonicalize(path)?,
        Err(_) => path.to_owned(),
    };
    let beside = beside(&path)?;
    let written = File::create_new(&beside)
        .and_then(|mut file| {
            file.write_all(text)?;
            file.sync_all()
        })
        .and_then(|()| fs::rename(&beside, &path));
    if written.is_err() {
        // The first error is the one to report.
        let _ = fs::remove_file(&beside);
    }
    written
}

fn beside(path: &Path) -> io::Result<PathBuf> {
    let no_file = || io::Error::new(io::ErrorKind::InvalidInput, "the path does not name a file");
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().ok_or_else(no_file)?);
    name.push(format!(".{}.tmp", std::process::id()));
    Ok(path.with_file_name(name))
}
