//! Protobuf messages as bytes, so that a test can write what no real etcd sends.

/// A message, or what was left of one.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Message(pub Vec<u8>);

impl Message {
    /// Without fields.
    pub fn new() -> Self {
        Self::default()
    }

    /// Adds a number: any integer type, an enum or a bool.
    pub fn int(mut self, field: u32, value: i64) -> Self {
        self.varint(u64::from(field) << 3);
        self.varint(value.cast_unsigned());
        self
    }

    /// Adds bytes or a text.
    pub fn bytes(mut self, field: u32, value: impl AsRef<[u8]>) -> Self {
        let value = value.as_ref();
        self.varint(u64::from(field) << 3 | 2);
        self.varint(value.len() as u64);
        self.0.extend_from_slice(value);
        self
    }

    /// Adds a message.
    pub fn message(self, field: u32, value: &Self) -> Self {
        self.bytes(field, &value.0)
    }

    /// Adds a message for each of these.
    pub fn messages(self, field: u32, values: impl IntoIterator<Item = Self>) -> Self {
        values.into_iter().fold(self, |message, value| message.message(field, &value))
    }

    /// The last number of this field; 0 without one, as in proto3.
    pub fn number(&self, field: u32) -> i64 {
        let found = self.fields().into_iter().rev().find_map(|(number, value)| match value {
            Value::Int(value) if number == field => Some(value),
            _ => None,
        });
        found.unwrap_or(0)
    }

    /// The last bytes of this field; empty without any.
    pub fn text(&self, field: u32) -> Vec<u8> {
        self.all(field).pop().map(|message| message.0).unwrap_or_default()
    }

    /// Every message of this field.
    pub fn all(&self, field: u32) -> Vec<Self> {
        let bytes = |(number, value)| match value {
            Value::Bytes(bytes) if number == field => Some(Self(bytes)),
            _ => None,
        };
        self.fields().into_iter().filter_map(bytes).collect()
    }

    /// The fields in order, up to the first byte that is not protobuf.
    pub fn fields(&self) -> Vec<(u32, Value)> {
        let mut rest = self.0.as_slice();
        let mut fields = Vec::new();
        while let Some(field) = take_field(&mut rest) {
            fields.push(field);
        }
        fields
    }

    fn varint(&mut self, mut value: u64) {
        while value > 0x7f {
            self.0.push((value & 0x7f) as u8 | 0x80);
            value >>= 7;
        }
        self.0.push(value as u8);
    }
}

/// The value of a field.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A number.
    Int(i64),
    /// Bytes, a text or a message.
    Bytes(Vec<u8>),
}

fn take_varint(rest: &mut &[u8]) -> Option<u64> {
    let mut value = 0;
    for shift in (0..64).step_by(7) {
        let (byte, behind) = rest.split_first()?;
        *rest = behind;
        value |= u64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(value);
        }
    }
    None
}

fn take_field(rest: &mut &[u8]) -> Option<(u32, Value)> {
    let tag = take_varint(rest)?;
    let field = u32::try_from(tag >> 3).ok()?;
    match tag & 7 {
        0 => Some((field, Value::Int(take_varint(rest)?.cast_signed()))),
        2 => {
            let length = usize::try_from(take_varint(rest)?).ok()?;
            let (bytes, behind) = rest.split_at_checked(length)?;
            *rest = behind;
            Some((field, Value::Bytes(bytes.to_vec())))
        }
        _ => None,
    }
}
