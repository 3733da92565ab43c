//! Which part of an endpoint is asked, and what it is told beside the request.

use sagewire_transport_reqwest::Endpoint;

use crate::fault::Fault;

/// Arguments of the commands that invoke endpoints. The names are those of AWS's command line.
#[derive(Debug, clap::Args)]
#[group(skip)]
#[command(next_help_heading = "Endpoint")]
pub(crate) struct Args {
    /// The inference component, where the endpoint has several
    #[arg(long, value_name = "NAME", alias = "inference-component-name")]
    inference_component: Option<String>,
    /// The production variant, where the endpoint has several
    #[arg(long, value_name = "NAME")]
    target_variant: Option<String>,
    /// The container, where those of the endpoint are invoked one by one
    #[arg(long, value_name = "NAME")]
    target_container_hostname: Option<String>,
    /// The model of a multi-model endpoint; not with streams
    #[arg(long, value_name = "FILE")]
    target_model: Option<String>,
    /// The session, where the model keeps some; NEW_SESSION opens one, but not with streams
    #[arg(long, value_name = "ID")]
    session_id: Option<String>,
    /// What the container is told besides, where it asks for it: accept_eula=true. May be given several times; what is
    /// given once is sent as it is
    #[arg(long, value_name = "K=V", alias = "custom-attribute")]
    custom_attributes: Vec<String>,
    /// The id of this call in captured data and events
    #[arg(long, value_name = "ID")]
    inference_id: Option<String>,
    /// Calls with the same id prefer the instance whose cache has what they have in common
    #[arg(long, value_name = "ID")]
    prefix_aware_id: Option<String>,
    /// For which records Clarify explains the answer, in JMESPath; not with streams
    #[arg(long, value_name = "EXPRESSION")]
    enable_explanations: Option<String>,
}

impl Args {
    /// The endpoint of this name.
    pub(crate) fn endpoint(&self, name: &str) -> Result<Endpoint, Fault> {
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
        Ok(endpoint)
    }
}

fn pairs(attributes: &[String]) -> Result<Vec<(&str, &str)>, Fault> {
    attributes
        .iter()
        .map(|text| {
            let why = "has no =, which each needs where several are given";
            text.split_once('=').ok_or_else(|| Fault::usage(format!("--custom-attributes {text}: {why}")))
        })
        .collect()
}
