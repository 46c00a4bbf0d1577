//! An object as it is stored: its type and its bytes.

/// The object of an envelope.
pub(super) struct StoredObject {
    /// The group and the version.
    pub api_version: String,
    pub kind: String,
    /// The encoded object.
    pub raw: Vec<u8>,
}
