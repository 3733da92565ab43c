//! A gateway within a program: async-openai calls it without a network, and an axum application serves it beside routes of its
//! own. Behind it is an emulated endpoint with a container that speaks TGI.
//!
//! ```sh
//! cargo run -p sagewire-examples --example gateway
//! ```

use std::error::Error;

use async_openai::Client;
use async_openai::config::OpenAIConfig;
use async_openai::error::OpenAIError;
use async_openai::middleware::HttpRequestFactory;
use async_openai::types::chat::{
    ChatCompletionRequestUserMessageArgs, CreateChatCompletionRequest, CreateChatCompletionRequestArgs,
};
use axum::Router;
use axum::routing::get;
use futures_util::StreamExt;
use http_body_util::BodyDataStream;
use sagewire_codec::Api;
use sagewire_emulator::{ACCESS_KEY_ID, ContainerFormat, Emulator, SECRET_ACCESS_KEY};
use sagewire_gateway::Gateway;
use sagewire_gateway::config::{AccessLog, Config, Credentials, KeyPair, Model, Secret, Template, Upstream};
use sagewire_transport_reqwest::http_client;
use tower::{ServiceExt, service_fn};

/// Calls the gateway in both ways.
#[tokio::main]
pub async fn main() -> Result<(), Box<dyn Error>> {
    let emulator = Emulator::builder().format(ContainerFormat::Tgi).start().await?;
    let gateway = Gateway::new(config(&emulator)?).await?;

    // In process: the HTTP service of the client is the gateway.
    let http = http_client(false)?.build()?;
    let client =
        Client::build(http.clone(), OpenAIConfig::new()).with_http_service(in_process(gateway.clone()));
    let mut stream = client.chat().create_stream(request()?).await?;
    while let Some(chunk) = stream.next().await {
        for choice in chunk?.choices {
            print!("{}", choice.delta.content.unwrap_or_default());
        }
    }
    println!("\n");

    // In an application: the gateway serves every path that the application does not.
    let app = Router::new().route("/", get(|| async { "an application" })).fallback_service(gateway);
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    let base = format!("http://{}/v1", listener.local_addr()?);
    let server = tokio::spawn(async move { axum::serve(listener, app).await });
    let client = Client::build(http, OpenAIConfig::new().with_api_base(base).with_api_key("any"));
    let response = client.chat().create(request()?).await?;
    println!("{}", response.choices[0].message.content.as_deref().unwrap_or_default());

    server.abort();
    emulator.stop().await;
    Ok(())
}

fn config(emulator: &Emulator) -> Result<Config, Box<dyn Error>> {
    let mut model = Model::endpoint("my-tgi");
    model.name = "llama".into();
    model.format = Api::Tgi;
    model.template = Some(Template::named("llama3")?);
    if let Upstream::SageMaker(sagemaker) = &mut model.upstream {
        sagemaker.region = Some("us-east-1".into());
        // Without these two lines: the service of the region, and the credentials of the environment.
        sagemaker.endpoint_url = Some(emulator.url());
        sagemaker.credentials = Credentials::default();
        sagemaker.credentials.keys = Some(KeyPair::new(ACCESS_KEY_ID, Secret::new(SECRET_ACCESS_KEY)));
    }
    let mut config = Config::default();
    config.models = vec![model];
    config.access_log = AccessLog::Off;
    Ok(config)
}

fn request() -> Result<CreateChatCompletionRequest, OpenAIError> {
    let message = ChatCompletionRequestUserMessageArgs::default().content("Hello from Rust").build()?;
    CreateChatCompletionRequestArgs::default().model("llama").messages([message.into()]).build()
}

/// The service that async-openai sends its requests to.
fn in_process(
    gateway: Gateway,
) -> impl tower::Service<
    HttpRequestFactory,
    Response = reqwest::Response,
    Error = OpenAIError,
    Future: Send + 'static,
> + Clone
+ Send
+ Sync
+ 'static {
    service_fn(move |factory: HttpRequestFactory| {
        let gateway = gateway.clone();
        async move {
            let request: http::Request<reqwest::Body> = factory.build().await?.try_into()?;
            let Ok(response) = gateway.oneshot(request).await;
            let (parts, body) = response.into_parts();
            let body = reqwest::Body::wrap_stream(BodyDataStream::new(body));
            Ok(http::Response::from_parts(parts, body).into())
        }
    })
}
