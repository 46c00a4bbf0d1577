//! Selects the values that are protobuf messages, from `--proto` and `--message` or the config's `proto` section.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::bounded_file;
use crate::config::ProtoValues;
use crate::context::Context;
use crate::error::Failure;
use crate::output::bytes;
use crate::proto::{Codec, Descriptors, Kubernetes};

#[derive(Args, Clone, Debug)]
pub struct ProtoArgs {
    /// Decode values with this descriptor set instead of the config's proto section
    ///
    /// Make one with 'protoc --include_imports -o FILE x.proto'.
    #[arg(long, help_heading = "Protobuf values", value_name = "FILE", requires = "message", hide_short_help = true, value_hint = clap::ValueHint::FilePath)]
    proto: Option<PathBuf>,
    /// Full name of the values' message type
    #[arg(long, help_heading = "Protobuf values", value_name = "PKG.TYPE", requires = "proto", hide_short_help = true)]
    message: Option<String>,
    /// Treat values as bytes; ignore the config's proto section
    #[arg(long, help_heading = "Protobuf values", conflicts_with = "proto", hide_short_help = true)]
    no_proto: bool,
}

impl ProtoArgs {
    /// The decoding rules. A broken rule of the configuration fails writes of its keys; reads show those values as
    /// bytes.
    ///
    /// # Errors
    /// A usage error if `--proto` is not a descriptor set, or does not define the message.
    pub fn codec(&self, ctx: &Context) -> Result<Arc<Codec>, Failure> {
        let mut codec = Codec::default();
        if let (Some(file), Some(name)) = (&self.proto, &self.message) {
            let message =
                read(file).and_then(|set| set.message(name).map_err(|why| format!("{}: {why}", file.display())));
            let message = message.map_err(|why| {
                Failure::usage(format!("--proto {why}"))
                    .hint("make a descriptor set with 'protoc --include_imports -o FILE x.proto'")
            })?;
            codec.add(b"", Ok(message));
        } else if !self.no_proto {
            let mut sets = HashMap::new();
            for rule in &ctx.config.proto {
                let (prefix, at) = (rule.prefix.as_bytes(), rule.prefix.escape_debug().to_string());
                let in_rule = move |why| format!("the config's proto rule for prefix '{at}': {why}");
                match &rule.values {
                    ProtoValues::Message { file, message } => {
                        let set = sets.entry(file).or_insert_with(|| read(file)).as_ref().map_err(Clone::clone);
                        let found = set
                            .and_then(|set| set.message(message).map_err(|why| format!("{}: {why}", file.display())));
                        codec.add(prefix, found.map_err(in_rule));
                    }
                    ProtoValues::Kubernetes { file: Some(file) } => {
                        let file = file.clone();
                        codec.add_kubernetes(prefix, Kubernetes::with_set(move || read(&file).map_err(in_rule)));
                    }
                    ProtoValues::Kubernetes { file: None } => codec.add_kubernetes(prefix, Kubernetes::default()),
                }
            }
        }
        Ok(Arc::new(codec))
    }

    /// The options as they were given, for a command line that continues this one.
    pub fn words(&self) -> Vec<OsString> {
        match (&self.proto, &self.message) {
            (Some(file), Some(name)) => vec!["--proto".into(), file.into(), "--message".into(), name.into()],
            _ if self.no_proto => vec!["--no-proto".into()],
            _ => Vec::new(),
        }
    }

    /// The decoding rules; the output is decoded with them from here on.
    pub fn decode_output(&self, ctx: &Context) -> Result<Arc<Codec>, Failure> {
        let codec = self.codec(ctx)?;
        if !codec.is_empty() {
            ctx.out.decode_with(Arc::clone(&codec));
        }
        Ok(codec)
    }
}

/// Upper bound on a descriptor set: those of all Google APIs together have 30 MiB.
const MAX_DESCRIPTOR_BYTES: u64 = 128 << 20;

fn read(file: &Path) -> Result<Descriptors, String> {
    let set = bounded_file::read(file, MAX_DESCRIPTOR_BYTES)
        .map_err(|error| format!("cannot read {}: {error}", file.display()))?;
    Descriptors::parse(&set.bytes).map_err(|why| format!("{}: {why}", file.display()))
}

/// Encodes a value of the command line: JSON if a rule covers the key, else the bytes as they are. `what` names the
/// value in messages.
///
/// # Errors
/// A usage error that names the unsuitable field.
pub fn encode_value(codec: &Codec, key: &[u8], value: Vec<u8>, what: &str) -> Result<Vec<u8>, Failure> {
    if !codec.knows(key) {
        return Ok(value);
    }
    let invalid = |why: String| {
        Failure::usage(format!("{what} of {}: {why}", bytes::escape(key)))
            .hint("to write the bytes as they are, add --no-proto")
    };
    let json = serde_json::from_slice(&value).map_err(|error| invalid(format!("not valid JSON: {error}")))?;
    codec.encode(key, &json).unwrap_or(Ok(value)).map_err(invalid)
}

/// Warns once if a write of one of these keys bypasses a Kubernetes API server; `true` if it does.
pub fn warn_of_bypass<'a>(ctx: &Context, codec: &Codec, keys: impl IntoIterator<Item = &'a Vec<u8>>) -> bool {
    let Some(key) = keys.into_iter().find(|key| codec.is_kubernetes(key)) else { return false };
    ctx.out.warn(&format!(
        "{} belongs to a Kubernetes API server, which this command bypasses: nothing validates, converts or audits the \
         change; use kubectl while the API server runs",
        bytes::escape(key)
    ));
    true
}
