//! What the model is told besides the messages.

use sagewire_codec::model::{Param, Request};

use crate::environment;
use crate::fault::Fault;

const MAX_TOKENS: &str = "AWS_SAGEMAKER_MAX_TOKENS";
const TEMPERATURE: &str = "AWS_SAGEMAKER_TEMPERATURE";
const TOP_P: &str = "AWS_SAGEMAKER_TOP_P";

/// Arguments that are parameters of the request.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Model")]
pub(super) struct Args {
    /// How many tokens the answer may have
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// How freely the model chooses its words
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// From how much of the likeliest words it chooses, 0 to 1
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// The same number, the same answer, where the container can
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<i64>,
    /// A string that ends the answer; may be given several times
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// The model, for containers that serve several or ask for its name
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) => Ok(number),
        _ => Err("not a number that JSON can say".into()),
    }
}

/// The arguments, and what the environment says where they say nothing.
#[derive(Debug)]
pub(super) struct Parameters<'a> {
    args: &'a Args,
    max_tokens: Option<u64>,
    temperature: Option<f64>,
    top_p: Option<f64>,
}

impl<'a> Parameters<'a> {
    pub(super) fn new(args: &'a Args) -> Result<Self, Fault> {
        let max_tokens = match args.max_tokens {
            None => {
                environment::parsed(MAX_TOKENS, |text| text.parse().map_err(|_| "not a number of tokens"))?
            }
            given => given,
        };
        let number = |given: Option<f64>, name| match given {
            None => environment::parsed(name, finite),
            given => Ok(given),
        };
        let (temperature, top_p) = (number(args.temperature, TEMPERATURE)?, number(args.top_p, TOP_P)?);
        Ok(Self { args, max_tokens, temperature, top_p })
    }

    pub(super) fn apply(&self, request: &mut Request<'a>) {
        request.max_tokens = self.max_tokens.map(Param::new);
        request.temperature = self.temperature.map(Param::new);
        request.top_p = self.top_p.map(Param::new);
        request.seed = self.args.seed.map(Param::new);
        request.stop = self.args.stop.iter().map(|stop| Param::new(stop.into())).collect();
        request.model = self.args.model.as_deref().map(|model| Param::new(model.into()));
    }

    /// Nobody has said how long the answer may be.
    pub(super) fn has_no_limit(&self) -> bool {
        self.max_tokens.is_none()
    }
}
