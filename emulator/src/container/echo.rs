//! The model of all containers: it only echoes.

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
    let words: Vec<&str> = prompt.split_whitespace().collect();
    let mut echoed = words[..words.len().min(ECHO_WORDS)].join(" ");
    if words.len() > ECHO_WORDS {
        echoed.push_str(" …");
    }
    let asked =
        if echoed.is_empty() { "You sent no text.".into() } else { format!("You said: “{echoed}”") };
    format!(
        "{asked}\n\nNo model has read this: it is the echo of a local endpoint, which a café naïvely serves one word at \
         a time. Each word is one event, each event is cut wherever chance wants it, and some characters take two, three \
         or four bytes: é, 你好, 😀. Whoever reads this text in one piece has put frames, lines and characters back \
         together again. Nothing was lost on the way, and nothing was added."
    )
}

/// What the model says to one prompt.
#[derive(Clone, Debug)]
pub(crate) struct Echo {
    text: String,
    /// More was to be said than the request allows.
    pub(crate) is_cut: bool,
    pub(crate) prompt_tokens: usize,
    /// The same prompt has the same number.
    pub(crate) number: u64,
}

impl Echo {
    /// The answer to a plain prompt.
    pub(crate) fn new(prompt: &str, max_tokens: Option<u64>) -> Self {
        Self::with_count(prompt, tokens(prompt).count(), max_tokens)
    }

    /// The answer where `prompt` is only a part of what the model was sent.
    pub(crate) fn with_count(prompt: &str, prompt_tokens: usize, max_tokens: Option<u64>) -> Self {
        let text = echo(prompt);
        let max = max_tokens.and_then(|max| usize::try_from(max).ok()).unwrap_or(usize::MAX);
        let len = tokens(&text).take(max).map(str::len).sum();
        let is_cut = len < text.len();
        Self { text: text[..len].into(), is_cut, prompt_tokens, number: hash(prompt.as_bytes()) }
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

    /// The reason for the end, by the names that the container has for either.
    pub(crate) fn finish_reason(&self, ended: &'static str, cut: &'static str) -> &'static str {
        if self.is_cut { cut } else { ended }
    }
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
        let whole = Echo::new("Wie geht's?\nGut", None);
        assert_eq!(whole.text(), echo("Wie geht's?\nGut"));
        assert!(
            whole.text().starts_with("You said: “Wie geht's? Gut”") && whole.text().contains("é, 你好, 😀")
        );
        assert!((60..=100).contains(&whole.count()));
        assert_eq!((whole.prompt_tokens, whole.finish_reason("stop", "length")), (3, "stop"));
        let cut = Echo::new("hi", Some(3));
        assert_eq!((cut.text(), cut.count()), ("You said: “hi”", 3));
        assert_eq!(cut.finish_reason("stop", "length"), "length");
        assert!(Echo::new("", None).text().starts_with("You sent no text."));
    }

    #[test]
    fn ids_and_likelihoods_are_in_range() {
        for token in Echo::new("a b c", None).tokens() {
            assert!((3..VOCABULARY).contains(&token.id()));
            assert!((-2.0..0.0).contains(&token.logprob()));
        }
    }
}
