//! Services other than SageMaker Runtime: Global Inference Gateways, and free hosts and paths.

use std::path::{Path, PathBuf};

use sagewire_transport_reqwest::{Endpoint, Runtime};

use crate::fault::Fault;
use crate::input;

/// Arguments that select another service.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Options for other services")]
pub(crate) struct Args {
    /// Invoke a Global Inference Gateway: the name of the endpoint is its id, and it requires a model
    #[arg(long, conflicts_with = "runtime")]
    gateway: bool,
    /// File with a token that identifies the customer, for a gateway
    #[arg(long, value_name = "FILE", requires = "gateway")]
    identity_token_file: Option<PathBuf>,
    /// Service to use instead of SageMaker Runtime: a URL, or the start of its host, such as job-runtime.sagemaker
    #[arg(long, value_name = "HOST|URL")]
    runtime: Option<String>,
    /// Path of that service; {name} is the name of the endpoint
    #[arg(long, value_name = "PATH", requires = "runtime")]
    path: Option<String>,
    /// The same for streams
    #[arg(long, value_name = "PATH", requires = "runtime")]
    stream_path: Option<String>,
    /// The same for asynchronous calls
    #[arg(long, value_name = "PATH", requires = "runtime")]
    async_path: Option<String>,
    /// Header for that service (repeatable)
    #[arg(long = "header", value_name = "NAME: VALUE", requires = "runtime")]
    headers: Vec<String>,
}

impl Args {
    /// Sets the service of an endpoint.
    pub(crate) fn apply(&self, mut endpoint: Endpoint) -> Result<Endpoint, Fault> {
        endpoint.runtime = match &self.runtime {
            _ if self.gateway => Some(Runtime::gateway()),
            Some(host) => Some(self.runtime(host)?),
            None => None,
        };
        match &self.identity_token_file {
            Some(path) => Ok(endpoint.customer_identity_token(read_token(path)?)),
            None => Ok(endpoint),
        }
    }

    fn runtime(&self, host: &str) -> Result<Runtime, Fault> {
        let mut runtime = Runtime::new(host);
        runtime.path.clone_from(&self.path);
        runtime.stream_path.clone_from(&self.stream_path);
        runtime.async_path.clone_from(&self.async_path);
        for header in &self.headers {
            let invalid = || Fault::usage(format!("--header {header}: not NAME: VALUE"));
            let (name, value) = header.split_once(':').ok_or_else(invalid)?;
            runtime = runtime.header(name.trim(), value.trim());
        }
        Ok(runtime)
    }
}

fn read_token(path: &Path) -> Result<String, Fault> {
    let token =
        input::read_text(path).map_err(|error| Fault::usage(format!("--identity-token-file: {error}")))?;
    match token.trim() {
        "" => Err(Fault::usage(format!("--identity-token-file: {} is empty", path.display()))),
        token => Ok(token.to_owned()),
    }
}
