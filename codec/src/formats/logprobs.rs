//! Log probabilities in the shape of the chat: `{"content":[{"token":…,"logprob":…,"bytes":…,"top_logprobs":[…]}]}`.
//!
//! | source | shape |
//! |---|---|
//! | OpenAI's chat; LMI puts it into a list | as it is |
//! | completions | `tokens`, `token_logprobs` and `top_logprobs`, a list each |
//! | Cohere | a text with the IDs and the log probabilities of its tokens, of which there is mostly one; several have no text each |
//! | TGI, LMI, llama-server | tokens with `text` or `token` and `logprob` or `log_prob`, one or a list; special ones are no text |

use alloc::borrow::Cow;
use alloc::string::String;
use alloc::vec::Vec;

use crate::json::{
    Json, Object, elements, member, members, number_end, string, write_integer, write_one_line, write_string,
};
use crate::model::{Losses, Outcome};

/// The lists of the chat's shape.
pub(crate) const CHAT: [&str; 2] = ["content", "refusal"];

/// The lists of the shape of completions.
pub(crate) const COMPLETION: [&str; 4] = ["tokens", "token_logprobs", "top_logprobs", "text_offset"];

/// Log probabilities in the shape of the chat, if they have an equivalent there and are not empty.
pub(crate) fn of_chat<'a>(json: &'a str, losses: &mut Losses) -> Option<Cow<'a, str>> {
    if is_own(json) {
        return Some(Cow::Borrowed(json));
    }
    let list = elements(json);
    let found = match &list[..] {
        [only] if is_own(only) => return Some(Cow::Borrowed(*only)),
        [] if member(json, "tokens").is_some() => completion(json),
        [] if json.bytes().filter(|byte| !byte.is_ascii_whitespace()).eq(*b"[]") => return None,
        [] => token(json).map(|token| Vec::from_iter([token])),
        tokens => tokens.iter().map(|json| token(json)).collect(),
    };
    let Some(tokens) = found else {
        losses.add("logprobs", Outcome::Dropped, "formats disagree on what they are");
        return None;
    };
    if tokens.iter().any(|token| token.has_more) {
        losses.add("logprobs", Outcome::Approximated, "the chat has no IDs of tokens and no offsets");
    }
    let mut tokens = tokens.into_iter().filter(|token| !token.is_special).peekable();
    tokens.peek()?;
    let mut out = Vec::new();
    Object::write(&mut out, |object| object.array("content", tokens, |token, out| token.write(out)));
    Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

/// Log probabilities in the shape of completions, if they have an equivalent there and are not empty. `offset` is that of the next
/// token in the text, in characters.
pub(crate) fn of_completion<'a>(
    json: &'a str,
    offset: &mut u64,
    losses: &mut Losses,
) -> Option<Cow<'a, str>> {
    if member(json, COMPLETION[0]).is_some() {
        return Some(Cow::Borrowed(json));
    }
    let chat = of_chat(json, losses)?;
    let all = CHAT.into_iter().filter_map(|name| member(&chat, name)).flat_map(elements);
    let tokens: Option<Vec<_>> = all.map(token).collect();
    let Some(tokens) = tokens.filter(|tokens| !tokens.is_empty()) else {
        losses.add("logprobs", Outcome::Dropped, "formats disagree on what they are");
        return None;
    };
    if tokens.iter().any(|token| token.bytes.is_some()) {
        losses.add("logprobs", Outcome::Approximated, "completions have no bytes of tokens");
    }
    let mut out = Vec::new();
    Object::write(&mut out, |object| {
        object.array("tokens", &tokens, |token, out| write_string(&token.text, out));
        object.array("token_logprobs", &tokens, |token, out| out.extend_from_slice(token.logprob.as_bytes()));
        object.array("top_logprobs", &tokens, |token, out| {
            Object::write(out, |top| token.top.iter().for_each(|token| top.raw(&token.text, token.logprob)));
        });
        object.array("text_offset", &tokens, |token, out| {
            write_integer(*offset, out);
            *offset += token.text.chars().count() as u64;
        });
    });
    Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

