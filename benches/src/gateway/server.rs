//! The gateway that is measured: with keys, limits, a budget and metrics, as in production, and without an access log.

use std::io::Write;
use std::net::SocketAddr;
use std::path::Path;

use sagewire_gateway::Server;
use sagewire_gateway::config::Config;

use crate::tally::Fault;

/// The key of the client.
pub(super) const KEY: &str = "sk-bench-0123456789abcdef0123456789abcdef";

/// Serves until the process ends.
pub(super) async fn serve(service: SocketAddr) -> Result<(), Fault> {
    let text = format!(
        "listen: 127.0.0.1:0
admin: 127.0.0.1:0
access_log: off
models:
  - name: bench
    endpoint: bench
    region: us-east-1
    endpoint_url: http://{service}
    aws: {{access_key_id: AKIDBENCH, secret: '${{SECRET}}'}}
    prices: {{input: 0.2, output: 0.6}}
keys:
  - name: client
    key: ${{KEY}}
    limits: {{requests: 1000000000/min, tokens: 1000000000000/min, parallel: 100000, budget: 1000000000 USD/month}}
"
    );
    let environment = |name: &str| match name {
        "KEY" => Some(KEY.to_owned()),
        "SECRET" => Some("bench-secret".to_owned()),
        _ => None,
    };
    let (config, _) = Config::read(&text, Path::new("bench.yaml"), environment)?;
    let server = Server::bind(config).await?;
    let address = server.addresses().first().ok_or("the gateway has no address")?;
    writeln!(std::io::stdout(), "{address}")?;
    server.serve(std::future::pending()).await;
    Ok(())
}
