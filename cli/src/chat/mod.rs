//! `sagewire chat`: asks an endpoint, and prints the answer as it comes.

mod attachment;
mod call;
mod editor;
mod interactive;
mod parameters;

use std::io::{self, IsTerminal, Read};

use sagewire_codec::model::{Content, Message, Part, Response, Role};

use self::attachment::Tools;
use self::call::Caller;
use self::parameters::Parameters;
use crate::ask;
use crate::connection::{self, ENVIRONMENT};
use crate::fault::{Fault, note};
use crate::format::{self, CUSTOM_HELP, Container, Reading, To};
use crate::{endpoint, losses, request};

/// Arguments of `sagewire chat`.
#[derive(Debug, clap::Args)]
#[command(after_help = help(), after_long_help = format!("{}\n\n{CUSTOM_HELP}", help()))]
pub(crate) struct Args {
    // Before what has a heading: this has none.
    /// What to ask; - reads it from standard input. Without it, a terminal is asked for one question after another
    prompt: Option<String>,
    /// Name of the endpoint
    #[arg(long = "endpoint", value_name = "NAME")]
    name: String,
    /// What the container takes and answers
    #[arg(long, value_name = "FORMAT", default_value = "openai", value_parser = format::containers())]
    format: Container,
    /// What the answer is read as, if it is not what its shape or --format tells
    #[arg(long, value_name = "FORMAT", value_parser = format::responses_read())]
    from: Option<Reading>,
    /// What to print
    #[arg(long, value_name = "WHAT", default_value = "text", value_parser = format::printed())]
    to: To,
    /// Ask for the answer in one piece; what is printed of it is in one piece too
    #[arg(long)]
    no_stream: bool,
    #[command(flatten)]
    writing: request::Args,
    #[command(flatten)]
    losses: losses::Args,
    /// A system message before the prompt
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
The same goes for the parameters: AWS_SAGEMAKER_MAX_TOKENS, AWS_SAGEMAKER_TEMPERATURE and AWS_SAGEMAKER_TOP_P.

What --format has no words for is told on standard error, and with --strict nothing is sent then.

A conversation at a terminal ends with Ctrl-D; Ctrl-C ends an answer."
    )
}

/// Asks, and prints the answer.
pub(crate) async fn run(args: &Args, verbose: bool) -> Result<(), Fault> {
    let mut chat = Chat::new(args, verbose).await?;
    let prompt = match args.prompt.as_deref() {
        Some("-") => read_prompt()?,
        Some(prompt) => prompt.to_owned(),
        None if io::stdin().is_terminal() => return interactive::run(chat, editor::Terminal::new()?).await,
        None => match read_prompt()? {
            prompt if prompt.is_empty() => {
                return Err(Fault::usage("there is nothing to ask: standard input is empty"));
            }
            prompt => prompt,
        },
    };
    chat.messages.push(chat.question(prompt));
    chat.images.clear();
    let mut stream = chat.caller.stream();
    if !args.attachments.have_no_tools() {
        stream.keep();
    }
    let body = chat.body()?;
    chat.caller.call(body, &mut stream).await?;
    chat.caller.tell_cut(&stream);
    if let Some(response) = stream.into_response() {
        tell_tool_calls(&response);
    }
    Ok(())
}

/// A conversation, and whom it is with.
#[derive(Debug)]
struct Chat<'a> {
    args: &'a Args,
    caller: Caller<'a>,
    parameters: Parameters<'a>,
    tools: Tools,
    /// What goes with the next question.
    images: Vec<Part<'static>>,
    messages: Vec<Message<'static>>,
    verbose: bool,
}

impl<'a> Chat<'a> {
    async fn new(args: &'a Args, verbose: bool) -> Result<Self, Fault> {
        let parameters = Parameters::new(&args.parameters)?;
        let system = args.system.iter().map(|text| Message::new(Role::System, text_parts(text.clone())));
        Ok(Self {
            args,
            tools: args.attachments.tools()?,
            images: args.attachments.images()?,
            messages: system.collect(),
            caller: Caller::new(args, parameters.has_no_limit(), verbose).await?,
            parameters,
            verbose,
        })
    }

    /// A message of the user.
    fn question(&self, text: String) -> Message<'static> {
        let mut content = self.images.clone();
        content.extend(text_parts(text));
        Message::new(Role::User, content)
    }

    /// The conversation in the words of the container. What it has no words for is told.
    fn body(&self) -> Result<Vec<u8>, Fault> {
        let args = self.args;
        let to = &args.format.request;
        let mut request = ask::request(to, self.tools.request()?, self.messages.clone(), !args.no_stream);
        self.parameters.apply(&mut request);
        let (body, losses) = args.writing.write(to, &request)?;
        args.losses.tell(&losses);
        args.losses.check(&losses, ", nothing was sent")?;
        if self.verbose {
            note(&format!("request: {}", String::from_utf8_lossy(&body)));
        }
        Ok(body)
    }
}

fn text_parts(text: String) -> Vec<Part<'static>> {
    vec![Part::new(Content::Text(text.into()))]
}

fn tell_tool_calls(response: &Response) {
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
