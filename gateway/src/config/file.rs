//! The gateway's own file: its sections. Those of models are in `model.rs`.

use serde_json::json;

use super::read::{FromYaml, Reader, section};
use super::values::Hash;
use super::yaml::{Node, Value};
use super::{
    Bounds, Cache, Config, Cooldown, Key, KeyLimits, KeyPair, Listen, Prices, Routing, Secret, Shutdown,
    State, Timeouts, Tls,
};

section!(Config, Config::default(), required ["models"], {
    "listen" => listen, "The addresses that clients connect to: one, or a list; each is an address or a section with `address` and `tls`. Default: `127.0.0.1:4000`.";
    "admin" => admin, "The address of health checks and metrics, or `off`. Default: `127.0.0.1:4001`.";
    "models" => models, "The models. Entries with the same name form a group.";
    "routing" => routing, "Attempts, fallbacks and cooldowns.";
    "keys" => keys, "The keys of clients. Without any, every client is accepted, and only loopback addresses are allowed.";
    "state" => state, "Where limits, budgets and cooldowns are kept that several processes share. Default: each process keeps its own.";
    "cache" => cache, "The cache of responses. Default: none.";
    "losses" => losses, "What is done with a request or a response that the API on the other side cannot express completely: `report` it in a header and the log, or `refuse` the request. Default: `report`.";
    "bounds" => bounds, "The bounds of requests and connections.";
    "shutdown" => shutdown, "How the gateway stops.";
    "cors" => cors, "The origins whose web pages may call the gateway; `\"*\"` for all. Default: none.";
    "access_log" => access_log, "Where the access log is written: `stderr`, `off`, or `{file: PATH}`. Default: `stderr`.";
});

section!(ListenFile, ListenFile::default(), required ["address"], {
    "address" => address, "The address and port.";
    "tls" => tls, "The certificate. Default: plain HTTP.";
});

#[derive(Default)]
struct ListenFile {
    address: Option<std::net::SocketAddr>,
    tls: Option<Tls>,
}

impl FromYaml for Listen {
    fn schema() -> serde_json::Value {
        json!({"anyOf": [std::net::SocketAddr::schema(), ListenFile::schema()]})
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        match &node.value {
            Value::Section(_) => {
                let ListenFile { address, tls } = ListenFile::read(node, reader)?;
                Some(Self { address: address?, tls })
            }
            _ => std::net::SocketAddr::read(node, reader).map(Self::new),
        }
    }
}

section!(Tls, Tls::new("", ""), required ["cert", "key"], {
    "cert" => cert, "A PEM file with the certificate and its chain.";
    "key" => key, "A PEM file with the private key.";
    "client_ca" => client_ca, "A PEM file with the authorities of client certificates, which are then required. Default: none.";
});

section!(Timeouts, Timeouts::default(), required [], {
    "connect" => connect, "To connect. Default: `5s`.";
    "first_byte" => first_byte, "Until the response starts. Default: `60s`.";
    "idle" => idle, "Between two parts of a response. Default: `60s`.";
    "total" => total, "The whole call with all its attempts. Default: `8m30s`.";
});

section!(Prices, Prices::default(), required [], {
    "input" => input, "Dollars for a million input tokens. Default: 0.";
    "output" => output, "Dollars for a million output tokens. Default: 0.";
});

section!(Routing, Routing::default(), required [], {
    "attempts" => attempts, "The number of attempts of a request, the first one included. Default: 2.";
    "fallback" => fallback, "By the name of a model: the models that are called, in order, when it has failed.";
    "cooldown" => cooldown, "When an endpoint is left out, and for how long.";
});

section!(Cooldown, Cooldown::default(), required [], {
    "failures" => failures, "After this number of failures in a row. Default: 3.";
    "base" => base, "For this time, which doubles with each further failure. Default: `5s`.";
    "max" => max, "For at most this time. Default: `60s`.";
});

