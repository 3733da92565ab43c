//! Checks the profile files. The AWS SDK ignores a file that it cannot read; requests would then go to another host, or be signed
//! with other credentials, than the file defines.

use std::error::Error as _;
use std::path::PathBuf;

use aws_config::profile;
use aws_types::os_shim_internal::{Env, Fs};
use sagewire_transport::Error;

/// The variables with the paths of the files, and the default paths.
const FILES: [(&str, &str); 2] =
    [("AWS_CONFIG_FILE", "~/.aws/config"), ("AWS_SHARED_CREDENTIALS_FILE", "~/.aws/credentials")];

/// Checks that all profile files that exist can be read.
///
/// # Errors
///
/// A file cannot be read. The error does not quote the line, because it may contain a secret.
pub(crate) async fn check() -> Result<(), Error> {
    let files = Fs::real();
    for (variable, default) in FILES {
        let named = std::env::var(variable).ok();
        let path = expanded(named.as_deref().unwrap_or(default));
        let unusable = |what| Error::config(format!("{} {what}", path.display()));
        match files.read_to_end(&path).await {
            Ok(bytes) => {
                if let Err(error) = std::str::from_utf8(&bytes) {
                    let before = bytes[..error.valid_up_to()].iter();
                    let line = before.filter(|byte| **byte == b'\n').count() + 1;
                    return Err(unusable(format!("is not UTF-8 on line {line}")));
                }
            }
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            // The default path may be unreadable if there is no home directory.
            Err(_) if named.is_none() && std::fs::metadata(&path).is_err() => {}
            Err(error) => return Err(unusable(format!("cannot be read: {error}"))),
        }
    }
    let loaded = profile::load(&files, &Env::real(), &Default::default(), None).await;
    loaded.map(drop).map_err(|error| {
        let cause = error.source().map_or_else(|| error.to_string(), ToString::to_string);
        // The message has two lines.
        Error::config(cause.replace("\n  ", " "))
    })
}

/// The path as the SDK reads it.
fn expanded(path: &str) -> PathBuf {
    match (path.strip_prefix("~/"), std::env::home_dir()) {
        (Some(rest), Some(home)) => home.join(rest),
        _ => path.into(),
    }
}
