//! The choices for options that name an API, and the table of `sagewire formats`.

use std::fmt::Write;

use sagewire_codec::Api;

use super::choice::Choice;

/// The custom format of a simple request, for APIs for which the codec writes no requests.
pub(super) fn description(api: Api) -> Option<&'static str> {
    match api {
        Api::LlamaServer => Some(include_str!("llama-server.json")),
        Api::PlainText => Some(include_str!("text.json")),
        _ => None,
    }
}

/// The choices for an option with APIs as values.
pub(super) fn choices<T>(value: impl Fn(Api) -> Option<T>) -> Vec<Choice<T>> {
    let choice = |api: &Api| {
        Some(Choice { name: api.name(), aliases: api.aliases(), help: api.title(), value: value(*api)? })
    };
    Api::ALL.iter().filter_map(choice).collect()
}

/// The table of `sagewire formats`.
pub(crate) fn table() -> String {
    const WIDTHS: [usize; 4] = [19, 14, 14, 14];
    let mut table = String::new();
    let mut line = |cells: [&str; 4], title: &str| {
        for (cell, width) in cells.iter().zip(WIDTHS) {
            _ = write!(table, "{cell:width$}");
        }
        table.push_str(title);
        table.push('\n');
    };
    line(["FORMAT", "REQUEST", "RESPONSE", "STREAM"], "DESCRIPTION");
    let cell = |reads: bool, writes: bool| match (reads, writes) {
        (true, true) => "read, write",
        (true, false) => "read",
        (false, true) => "write",
        (false, false) => "-",
    };
    for api in Api::ALL {
        let cells = [
            api.name(),
            cell(api.reads_requests(), api.writes_requests()),
            cell(api.reads_responses(), api.writes_responses()),
            cell(api.reads_streams(), api.writes_streams()),
        ];
        line(cells, api.title());
    }
    line(
        ["embeddings", "read, write", "read, write", "-"],
        "OpenAI embeddings to and from TEI, JumpStart, Cohere, Voyage",
    );
    line(
        ["custom:FILE", "write", "read", "read"],
        "what a JSON file describes: see `sagewire decode --help`",
    );
    let aliases = Api::ALL.iter().filter(|api| !api.aliases().is_empty());
    let aliases: Vec<_> =
        aliases.map(|api| format!("{} ({})", api.name(), api.aliases().join(", "))).collect();
    table.push_str("\nAliases: ");
    table.push_str(&aliases.join("; "));
    table.push_str(".\n");
    table.push_str(
        "Streams are written as server-sent events; ConverseStream as JSON lines, or as frames with `bedrock-wire`. `sagewire\n\
         chat` also calls endpoints of the formats llama-server and text.\n",
    );
    table
}
