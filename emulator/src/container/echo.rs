//! The model of all containers: it echoes the prompt.

use super::stop_criteria::StopCriteria;
use super::tool::RequiredTool;

/// Most words of the user message that are echoed.
const ECHO_WORDS: usize = 24;
/// Number of token IDs.
const VOCABULARY: u64 = 32_000;

/// The text with which every container responds to a prompt, unless the request ends it early.
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

/// The part of a prompt that is echoed.
fn echoed(prompt: &str) -> String {
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let echoed = words[..words.len().min(ECHO_WORDS)].join(" ");
    if words.len() > ECHO_WORDS { format!("{echoed} …") } else { echoed }
}

/// The output of the model for one prompt.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    text: String,
    ending: Ending,
    /// The called tool; the text is its input then.
    pub(crate) tool: Option<Call>,
    pub(crate) prompt_tokens: usize,
    /// A hash of the prompt.
    pub(crate) number: u64,
}

/// A tool call.
#[derive(Clone, Debug)]
pub(crate) struct Call {
    pub(crate) name: String,
    /// The request names the tool.
    pub(crate) is_named: bool,
}

/// Why the output ends.
#[derive(Clone, Debug, PartialEq)]
enum Ending {
    Done,
    /// The token limit was reached.
    Truncated,
    /// This stop sequence was reached.
    Stopped(String),
}

impl Echo {
    /// The output for a plain prompt.
    pub(crate) fn new(prompt: &str, criteria: &StopCriteria) -> Self {
        Self::with_count(prompt, tokens(prompt).count(), criteria)
    }

    /// The output where `prompt` is only a part of the input, which has `prompt_tokens` tokens.
    pub(crate) fn with_count(prompt: &str, prompt_tokens: usize, criteria: &StopCriteria) -> Self {
        let (text, ending) = truncate(&echo(prompt), criteria);
        Self { text, ending, tool: None, prompt_tokens, number: hash(prompt.as_bytes()) }
    }

    /// A tool call in place of the text. Only the token limit can end it early, not a stop sequence.
    pub(super) fn with_tool_call(
        self,
        tool: RequiredTool<'_>,
        prompt: &str,
        criteria: &StopCriteria,
    ) -> Self {
        let (text, ending) =
            truncate(&tool.input(&echoed(prompt)), &StopCriteria::tokens(criteria.max_tokens));
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

    /// Whether the output is complete.
    pub(crate) fn is_done(&self) -> bool {
        self.ending == Ending::Done
    }

    /// Whether the token limit was reached.
    pub(crate) fn is_truncated(&self) -> bool {
        self.ending == Ending::Truncated
    }

    /// The stop sequence that was reached.
    pub(crate) fn stopped_by(&self) -> Option<&str> {
        match &self.ending {
            Ending::Stopped(stop) => Some(stop),
            _ => None,
        }
    }

    /// The finish reason, by the container's names for each.
    pub(crate) fn finish_reason(
        &self,
        done: &'static str,
        cut: &'static str,
        stopped: &'static str,
    ) -> &'static str {
        match self.ending {
            Ending::Done => done,
            Ending::Truncated => cut,
            Ending::Stopped(_) => stopped,
        }
    }
}

/// The text up to the first stop sequence or the token limit.
fn truncate(text: &str, criteria: &StopCriteria) -> (String, Ending) {
    let max = criteria.max_tokens.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
    let allowed = &text[..tokens(text).take(max).map(str::len).sum()];
    if let Some((at, stop)) = criteria.find(allowed) {
        let len = if criteria.keeps_stop { at + stop.len() } else { at };
        return (allowed[..len].into(), Ending::Stopped(stop.into()));
    }
    let ending = if allowed.len() < text.len() { Ending::Truncated } else { Ending::Done };
    (allowed.into(), ending)
}

/// One token of the text.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Token<'a> {
    pub(crate) text: &'a str,
}

impl<'a> Token<'a> {
    /// The tokens of any text.
    pub(crate) fn all(text: &'a str) -> impl Iterator<Item = Self> {
        tokens(text).map(|text| Self { text })
    }

    /// The ID: a hash of the text, and not one of the special tokens.
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

/// Words, each with the white space before it: about what a tokenizer produces.
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
pub(super) fn hash(bytes: &[u8]) -> u64 {
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
        let whole = Echo::new("Wie geht's?\nGut", &StopCriteria::default());
        assert_eq!(whole.text(), echo("Wie geht's?\nGut"));
        assert!(
            whole.text().starts_with("You said: “Wie geht's? Gut”") && whole.text().contains("é, 你好, 😀")
        );
        assert!((60..=100).contains(&whole.count()));
        assert_eq!((whole.prompt_tokens, whole.finish_reason("stop", "length", "word")), (3, "stop"));
        let cut = Echo::new("hi", &StopCriteria::tokens(Some(3)));
        assert_eq!((cut.text(), cut.count()), ("You said: “hi”", 3));
        assert_eq!(cut.finish_reason("stop", "length", "word"), "length");
        assert!(Echo::new("", &StopCriteria::default()).text().starts_with("You sent no text."));
    }

    #[test]
    fn the_first_stop_counts() {
        let stop = |stops: &[&str], keeps_stop, max_tokens| {
            let stop = stops.iter().map(ToString::to_string).collect();
            let echo = Echo::new("hi", &StopCriteria { max_tokens, stop, keeps_stop });
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
        for token in Echo::new("a b c", &StopCriteria::default()).tokens() {
            assert!((3..VOCABULARY).contains(&token.id()));
            assert!((-2.0..0.0).contains(&token.logprob()));
        }
    }
}
