//! The model of all containers: it only echoes.

use super::tool::Demanded;
use super::until::Until;

/// Words of the user's message that are echoed.
const ECHO_WORDS: usize = 24;
/// As many as the vocabulary of the tokenizer that counts has.
const VOCABULARY: u64 = 32_000;

/// The text that every container answers to a prompt, as far as the request lets it.
///
/// ```
/// assert!(sagewire_emulator::echo("Hello").starts_with("You said: “Hello”"));
/// ```
pub fn echo(prompt: &str) -> String {
    let echoed = echoed(prompt);
    let asked =
        if echoed.is_empty() { "You sent no text.".into() } else { format!("You said: “{echoed}”") };
    format!(
        "{asked}\n\nNo model has read this: it is the echo of a local endpoint, which a café naïvely serves one word at \
         a time. Each word is one event, each event is cut wherever chance wants it, and some characters take two, three \
         or four bytes: é, 你好, 😀. Whoever reads this text in one piece has put frames, lines and characters back \
         together again. Nothing was lost on the way, and nothing was added."
    )
}

/// What is repeated of a prompt.
fn echoed(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let echoed = words[..words.len().min(ECHO_WORDS)].join(" ");
    if words.len() > ECHO_WORDS { format!("{echoed} …") } else { echoed }
}

/// What the model says to one prompt.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    text: String,
    ending: Ending,
    /// The tool that is called, where the text is what it is called with.
    pub(crate) tool: Option<Call>,
    pub(crate) prompt_tokens: usize,
    /// The same prompt has the same number.
    pub(crate) number: u64,
}

/// A call of a tool.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The request named it.
    pub(crate) is_named: bool,
}

/// Why the model says no more.
#[derive(Clone, Debug, PartialEq)]
enum Ending {
    Done,
    /// More was to be said than the request allows.
    Cut,
    /// It was about to say this text.
    Stopped(String),
}

impl Echo {
    /// The answer to a plain prompt.
    pub(crate) fn new(prompt: &str, until: &Until) -> Self {
        Self::with_count(prompt, tokens(prompt).count(), until)
    }

    /// The answer where `prompt` is only a part of what the model was sent.
    pub(crate) fn with_count(prompt: &str, prompt_tokens: usize, until: &Until) -> Self {
        let (text, ending) = ended(&echo(prompt), until);
        Self { text, ending, tool: None, prompt_tokens, number: hash(prompt.as_bytes()) }
    }

    /// The call of a tool in place of the answer. What ends an answer does not end it, but for its length.
    pub(super) fn calling(self, tool: Demanded<'_>, prompt: &str, until: &Until) -> Self {
        let (text, ending) = ended(&tool.input(&echoed(prompt)), &Until::tokens(until.max_tokens));
        let call = Call { name: tool.name.into(), is_named: tool.is_named };
        Self { text, ending, tool: Some(call), ..self }
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn tokens(&self) -> impl Iterator<Item = Token<'_>> {
        Token::all(&self.text)
    }

    pub(crate) fn count(&self) -> usize {
        tokens(&self.text).count()
    }

    pub(crate) fn total_tokens(&self) -> usize {
        self.prompt_tokens + self.count()
    }

    /// Everything is said.
    pub(crate) fn is_done(&self) -> bool {
        self.ending == Ending::Done
    }

    /// There would be more.
    pub(crate) fn is_cut(&self) -> bool {
        self.ending == Ending::Cut
    }

    /// The text that ended the answer.
    pub(crate) fn stopped_by(&self) -> Option<&str> {
        match &self.ending {
            Ending::Stopped(stop) => Some(stop),
            _ => None,
        }
    }

    /// The reason for the end, by the names that the container has for each.
    pub(crate) fn finish_reason(
        &self,
        done: &'static str,
        cut: &'static str,
        stopped: &'static str,
    ) -> &'static str {
        match self.ending {
            Ending::Done => done,
            Ending::Cut => cut,
            Ending::Stopped(_) => stopped,
        }
    }
}

