//! Plain text without records, as TorchServe streams it.

use crate::assemble::{Emitter, Index, Stop, TextKind};
use crate::error::DecodeErrorKind;
use crate::formats::error_record as failure;
use crate::json::Json;
use crate::records::text_chunks;

const CHOICE: Index = Index::fixed(0);

/// Reads a piece of the text. The first one is the whole body where that may be an error.
pub(crate) fn read(is_first: bool, mut emitter: Emitter<'_>) -> Result<(), DecodeErrorKind> {
    let (record, depth) = (emitter.record, emitter.depth());
    // A text that does not begin like an error was not held back: its pieces depend on the chunks.
    if is_first && record.trim_ascii().starts_with(b"{") && text_chunks::may_be_error(record) {
        let mut json = Json::new(record, 0, depth);
        let is_whole = |json: &Json<'_>| record[json.pos()..].trim_ascii().is_empty();
        if let Some(object) = json.skip().ok().filter(|_| is_whole(&json)) {
            if let Ok(Some(failure)) = failure::read(record, &object, depth) {
                emitter.fail(failure);
                emitter.close();
                return Ok(());
            }
        }
    }
    emitter.start(None, None, None, None);
    match emitter.raw_text(&CHOICE, TextKind::Text, 0..record.len()) {
        Err(Stop::Limit(kind)) => Err(kind),
        _ => Ok(()),
    }
}
