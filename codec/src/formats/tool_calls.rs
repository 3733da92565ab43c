//! Which result of a conversation belongs to which call of a tool, and the IDs of calls as Converse and Anthropic accept them.
//!
//! Many servers start to count the IDs of calls anew with each response, use one ID for all calls, or send none. So an ID means
//! the calls of the last turn that has it, in their order:
//!
//! ```text
//! calls 0 0   results 0 0   calls 0   result 0
//!       a b           a b         c          c
//! ```

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use alloc::format;
use alloc::string::String;
use alloc::vec::Vec;

use crate::model::{Content, Message, Offset, Part, Role};

/// Which IDs a target accepts, beyond letters, digits, `_` and `-`.
#[derive(Clone, Copy)]
pub(crate) struct IdRules {
    pub(crate) more_chars: &'static [char],
    pub(crate) len_max: usize,
}

/// A call of a conversation.
pub(crate) struct Call<'m> {
    /// The number of its turn: turns of the model are counted from 1.
    pub(crate) turn: usize,
    pub(crate) id: Option<&'m str>,
    name: &'m str,
    pub(crate) offset: Offset,
    /// The index of its result.
    pub(crate) result: Option<usize>,
    /// The ID that the target gets in place of its own.
    pub(crate) new_id: Option<(String, IdChange)>,
}

/// Why the target gets another ID.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum IdChange {
    /// The call has none.
    Missing,
    /// An earlier call has the same.
    Repeated,
    /// The target does not accept it.
    Invalid,
}

/// The result of a tool.
pub(crate) struct CallResult<'m> {
    /// The number of the last turn of the model before it; 0 for none.
    turn: usize,
    pub(crate) id: Option<&'m str>,
    /// The name of the tool, which deprecated messages have instead of an ID.
    name: Option<&'m str>,
    pub(crate) offset: Offset,
    /// Whether only results are between it and that turn.
    is_first: bool,
    /// The index of its call.
    pub(crate) call: Option<usize>,
    /// The index of the call that an earlier result answered.
    pub(crate) repeats: Option<usize>,
}

/// The calls and the results of a conversation, in order.
#[derive(Default)]
pub(crate) struct ToolCalls<'m> {
    pub(crate) calls: Vec<Call<'m>>,
    pub(crate) results: Vec<CallResult<'m>>,
}

/// The calls of one ID, of the last turn that has it.
struct SameId {
    turn: usize,
    last: usize,
    unanswered: VecDeque<usize>,
}

