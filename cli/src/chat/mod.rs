//! `sagewire chat`: calls a model behind an endpoint and prints its response.

mod attachment;
mod call;
mod editor;
mod interactive;
mod parameters;
mod session;

use std::io::{self, IsTerminal, Read};

use sagewire_codec::model::{Content, Message, Part, Response, Role};

use self::attachment::Tools;
use self::call::Caller;
use self::parameters::Parameters;
use crate::aws_config::ENVIRONMENT;
use crate::fault::{Fault, note};
use crate::format::{self, CUSTOM_HELP, Container, Reading, To};
use crate::{chat_request, connection, endpoint, losses, output, request};

/// Arguments of `sagewire chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = help(), after_long_help = format!("{}\n\n{CUSTOM_HELP}", help()))]
pub(crate) struct Args {
    // Arguments without a heading have to come first.
    /// Prompt; - reads it from standard input. Without a prompt, a terminal starts a conversation
    prompt: Option<String>,
    /// Name of the endpoint
    #[arg(long = "endpoint", value_name = "NAME")]
    name: String,
    /// Format of the container (see sagewire formats)
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "openai",
        hide_possible_values = true,
        value_parser = format::containers()
    )]
    format: Container,
    /// Format of the response, if it is neither detected nor given by --format
    #[arg(long, value_name = "FORMAT", hide_possible_values = true, value_parser = format::responses_read())]
    from: Option<Reading>,
    /// Output: text, events, or an API that sagewire formats lists
    #[arg(
        long,
        value_name = "FORMAT",
        default_value = "text",
        hide_possible_values = true,
        value_parser = format::printed()
    )]
    to: To,
    /// Request a response that is not streamed, and print it when it is complete
    #[arg(long)]
    no_stream: bool,
    /// Print the request, the headers of the response, and losses to standard error
    #[arg(short, long)]
    verbose: bool,
    /// Open a stateful session, send everything in it, and close it at the end
    #[arg(long, conflicts_with = "session_id")]
    session: bool,
    #[command(flatten)]
    output: output::Args,
    #[command(flatten)]
    writing: request::Args,
    #[command(flatten)]
    losses: losses::Args,
    /// System message
    #[arg(long, value_name = "TEXT")]
    system: Option<String>,
    #[command(flatten)]
    parameters: parameters::Args,
    #[command(flatten)]
    attachments: attachment::Args,
    #[command(flatten)]
    endpoint: endpoint::Args,
    #[command(flatten)]
    connection: connection::Args,
}

fn help() -> String {
    format!(
        "\
{ENVIRONMENT}

Parameters that --format does not support are reported on standard error; with --strict, nothing is sent then.

In a conversation, Ctrl-C stops a response and Ctrl-D ends the conversation."
    )
}

/// Calls the endpoint and prints the response.
pub(crate) async fn run(args: &Args) -> Result<(), Fault> {
    let mut chat = Chat::new(args).await?;
    let prompt = match args.prompt.as_deref() {
        Some("-") => Some(read_prompt()?),
        Some(prompt) => Some(prompt.to_owned()),
        None if io::stdin().is_terminal() => None,
        None => match read_prompt()? {
            prompt if prompt.is_empty() => {
                return Err(Fault::usage("the prompt is empty: nothing on standard input"));
            }
            prompt => Some(prompt),
        },
    };
    let session = match args.session {
        true => Some(session::Session::open(&mut chat.caller).await?),
        false => None,
    };
    let is_conversation = prompt.is_none();
    let call = async {
        match prompt {
            Some(prompt) => respond(chat, prompt).await,
            None => interactive::run(chat, editor::Terminal::new()?).await,
        }
    };
    match session {
        Some(session) => session.close_after(call, is_conversation).await,
        None => call.await,
    }
}

/// Sends one prompt and prints the response.
async fn respond(mut chat: Chat<'_>, prompt: String) -> Result<(), Fault> {
    let args = chat.args;
    chat.messages.push(chat.user_message(prompt));
    chat.images.clear();
    let mut stream = chat.caller.stream();
    if args.attachments.has_tools() {
        stream.collect();
    }
    let body = chat.body()?;
    chat.caller.call(body, &mut stream).await?;
    chat.caller.note_token_limit(&stream);
    if let Some(response) = stream.into_response() {
        note_tool_calls(&response);
    }
    Ok(())
}

/// A conversation with a model.
#[derive(Debug)]
struct Chat<'a> {
    args: &'a Args,
    caller: Caller<'a>,
    parameters: Parameters<'a>,
    tools: Tools,
    /// Images for the next message.
    images: Vec<Part<'static>>,
    messages: Vec<Message<'static>>,
}

impl<'a> Chat<'a> {
    async fn new(args: &'a Args) -> Result<Self, Fault> {
        let parameters = Parameters::new(&args.parameters)?;
        let system = args.system.iter().map(|text| Message::new(Role::System, text_parts(text.clone())));
        Ok(Self {
            args,
            tools: args.attachments.tools()?,
            images: args.attachments.images()?,
            messages: system.collect(),
            caller: Caller::new(args, parameters.has_default_limit()).await?,
            parameters,
        })
    }

    /// A user message, with the images.
    fn user_message(&self, text: String) -> Message<'static> {
        let mut content = self.images.clone();
        content.extend(text_parts(text));
        Message::new(Role::User, content)
    }

    /// Writes the conversation as a request of the container. Prints its losses.
    fn body(&self) -> Result<Vec<u8>, Fault> {
        let args = self.args;
        let to = &args.format.request;
        let mut request =
            chat_request::request(to, self.tools.request()?, self.messages.clone(), !args.no_stream);
        self.parameters.apply(&mut request);
        let (body, losses) = args.writing.write(to, &request)?;
        args.losses.print(&losses);
        args.losses.check(&losses, ", nothing was sent")?;
        if args.verbose {
            note(&format!("request: {}", summary(&body)));
        }
        Ok(body)
    }
}

fn text_parts(text: String) -> Vec<Part<'static>> {
    vec![Part::new(Content::Text(text.into()))]
}

/// The start of a body, with its size if that is not all. Images would fill the screen.
fn summary(body: &[u8]) -> String {
    const MAX: usize = 2048;
    match body.get(..MAX) {
        Some(start) if body.len() > MAX => {
            format!("{}… ({} bytes)", String::from_utf8_lossy(start), body.len())
        }
        _ => String::from_utf8_lossy(body).into_owned(),
    }
}

fn note_tool_calls(response: &Response) {
    for (id, name, input) in response.choices.iter().flat_map(|choice| choice.tool_calls()) {
        let id = id.map_or(String::new(), |id| format!(" ({id})"));
        note(&format!("tool call{id}: {name} {input}"));
    }
}

fn read_prompt() -> Result<String, Fault> {
    let mut prompt = String::new();
    match io::stdin().read_to_string(&mut prompt) {
        Ok(_) => Ok(prompt),
        Err(error) => Err(Fault::input("standard input", &error)),
    }
}
