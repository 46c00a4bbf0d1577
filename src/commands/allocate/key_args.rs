//! Keys given on the command line, as labels, or in a file.

use std::collections::HashSet;
use std::ffi::OsString;
use std::path::PathBuf;

use clap::Args;

use super::scope::{key_of_labels, parse_key, validate_key};
use crate::args::KeyText;
use crate::commands::input::{InputSource, read_all};
use crate::context::Context;
use crate::error::Failure;
use crate::output::{Trailer, bytes, key_of_record};

/// Keys of a verb.
#[derive(Args, Clone, Debug)]
pub struct KeyArgs {
    /// Keys
    #[arg(value_name = "KEY", required_unless_present_any = ["labels", "from"])]
    keys: Vec<OsString>,
    /// Cilium's key of these labels, each [SOURCE:]KEY=VALUE; repeatable
    #[arg(long = "label", value_name = "LABEL", conflicts_with_all = ["keys", "from"])]
    labels: Vec<String>,
    /// Read keys from a file (-: stdin), one per line or as 'allocate list -o json' prints them
    #[arg(long, value_name = "FILE", conflicts_with = "keys", value_hint = clap::ValueHint::FilePath)]
    from: Option<PathBuf>,
    #[command(flatten)]
    text: KeyText,
}

impl KeyArgs {
    /// Whether exactly one key is given on the command line.
    pub fn is_one(&self) -> bool {
        self.from.is_none() && self.keys.len() <= 1
    }

    /// The keys in the order given, without duplicates.
    ///
    /// # Errors
    /// A usage error that names a key that is not valid.
    pub async fn keys(&self, ctx: &Context) -> Result<Vec<Vec<u8>>, Failure> {
        let mut keys = Vec::new();
        if let Some(path) = &self.from {
            let source = InputSource::of(path);
            let name = source.name();
            for (number, line) in read_all(ctx, source).await?.split(|byte| *byte == b'\n').enumerate() {
                if line.is_empty() || Trailer::parse(line).is_some() {
                    continue;
                }
                let key =
                    self.parse_line(line).map_err(|failure| failure.context(format!("{name}, line {}", number + 1)))?;
                keys.push(key);
            }
        } else if self.labels.is_empty() {
            for given in &self.keys {
                keys.push(parse_key(self.text, given)?);
            }
        } else {
            keys.push(key_of_labels(&self.labels)?);
        }
        let mut seen = HashSet::new();
        keys.retain(|key| seen.insert(key.clone()));
        Ok(keys)
    }

    fn parse_line(&self, line: &[u8]) -> Result<Vec<u8>, Failure> {
        if let Some(key) = key_of_record(line) {
            return validate_key(key);
        }
        if !self.text.escape {
            return validate_key(line.to_vec());
        }
        validate_key(bytes::unescape(line).map_err(|error| Failure::usage(format!("--escape: {error}")))?)
    }
}
