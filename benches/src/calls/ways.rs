//! The ways in which the same response is sent over the connection.

/// How a response is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// One frame per HTTP chunk, with a pause after each.
    Paced,
    /// One frame per HTTP chunk, without pauses.
    Frames,
    /// Many frames per HTTP chunk, without pauses.
    Chunks,
}

impl Way {
    /// All ways.
    pub const ALL: [Self; 3] = [Self::Paced, Self::Frames, Self::Chunks];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paced => "paced",
            Self::Frames => "frames",
            Self::Chunks => "chunks",
        }
    }

    /// A one-line description.
    pub fn about(self) -> &'static str {
        match self {
            Self::Paced => {
                "as tokens come: a frame is a chunk of HTTP and a write, 200 µs after the one before"
            }
            Self::Frames => "as fast as can be: a frame is a chunk of HTTP, all of them one write",
            Self::Chunks => "the same in chunks of HTTP of 16 KiB, as a proxy between makes them",
        }
    }
}