/// Appends a token of the chat as Responses has it: with its bytes, which the chat may leave out.
pub(crate) fn write_with_bytes(token: &str, out: &mut Vec<u8>) {
    let fields = members(token);
    let has_bytes = fields.iter().any(|(name, value)| name == "bytes" && *value != "null");
    Object::write(out, |object| {
        for (name, value) in &fields {
            match &**name {
                "bytes" if !has_bytes => {}
                "top_logprobs" => {
                    object.array("top_logprobs", elements(value), write_with_bytes);
                }
                _ => write_one_line(value, object.any_name(name)),
            }
        }
        if !has_bytes {
            let text = fields.iter().find(|(name, _)| name == "token");
            let text = text.and_then(|(_, text)| string(text)).unwrap_or_default();
            object.array("bytes", text.bytes(), |byte, out| write_integer(byte.into(), out));
        }
    });
}

/// Joins the log probabilities of several records.
pub(crate) fn join<'a>(pieces: &[Cow<'a, str>], lists: &[&'static str]) -> Option<Cow<'a, str>> {
    if let [] | [_] = pieces {
        return pieces.first().cloned();
    }
    let mut out = Vec::new();
    Object::write(&mut out, |object| {
        for name in lists {
            let lists =
                pieces.iter().filter_map(|piece| member(piece, name)).filter(|list| list.starts_with('['));
            let lists: Vec<_> = lists.collect();
            if !lists.is_empty() {
                let all = lists.into_iter().flat_map(elements);
                object.array(name, all, |token, out| out.extend_from_slice(token.as_bytes()));
            }
        }
    });
    Some(Cow::Owned(String::from_utf8_lossy(&out).into_owned()))
}

/// Whether log probabilities have the shape of the chat, or at least no other known one: an object that lists no tokens and is
/// none. This is called for every token of a stream, so it allocates nothing.
fn is_own(json: &str) -> bool {
    let (mut is_chat, mut is_other) = (false, false);
    let read = Json::new(json.as_bytes(), 0, 127).object(|json, name| {
        is_chat |= matches!(name, b"content" | b"refusal");
        is_other |= matches!(name, b"tokens" | b"logprob" | b"log_prob" | b"logprobs");
        json.skip().map(drop)
    });
    read.is_ok() && (is_chat || !is_other)
}

/// A token with its log probability.
struct Token<'a> {
    text: String,
    logprob: &'a str,
    /// A list of numbers.
    bytes: Option<&'a str>,
    top: Vec<Token<'a>>,
    is_special: bool,
    /// It has fields that the chat does not have.
    has_more: bool,
}

impl Token<'_> {
    fn write(&self, out: &mut Vec<u8>) {
        Object::write(out, |object| {
            self.members(object);
            object
                .array("top_logprobs", &self.top, |token, out| Object::write(out, |top| token.members(top)));
        });
    }

    fn members(&self, object: &mut Object<'_>) {
        object.string("token", &self.text);
        object.raw("logprob", self.logprob);
        object.raw("bytes", self.bytes.unwrap_or("null"));
    }
}

/// A number of JSON.
fn number(value: &str) -> Option<&str> {
    (number_end(value.as_bytes(), 0) == Some(value.len())).then_some(value)
}

/// Reads a token of TGI, LMI or llama-server, with its alternatives.
fn token(json: &str) -> Option<Token<'_>> {
    let top = member(json, "top_logprobs").map(elements).unwrap_or_default();
    Some(Token { top: top.into_iter().filter_map(lone_token).collect(), ..lone_token(json)? })
}

fn lone_token(json: &str) -> Option<Token<'_>> {
    let members = members(json);
    let named = |names: [&str; 2]| {
        let known = members.iter().rfind(|(name, _)| names.contains(&&**name));
        known.map(|(_, value)| *value)
    };
    let bytes =
        named(["bytes", ""]).filter(|bytes| elements(bytes).iter().any(|byte| number(byte).is_some()));
    let only = || match elements(named(["logprobs", ""])?)[..] {
        [only] => Some(only),
        _ => None,
    };
    const KNOWN: [&str; 4] = ["token", "logprob", "bytes", "top_logprobs"];
    Some(Token {
        bytes,
        has_more: members.iter().any(|(name, _)| !KNOWN.contains(&&**name)),
        is_special: named(["special", "special_token"]) == Some("true"),
        ..plain(named(["token", "text"]).and_then(string)?, named(["logprob", "log_prob"]).or_else(only)?)?
    })
}

