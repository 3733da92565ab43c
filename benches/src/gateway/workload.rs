//! What is requested, of whom, and how much it may cost.

use std::time::Duration;

/// The API of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Door {
    /// OpenAI chat completions.
    OpenAi,
    /// Anthropic Messages.
    Anthropic,
    /// OpenAI Responses.
    Responses,
    /// Bedrock Converse and ConverseStream.
    Converse,
}

impl Door {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::OpenAi, Self::Anthropic, Self::Responses, Self::Converse];
}

/// What is measured.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Subject {
    /// A pass-through that signs, calls, and opens the frames, without parsing, keys, limits or metrics.
    Bound,
    /// The gateway, by one of its doors.
    Gateway(Door),
}

impl Subject {
    /// All of them, the bound first.
    pub fn all() -> impl Iterator<Item = Self> {
        [Self::Bound].into_iter().chain(Door::ALL.map(Self::Gateway))
    }

    /// The API that the client uses.
    pub fn door(self) -> Door {
        match self {
            Self::Bound => Door::OpenAi,
            Self::Gateway(door) => door,
        }
    }

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Bound => "bound",
            Self::Gateway(Door::OpenAi) => "sagewire, OpenAI",
            Self::Gateway(Door::Anthropic) => "sagewire, Anthropic",
            Self::Gateway(Door::Responses) => "sagewire, Responses",
            Self::Gateway(Door::Converse) => "sagewire, Converse",
        }
    }
}

/// Requests of one kind.
#[derive(Clone, Copy, Debug)]
pub struct Workload {
    /// The name in the table.
    pub name: &'static str,
    /// Requests at the same time.
    pub concurrency: usize,
    /// What the service responds with.
    pub response: Response,
    /// The length of a measurement, in seconds.
    pub seconds: f64,
}

/// What the service responds with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Response {
    /// A whole response of 200 tokens.
    Whole,
    /// A stream of 200 tokens as fast as possible, one write for each event.
    Events,
    /// The same, with as many events in a write as fit.
    Bursts,
    /// A stream of 64 tokens, one every 20 milliseconds.
    Paced,
    /// A stream of 16 tokens, one every second.
    Slow,
}

impl Response {
    /// Tokens of the response.
    pub fn tokens(self) -> u32 {
        match self {
            Self::Paced => 64,
            Self::Slow => 16,
            _ => 200,
        }
    }

    /// The time between two tokens.
    pub fn pace(self) -> Duration {
        Duration::from_millis(match self {
            Self::Paced => 20,
            Self::Slow => 1000,
            _ => 0,
        })
    }

    /// Whether it is a stream.
    pub fn streams(self) -> bool {
        self != Self::Whole
    }
}

const fn workload(name: &'static str, concurrency: usize, response: Response, seconds: f64) -> Workload {
    Workload { name, concurrency, response, seconds }
}

const UNARY_C16: Workload = workload("unary-c16", 16, Response::Whole, 2.0);
const UNARY_C1: Workload = workload("unary-c1", 1, Response::Whole, 2.0);
const STREAM_C16: Workload = workload("stream-c16", 16, Response::Events, 2.0);
const BURST_C1: Workload = workload("burst-c1", 1, Response::Bursts, 2.0);
const PACED_C32: Workload = workload("paced-c32", 32, Response::Paced, 2.0);
const PACED_C256: Workload = workload("paced-c256", 256, Response::Paced, 3.0);
const OPEN_C5000: Workload = workload("open-c5000", 5000, Response::Slow, 4.0);

impl Workload {
    /// All of them.
    pub const ALL: [Self; 7] = [UNARY_C16, UNARY_C1, STREAM_C16, BURST_C1, PACED_C32, PACED_C256, OPEN_C5000];
    /// Those of the quick run.
    pub const QUICK: [Self; 4] = [UNARY_C16, STREAM_C16, BURST_C1, PACED_C32];

    /// How often it is measured. Many open streams take half a minute.
    pub fn rounds(&self, most: usize) -> usize {
        if self.response == Response::Slow { 1 } else { most }
    }

    /// Whether this subject is measured: doors differ in what they cost for a response and for an event, and in nothing else.
    pub fn measures(&self, subject: Subject) -> bool {
        let is_busy = matches!(self.response, Response::Whole | Response::Events) && self.concurrency > 1;
        is_busy || subject.door() == Door::OpenAi
    }

    /// The most CPU time of a request, as a ratio to the bound's.
    pub fn cpu_goal(&self, door: Door) -> Option<f64> {
        match (self.response, door) {
            // A single request waits for wake-ups most of the time.
            (Response::Whole, _) if self.concurrency == 1 => None,
            (Response::Whole, Door::OpenAi) => Some(1.25),
            (Response::Whole, _) => Some(1.6),
            (Response::Events, Door::OpenAi) => Some(1.15),
            (Response::Events, _) => Some(1.25),
            (Response::Bursts, _) => Some(2.0),
            (Response::Paced, _) => Some(1.2),
            // That all streams complete, and the memory that they take.
            (Response::Slow, _) => None,
        }
    }

    /// The ratio that is allowed in a quick run, which has its slack beside it: the goal, or what is reached if that is more.
    /// `docs/performance.md` explains the cost of whole responses.
    pub fn cpu_allowed(&self, door: Door) -> Option<f64> {
        let reached = match (self.response, door) {
            (Response::Whole, Door::OpenAi) => 2.0,
            (Response::Whole, Door::Anthropic) => 2.3,
            (Response::Whole, Door::Responses) => 2.7,
            (Response::Whole, Door::Converse) => 2.1,
            _ => 0.0,
        };
        self.cpu_goal(door).map(|goal| goal.max(reached))
    }

    /// A short description.
    pub fn about(&self) -> String {
        let Self { concurrency, response, .. } = self;
        let tokens = response.tokens();
        let response = match response {
            Response::Whole => "in one response",
            Response::Events => "in a stream, each token a frame and a write",
            Response::Bursts => "in a stream, many frames in a write",
            Response::Paced => "in a stream, one every 20 ms",
            Response::Slow => "in a stream, one every second",
        };
        format!("{tokens} tokens {response}; {concurrency} at the same time")
    }
}
