//! Splits text into words as the Penn Treebank does, which is what promptfoo's ROUGE counts.
//!
//! Source: the rules of `tokenizer.sed` of the Penn Treebank project, as `treeBankTokenize` of the package `js-rouge` applies them.

/// Words that are two.
const PAIRS: [(&str, &str); 7] =
    [("can", "not"), ("gim", "me"), ("gon", "na"), ("got", "ta"), ("lem", "me"), ("wan", "na"), ("d", "'ye")];
/// Endings that are words.
const ENDINGS: [&str; 7] = ["n't", "'ll", "'re", "'ve", "'s", "'m", "'d"];

/// The words and signs of a text, in lower case.
pub(super) fn tokens(text: &str) -> Vec<String> {
    let spaced = separate(&text.to_lowercase());
    let mut tokens = Vec::new();
    for word in spaced.split_whitespace() {
        push(word, &mut tokens);
    }
    tokens
}

/// Puts spaces around signs.
fn separate(text: &str) -> String {
    let text = text.trim();
    // A full stop belongs to its word, except at the end.
    let end = text.trim_end_matches([']', ')', '}', '>', '\'', '"', ' ']);
    let stop = end.strip_suffix('.').filter(|rest| !rest.ends_with('.') && !is_acronym(rest)).map(str::len);
    let mut out = String::with_capacity(text.len() + text.len() / 4);
    let mut previous = ' ';
    let mut rest = text;
    while let Some(character) = rest.chars().next() {
        let offset = text.len() - rest.len();
        let tail = &rest[character.len_utf8()..];
        let sign = if rest.starts_with("...") {
            "..."
        } else if rest.starts_with("--") {
            "--"
        } else {
            let separate = match character {
                ':' | ',' => !tail.starts_with(|next: char| next.is_ascii_digit()),
                '.' => Some(offset) == stop,
                character => ";@#$%&?![](){}<>\"".contains(character),
            };
            if separate { &rest[..character.len_utf8()] } else { "" }
        };
        if sign.is_empty() {
            out.push(character);
        } else {
            let opens = previous.is_whitespace() || "([{<".contains(previous);
            let written = if sign != "\"" {
                sign
            } else if opens {
                "``"
            } else {
                "''"
            };
            out.extend([" ", written, " "]);
        }
        previous = character;
        rest = &rest[sign.len().max(character.len_utf8())..];
    }
    out
}

/// Whether a text ends as `u.s` does.
fn is_acronym(text: &str) -> bool {
    let mut last = text.chars().rev();
    let letter = |character: Option<char>| character.is_some_and(|character| character.is_ascii_alphabetic());
    letter(last.next()) && last.next() == Some('.') && letter(last.next()) && !letter(last.next())
}

/// A word without spaces, with its endings apart.
fn push(word: &str, tokens: &mut Vec<String>) {
    if word == "``" || word == "''" {
        tokens.push(word.to_owned());
        return;
    }
    let ending = ENDINGS.into_iter().find(|ending| word.len() > ending.len() && word.ends_with(ending));
    if let Some(ending) = ending {
        tokens.extend([word[..word.len() - ending.len()].to_owned(), ending.to_owned()]);
    } else if let Some(word) = word.strip_suffix('\'').filter(|word| !word.is_empty()) {
        tokens.extend([word.to_owned(), "'".to_owned()]);
    } else if let Some((first, second)) = PAIRS.into_iter().find(|(a, b)| word.strip_prefix(a) == Some(b)) {
        tokens.extend([first.to_owned(), second.to_owned()]);
    } else {
        tokens.push(word.to_owned());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The examples of the tests of `js-rouge` and of NLTK's documentation, in lower case.
    #[test]
    fn words_are_those_of_the_treebank() {
        for (text, expected) in [
            ("They'll save and invest more.", "they 'll save and invest more ."),
            ("hi, my name can't hello,", "hi , my name ca n't hello ,"),
            ("Good muffins cost $3.88 in New York.", "good muffins cost $ 3.88 in new york ."),
            (
                "\"We beat some pretty good teams to get here,\" Slocum said.",
                "`` we beat some pretty good teams to get here , '' slocum said .",
            ),
            ("It costs 1,000 (about): yes -- really...", "it costs 1,000 ( about ) : yes -- really ..."),
            ("I cannot go; the dogs' bowl", "i can not go ; the dogs ' bowl"),
            ("He lives in the U.S.", "he lives in the u.s."),
            ("(He left.)", "( he left . )"),
            ("", ""),
            ("...", "..."),
            ("日本語 é", "日本語 é"),
        ] {
            assert_eq!(tokens(text).join(" "), expected);
        }
    }
}
