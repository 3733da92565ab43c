//! Reports what a conversion has lost.

use sagewire_codec::model::Loss;

use crate::fault::{Exit, Fault, note};

/// Arguments of the commands that convert.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// Format of the losses on standard error
    #[arg(long, value_enum, default_value_t, value_name = "FORMAT")]
    losses: Format,
    /// Exit with 6 if anything is lost
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum Format {
    /// one line per loss
    #[default]
    Text,
    /// one JSON array
    Json,
}

impl Args {
    /// Prints the losses to standard error.
    pub(crate) fn print(&self, losses: &[Loss]) {
        match self.losses {
            Format::Text => losses.iter().for_each(|loss| note(&format!("loss: {loss}"))),
            Format::Json => note(&serde_json::to_string(losses).expect("losses can be serialized")),
        }
    }

    /// Fails if there are losses and `--strict` was given. `consequence` is added to the message.
    pub(crate) fn check(&self, losses: &[Loss], consequence: &str) -> Result<(), Fault> {
        let count = match losses.len() {
            0 => return Ok(()),
            1 => "1 loss".to_owned(),
            count => format!("{count} losses"),
        };
        if !self.strict {
            return Ok(());
        }
        Err(Fault::Line(Exit::Lossy, format!("strict: {count}{consequence}")))
    }
}
