//! YAML of other files than the configuration.

/// Reads one YAML document as JSON's data.
///
/// # Errors
/// Says where it is no YAML.
pub fn parse_document(text: &str) -> Result<serde_json::Value, String> {
    serde_yaml::from_str(text).map_err(|error| format!("bad YAML: {error}"))
}
