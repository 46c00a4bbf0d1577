//! The trailer: the last line of `list -o json --trailer`, which proves that the listing is complete.

use serde::Deserialize;
use serde::de::Error as _;

use super::record::{Field, Record, RecordError, Value, data, either};
use crate::kvstore::Revision;

/// What a complete listing of a prefix has read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trailer {
    /// The prefix, relative to the namespace.
    pub prefix: Vec<u8>,
    /// The number of records before the trailer.
    pub count: u64,
    /// The revision of the listing.
    pub revision: Revision,
}

impl Record for Trailer {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("prefix", Value::Bytes(&self.prefix)));
        visit(data("count", Value::Uint(self.count)));
        visit(data("revision", Value::Int(self.revision)));
    }
}

/// The line of a trailer.
pub struct TrailerLine<'a>(pub &'a Trailer);

impl Record for TrailerLine<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        visit(data("trailer", Value::Record(self.0)));
    }
}

impl Trailer {
    /// Parses a line; `None` if the line is not a trailer. A trailer has no field but `trailer`.
    pub fn parse(line: &[u8]) -> Option<Result<Self, RecordError>> {
        is_trailer(line).then(|| parse_trailer(line))
    }
}

/// Whether the line is an object whose first field is `trailer`.
fn is_trailer(line: &[u8]) -> bool {
    let object = line.trim_ascii_start().strip_prefix(b"{");
    object.is_some_and(|object| object.trim_ascii_start().starts_with(b"\"trailer\""))
}

fn parse_trailer(line: &[u8]) -> Result<Trailer, RecordError> {
    #[derive(Deserialize)]
    #[serde(deny_unknown_fields)]
    struct TrailerFields {
        trailer: Content,
    }
    #[derive(Deserialize)]
    #[serde(expecting = "a JSON object")]
    struct Content {
        prefix: Option<String>,
        prefix_base64: Option<String>,
        count: u64,
        revision: Revision,
    }
    let TrailerFields { trailer } = serde_json::from_slice(line)?;
    if trailer.revision < 1 {
        return Err(serde_json::Error::custom("a revision is at least 1").into());
    }
    let prefix = either("prefix", trailer.prefix, trailer.prefix_base64)?;
    Ok(Trailer { prefix, count: trailer.count, revision: trailer.revision })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::fuzzing::{check_message, damage, damaged};
    use crate::output::json;

    fn line(trailer: &Trailer) -> Vec<u8> {
        let mut line = Vec::new();
        json::line(&mut line, &TrailerLine(trailer));
        line
    }

    proptest! {
        #[test]
        fn what_json_prints_is_read_back(
            prefix in proptest::collection::vec(any::<u8>(), 0..20), count in any::<u64>(), revision in 1..i64::MAX,
        ) {
            let trailer = Trailer { prefix, count, revision };
            let read = Trailer::parse(&line(&trailer)).and_then(Result::ok);
            prop_assert_eq!(read, Some(trailer));
        }

        #[test]
        fn a_damaged_trailer_is_refused_or_whole(damage in damage()) {
            let sample = Trailer { prefix: b"/a/".to_vec(), count: 12, revision: 57 };
            match Trailer::parse(&damaged(&line(&sample), &damage)) {
                None => {}
                Some(Err(error)) => check_message(&error.to_string())?,
                Some(Ok(read)) => prop_assert_eq!(Trailer::parse(&line(&read)).and_then(Result::ok), Some(read)),
            }
        }
    }

    #[test]
    fn the_contract() {
        let text = |prefix: &[u8]| {
            let trailer = Trailer { prefix: prefix.to_vec(), count: 3, revision: 57 };
            String::from_utf8(line(&trailer)).unwrap_or_default()
        };
        assert_eq!(text(b"/app/"), "{\"trailer\":{\"prefix\":\"/app/\",\"count\":3,\"revision\":57}}\n");
        assert_eq!(text(b"\xff"), "{\"trailer\":{\"prefix_base64\":\"/w==\",\"count\":3,\"revision\":57}}\n");
    }

    #[test]
    fn what_is_no_trailer_is_none_or_says_why() {
        for other in [r#"{"key":"trailer","value":""}"#, r#"{"key":"a","value":"","trailer":{}}"#, "[]", "", "{", "{}"]
        {
            assert!(Trailer::parse(other.as_bytes()).is_none(), "{other}");
        }
        let said = |line: &str| match Trailer::parse(line.as_bytes()) {
            Some(Err(error)) => error.to_string(),
            other => format!("{other:?}"),
        };
        for (bad, why) in [
            (r#"{"trailer":{"count":3,"revision":5}}"#, "needs either prefix or prefix_base64"),
            (r#"{"trailer":{"prefix":"","prefix_base64":"","count":3,"revision":5}}"#, "needs either prefix"),
            (r#"{"trailer":{"prefix":"","count":-3,"revision":5}}"#, "not a record: invalid value"),
            (r#"{"trailer":{"prefix":"","count":3,"revision":0}}"#, "not a record: a revision is at least 1"),
            (r#"{"trailer":{"prefix":"","count":3}}"#, "not a record: missing field `revision`"),
            (r#" { "trailer":7}"#, "not a record: invalid type"),
            (r#"{"trailer":{"prefix":"","count":3,"revision":5},"key":"a"}"#, "not a record: unknown field `key`"),
            (r#"{"trailer":{"prefix":"","count":3,"revi"#, "not a record: EOF"),
        ] {
            assert!(said(bad).starts_with(why), "{bad}: {}", said(bad));
        }
        let more = r#"{ "trailer" : {"prefix":"/a","count":3,"revision":5,"later":true} } "#;
        let read = Trailer { prefix: b"/a".to_vec(), count: 3, revision: 5 };
        assert_eq!(Trailer::parse(more.as_bytes()).and_then(Result::ok), Some(read));
    }
}
