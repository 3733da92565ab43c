//! A progress line on standard error, if that is a terminal.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use sagewire_codec::model::Event;

const TICK: Duration = Duration::from_millis(100);

/// The progress line.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    start: Instant,
    /// Number of deltas, which is close to the number of tokens.
    deltas: u64,
    /// Standard output is on the same terminal.
    shares_terminal: bool,
}

impl Progress {
    /// No progress line.
    pub(crate) fn hidden() -> Self {
        Self { bar: ProgressBar::hidden(), start: Instant::now(), deltas: 0, shares_terminal: true }
    }

    /// Shows a progress line if standard error is a terminal.
    pub(crate) fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self::hidden();
        }
        let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        let progress = Self { bar, shares_terminal: io::stdout().is_terminal(), ..Self::hidden() };
        progress.show();
        progress
    }

    /// Counts an event.
    pub(crate) fn see(&mut self, event: &Event<'_>) {
        let is_delta = matches!(
            event,
            Event::TextDelta { .. } | Event::ReasoningDelta { .. } | Event::ToolInputDelta { .. }
        );
        if is_delta && !self.bar.is_hidden() && !self.bar.is_finished() {
            self.deltas += 1;
            self.show();
        }
    }

    fn show(&self) {
        self.bar.set_message(message(self.deltas, self.start.elapsed()));
    }

    /// Makes room for output: on a shared terminal the output replaces the progress line.
    pub(crate) fn make_room(&self) {
        if self.shares_terminal {
            self.clear();
        }
    }

    /// Removes the line.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn message(deltas: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    match deltas {
        0 => "waiting".into(),
        1 => "1 delta".into(),
        deltas => {
            format!("{deltas} deltas in {seconds:.1} s, {:.0} per second", deltas as f64 / seconds.max(0.001))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_message_has_the_rate() {
        assert_eq!(message(0, Duration::ZERO), "waiting");
        assert_eq!(message(1, Duration::ZERO), "1 delta");
        assert_eq!(message(30, Duration::from_millis(1500)), "30 deltas in 1.5 s, 20 per second");
    }
}
