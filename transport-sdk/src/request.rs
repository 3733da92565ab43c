//! Converts requests into calls of the SDK. They were validated before.

use std::time::Duration;

use aws_sdk_sagemakerruntime::Client;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint::builders::InvokeEndpointFluentBuilder;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint_async::builders::InvokeEndpointAsyncFluentBuilder;
use aws_sdk_sagemakerruntime::operation::invoke_endpoint_with_response_stream::builders::InvokeEndpointWithResponseStreamFluentBuilder;
use aws_sdk_sagemakerruntime::primitives::Blob;
use sagewire_transport::{AsyncRequest, Input, Request};

/// Sets the fields that both operations have. Their builders have the same methods, but no common trait.
macro_rules! invocation {
    ($call:expr, $request:expr) => {{
        let (request, endpoint) = ($request, &$request.endpoint);
        $call
            .endpoint_name(&endpoint.name)
            .body(Blob::from_maybe_shared(request.body.clone()))
            .content_type(&request.content_type)
            .set_accept(request.accept.clone())
            .set_custom_attributes(endpoint.container_attributes().map(Into::into))
            .set_target_variant(endpoint.target_variant.clone())
            .set_target_container_hostname(endpoint.target_container_hostname.clone())
            .set_inference_id(endpoint.inference_id.clone())
            .set_inference_component_name(endpoint.inference_component.clone())
            .set_session_id(endpoint.session_id.clone())
            .set_prefix_aware_id(endpoint.prefix_aware_id.clone())
    }};
}

pub(crate) fn invoke(sdk: &Client, request: &Request) -> InvokeEndpointFluentBuilder {
    invocation!(sdk.invoke_endpoint(), request)
        .set_target_model(request.endpoint.target_model.clone())
        .set_enable_explanations(request.endpoint.enable_explanations.clone())
}

pub(crate) fn stream(sdk: &Client, request: &Request) -> InvokeEndpointWithResponseStreamFluentBuilder {
    invocation!(sdk.invoke_endpoint_with_response_stream(), request)
}

pub(crate) fn invoke_async(sdk: &Client, request: &AsyncRequest) -> InvokeEndpointAsyncFluentBuilder {
    let endpoint = &request.endpoint;
    let (location, body) = match &request.input {
        Input::Location(location) => (Some(location.clone()), None),
        Input::Inline(body) => (None, Some(Blob::from_maybe_shared(body.clone()))),
    };
    let seconds = |duration: Duration| i32::try_from(duration.as_secs()).unwrap_or(i32::MAX);
    sdk.invoke_endpoint_async()
        .endpoint_name(&endpoint.name)
        .set_input_location(location)
        .set_body(body)
        .content_type(&request.content_type)
        .set_accept(request.accept.clone())
        .set_custom_attributes(endpoint.container_attributes().map(Into::into))
        .set_inference_id(endpoint.inference_id.clone())
        .set_s3_output_path_extension(request.output_path_extension.clone())
        .set_filename(request.filename.clone())
        .set_request_ttl_seconds(request.request_ttl.map(seconds))
        .set_invocation_timeout_seconds(request.invocation_timeout.map(seconds))
}
