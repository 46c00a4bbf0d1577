//! The words of the contract: names, fields, records and verbs.

/// The type of a name in JSON.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum JsonType {
    /// Bytes: a string or, if they are not UTF-8, `<name>_base64`.
    Bytes,
    /// Bytes, or an object if they are a message that kvadm decodes: `<name>`, `<name>_base64` or `<name>_decoded`.
    Message,
    /// A string.
    Text,
    /// A string of hexadecimal or decimal digits: a 64-bit ID.
    Id,
    /// A whole number.
    Int,
    /// A number with a fraction.
    Number,
    /// true or false.
    Bool,
    /// A list of strings.
    Texts,
    /// An object.
    Object,
    /// A list of objects.
    Objects,
    /// An object whose fields are free.
    Facts,
}

impl JsonType {
    /// The type in the words of the manual.
    pub fn words(self) -> &'static str {
        match self {
            Self::Bytes => "bytes",
            Self::Message => "bytes or object",
            Self::Text => "string",
            Self::Id => "ID",
            Self::Int | Self::Number => "number",
            Self::Bool => "boolean",
            Self::Texts => "list of strings",
            Self::Object | Self::Facts => "object",
            Self::Objects => "list of objects",
        }
    }
}

/// A name, its type in all records, and what it says unless a record says it in other words.
#[derive(Clone, Copy, Debug)]
pub struct NameSpec {
    /// The name.
    pub name: &'static str,
    /// The type.
    pub kind: JsonType,
    /// One line.
    pub about: &'static str,
}

/// Whether a record always has a field.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Presence {
    /// In every record of its kind.
    Always,
    /// It may be absent.
    Optional,
}

/// A field of a record.
#[derive(Clone, Copy, Debug)]
pub struct FieldSpec {
    /// The name, which [`super::NAMES`] gives its type.
    pub name: &'static str,
    /// Whether it may be absent.
    pub presence: Presence,
    /// One line; empty if the name says it all.
    pub about: &'static str,
    /// All values, if they are closed.
    pub values: &'static [&'static str],
    /// The fields of the object or objects.
    pub holds: Option<&'static RecordSpec>,
    /// Another type than that of the name: see [`super::names`].
    pub kind: Option<JsonType>,
}

/// A field that is always there.
pub(super) const fn has(name: &'static str, about: &'static str) -> FieldSpec {
    FieldSpec { name, presence: Presence::Always, about, values: &[], holds: None, kind: None }
}

/// A field that may be absent.
pub(super) const fn may(name: &'static str, about: &'static str) -> FieldSpec {
    FieldSpec { presence: Presence::Optional, ..has(name, about) }
}

impl FieldSpec {
    /// The field has one of these values.
    pub(super) const fn one_of(self, values: &'static [&'static str]) -> Self {
        Self { values, ..self }
    }

    /// The field is an object, or a list of objects, with these fields.
    pub(super) const fn of(self, record: &'static RecordSpec) -> Self {
        Self { holds: Some(record), ..self }
    }

    /// The field has another type than its name.
    pub(super) const fn typed(self, kind: JsonType) -> Self {
        Self { kind: Some(kind), ..self }
    }
}

/// An object that kvadm prints in one line.
#[derive(Debug)]
pub struct RecordSpec {
    /// The name of its definition in the schemas.
    pub id: &'static str,
    /// The command lines that print it, as the manual names them.
    pub title: &'static str,
    /// What it is, and what the fields do not say; may be empty.
    pub about: &'static str,
    /// The fields, in the order in which they are printed.
    pub fields: &'static [FieldSpec],
}

pub(super) const fn record(
    id: &'static str,
    title: &'static str,
    about: &'static str,
    fields: &'static [FieldSpec],
) -> RecordSpec {
    RecordSpec { id, title, about, fields }
}

/// What a verb, or a verb of a verb, prints.
#[derive(Debug)]
pub struct VerbSpec {
    /// The words after kvadm.
    pub words: &'static [&'static str],
    /// The records on standard output.
    pub stdout: &'static [&'static RecordSpec],
    /// The records on standard error, besides errors.
    pub stderr: &'static [&'static RecordSpec],
}

impl VerbSpec {
    /// The words joined by `-`: the name of the manual page without `kvadm-`, and of the schema.
    pub fn name(&self) -> String {
        self.words.join("-")
    }
}
