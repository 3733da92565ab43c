//! Configurations that are valid, but may be a mistake.

use std::fmt;

use aws_credential_types::Credentials;

use crate::settings::Setting;

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
    /// `AWS_DEFAULT_PROFILE` names a profile, and nothing selects one. It is not read, as in the AWS SDKs other than that of Python.
    #[non_exhaustive]
    DefaultProfile {
        /// The profile that it names.
        name: String,
    },
    /// A setting that is neither `true` nor `false`, for FIPS or dual stack, has no effect.
    #[non_exhaustive]
    NotBoolean {
        /// The value and its origin.
        setting: Setting,
    },
    /// A variable names a profile file that does not exist.
    #[non_exhaustive]
    MissingFile {
        /// The variable.
        variable: &'static str,
        /// The path of the file.
        path: String,
    },
    /// A profile has `mfa_serial`. Its role is assumed without the second factor.
    #[non_exhaustive]
    SecondFactor {
        /// The profile.
        profile: String,
    },
    /// The environment has a web identity, which is not used, because the profile has credentials.
    #[non_exhaustive]
    WebIdentityNotUsed {
        /// The profile.
        profile: String,
    },
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::PlainHttp { host } => {
                write!(f, "requests to {host} are not encrypted, and neither is what authorizes them")
            }
            Self::DefaultProfile { name } => {
                write!(f, "AWS_DEFAULT_PROFILE is {name:?}, but is not read: AWS_PROFILE selects a profile")
            }
            Self::NotBoolean { setting } => {
                write!(f, "{setting} is neither true nor false, and has no effect")
            }
            Self::MissingFile { variable, path } => write!(f, "{variable}: {path} does not exist"),
            Self::SecondFactor { profile } => {
                write!(
                    f,
                    "the profile {profile:?} has mfa_serial, which is not supported: its role is assumed without it"
                )
            }
            Self::WebIdentityNotUsed { profile } => {
                write!(
                    f,
                    "AWS_WEB_IDENTITY_TOKEN_FILE is set, but the credentials of the profile {profile:?} come first"
                )
            }
        }
    }
}

/// A warning if a setting that enables something is neither `true` nor `false`.
pub(crate) fn not_boolean(setting: Setting) -> Option<Warning> {
    let is_boolean = ["true", "false"].iter().any(|word| setting.value.eq_ignore_ascii_case(word));
    (!is_boolean).then_some(Warning::NotBoolean { setting })
}

pub(crate) fn is_example(credentials: &Credentials) -> bool {
    credentials.access_key_id() == EXAMPLE_ACCESS_KEY_ID
}
