//! Reads one field: roots, times, edges, back links.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::schema::{
    Captures, EdgeRule, EdgeSource, Identity, IdentityPart, KindId, Link, Pattern, RootRule, Schema, ValueRule,
};
use super::builder::{ModelBuilder, ModelError};
use super::field::ObjectField;
use super::{
    AgeTest, BackLink, ConditionalEdge, Edge, FLAT, FactKind, FieldFact, IMPOSSIBLE, ObjectId, TreeProblem, keys,
};
use crate::duration::parse_signed;
use crate::time::Time;

/// Inputs of an identity.
struct Sources<'a> {
    captures: (&'a [u8], Captures),
    values: ValueCaptures<'a>,
    value: &'a [u8],
    own: &'a [Cow<'a, [u8]>],
    joined: &'a [Option<Box<[u8]>>],
}

/// What is captured of a value.
enum ValueCaptures<'a> {
    /// Nothing.
    None,
    /// Ranges of the value.
    Ranges(Captures),
    /// Texts of a JSON document.
    Texts(&'a [Cow<'a, [u8]>]),
}

impl<'a> Sources<'a> {
    fn part(&self, part: &'a IdentityPart) -> &[u8] {
        match part {
            IdentityPart::Literal(bytes) => bytes,
            IdentityPart::Capture(at) => &self.captures.0[self.captures.1[*at].clone()],
            IdentityPart::Own(at) => &self.own[*at],
            IdentityPart::Value(None) => self.value,
            IdentityPart::Value(Some(at)) => match &self.values {
                ValueCaptures::None => &[],
                ValueCaptures::Ranges(ranges) => &self.value[ranges[*at].clone()],
                ValueCaptures::Texts(texts) => texts.get(*at).map(AsRef::as_ref).unwrap_or_default(),
            },
            IdentityPart::Slice(part, slice) => slice.of(self.part(part)),
            IdentityPart::Joined(at) => self.joined.get(*at).and_then(Option::as_deref).unwrap_or_default(),
        }
    }

    fn render(&self, buffer: &mut Vec<u8>, identity: &'a Identity) {
        buffer.clear();
        identity.0.iter().for_each(|part| buffer.extend_from_slice(self.part(part)));
    }
}

impl ModelBuilder {
    /// Reads what the schema declares about the field.
    pub(super) fn read_field(&mut self, field: &ObjectField<'_>) -> Result<(), ModelError> {
        let schema = Arc::clone(&self.model.schema);
        let mut read = self.read_roots(field)?;
        if field.kind.flat.as_ref().is_some_and(|flat| field.find(flat).is_some()) {
            read = true;
            if !field.kv.value.is_empty() {
                self.model.objects[field.id as usize].flags |= FLAT;
                self.add_fact(field, FactKind::Flat, None)?;
            }
        }
        for (moment, number) in field.kind.moments.iter().zip(0..) {
            if field.find(&moment.field).is_some() {
                read = true;
                if !field.kv.value.is_empty() {
                    self.add_fact(field, FactKind::Moment(number), moment.format.parse(&field.kv.value))?;
                }
            }
        }
        for at in field.kind.edges.clone() {
            let rule = &schema.edges[at];
            let Ok(number) = u16::try_from(at) else { continue };
            read |= match &rule.source {
                EdgeSource::Field { pattern, value } => {
                    self.read_edge(&schema, field, (rule, number), pattern, value.as_ref())?
                }
                EdgeSource::Joined(fields) => self.read_joined(&schema, field, (rule, number), fields)?,
            };
        }
        for link in &field.kind.links {
            read |= self.read_link(&schema, field, link)?;
        }
        if !read && schema.reserved.iter().any(|reserved| field.name.starts_with(reserved)) {
            self.report(TreeProblem::Unread(field.id, field.name.to_vec()));
        }
        Ok(())
    }

    fn read_roots(&mut self, field: &ObjectField<'_>) -> Result<bool, ModelError> {
        let mut read = false;
        for (rule, number) in field.kind.roots.iter().zip(0_u8..) {
            match rule {
                RootRule::Field { pattern, empty, .. } => {
                    if field.find(pattern).is_some() {
                        read = true;
                        let object = &mut self.model.objects[field.id as usize];
                        if object.root == 0 && (*empty || !field.kv.value.is_empty()) {
                            object.root = number + 1;
                        }
                    }
                }
                RootRule::Unexpired { field: name, format, strict, .. } => {
                    if name == field.name {
                        read = true;
                        // An empty field counts as missing, unless a time that is not valid stops the collection.
                        if *strict || !field.kv.value.is_empty() {
                            self.add_fact(field, FactKind::Expiry(number), format.parse(&field.kv.value))?;
                        }
                    }
                }
                // The edges read it.
                RootRule::Unless { .. } => {}
            }
        }
        Ok(read)
    }

