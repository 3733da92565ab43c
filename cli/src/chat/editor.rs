//! Reads lines from a terminal.

use std::io;

use rustyline::error::ReadlineError;
use rustyline::history::MemHistory;
use rustyline::{Behavior, Config, Editor};

use crate::fault::Fault;

/// Maximum number of lines of the history, which is in memory only.
const HISTORY_MAX: usize = 1000;

/// An input from the terminal.
#[derive(Debug)]
pub(super) enum Line {
    Text(String),
    /// Ctrl-C: the line is discarded.
    Interrupted,
    /// Ctrl-D: there are no more lines.
    End,
}

/// A line editor. It writes to the terminal, not to standard output, which is reserved for responses.
#[derive(Debug)]
pub(super) struct Terminal(Option<Editor<(), MemHistory>>);

impl Terminal {
    pub(super) fn new() -> Result<Self, Fault> {
        let config = Config::builder()
            .behavior(Behavior::PreferTerm)
            .auto_add_history(true)
            .max_history_size(HISTORY_MAX)
            .map_err(failed)?
            .build();
        let history = MemHistory::with_config(&config);
        let editor = Editor::with_history(config, history).map_err(failed)?;
        Ok(Self(Some(editor)))
    }

    /// Waits for a line without blocking the runtime.
    pub(super) async fn read(&mut self, prompt: String) -> Result<Line, Fault> {
        let editor = self.0.take();
        let Some(mut editor) = editor else { return Ok(Line::End) };
        let task = tokio::task::spawn_blocking(move || {
            let line = editor.readline(&prompt);
            (editor, line)
        });
        let (editor, line) = task.await.map_err(failed)?;
        self.0 = Some(editor);
        match line {
            Ok(text) => Ok(Line::Text(text)),
            Err(ReadlineError::Interrupted) => Ok(Line::Interrupted),
            Err(ReadlineError::Eof) => Ok(Line::End),
            Err(error) => Err(failed(error)),
        }
    }
}

fn failed(error: impl Into<Box<dyn std::error::Error + Send + Sync>>) -> Fault {
    Fault::input("terminal", &io::Error::other(error))
}
