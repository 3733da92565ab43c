//! Configurations that are valid, but may be a mistake.

use std::fmt;

use aws_credential_types::Credentials;

/// The access key ID of the AWS documentation, which the emulator accepts. It is not secret.
const EXAMPLE_ACCESS_KEY_ID: &str = "AKIDEXAMPLE";

/// Something that the user should know before requests are sent.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Warning {
    /// Requests to another machine are not encrypted: others on the network can read them, their responses, and their
    /// authorization.
    #[non_exhaustive]
    PlainHttp {
        /// The host, with the port if it is set.
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
