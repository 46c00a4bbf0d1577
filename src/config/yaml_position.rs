//! Finds the line of a key or an item in a YAML document.

use std::collections::HashSet;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};

/// A step into a document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Step {
    /// To the value of this key of a mapping.
    Key(String),
    /// To the item with this index of a list.
    Item(usize),
}

/// The line, from 1, of the key or item at the end of the path; if there is none, of the last one that exists.
pub fn line_of(text: &str, path: &[Step]) -> Option<usize> {
    (0..=path.len()).rev().find_map(|length| {
        let locator = Locator { path: path.get(..length)? };
        let stopped = locator.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
        Some(stopped.location()?.line())
    })
}

/// Reads up to the value at the end of the path and stops there with an error, to which the parser adds the position.
/// Without such a value, it reads to the end.
struct Locator<'a> {
    path: &'a [Step],
}

impl Locator<'_> {
    fn arrived<E: Error>(&self) -> Result<(), E> {
        if self.path.is_empty() { Err(E::custom("found")) } else { Ok(()) }
    }
}

impl<'de> DeserializeSeed<'de> for Locator<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Locator<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        self.arrived()
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        self.arrived()
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        self.arrived()
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        self.arrived()
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        self.arrived()
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        self.arrived()
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        self.arrived()?;
        let Some((Step::Item(wanted), path)) = self.path.split_first() else { return Ok(()) };
        for _ in 0..*wanted {
            items.next_element::<IgnoredAny>()?;
        }
        items.next_element_seed(Locator { path })?;
        while items.next_element::<IgnoredAny>()?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        self.arrived()?;
        let Some((Step::Key(wanted), path)) = self.path.split_first() else { return Ok(()) };
        let last = path.is_empty();
        while let Some(found) = map.next_key_seed(KeyLocator { wanted, last })? {
            if found {
                map.next_value_seed(Locator { path })?;
            } else {
                map.next_value::<IgnoredAny>()?;
            }
        }
        Ok(())
    }
}

/// Compares a key. If the path ends with the key that is wanted, it stops there.
struct KeyLocator<'a> {
    wanted: &'a str,
    last: bool,
}

impl<'de> DeserializeSeed<'de> for KeyLocator<'_> {
    type Value = bool;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<bool, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for KeyLocator<'_> {
    type Value = bool;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<bool, E> {
        let found = key == self.wanted;
        if found && self.last { Err(E::custom("found")) } else { Ok(found) }
    }
}

/// The line, from 1, of the first key that its mapping already has.
pub fn line_of_duplicate(text: &str) -> Option<usize> {
    let found = DuplicateFinder.deserialize(serde_yaml::Deserializer::from_str(text)).err()?;
    Some(found.location()?.line())
}

/// Reads a document, and stops with an error at a key that its mapping already has.
#[derive(Clone, Copy)]
struct DuplicateFinder;

impl<'de> DeserializeSeed<'de> for DuplicateFinder {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for DuplicateFinder {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a YAML value")
    }

    fn visit_bool<E: Error>(self, _: bool) -> Result<(), E> {
        Ok(())
    }

    fn visit_i64<E: Error>(self, _: i64) -> Result<(), E> {
        Ok(())
    }

    fn visit_u64<E: Error>(self, _: u64) -> Result<(), E> {
        Ok(())
    }

    fn visit_f64<E: Error>(self, _: f64) -> Result<(), E> {
        Ok(())
    }

    fn visit_str<E: Error>(self, _: &str) -> Result<(), E> {
        Ok(())
    }

    fn visit_unit<E: Error>(self) -> Result<(), E> {
        Ok(())
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<(), A::Error> {
        while items.next_element_seed(self)?.is_some() {}
        Ok(())
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
        let mut known = HashSet::new();
        while map.next_key_seed(NewKey(&mut known))?.is_some() {
            map.next_value_seed(self)?;
        }
        Ok(())
    }
}

/// Reads a key that must not be among these.
struct NewKey<'a>(&'a mut HashSet<String>);

impl<'de> DeserializeSeed<'de> for NewKey<'_> {
    type Value = ();

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NewKey<'_> {
    type Value = ();

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a key")
    }

    fn visit_str<E: Error>(self, key: &str) -> Result<(), E> {
        if self.0.insert(key.to_owned()) { Ok(()) } else { Err(E::custom("found")) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str =
        "# comment\nname: x\nkinds:\n  - kind: a\n    fields:\n      - b\n      - {c: d,\n         e: f}\n";

    fn line(path: &[&str]) -> Option<usize> {
        let step = |text: &&str| text.parse().map_or_else(|_| Step::Key((*text).to_owned()), Step::Item);
        line_of(TEXT, &path.iter().map(step).collect::<Vec<_>>())
    }

    #[test]
    fn keys_and_items_have_their_line() {
        assert_eq!(line(&["name"]), Some(2));
        assert_eq!(line(&["kinds"]), Some(3));
        assert_eq!(line(&["kinds", "0", "fields"]), Some(5));
        assert_eq!(line(&["kinds", "0"]), Some(4));
        assert_eq!(line(&["kinds", "0", "fields", "0"]), Some(6));
        assert_eq!(line(&["kinds", "0", "fields", "1"]), Some(7));
        assert_eq!(line(&["kinds", "0", "fields", "1", "e"]), Some(8));
    }

    #[test]
    fn a_value_that_is_missing_has_the_line_of_what_should_contain_it() {
        assert_eq!(line(&["kinds", "0", "anchor"]), Some(4));
        assert_eq!(line(&["kinds", "0", "fields", "7", "e"]), Some(5));
        assert_eq!(line(&["kinds", "3"]), Some(3));
        assert_eq!(line(&["name", "x"]), Some(2));
    }
}
