//! The rules of the configuration file's `proto` section.

use std::path::PathBuf;

use super::error::ValueError;
use super::file::RawValue;
use super::settings::{ProtoRule, ProtoValues};

/// Reads the list of rules. `resolve` makes a path of a file's name.
///
/// # Errors
/// Another shape, an unknown or missing field, an unknown envelope, or a path that cannot be resolved.
pub(super) fn rules(
    raw: &RawValue,
    resolve: impl Fn(&str) -> Result<PathBuf, ValueError>,
) -> Result<Vec<ProtoRule>, ValueError> {
    let RawValue::List(rules) = raw else { return Err(shape()) };
    rules
        .iter()
        .map(|rule| {
            let RawValue::Map(pairs) = rule else { return Err(shape()) };
            let mut fields = [("prefix", None), ("file", None), ("message", None), ("envelope", None)];
            for (name, value) in pairs {
                let field = fields.iter_mut().find(|(known, _)| known == name).ok_or_else(shape)?;
                let RawValue::Text(text) = value else { return Err(shape()) };
                field.1 = Some(text.clone());
            }
            let [prefix, file, message, envelope] = fields.map(|(_, value)| value);
            let file = file.map(|file| resolve(&file)).transpose()?;
            let values = match (file, message, envelope) {
                (Some(file), Some(message), None) => ProtoValues::Message { file, message },
                (file, None, Some(envelope)) if envelope == "kubernetes" => ProtoValues::Kubernetes { file },
                (_, None, Some(envelope)) => {
                    return Err(ValueError::new(format!(
                        "'{}' is not an envelope; the only one is 'kubernetes'",
                        envelope.escape_debug()
                    )));
                }
                (_, Some(_), Some(_)) => {
                    return Err(ValueError::new(
                        "'message' cannot be combined with 'envelope', which names the type of each value",
                    ));
                }
                _ => return Err(shape()),
            };
            Ok(ProtoRule { prefix: prefix.ok_or_else(shape)?, values })
        })
        .collect()
}

fn shape() -> ValueError {
    ValueError::new(
        "must be a list of mappings with 'prefix', 'file' and 'message', or with 'prefix', 'envelope' and, optionally, 'file'",
    )
}