    fn add_fact(&mut self, field: &ObjectField<'_>, what: FactKind, time: Option<Time>) -> Result<(), ModelError> {
        let span = self.keep(field.raw)?;
        let revision = field.kv.mod_revision;
        self.model.facts.push(FieldFact { object: field.id, what, time, revision, field: span });
        Ok(())
    }

    fn read_edge(
        &mut self,
        schema: &Schema,
        field: &ObjectField<'_>,
        (rule, number): (&EdgeRule, u16),
        pattern: &Pattern,
        value: Option<&ValueRule>,
    ) -> Result<bool, ModelError> {
        let Some(captures) = field.find(pattern) else {
            // The name continues after a slash: the reference may be meant, but what it names is not known.
            if pattern.finds_loosely(field.name) {
                self.unresolved(field, number);
                return Ok(true);
            }
            return Ok(false);
        };
        let value_bytes = field.kv.value.as_slice();
        let json = matches!(value, Some(ValueRule::Json(_)));
        if (rule.identity.uses_value() || json) && value_bytes.is_empty() {
            return Ok(true);
        }
        let captures = (field.name, captures);
        let own = field.variables;
        match value {
            None => {
                let values = ValueCaptures::None;
                let sources = Sources { captures, values, value: value_bytes, own, joined: &[] };
                self.add_reference(schema, field, (rule, number), &sources)?;
            }
            Some(ValueRule::Pattern(pattern)) => match pattern.find(value_bytes) {
                Some(ranges) => {
                    let values = ValueCaptures::Ranges(ranges);
                    let sources = Sources { captures, values, value: value_bytes, own, joined: &[] };
                    self.add_reference(schema, field, (rule, number), &sources)?;
                }
                None => self.unresolved(field, number),
            },
            Some(ValueRule::Json(json)) => {
                let Some(document) = field.json() else {
                    self.unresolved(field, number);
                    return Ok(true);
                };
                for reference in json.references(document) {
                    let Some(texts) = reference else {
                        self.unresolved(field, number);
                        continue;
                    };
                    // Without captures, the only text is the value.
                    let value = texts.first().map(AsRef::as_ref).unwrap_or_default();
                    let values = ValueCaptures::Texts(&texts);
                    let sources = Sources { captures: captures.clone(), values, value, own, joined: &[] };
                    self.add_reference(schema, field, (rule, number), &sources)?;
                }
            }
        }
        Ok(true)
    }

    /// Adds the edge for a reference, and the fact that the object has an owner.
    fn add_reference(
        &mut self,
        schema: &Schema,
        field: &ObjectField<'_>,
        (rule, number): (&EdgeRule, u16),
        sources: &Sources<'_>,
    ) -> Result<(), ModelError> {
        let tests = rule.when.as_ref().map(|when| age_tests(sources.part(&when.conditions), &when.name));
        sources.render(&mut self.identity, &rule.identity);
        let other = self.related(schema, field, rule.other, Some(number))?;
        let edge = directed(rule, field.id, other, number);
        match tests {
            None => self.add_edge(edge),
            Some(tests) if tests.is_empty() => {}
            Some(tests) => self.model.conditional.push(ConditionalEdge { edge, tests }),
        }
        if self.model.is_impossible(other) {
            return Ok(());
        }
        for (root, at) in field.kind.roots.iter().zip(0_u8..) {
            let RootRule::Unless { edges, .. } = root else { continue };
            let what = FactKind::Owner(at);
            let known = |fact: &FieldFact| {
                fact.object == field.id && fact.what == what && self.model.arena.get(fact.field) == field.raw
            };
            if edges.contains(&usize::from(number)) && !self.model.facts.last().is_some_and(known) {
                self.add_fact(field, what, None)?;
            }
        }
        Ok(())
    }

