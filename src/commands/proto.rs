//! Selects the values that are protobuf messages, from `--proto` and `--message` or the config's `proto` section.

use std::collections::HashMap;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use clap::Args;

use crate::bounded_file;
use crate::config::{ProtoRule, ProtoValues};
use crate::context::Context;
use crate::error::Failure;
use crate::kvstore::KeyRange;
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
        let failure = Failure::usage(format!("{what} of {}: {why}", bytes::escape(key)));
        // An API server cannot read bytes that are not an object.
        failure.hint(match codec.is_kubernetes(key) {
            true => "write the object as JSON with the fields that 'kvadm get KEY' shows, or let kubectl write it",
            false => "to write the bytes as they are, add --no-proto",
        })
    };
    let json = serde_json::from_slice(&value).map_err(|error| invalid(format!("not valid JSON: {error}")))?;
    codec.encode(key, &json).unwrap_or(Ok(value)).map_err(invalid)
}

/// Warns once if a write of keys in one of these ranges bypasses a Kubernetes API server; `true` if it does. The rules of
/// the configuration decide, whatever the options say about the values. Their prefixes are relative to the namespace;
/// keys that have such a prefix as absolute keys are warned of as well.
pub fn warn_of_bypass(ctx: &Context, ranges: impl IntoIterator<Item = KeyRange>) -> bool {
    let rules = &ctx.config.proto;
    let first = ranges
        .into_iter()
        .find_map(|range| bypassed(rules, &range).or_else(|| bypassed(rules, &ctx.store().absolute_range(&range))));
    let Some(first) = first else { return false };
    ctx.out.warn(&format!(
        "{} belongs to a Kubernetes API server, which this command bypasses: nothing validates, converts or audits the \
         change; use kubectl while the API server runs",
        bytes::escape(&first)
    ));
    true
}

/// The first key or prefix in the range that belongs to a Kubernetes API server.
fn bypassed(rules: &[ProtoRule], range: &KeyRange) -> Option<Vec<u8>> {
    let of_server = |rule: &&ProtoRule| matches!(rule.values, ProtoValues::Kubernetes { .. });
    let common = |rule: &ProtoRule| KeyRange::prefix(rule.prefix.as_bytes()).intersection(range);
    // A longer prefix has priority.
    let has_priority = |rule: &ProtoRule| {
        let others = rules.iter().filter(|other| !of_server(other) && other.prefix.len() > rule.prefix.len());
        others.map(common).any(|covered| covered == *range)
    };
    let rules = rules.iter().filter(of_server).filter(|rule| !has_priority(rule));
    rules.map(common).find(|range| !range.is_empty()).map(|range| range.start)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_range_that_has_keys_of_an_api_server_is_found() {
        let rule = |prefix: &str, values| ProtoRule { prefix: prefix.to_owned(), values };
        let message = ProtoValues::Message { file: "x".into(), message: "X".to_owned() };
        let rules = [
            rule("/registry/", ProtoValues::Kubernetes { file: None }),
            rule("/registry/own/", message.clone()),
            rule("/", message),
        ];
        let found = |range: KeyRange| bypassed(&rules, &range).map(|key| String::from_utf8_lossy(&key).into_owned());
        for (range, wanted) in [
            (KeyRange::key(b"/registry/x"), Some("/registry/x")),
            (KeyRange::key(b"/registry"), None),
            (KeyRange::key(b"/registry/own/x"), None),
            (KeyRange::prefix(b"/registry/pods/"), Some("/registry/pods/")),
            (KeyRange::prefix(b"/registry/own/x"), None),
            (KeyRange::prefix(b"/registry/o"), Some("/registry/o")),
            (KeyRange::prefix(b"/registry"), Some("/registry/")),
            (KeyRange::prefix(b"/reg"), Some("/registry/")),
            (KeyRange::prefix(b""), Some("/registry/")),
            (KeyRange::prefix(b"/app/"), None),
            (KeyRange::between(b"/", None), Some("/registry/")),
            (KeyRange::between(b"/a", Some(b"/registry/")), None),
            (KeyRange::between(b"/a", Some(b"/registry/\0")), Some("/registry/")),
            (KeyRange::between(b"/registry0", None), None),
        ] {
            assert_eq!(found(range.clone()).as_deref(), wanted, "{range:?}");
        }
    }
}
