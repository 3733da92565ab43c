//! Sampling parameters: arguments and their defaults from the environment.

use sagewire_codec::model::{Param, Request};

use crate::environment;
use crate::fault::Fault;

const MAX_TOKENS: &str = "AWS_SAGEMAKER_MAX_TOKENS";
const TEMPERATURE: &str = "AWS_SAGEMAKER_TEMPERATURE";
const TOP_P: &str = "AWS_SAGEMAKER_TOP_P";

/// Arguments that are parameters of the request.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Model options")]
pub(super) struct Args {
    /// Maximum number of tokens of the response [env: AWS_SAGEMAKER_MAX_TOKENS]
    #[arg(long, value_name = "N")]
    max_tokens: Option<u64>,
    /// Sampling temperature [env: AWS_SAGEMAKER_TEMPERATURE]
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    temperature: Option<f64>,
    /// Nucleus sampling threshold, 0 to 1 [env: AWS_SAGEMAKER_TOP_P]
    #[arg(long, value_name = "X", value_parser = finite, allow_negative_numbers = true)]
    top_p: Option<f64>,
    /// Sampling seed
    #[arg(long, value_name = "N", allow_negative_numbers = true)]
    seed: Option<i64>,
    /// Stop sequence (repeatable)
    #[arg(long, value_name = "TEXT")]
    stop: Vec<String>,
    /// Model name, for containers that serve several models or require it
    #[arg(long, value_name = "NAME")]
    model: Option<String>,
}

fn finite(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(number) if f64::is_finite(number) => Ok(number),
        _ => Err("not a finite number".into()),
    }
}

/// The parameters, with defaults from the environment.
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
            argument => argument,
        };
        let number = |argument: Option<f64>, name| match argument {
            None => environment::parsed(name, finite),
            argument => Ok(argument),
        };
        let (temperature, top_p) = (number(args.temperature, TEMPERATURE)?, number(args.top_p, TOP_P)?);
        Ok(Self { args, max_tokens, temperature, top_p })
    }

    /// Sets the parameters of a request.
    pub(super) fn apply(&self, request: &mut Request<'a>) {
        request.max_tokens = self.max_tokens.map(Param::new);
        request.temperature = self.temperature.map(Param::new);
        request.top_p = self.top_p.map(Param::new);
        request.seed = self.args.seed.map(Param::new);
        request.stop = self.args.stop.iter().map(|stop| Param::new(stop.into())).collect();
        request.model = self.args.model.as_deref().map(|model| Param::new(model.into()));
    }

    /// Whether the token limit is left to the container.
    pub(super) fn has_default_limit(&self) -> bool {
        self.max_tokens.is_none()
    }
}
