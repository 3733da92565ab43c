//! Requests that are generated from a seed, with their content.

use std::fmt::Write;

use crate::random::Random;
use crate::script::{json, token};

/// Minimum bytes of a document.
const LEN: usize = 50_000;

/// An OpenAI chat request, and its content.
#[derive(Clone, Debug)]
pub struct Document {
    /// The name in the table.
    pub name: &'static str,
    /// The bytes.
    pub json: Vec<u8>,
    /// The content of the messages, in order.
    pub(super) said: Vec<(&'static str, Said)>,
    /// The tools that may be called, each with its name and schema.
    pub(super) tools: Vec<(String, String)>,
}

/// A part of a message.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Said {
    Text(String),
    Call { name: String, input: String },
    Result(String),
}

impl Document {
    /// Both documents: one with few long messages, and one with many short messages and tool calls.
    pub fn all() -> [Self; 2] {
        [Script::new("long").long(), Script::new("tools").tools()]
    }
}

struct Script {
    name: &'static str,
    random: Random,
    /// The messages, as JSON.
    messages: String,
    said: Vec<(&'static str, Said)>,
}

impl Script {
    fn new(name: &'static str) -> Self {
        Self { name, random: Random::new(0x5a9e_0004), messages: String::new(), said: Vec::new() }
    }

    /// A system message, then long messages of user and assistant alternately, until the document is long enough.
    fn long(mut self) -> Document {
        self.text("system", 200);
        while self.messages.len() < LEN - 8_000 {
            self.text("user", 700);
            self.text("assistant", 700);
        }
        while self.messages.len() < LEN {
            self.text("user", 100);
            self.text("assistant", 100);
        }
        self.text("user", 20);
        self.document("", Vec::new())
    }

    /// Questions, tool calls, their results and replies, about a hundred bytes each.
    fn tools(mut self) -> Document {
        let mut definitions = String::new();
        let mut tools = Vec::new();
        for index in 0..8 {
            let (name, schema) = (format!("look_up_{index}"), self.schema());
            let description = json(&self.words(12));
            let _ = write!(
                definitions,
                r#"{}{{"type":"function","function":{{"name":"{name}","description":{description},"parameters":{schema}}}}}"#,
                if index == 0 { "" } else { "," }
            );
            tools.push((name, schema));
        }
        self.text("system", 60);
        let mut calls = 0;
        while self.messages.len() + definitions.len() < LEN {
            self.text("user", 15);
            self.call(calls, &tools[calls % tools.len()].0);
            self.text("assistant", 25);
            calls += 1;
        }
        self.text("user", 15);
        self.document(&format!(r#","tools":[{definitions}],"tool_choice":"auto""#), tools)
    }

    fn words(&mut self, tokens: usize) -> String {
        // Some templates would trim white space at the beginning or end of a text.
        let middle: String = (0..tokens).map(|_| token(&mut self.random)).collect();
        format!("So{middle}.")
    }

    fn text(&mut self, role: &'static str, tokens: usize) {
        let text = self.words(tokens);
        self.message(&format!(r#"{{"role":"{role}","content":{}}}"#, json(&text)));
        self.said.push((role, Said::Text(text)));
    }

    /// A call and its result, both of which are JSON within JSON.
    fn call(&mut self, number: usize, name: &str) {
        let (city, text) = (json(&self.words(3)), json(&self.words(12)));
        let input = format!(r#"{{"city":{city},"days":{}}}"#, self.random.between(1, 14));
        let result = format!(r#"{{"found":{},"text":{text}}}"#, self.random.between(0, 99));
        self.message(&format!(
            r#"{{"role":"assistant","content":null,"tool_calls":[{{"id":"call_{number}","type":"function","function":{{"name":"{name}","arguments":{}}}}}]}}"#,
            json(&input)
        ));
        self.message(&format!(
            r#"{{"role":"tool","tool_call_id":"call_{number}","content":{}}}"#,
            json(&result)
        ));
        self.said.push(("assistant", Said::Call { name: name.to_owned(), input }));
        self.said.push(("tool", Said::Result(result)));
    }

    /// The schema of a tool's input.
    fn schema(&mut self) -> String {
        let [city, days] = [(); 2].map(|()| json(&self.words(8)));
        format!(
            r#"{{"type":"object","properties":{{"city":{{"type":"string","description":{city}}},"days":{{"type":"integer","minimum":1,"maximum":14,"description":{days}}}}},"required":["city","days"],"additionalProperties":false}}"#
        )
    }

    fn message(&mut self, message: &str) {
        if !self.messages.is_empty() {
            self.messages.push(',');
        }
        self.messages.push_str(message);
    }

    fn document(self, more: &str, tools: Vec<(String, String)>) -> Document {
        let Self { name, messages, said, .. } = self;
        let json = format!(
            r#"{{"model":"meta-llama/Llama-3.1-8B-Instruct","messages":[{messages}],"max_tokens":512,"temperature":0.7,"top_p":0.9,"stop":["</s>","\n\nUser:"],"stream":true{more}}}"#
        );
        Document { name, json: json.into_bytes(), said, tools }
    }
}
