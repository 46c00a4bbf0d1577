//! Parses YAML or JSON documents other than the configuration as JSON data.

use serde_json::Value;

use crate::unique_names::UniqueNames;

/// Parses one document as JSON, otherwise as YAML. (JSON is a subset of YAML except for its \u escapes.)
///
/// # Errors
/// Invalid syntax, with its position, or a repeated key: silently using the last one could drop a condition.
pub fn parse_document(text: &str) -> Result<Value, String> {
    let json = match serde_json::from_str::<UniqueNames>(text) {
        Ok(document) => return Ok(document.0),
        Err(error) => error,
    };
    // Well-formed JSON with a repeated key is not valid YAML either.
    if json.is_data() {
        return Err(format!("invalid JSON: {json}"));
    }
    match serde_yaml::from_str::<Option<UniqueNames>>(text) {
        Ok(document) => Ok(document.map_or(Value::Null, |document| document.0)),
        Err(error) => Err(format!("invalid YAML: {error}")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn json_and_yaml_are_the_same_data() {
        let data = json!({"a": [1, -2, 1.5, null, true, "\u{1f980}"], "b": {"c": "x"}});
        assert_eq!(parse_document(&data.to_string()), Ok(data.clone()));
        let yaml = "a: [1, -2, 1.5, ~, true, \"\u{1f980}\"]\nb:\n  c: x\n";
        assert_eq!(parse_document(yaml), Ok(data));
        assert_eq!(parse_document("# nothing\n"), Ok(Value::Null));
        assert_eq!(parse_document(r#""\ud83e\udd80""#), Ok(json!("\u{1f980}")));
    }

    #[test]
    fn a_key_stands_in_a_mapping_once() {
        for twice in [r#"{"if": [1], "then": [], "if": []}"#, "if: [1]\nthen: []\nif: []\n", "a: {b: 1, b: 2}\n"] {
            assert!(parse_document(twice).is_err_and(|error| error.contains("twice")), "{twice}");
        }
    }
}
