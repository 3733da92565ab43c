//! Lines that somebody types.

use std::io;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Behavior, Config, Editor};

use crate::fault::Fault;

/// Lines of the history that are kept, in memory only.
const HISTORY_MAX: usize = 1000;

/// What was typed.
#[derive(Debug)]
pub(super) enum Line {
    /// A line.
    Text(String),
    /// Ctrl-C: not this line.
    Interrupted,
    /// Ctrl-D: no more lines.
    End,
}

/// A terminal whose lines can be edited. What it shows does not go to standard output, where the answers go.
#[derive(Debug)]
pub(super) struct Terminal(Option<Editor<(), MemHistory>>);

impl Terminal {
    pub(super) fn new() -> Result<Self, Fault> {
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .auto_add_history(true)
            .max_history_size(HISTORY_MAX)
            .map_err(unusable)?
            .build();
        let history = MemHistory::with_config(&config);
        let editor = Editor::with_history(config, history).map_err(unusable)?;
        Ok(Self(Some(editor)))
    }

    /// Waits for a line. What else is going on is not kept waiting.
    pub(super) async fn read(&mut self, prompt: String) -> Result<Line, Fault> {
        let editor = self.0.take();
        let Some(mut editor) = editor else { return Ok(Line::End) };
        let task = tokio::task::spawn_blocking(move || {
            let line = editor.readline(&prompt);
            (editor, line)
        });
        let (editor, line) = task.await.map_err(unusable)?;
        self.0 = Some(editor);
        match line {
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(unusable(error)),
        }
    }
}

fn unusable(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::input("terminal", &io::Error::other(error))
}
