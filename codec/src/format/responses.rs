//! OpenAI Responses.

use crate::chat::{Sink, Stop};
use crate::format::failure;
use crate::format::template::Trace;
use crate::json::Json;

/// Reads events into the queue.
#[derive(Clone, Debug, Default)]
pub(crate) struct Reader {}

impl Reader {
    /// Reads the object that comes next.
    pub(crate) fn read(
        &mut self,
        json: &mut Json<'_>,
        sink: &mut Sink<'_>,
        trace: &mut Trace,
    ) -> Result<(), Stop> {
        // The first walk checks all of the object, before any of it is used.
        let object = json.skip()?;
        trace.more();
        match failure::read(sink.record, &object, sink.depth())? {
            Some(failure) => sink.fail(failure),
            None => sink.other(None, None, object),
        }
        Ok(())
    }
}