impl<'m> ToolCalls<'m> {
    /// Finds the calls of a conversation and their results.
    pub(crate) fn new(messages: &'m [Message<'_>]) -> Self {
        let mut this = Self::default();
        let mut by_id: BTreeMap<&str, SameId> = BTreeMap::new();
        let (mut turn, mut in_turn, mut is_first) = (0, false, true);
        for message in messages {
            let is_assistant = is_of_model(message);
            if is_assistant && !in_turn {
                (turn, is_first) = (turn + 1, true);
            }
            in_turn = is_assistant;
            for part in &message.content {
                match &part.content {
                    Content::ToolCall { id, name, .. } => {
                        let id = id.as_deref().filter(|id| !id.is_empty());
                        this.add_call(&mut by_id, turn, id, name, part.offset);
                    }
                    Content::ToolResult { id, .. } => {
                        let id = id.as_deref().filter(|id| !id.is_empty());
                        let name = message.name.as_deref();
                        let is_first = is_first && !is_assistant;
                        let (call, repeats, offset) = (None, None, part.offset);
                        let result = CallResult { turn, id, name, offset, is_first, call, repeats };
                        this.add_result(&mut by_id, result);
                    }
                    _ => is_first &= is_assistant || !is_sent(part),
                }
            }
        }
        this.match_by_position();
        this
    }

    fn add_call(
        &mut self,
        by_id: &mut BTreeMap<&'m str, SameId>,
        turn: usize,
        id: Option<&'m str>,
        name: &'m str,
        offset: Offset,
    ) {
        let last = self.calls.len();
        self.calls.push(Call { turn, id, name, offset, result: None, new_id: None });
        let Some(id) = id else { return };
        let empty = || SameId { turn, last, unanswered: VecDeque::new() };
        let same = by_id.entry(id).or_insert_with(empty);
        if same.turn != turn {
            *same = empty();
        }
        same.last = last;
        same.unanswered.push_back(last);
    }

    fn add_result(&mut self, by_id: &mut BTreeMap<&'m str, SameId>, mut result: CallResult<'m>) {
        if let Some(same) = result.id.and_then(|id| by_id.get_mut(id)) {
            match same.unanswered.pop_front() {
                Some(call) => {
                    result.call = Some(call);
                    self.calls[call].result = Some(self.results.len());
                }
                None => result.repeats = Some(same.last),
            }
        }
        self.results.push(result);
    }

    /// Finds the calls of results without an ID, and the results of calls without one: those of the turn before the result, by
    /// the name of the tool if it is given, else in order.
    fn match_by_position(&mut self) {
        let is_open = |result: &CallResult<'_>| result.call.is_none() && result.repeats.is_none();
        if !self.results.iter().any(is_open) {
            return;
        }
        let mut all: BTreeMap<(usize, Option<&str>), [VecDeque<usize>; 2]> = BTreeMap::new();
        for (index, call) in self.calls.iter().enumerate().filter(|(_, call)| call.result.is_none()) {
            for name in [None, Some(call.name)] {
                let [without_id, with_id] = all.entry((call.turn, name)).or_default();
                if call.id.is_none() { without_id } else { with_id }.push_back(index);
            }
        }
        for (index, result) in self.results.iter_mut().enumerate().filter(|(_, result)| is_open(result)) {
            let name = result.name.filter(|_| result.id.is_none());
            let Some([without_id, with_id]) = all.get_mut(&(result.turn, name)) else { continue };
            let take = |queue: &mut VecDeque<usize>| {
                let is_unanswered = |call: &usize| self.calls[*call].result.is_none();
                core::iter::from_fn(|| queue.pop_front()).find(is_unanswered)
            };
            let mut call = take(without_id);
            if call.is_none() && result.id.is_none() {
                call = take(with_id);
            }
            if let Some(call) = call {
                result.call = Some(call);
                self.calls[call].result = Some(index);
            }
        }
    }

    /// Whether each call has its result right after its turn, and there are no other results.
    pub(crate) fn is_in_order(&self) -> bool {
        self.calls.iter().all(|call| call.result.is_some())
            && self.results.iter().all(|result| self.is_in_place(result))
    }

    /// Whether each call keeps its ID, and each result has that of its call.
    pub(crate) fn keeps_ids(&self) -> bool {
        let has_its_id =
            |result: &CallResult<'_>| result.call.is_none_or(|call| self.calls[call].id == result.id);
        self.calls.iter().all(|call| call.new_id.is_none()) && self.results.iter().all(has_its_id)
    }

    /// Whether a result is right after the turn of its call.
    pub(crate) fn is_in_place(&self, result: &CallResult<'_>) -> bool {
        result.is_first && result.call.is_some_and(|call| self.calls[call].turn == result.turn)
    }

    /// Gives new IDs to the calls whose own is missing, not accepted, or that of an earlier call. An ID for which `stays` is
    /// true is not changed.
    pub(crate) fn make_ids_unique(&mut self, rules: IdRules, stays: impl Fn(&str) -> bool) {
        let mut free: BTreeSet<&str> = BTreeSet::new();
        let mut is_changed = false;
        for call in &self.calls {
            let is_new = call.id.is_some_and(|id| stays(id) || (rules.accept(id) && free.insert(id)));
            is_changed |= !is_new;
        }
        if !is_changed {
            return;
        }
        let mut used: BTreeSet<String> = free.iter().map(|id| (*id).into()).collect();
        let mut counts = BTreeMap::new();
        for call in &mut self.calls {
            let change = match call.id {
                None => IdChange::Missing,
                Some(id) if stays(id) || free.remove(id) => continue,
                Some(id) if rules.accept(id) => IdChange::Repeated,
                Some(_) => IdChange::Invalid,
            };
            let new = rules.new_id(call.id, &used, &mut counts);
            used.insert(new.clone());
            call.new_id = Some((new, change));
        }
    }
}

/// Whether a message belongs to a turn of the model.
pub(crate) fn is_of_model(message: &Message<'_>) -> bool {
    let is_call = |part: &Part<'_>| matches!(part.content, Content::ToolCall { .. });
    message.role == Role::Assistant || message.content.iter().any(is_call)
}

/// Whether a part that is not a result becomes a block. Unknown parts are not converted, and blank text is not sent.
pub(crate) fn is_sent(part: &Part<'_>) -> bool {
    match &part.content {
        Content::Text(text) => !text.is_blank(),
        Content::Other(_) => false,
        _ => true,
    }
}

/// Characters of a number that is appended to an ID, at most.
const NUMBER_LEN_MAX: usize = 21;

impl IdRules {
    fn accepts(&self, c: char) -> bool {
        c.is_ascii_alphanumeric() || c == '_' || c == '-' || self.more_chars.contains(&c)
    }

    fn accept(&self, id: &str) -> bool {
        !id.is_empty() && id.len() <= self.len_max && id.chars().all(|c| self.accepts(c))
    }

    /// An ID like `id` that is not used.
    fn new_id(
        &self,
        id: Option<&str>,
        used: &BTreeSet<String>,
        counts: &mut BTreeMap<String, u64>,
    ) -> String {
        let (like, first) = match id {
            None => ("call".into(), 0),
            Some(id) => {
                let fit = id.chars().map(|c| if self.accepts(c) { c } else { '_' });
                (fit.take(self.len_max).collect::<String>(), 2)
            }
        };
        if id.is_some() && !used.contains(&like) {
            return like;
        }
        // IDs that begin alike share a number, because they may be cut to the same length.
        let begin = like[..like.len().min(self.len_max - NUMBER_LEN_MAX)].into();
        let count = counts.entry(begin).or_insert(first);
        loop {
            let suffix = format!("_{count}");
            *count += 1;
            let new = format!("{}{suffix}", &like[..like.len().min(self.len_max - suffix.len())]);
            if !used.contains(&new) {
                return new;
            }
        }
    }
}