section!(State, State::new(Secret::new("")), required ["url"], {
    "url" => url, "The URL of a Valkey or Redis server.";
    "when_down" => when_down, "What is done while it cannot be reached: `local`, each process applies the limits on its own; `deny`, requests are refused. Default: `local`.";
});

section!(Cache, Cache::default(), required [], {
    "size" => size, "The size of all entries. Default: `256MiB`.";
    "ttl" => ttl, "How long an entry is used. Default: `60s`.";
    "shared" => shared, "Whether responses are also kept in the server of `state`, if there is one, where other gateways find them. Default: true.";
});

section!(Bounds, Bounds::default(), required [], {
    "body" => body, "Bytes of the body of a request. Default: `6MiB`, the limit of SageMaker.";
    "connections" => connections, "Open connections. Default: 16,384.";
    "requests" => requests, "Requests at the same time. Default: 8,192.";
    "head" => head, "The time in which the head of a request has to arrive. Default: `10s`.";
    "receive" => receive, "The time in which the body of a request has to arrive. Default: `30s`.";
    "send" => send, "The time between two bytes that a client reads. Default: `60s`.";
    "ping" => ping, "The time between two comments or pings in a stream without events, or `off`. Default: `off`.";
    "ping_before_response" => ping_before_response, "Pings also before the first event of a stream, for example while an endpoint is scaled up: the status 200 is sent then, and a failure after it is the error of the stream. Default: `false`.";
});

section!(Shutdown, Shutdown::default(), required [], {
    "linger" => linger, "How long connections are still accepted, so that load balancers notice. Default: `5s`.";
    "drain" => drain, "How long requests may take to end after that. Default: `10m`.";
});

section!(KeyLimits, KeyLimits::default(), required [], {
    "requests" => requests, "Requests in a period, such as `600/min`.";
    "tokens" => tokens, "Tokens in a period, such as `200k/min`.";
    "parallel" => parallel, "Requests at the same time.";
    "budget" => budget, "Dollars in a period of the calendar, in UTC, such as `50 USD/month`. It needs `prices` of the models.";
});

section!(KeyPair, KeyPair::new("", Secret::new("")), required ["access_key_id", "secret"], {
    "access_key_id" => access_key_id, "The access key ID.";
    "secret" => secret, "The secret access key: `${NAME}` or `{file: PATH}`.";
    "session_token" => session_token, "The session token. Default: none.";
});

/// A key with its secret, or with the hash of it.
#[derive(Default)]
struct KeyFile {
    name: String,
    hash: Option<Hash>,
    key: Option<Secret>,
    aws: Option<KeyPair>,
    models: Option<Vec<String>>,
    limits: KeyLimits,
}

section!(KeyFile, KeyFile::default(), required ["name"], {
    "name" => name, "The name, for logs and metrics.";
    "hash" => hash, "The hash of the key that the client sends as a bearer token or in `x-api-key`: `sha256:` and 64 hexadecimal digits.";
    "key" => key, "In place of the hash, the key itself: `${NAME}` or `{file: PATH}`.";
    "aws" => aws, "The key pair of clients that sign their requests as for AWS.";
    "models" => models, "The models that the key may use. Default: all.";
    "limits" => limits, "The limits. Default: none.";
});

impl FromYaml for Key {
    fn schema() -> serde_json::Value {
        KeyFile::schema()
    }

    fn read(node: &Node, reader: &mut Reader<'_>) -> Option<Self> {
        let file = KeyFile::read(node, reader)?;
        if file.key.is_some() && file.hash.is_some() {
            return reader.problem(node.at, "a key has either `hash` or `key`");
        }
        let hash = file.hash.or_else(|| file.key.map(|key| Hash::of(key.expose())));
        let hash = hash.map(|Hash(bytes)| bytes);
        Some(Self { hash, aws: file.aws, models: file.models, limits: file.limits, ..Self::new(file.name) })
    }
}
