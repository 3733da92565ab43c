//! Options of an invocation that are sent as headers.

use sagewire_codec::Api;
use sagewire_transport_reqwest::Endpoint;

use crate::fault::Fault;
use crate::runtime;

/// The value of `--route-path` for the route of the request's API.
const AUTO: &str = "auto";

/// Arguments of the commands that invoke endpoints. The names are those of the AWS CLI.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Endpoint options")]
pub(crate) struct Args {
    /// Inference component to invoke
    #[arg(long, value_name = "NAME", alias = "inference-component-name")]
    inference_component: Option<String>,
    /// Production variant to invoke
    #[arg(long, value_name = "NAME")]
    target_variant: Option<String>,
    /// Container to invoke, of a multi-container endpoint
    #[arg(long, value_name = "NAME")]
    target_container_hostname: Option<String>,
    /// Model to invoke, of a multi-model endpoint; not with streams
    #[arg(long, value_name = "FILE")]
    target_model: Option<String>,
    /// Session id of a stateful model; NEW_SESSION opens one (not with streams)
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// Attributes for the container, such as accept_eula=true (repeatable)
    #[arg(long, value_name = "K=V", alias = "custom-attribute")]
    custom_attributes: Vec<String>,
    /// Route within the container, of AWS's images of vLLM; auto is that of the request's API
    #[arg(long, value_name = "PATH|auto")]
    route_path: Option<String>,
    /// Id of this call in captured data and events
    #[arg(long, value_name = "ID")]
    inference_id: Option<String>,
    /// Route calls with this id to the same instance, for its prefix cache
    #[arg(long, value_name = "ID")]
    prefix_aware_id: Option<String>,
    /// JMESPath expression that selects the records that Clarify explains; not with streams
    #[arg(long, value_name = "EXPRESSION")]
    enable_explanations: Option<String>,
    #[command(flatten)]
    runtime: runtime::Args,
}

impl Args {
    /// The endpoint of this name, with the options. `api` is that of the requests, if it is known.
    pub(crate) fn endpoint(&self, name: &str, api: Option<Api>) -> Result<Endpoint, Fault> {
        // A single value is sent unchanged.
        let mut endpoint = match self.custom_attributes.as_slice() {
            [] | [_] => Endpoint::new(name),
            several => Endpoint::new(name).custom_attributes(pairs(several)?),
        };
        if let [attributes] = self.custom_attributes.as_slice() {
            endpoint.custom_attributes = Some(attributes.clone());
        }
        endpoint.inference_component.clone_from(&self.inference_component);
        endpoint.target_variant.clone_from(&self.target_variant);
        endpoint.target_container_hostname.clone_from(&self.target_container_hostname);
        endpoint.target_model.clone_from(&self.target_model);
        endpoint.session_id.clone_from(&self.session_id);
        endpoint.inference_id.clone_from(&self.inference_id);
        endpoint.prefix_aware_id.clone_from(&self.prefix_aware_id);
        endpoint.enable_explanations.clone_from(&self.enable_explanations);
        let endpoint = self.runtime.apply(endpoint)?;
        let no_route = |why: String| Fault::usage(format!("--route-path auto: {why}; give a path"));
        match (self.route_path.as_deref(), api) {
            (None, _) => Ok(endpoint),
            (Some(AUTO), Some(api)) => endpoint.route_for(api).map_err(|error| no_route(error.to_string())),
            (Some(AUTO), None) => Err(no_route("the API of the request is not known".into())),
            (Some(path), _) => Ok(endpoint.route(path)),
        }
    }

    /// Whether the route depends on the API of the requests.
    pub(crate) fn needs_api(&self) -> bool {
        self.route_path.as_deref() == Some(AUTO)
    }
}

fn pairs(attributes: &[String]) -> Result<Vec<(&str, &str)>, Fault> {
    attributes
        .iter()
        .map(|text| {
            let reason = "not KEY=VALUE, which is required if the option is repeated";
            text.split_once('=').ok_or_else(|| Fault::usage(format!("--custom-attributes {text}: {reason}")))
        })
        .collect()
}
