//! The ways in which the same answer comes over the connection.

/// How an answer comes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Way {
    /// A frame a chunk of HTTP, and a pause behind each.
    Paced,
    /// A frame a chunk of HTTP, and no pauses.
    Frames,
    /// Many frames in a chunk of HTTP, and no pauses.
    Chunks,
}

impl Way {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Paced, Self::Frames, Self::Chunks];

    /// The name in the table.
    pub fn name(self) -> &'static str {
        match self {
            Self::Paced => "paced",
            Self::Frames => "frames",
            Self::Chunks => "chunks",
        }
    }

    /// One line on what it is.
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
