//! The route within a container: the attribute `route=` of AWS's vLLM images.
//!
//! Since `server-sagemaker-cuda-v1.4` these images rewrite the path of an invocation to the path that they find in the header
//! `X-Amzn-SageMaker-Custom-Attributes` by the regular expression `route=(/[^\s,]+)`: from the slash up to white space, a comma
//! or the end. So the route is written last, behind a separator that it cannot contain.
//! Source: `scripts/docker/vllm/sagemaker_serve.py` in
//! [AWS's containers](https://github.com/aws/deep-learning-containers).

use std::borrow::Cow;

use sagewire_codec::Api;

use crate::endpoint::{Endpoint, invalid};
use crate::error::Error;

/// What the container's regular expression finds, without the first character of the path.
const ROUTE: &str = "route=/";

impl Endpoint {
    /// Sets [`route`](Self::route) to the route of AWS's vLLM images that takes requests of this API: `/v1/messages` for
    /// Anthropic.
    ///
    /// ```
    /// use sagewire_codec::Api;
    /// use sagewire_transport::{Endpoint, Operation};
    ///
    /// let endpoint = Endpoint::new("my-llm").route_for(Api::Anthropic)?.custom_attributes([("tenant", "a")]);
    /// let headers = endpoint.headers(Operation::Stream)?;
    /// assert_eq!(headers["x-amzn-sagemaker-custom-attributes"], "tenant=a;route=/v1/messages");
    /// assert!(Endpoint::new("my-llm").route_for(Api::Tgi).is_err());
    /// # Ok::<(), sagewire_transport::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`Error::is_unsupported`]: these images have no route for the API.
    pub fn route_for(self, api: Api) -> Result<Self, Error> {
        let route = match api {
            Api::OpenAi => "/v1/chat/completions",
            Api::Completions => "/v1/completions",
            Api::Responses => "/v1/responses",
            Api::Anthropic => "/v1/messages",
            Api::Cohere => "/cohere/v2/chat",
            _ => return Err(Error::unsupported(format!("a route of vLLM for the API `{api}`"))),
        };
        Ok(self.route(route))
    }

