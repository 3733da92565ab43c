//! What is allowed, and perhaps not meant.

use std::fmt;

use aws_credential_types::Credentials;

/// The access key of AWS's examples, which the emulator takes. Whoever uses it has nothing to lose.
const EXAMPLE_ACCESS_KEY_ID: &str = "AKIDEXAMPLE";

/// Something that people should know before they send requests.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Requests to another machine are not encrypted: whoever is on the way reads them and their answers, and what
    /// authorizes them.
    #[non_exhaustive]
    PlainHttp {
        /// The host, and the port if there is one.
        host: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainHttp { host } => {
                write!(f, "requests to {host} are not encrypted, and neither is what authorizes them")
            }
        }
    }
}

pub(crate) fn is_example(credentials: &Credentials) -> bool {
    credentials.access_key_id() == EXAMPLE_ACCESS_KEY_ID
}
