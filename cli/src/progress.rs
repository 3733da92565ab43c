//! A line on standard error that says that something is going on. There is none unless a terminal shows it.

use std::io::{self, IsTerminal};
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressFinish, ProgressStyle};
use sagewire_codec::model::Event;

const TICK: Duration = Duration::from_millis(100);

/// The line, until it is cleared.
#[derive(Debug)]
pub(crate) struct Progress {
    bar: ProgressBar,
    start: Instant,
    /// Deltas that came: about as many as tokens.
    deltas: u64,
    /// What is printed shows up in the same place.
    shares_terminal: bool,
}

impl Progress {
    /// No line.
    pub(crate) fn none() -> Self {
        Self { bar: ProgressBar::hidden(), start: Instant::now(), deltas: 0, shares_terminal: true }
    }

    /// A line from now on, if standard error is a terminal.
    pub(crate) fn start() -> Self {
        if !io::stderr().is_terminal() {
            return Self::none();
        }
        let bar = ProgressBar::new_spinner().with_finish(ProgressFinish::AndClear);
        if let Ok(style) = ProgressStyle::with_template("{spinner} {msg}") {
            bar.set_style(style);
        }
        bar.enable_steady_tick(TICK);
        let progress = Self { bar, shares_terminal: io::stdout().is_terminal(), ..Self::none() };
        progress.show();
        progress
    }

    /// Something came.
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
        self.bar.set_message(line(self.deltas, self.start.elapsed()));
    }

    /// Something is going to be printed. Where that is the same terminal, it says more than the line.
    pub(crate) fn make_room(&self) {
        if self.shares_terminal {
            self.clear();
        }
    }

    /// It is over.
    pub(crate) fn clear(&self) {
        self.bar.finish_and_clear();
    }
}

fn line(deltas: u64, elapsed: Duration) -> String {
    let seconds = elapsed.as_secs_f64();
    match deltas {
        0 => "waiting".into(),
        1 => "1 delta".into(),
        deltas => {
            format!("{deltas} deltas in {seconds:.1} s, {:.0} a second", deltas as f64 / seconds.max(0.001))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_says_how_fast() {
        assert_eq!(line(0, Duration::ZERO), "waiting");
        assert_eq!(line(1, Duration::ZERO), "1 delta");
        assert_eq!(line(30, Duration::from_millis(1500)), "30 deltas in 1.5 s, 20 a second");
    }
}
