//! What a conversion could not carry over, and what becomes of the command then.

use sagewire_codec::model::Loss;

use crate::fault::{Exit, Fault, note};

/// Arguments of the commands that convert.
#[derive(Debug, clap::Args)]
#[group(skip)]
pub(crate) struct Args {
    /// How losses are told on standard error
    #[arg(long, value_enum, default_value_t, value_name = "HOW")]
    losses: How,
    /// Exit with 6 if anything is lost
    #[arg(long)]
    strict: bool,
}

#[derive(Clone, Copy, Debug, Default, clap::ValueEnum)]
enum How {
    /// One line each
    #[default]
    Text,
    /// One JSON array
    Json,
}

impl Args {
    /// Tells what was lost.
    pub(crate) fn tell(&self, losses: &[Loss]) {
        match self.losses {
            How::Text => losses.iter().for_each(|loss| note(&format!("loss: {loss}"))),
            How::Json => {
                note(&serde_json::to_string(losses).expect("losses are JSON"));
            }
        }
    }

    /// Fails if anything was lost, and that is forbidden. `consequence` is what did not happen for it.
    pub(crate) fn check(&self, losses: &[Loss], consequence: &str) -> Result<(), Fault> {
        match losses.len() {
            count if count > 0 && self.strict => {
                Err(Fault::Line(Exit::Lossy, format!("strict: {count} lost{consequence}")))
            }
            _ => Ok(()),
        }
    }
}