    /// The value of the header `X-Amzn-SageMaker-Custom-Attributes`: [`custom_attributes`](Self::custom_attributes) and
    /// [`route`](Self::route). For authors of transports.
    pub fn container_attributes(&self) -> Option<Cow<'_, str>> {
        let attributes = self.custom_attributes.as_deref();
        let Some(route) = &self.route else { return attributes.map(Cow::Borrowed) };
        let attributes = attributes.unwrap_or_default();
        let separator = if attributes.is_empty() || attributes.ends_with([',', ';', ' ']) {
            ""
        } else if attributes.contains(',') && !attributes.contains(';') {
            ","
        } else {
            ";"
        };
        Some(format!("{attributes}{separator}route={route}").into())
    }

    /// Checks that the container finds the route as it is, and no other one.
    pub(crate) fn check_route(&self) -> Result<(), Error> {
        let Some(route) = &self.route else { return Ok(()) };
        if route.len() < 2 || !route.starts_with('/') {
            return Err(invalid(format!("route {route:?} is not a path: it has to begin with a slash")));
        }
        if let Some(c) = route.chars().find(|c| !c.is_ascii_graphic() || ",;?#".contains(*c)) {
            return Err(invalid(format!("route {route:?} has the character {c:?}, which no route can have")));
        }
        if self.custom_attributes.as_deref().is_some_and(|attributes| attributes.contains(ROUTE)) {
            return Err(invalid(format!("route {route:?}: custom_attributes already have a route")));
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::endpoint::Operation;

    /// The regular expression `route=(/[^\s,]+)`, tried at every position.
    fn found(attributes: &str) -> Option<&str> {
        (0..attributes.len()).find_map(|start| {
            let path = attributes.get(start..)?.strip_prefix("route=")?;
            let end = path.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(path.len());
            let path = &path[..end];
            (path.len() > 1 && path.starts_with('/')).then_some(path)
        })
    }

    fn sent(endpoint: &Endpoint) -> Result<String, Error> {
        let headers = endpoint.headers(Operation::Invoke)?;
        Ok(headers["x-amzn-sagemaker-custom-attributes"].to_str().expect("ASCII").to_owned())
    }

    #[test]
    fn the_examples_of_the_image_are_found_as_they_are_there() {
        for (attributes, path) in [
            ("route=/v1/messages", "/v1/messages"),
            ("tenant=a,route=/v1/messages,trace=7", "/v1/messages"),
            ("route=/v1/messages;accept_eula=true", "/v1/messages;accept_eula=true"),
            ("accept_eula=true;route=/v1/messages", "/v1/messages"),
            ("route=/v1/responses?x=1", "/v1/responses?x=1"),
        ] {
            assert_eq!(found(attributes), Some(path), "{attributes}");
        }
    }

    #[test]
    fn apis_imply_their_routes() {
        for (api, route) in [
            (Api::OpenAi, "/v1/chat/completions"),
            (Api::Completions, "/v1/completions"),
            (Api::Responses, "/v1/responses"),
            (Api::Anthropic, "/v1/messages"),
            (Api::Cohere, "/cohere/v2/chat"),
        ] {
            let endpoint = Endpoint::new("e").route_for(api).unwrap();
            assert_eq!(sent(&endpoint).unwrap(), format!("route={route}"));
        }
        assert!(Endpoint::new("e").route_for(Api::Converse).unwrap_err().is_unsupported());
    }

    #[test]
    fn a_route_is_the_last_attribute_in_any_order_of_the_setters() {
        let pairs = [("tenant", "a"), ("accept_eula", "true")];
        let one = Endpoint::new("e").route("/v1/messages").custom_attributes(pairs);
        let other = Endpoint::new("e").custom_attributes(pairs).route("/v1/messages");
        assert_eq!(one, other);
        assert_eq!(sent(&one).unwrap(), "tenant=a;accept_eula=true;route=/v1/messages");
        for (attributes, expected) in [
            ("", "route=/pooling"),
            ("a=1,b=2", "a=1,b=2,route=/pooling"),
            ("a=1, b=2, ", "a=1, b=2, route=/pooling"),
            ("v1/listen?model=m", "v1/listen?model=m;route=/pooling"),
            ("a=1;", "a=1;route=/pooling"),
        ] {
            let endpoint = Endpoint { custom_attributes: Some(attributes.into()), ..Endpoint::new("e") };
            assert_eq!(sent(&endpoint.route("/pooling")).unwrap(), expected);
        }
        assert_eq!(Endpoint::new("e").route("/v1/messages").headers(Operation::Async).unwrap().len(), 1);
    }

    #[test]
    fn routes_that_the_container_would_not_find_are_refused() {
        for (route, reason) in [
            ("", "has to begin with a slash"),
            ("/", "has to begin with a slash"),
            ("v1/messages", "has to begin with a slash"),
            ("/v1/messages;accept_eula=true", "has the character ';'"),
            ("/v1/responses?x=1", "has the character '?'"),
            ("/v1/messages,a=1", "has the character ','"),
            ("/v1/a b", "has the character ' '"),
            ("/v1/é", "has the character 'é'"),
            ("/v1\r\nx: y", "has the character '\\r'"),
        ] {
            let error = sent(&Endpoint::new("e").route(route)).unwrap_err();
            assert!(error.is_invalid_request() && error.to_string().contains(reason), "{error}");
        }
        let endpoint = Endpoint::new("e").custom_attributes([("route", "/v1/score")]).route("/v1/messages");
        assert!(sent(&endpoint).unwrap_err().to_string().contains("already have a route"));
        let long =
            Endpoint::new("e").custom_attributes([("a", "x".repeat(1000))]).route("/v1/chat/completions");
        assert!(sent(&long).unwrap_err().to_string().contains("custom_attributes has 1029 characters"));
        let error = Endpoint::new("e").route("/v1/messages").headers(Operation::OpenAi).unwrap_err();
        assert_eq!(error.to_string(), "invalid request: route is not available with the OpenAI route");
    }

    proptest! {
        /// Whatever is sent, the container finds exactly the route.
        #[test]
        fn the_container_finds_the_route(
            attributes in proptest::option::of("(route|=|/|;|,| |[a-z]{0,3}){0,9}"),
            route in "[/;?a-z=, -]{0,4}|/[!-~]{1,12}|/v1/[a-z/]{1,8}",
        ) {
            let endpoint = Endpoint { custom_attributes: attributes, ..Endpoint::new("e").route(&route) };
            if let Ok(sent) = sent(&endpoint) {
                prop_assert_eq!(found(&sent), Some(&*route));
                prop_assert!(sent.starts_with(endpoint.custom_attributes.as_deref().unwrap_or_default()));
            }
        }
    }
}
