//! Which values are protobuf messages: `--proto` with `--message`, or the configuration's `proto` section.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::context::Context;
use crate::error::Failure;
use crate::output::bytes;
use crate::proto::{Codec, Descriptors};

/// What the command line says of messages.
#[derive(Args, Clone, Debug)]
pub struct ProtoArgs {
    /// Values are messages of this descriptor set ('protoc --include_imports -o FILE'), in place of the config's proto
    #[arg(long, help_heading = "Protobuf values", value_name = "FILE", requires = "message", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    proto: Option<PathBuf>,
    /// The full name of the message that each value is
    #[arg(long, help_heading = "Protobuf values", value_name = "PKG.TYPE", requires = "proto", hide_short_help = true)]
    message: Option<String>,
    /// Values are bytes, whatever the config's proto says
    #[arg(long, help_heading = "Protobuf values", conflicts_with = "proto", hide_short_help = true)]
    no_proto: bool,
}

impl ProtoArgs {
    /// The rules that hold. A broken one of the configuration is reported where a value is to be written by it; what is
    /// read is shown as bytes then.
    ///
    /// # Errors
    /// A usage error where what the command line names is no descriptor set, or has no such message.
    pub fn codec(&self, ctx: &Context) -> Result<Arc<Codec>, Failure> {
        let mut codec = Codec::default();
        if let (Some(file), Some(name)) = (&self.proto, &self.message) {
            let message =
                read(file).and_then(|set| set.message(name).map_err(|why| format!("{}: {why}", file.display())));
            let message = message.map_err(|why| {
                Failure::usage(format!("--proto {why}"))
                    .hint("'protoc --include_imports -o FILE x.proto' makes a descriptor set")
            })?;
            codec.add(b"", Ok(message));
        } else if !self.no_proto {
            let mut sets = HashMap::new();
            for rule in &ctx.config.proto {
                let set = sets.entry(&rule.file).or_insert_with(|| read(&rule.file)).as_ref();
                let message = set.map_err(Clone::clone).and_then(|set| {
                    set.message(&rule.message).map_err(|why| format!("{}: {why}", rule.file.display()))
                });
                let at = rule.prefix.escape_debug();
                codec.add(
                    rule.prefix.as_bytes(),
                    message.map_err(|why| format!("the config's proto for '{at}': {why}")),
                );
            }
        }
        Ok(Arc::new(codec))
    }

    /// The same, and what is printed is decoded by them.
    ///
    /// # Errors
    /// As [`ProtoArgs::codec`].
    pub fn show(&self, ctx: &Context) -> Result<Arc<Codec>, Failure> {
        let codec = self.codec(ctx)?;
        if !codec.is_empty() {
            ctx.out.decode_with(Arc::clone(&codec));
        }
        Ok(codec)
    }
}

fn read(file: &Path) -> Result<Descriptors, String> {
    let set = std::fs::read(file).map_err(|error| format!("{}: cannot be read: {error}", file.display()))?;
    Descriptors::parse(&set).map_err(|why| format!("{}: {why}", file.display()))
}

/// A value from the command line: JSON to be encoded where a rule is for the key, else the bytes themselves. `what`
/// names it in messages.
///
/// # Errors
/// A usage error that names the field that does not fit.
pub fn encoded(codec: &Codec, key: &[u8], value: Vec<u8>, what: &str) -> Result<Vec<u8>, Failure> {
    if !codec.knows(key) {
        return Ok(value);
    }
    let refused = |why: String| {
        Failure::usage(format!("{what} of {}: {why}", bytes::escape(key)))
            .hint("--no-proto takes the bytes as they are")
    };
    let json = serde_json::from_slice(&value).map_err(|error| refused(format!("no JSON: {error}")))?;
    codec.encode(key, &json).unwrap_or(Ok(value)).map_err(refused)
}
