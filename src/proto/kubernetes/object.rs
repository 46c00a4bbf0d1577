//! An object as it is stored: its type and its bytes.

/// The object of an envelope.
pub(super) struct StoredObject {
    /// The group and the version.
    pub api_version: String,
    pub kind: String,
    /// The encoded object.
    pub raw: Vec<u8>,
}

/// Text from a value for a message: escaped, and at most 80 characters of it.
pub(super) fn shown(text: &str) -> String {
    const MAX_CHARS: usize = 80;
    let mut shown: String = text.chars().take(MAX_CHARS).collect::<String>().escape_debug().to_string();
    if text.chars().nth(MAX_CHARS).is_some() {
        shown.push('…');
    }
    shown
}
