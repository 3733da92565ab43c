//! The routes of AWS's vLLM images: a middleware takes the path from the custom attribute `route=`.

use super::http::{ErrorResponse, OkResponse, Request};
use super::json::object;
use super::{anthropic, cohere, openai, responses};

/// The path that the middleware's regular expression `route=(/[^\s,]+)` finds.
pub(super) fn find(attributes: &str) -> Option<&str> {
    attributes.match_indices("route=/").find_map(|(at, found)| {
        let path = &attributes[at + found.len() - 1..];
        let end = path.find(|c: char| c.is_whitespace() || c == ',').unwrap_or(path.len());
        (end > 1).then(|| &path[..end])
    })
}

/// Responds on a route. The path is compared as it is, so one with a query is not found.
pub(super) fn respond(route: &str, request: &Request<'_>) -> Result<OkResponse, ErrorResponse> {
    match route {
        "/v1/chat/completions" => openai::respond_chat(request),
        "/v1/completions" => openai::respond_completion(request),
        "/v1/responses" => responses::respond(request),
        "/v1/messages" => anthropic::respond(request),
        "/cohere/v2/chat" => cohere::respond(request),
        _ => Err(ErrorResponse::json(404, &object! { "detail": "Not Found" })),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_route_ends_at_white_space_or_a_comma() {
        for (attributes, path) in [
            ("route=/v1/messages", Some("/v1/messages")),
            ("tenant=a,route=/v1/messages,trace=7", Some("/v1/messages")),
            ("route=/v1/messages;accept_eula=true", Some("/v1/messages;accept_eula=true")),
            ("accept_eula=true;route=/v1/messages", Some("/v1/messages")),
            ("route=/v1/responses?x=1", Some("/v1/responses?x=1")),
            ("route=/ route=/, route=/pooling x", Some("/pooling")),
            ("subroute=/a", Some("/a")),
            ("route=v1/messages", None),
            ("route=/", None),
            ("", None),
        ] {
            assert_eq!(find(attributes), path, "{attributes}");
        }
    }
}
