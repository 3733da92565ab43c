//! Tokens of the OpenAI route, compared with those of the SageMaker Python SDK.

use std::time::{Duration, SystemTime};

use sagewire_transport_reqwest::{Client, Credentials, Token};
use serde_json::Value;

fn recorded() -> Value {
    serde_json::from_str(include_str!("../testdata/tokens.json")).expect("JSON")
}

fn time(text: &str) -> SystemTime {
    // The file has dates in this format only.
    let parts: Vec<u64> = text.split(['-', 'T', ':', 'Z']).filter_map(|part| part.parse().ok()).collect();
    let [year, month, day, hour, minute, second] = parts[..] else { panic!("{text}") };
    // Days since 1970 of a date in the civil calendar. For the computation, years begin in March.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let days = year * 365 + year / 4 - year / 100 + year / 400 + (month * 153 + 2) / 5 + day - 719_469;
    SystemTime::UNIX_EPOCH + Duration::from_secs(((days * 24 + hour) * 60 + minute) * 60 + second)
}

#[test]
fn tokens_are_those_of_the_python_sdk() {
    let recorded = recorded();
    let text = |value: &Value| value.as_str().map(String::from);
    let tokens = recorded["tokens"].as_array().expect("a list");
    for vector in tokens {
        let credentials = Credentials::new(
            text(&recorded["access_key_id"]).expect("a key"),
            text(&recorded["secret_access_key"]).expect("a key"),
            text(&vector["session_token"]),
            None,
            "test",
        );
        let region = vector["region"].as_str().expect("a region");
        let now = time(vector["time"].as_str().expect("a time"));
        let lifetime = Duration::from_secs(vector["expires"].as_u64().expect("seconds"));
        let token = Token::generate(&credentials, region, now, lifetime).expect("a token");
        assert_eq!(token.expose(), vector["token"].as_str().expect("a token"), "{}", vector["why"]);
        assert_eq!(token.expiry(), now + lifetime);
    }
    assert_eq!(tokens.len(), 8);
}

#[tokio::test]
async fn clients_generate_tokens() {
    let credentials = Credentials::new("id", "secret", None, None, "test");
    let client = Client::builder().region("eu-west-1").endpoint_url("http://127.0.0.1:1");
    let client = client.credentials(credentials).build().expect("complete");
    let token = client.token(Duration::from_secs(900)).await.expect("a token");
    assert!(token.expose().starts_with("sagemaker-api-key-c2FnZW1ha2VyLmFtYXpvbmF3cy5jb20v"));
    let error = client.token(Duration::ZERO).await.err().expect("too short");
    assert_eq!(
        error.to_string(),
        "invalid configuration: a token cannot last 0 seconds: allowed are 1 to 43200"
    );
    let builder = Client::builder().region("r").credentials(Credentials::new("a", "b", None, None, "test"));
    assert!(
        builder.token_lifetime(Duration::from_secs(43_201)).build().is_err_and(|error| error.is_config())
    );
}