/// Reads the tokens of a completion.
fn completion(json: &str) -> Option<Vec<Token<'_>>> {
    let list = |name| member(json, name).map(elements).unwrap_or_default();
    let (texts, logprobs, tops) = (list("tokens"), list("token_logprobs"), list("top_logprobs"));
    let has_more = member(json, "text_offset").is_some();
    let tokens = texts.into_iter().enumerate().map(|(at, text)| {
        let top = tops.get(at).map(|top| members(top)).unwrap_or_default();
        let top = top.into_iter().filter_map(|(text, logprob)| plain(text, logprob));
        Some(Token { top: top.collect(), has_more, ..plain(string(text)?, logprobs.get(at)?)? })
    });
    tokens.collect()
}

fn plain(text: String, logprob: &str) -> Option<Token<'_>> {
    Some(Token {
        text,
        logprob: number(logprob)?,
        bytes: None,
        top: Vec::new(),
        is_special: false,
        has_more: false,
    })
}

#[cfg(test)]
mod tests {
    use alloc::string::ToString;
    use alloc::vec;

    use super::*;

    fn said(json: &str) -> (Option<String>, Vec<String>) {
        let mut losses = Losses::default();
        let chat = of_chat(json, &mut losses).map(Cow::into_owned);
        (chat, losses.as_slice().iter().map(ToString::to_string).collect())
    }

    #[test]
    fn shapes() {
        let own = r#"{"content":[{"token":"a","logprob":-1}],"refusal":null}"#;
        let a = r#"{"content":[{"token":"a","logprob":-1.50,"bytes":null,"top_logprobs":[]}]}"#;
        let approximated =
            vec!["logprobs: approximated: the chat has no IDs of tokens and no offsets".to_string()];
        let dropped = vec!["logprobs: dropped: formats disagree on what they are".to_string()];
        let exact = Vec::new;
        for (source, chat, losses) in [
            (own, Some(own), exact()),
            ("{}", Some("{}"), exact()),
            (&*alloc::format!("[{own}]"), Some(own), exact()),
            (r#"{"id":1,"text":"a","logprob":-1.50,"special":false}"#, Some(a), approximated.clone()),
            (r#"[{"id":1,"text":"a","log_prob":-1.50}]"#, Some(a), approximated.clone()),
            (r#"[{"token":"a","logprob":-1.50,"bytes":[]}]"#, Some(a), exact()),
            (r#"{"tokens":["a"],"token_logprobs":[-1.50],"top_logprobs":null}"#, Some(a), exact()),
            (r#"{"tokens":["a"],"token_logprobs":[-1.50],"text_offset":[0]}"#, Some(a), approximated.clone()),
            (r#"{"text":"a","token_ids":[1],"logprobs":[-1.50]}"#, Some(a), approximated.clone()),
            (r#"{"text":"ab","token_ids":[1,2],"logprobs":[-1.50,-2]}"#, None, dropped.clone()),
            (r#"{"id":2,"text":"</s>","logprob":0,"special":true}"#, None, approximated),
            ("[ ]", None, exact()),
            (r#"{"tokens":["a"],"token_logprobs":[null]}"#, None, dropped.clone()),
            (r#"[{"id":1,"text":"a","logprob":null}]"#, None, dropped.clone()),
            ("7", None, dropped),
        ] {
            assert_eq!(said(source), (chat.map(String::from), losses), "{source}");
        }
        let top = r#"[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-2}]}]"#;
        let chat = r#"{"content":[{"token":"a","logprob":-1,"bytes":[97],"top_logprobs":[{"token":"b","logprob":-2,"bytes":null}]}]}"#;
        assert_eq!(said(top).0.as_deref(), Some(chat));
        let top = r#"{"tokens":["a","c"],"token_logprobs":[-1,-3],"top_logprobs":[{"b":-2},null]}"#;
        let chat = r#"{"content":[{"token":"a","logprob":-1,"bytes":null,"top_logprobs":[{"token":"b","logprob":-2,"bytes":null}]},{"token":"c","logprob":-3,"bytes":null,"top_logprobs":[]}]}"#;
        assert_eq!(said(top).0.as_deref(), Some(chat));
    }

    #[test]
    fn pieces() {
        let pieces = [r#"{"content":[1],"refusal":null}"#, r#"{"content":[2,3]}"#, r#"{"refusal":[4]}"#];
        let joined = join(&pieces.map(Cow::Borrowed), &CHAT);
        assert_eq!(joined.as_deref(), Some(r#"{"content":[1,2,3],"refusal":[4]}"#));
        assert_eq!(join(&[Cow::Borrowed("{}")], &CHAT).as_deref(), Some("{}"));
        assert_eq!(join(&[], &CHAT), None);
    }
}