    fn read_joined(
        &mut self,
        schema: &Schema,
        field: &ObjectField<'_>,
        (rule, number): (&EdgeRule, u16),
        fields: &[Vec<u8>],
    ) -> Result<bool, ModelError> {
        let Some(at) = fields.iter().position(|name| name == field.name) else { return Ok(false) };
        if field.kv.value.is_empty() {
            return Ok(true);
        }
        let joining = self.joins.entry((field.id, number)).or_insert_with(|| vec![None; fields.len()]);
        joining[at] = Some(field.kv.value.clone().into());
        if joining.iter().any(Option::is_none) {
            return Ok(true);
        }
        let Some(joined) = self.joins.remove(&(field.id, number)) else { return Ok(true) };
        let none = (field.name, Captures::default());
        let sources =
            Sources { captures: none, values: ValueCaptures::None, value: &[], own: field.variables, joined: &joined };
        sources.render(&mut self.identity, &rule.identity);
        let other = self.related(schema, field, rule.other, Some(number))?;
        self.add_edge(directed(rule, field.id, other, number));
        Ok(true)
    }

    fn read_link(&mut self, schema: &Schema, field: &ObjectField<'_>, link: &Link) -> Result<bool, ModelError> {
        let Some(captures) = field.find(&link.pattern) else { return Ok(false) };
        let captures = (field.name, captures);
        let sources = Sources {
            captures,
            values: ValueCaptures::None,
            value: &field.kv.value,
            own: field.variables,
            joined: &[],
        };
        sources.render(&mut self.identity, &link.identity);
        let target = self.related(schema, field, link.of, None)?;
        let span = self.keep(field.raw)?;
        self.model.links.push(BackLink { holder: field.id, target, field: span });
        Ok(true)
    }

    /// The object of this kind with the identity in the buffer, in the scope of the field's object. If no object can
    /// have the identity, the reference by rule `number` counts as unresolved. Such an object still connects the
    /// references to it with the back references to it, as in containerd.
    fn related(
        &mut self,
        schema: &Schema,
        field: &ObjectField<'_>,
        kind: KindId,
        number: Option<u16>,
    ) -> Result<ObjectId, ModelError> {
        let other = schema.kind(kind);
        let scope = if other.scoped.contains(&true) { self.model.scope_id(field.id) } else { 0 };
        let possible = keys::is_valid_identity(other, &self.identity);
        let id = self.intern(kind, scope)?;
        if !possible {
            self.model.objects[id as usize].flags |= IMPOSSIBLE;
            if let Some(number) = number {
                self.unresolved(field, number);
            }
        }
        Ok(id)
    }

    /// Counts and reports a field that should refer to an object by rule `number`, but to none that can exist.
    fn unresolved(&mut self, field: &ObjectField<'_>, number: u16) {
        let kind = self.model.kind_id(field.id);
        self.model.unresolved[usize::from(kind)] += 1;
        self.report(TreeProblem::BadReference(field.id, number, field.raw.to_vec()));
    }
}

fn directed(rule: &EdgeRule, this: ObjectId, other: ObjectId, number: u16) -> Edge {
    let (from, to) = if rule.back { (other, this) } else { (this, other) };
    Edge { from, to, rule: number }
}

/// Parses `usedat<2h,usedat>9h`. Conditions that are not understood are ignored, as by containerd.
fn age_tests(conditions: &[u8], name: &[u8]) -> Box<[AgeTest]> {
    let test = |condition: &[u8]| {
        let (sign, duration) = condition.strip_prefix(name)?.split_first()?;
        let younger = match sign {
            b'<' => true,
            b'>' => false,
            _ => return None,
        };
        let nanos = parse_signed(std::str::from_utf8(duration).ok()?).ok()?;
        Some(AgeTest { younger, nanos: nanos.into() })
    };
    conditions.split(|byte| *byte == b',').filter_map(test).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let hour = 3_600_000_000_000_i128;
        let test = |younger, hours: i128| AgeTest { younger, nanos: hours * hour };
        assert_eq!(*age_tests(b"usedat>-1h,usedat<+2h", b"usedat"), [test(false, -1), test(true, 2)]);
        assert_eq!(*age_tests(b"usedat<2h", b"usedat"), [test(true, 2)]);
        assert_eq!(*age_tests(b"usedat<2h,usedat>9h,x<1h,usedat=1h", b"usedat"), [test(true, 2), test(false, 9)]);
        for none in ["", "usedat", "usedat<", "usedat<x", "usedatx<2h", "usedat<=2h"] {
            assert_eq!(*age_tests(none.as_bytes(), b"usedat"), [], "{none}");
        }
    }
}
