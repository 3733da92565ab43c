//! The events of a whole response: they add up to the response, and are written as a stream of any API.

mod common;

use bytes::Bytes;
use sagewire_codec::model::{Response, ResponseOptions};
use sagewire_codec::{Api, Decoder, Options, Writer};

/// The response that the events of a body add up to, and whether the body is complete.
fn added(body: &[u8]) -> (Response, bool) {
    let (mut response, mut decoder) = (Response::default(), Decoder::new());
    let ending = decoder.feed(Bytes::copy_from_slice(body), |event| response.add(&event));
    let ending = ending.and_then(|()| decoder.end(|event| response.add(&event)));
    (response, ending.is_ok())
}

/// The text, the calls and the finish reasons of a response.
fn content(response: &Response) -> Vec<(String, Vec<String>)> {
    let calls = |choice: &sagewire_codec::model::Choice| {
        choice.tool_calls().map(|(_, name, _)| name.to_owned()).collect()
    };
    response.choices.iter().map(|choice| (choice.text(), calls(choice))).collect()
}

fn check(name: &str, body: &[u8]) -> bool {
    let (response, is_complete) = added(body);
    let mut again = Response::default();
    response.for_each_event(|event| again.add(event));
    assert_eq!(again, response, "{name}");
    if !is_complete || response.choices.is_empty() {
        return false;
    }
    for api in Api::ALL.iter().copied().filter(|api| api.writes_streams()) {
        let options = ResponseOptions::new().id("r");
        let (mut writer, mut out) = (Writer::new(api, options).expect("a stream"), Vec::new());
        response.for_each_event(|event| writer.write(event, &mut out));
        writer.finish(Ok(()), &mut out);
        let (read, is_complete) = added(&out);
        assert!(is_complete, "{name} as {api}: {}", String::from_utf8_lossy(&out));
        if api == Api::OpenAi {
            assert_eq!(content(&read), content(&response), "{name}");
        }
    }
    true
}

#[test]
fn the_events_of_a_response_add_up_to_it() {
    let mut count = 0;
    let files = [
        "streams.json",
        "generation.json",
        "anthropic.json",
        "responses.json",
        "cohere.json",
        "bedrock.json",
        "sglang.json",
        "reasons.json",
    ];
    for file in files {
        let vectors = common::read_json(&common::testdata(file));
        for vector in vectors.as_array().expect("a list") {
            if ["text", "hex", "frames"].iter().any(|own| !vector[own].is_null()) {
                count += usize::from(check(common::name_of(vector), &common::body(vector)));
            }
        }
    }
    for (name, vector) in common::vectors_with("answers.json", "body") {
        count += usize::from(check(&name, vector["body"].to_string().as_bytes()));
    }
    for entry in std::fs::read_dir(common::testdata("golden")).expect("a folder") {
        let path = entry.expect("an entry").path();
        let name = path.file_name().and_then(|name| name.to_str()).expect("UTF-8").to_owned();
        if name.starts_with("answer-") {
            let golden = common::read_json(&path);
            count += usize::from(check(&name, golden["body"].to_string().as_bytes()));
        }
    }
    assert!(count >= 300, "{count}");
}

#[test]
fn a_whole_response_is_read_as_its_events() {
    for (name, vector) in common::vectors_with("answers.json", "body") {
        let body = vector["body"].to_string();
        let response = Response::read(body.clone(), Options::new()).expect("a response");
        assert_eq!(added(body.as_bytes()).0, response, "{name}");
        let mut again = Response::default();
        response.for_each_event(|event| again.add(event));
        assert_eq!(again, response, "{name}");
    }
}