/// As much of a text as may be said.
fn ended(text: &str, until: &Until) -> (String, Ending) {
    let max = until.max_tokens.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let allowed = &text[..tokens(text).take(max).map(str::len).sum()];
    if let Some((at, stop)) = until.find(allowed) {
        let len = if until.keeps_stop { at + stop.len() } else { at };
        return (allowed[..len].into(), Ending::Stopped(stop.into()));
    }
    let ending = if allowed.len() < text.len() { Ending::Cut } else { Ending::Done };
    (allowed.into(), ending)
}

/// One piece of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
}

impl<'a> Token<'a> {
    /// The tokens of any text.
    pub(crate) fn all(text: &'a str) -> impl Iterator<Item = Self> {
        tokens(text).map(|text| Self { text })
    }

    /// The same text has the same id, which is none of the special ones.
    pub(crate) fn id(self) -> u64 {
        3 + hash(self.text.as_bytes()) % (VOCABULARY - 3)
    }

    /// Rare tokens are less likely.
    pub(crate) fn logprob(self) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "less than 32")]
        let rarity = (self.id() % 32) as f64;
        -rarity / 16.0 - 0.0625
    }
}

/// Words, each with the white space before it: about as a tokenizer cuts.
fn tokens(text: &str) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        let word = rest.find(|c: char| !c.is_whitespace()).unwrap_or(rest.len());
        let end = rest[word..].find(char::is_whitespace).map_or(rest.len(), |len| word + len);
        let (token, after) = rest.split_at(end);
        rest = after;
        (!token.is_empty()).then_some(token)
    })
}

/// FNV-1a.
fn hash(bytes: &[u8]) -> u64 {
    bytes
        .iter()
        .fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tokens_keep_every_byte() {
        for text in ["", " ", "a", " a  b\n", "“é”\n\n你好 😀."] {
            assert_eq!(tokens(text).collect::<String>(), text);
        }
        assert_eq!(tokens(" a  b\n").collect::<Vec<_>>(), [" a", "  b", "\n"]);
    }

    #[test]
    fn an_echo_is_whole_or_says_that_it_is_cut() {
        let whole = Echo::new("Wie geht's?\nGut", &Until::default());
        assert_eq!(whole.text(), echo("Wie geht's?\nGut"));
        assert!(
            whole.text().starts_with("You said: “Wie geht's? Gut”") && whole.text().contains("é, 你好, 😀")
        );
        assert!((60..=100).contains(&whole.count()));
        assert_eq!((whole.prompt_tokens, whole.finish_reason("stop", "length", "word")), (3, "stop"));
        let cut = Echo::new("hi", &Until::tokens(Some(3)));
        assert_eq!((cut.text(), cut.count()), ("You said: “hi”", 3));
        assert_eq!(cut.finish_reason("stop", "length", "word"), "length");
        assert!(Echo::new("", &Until::default()).text().starts_with("You sent no text."));
    }

    #[test]
    fn the_first_stop_counts() {
        let stop = |stops: &[&str], keeps_stop, max_tokens| {
            let stop = stops.iter().map(ToString::to_string).collect();
            let echo = Echo::new("hi", &Until { max_tokens, stop, keeps_stop });
            (echo.text().to_owned(), echo.stopped_by().map(String::from))
        };
        let said = |text: &str, stop: &str| (text.to_owned(), Some(stop.to_owned()));
        assert_eq!(stop(&["hi", "said"], false, None), said("You ", "said"));
        assert_eq!(stop(&["", "“h"], false, None), said("You said: ", "“h"));
        assert_eq!(stop(&["“h"], true, None), said("You said: “h", "“h"));
        assert_eq!(stop(&["You"], false, None), said("", "You"));
        assert_eq!(stop(&["hi"], false, Some(2)), ("You said:".into(), None), "it is not said");
        assert_eq!(stop(&["nowhere"], false, None), (echo("hi"), None));
    }

    #[test]
    fn ids_and_likelihoods_are_in_range() {
        for token in Echo::new("a b c", &Until::default()).tokens() {
            assert!((3..VOCABULARY).contains(&token.id()));
            assert!((-2.0..0.0).contains(&token.logprob()));
        }
    }
}
