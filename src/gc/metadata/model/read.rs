//! Reads one field: roots, times, edges, back links.

use std::borrow::Cow;
use std::sync::Arc;

use super::super::schema::{
    Captures, EdgeRule, EdgeSource, Identity, IdentityPart, KindId, Link, Pattern, RootRule, Schema,
};
use super::builder::{ModelBuilder, ModelError};
use super::field::ObjectField;
use super::{
    AgeTest, BackLink, ConditionalEdge, Edge, FLAT, FactKind, FieldFact, IMPOSSIBLE, ObjectId, TreeProblem, keys,
};
use crate::duration::parse_duration;
use crate::time::Time;

/// Inputs of an identity.
struct Sources<'a> {
    captures: (&'a [u8], Captures),
    values: Option<Captures>,
    value: &'a [u8],
    own: &'a [Cow<'a, [u8]>],
    joined: &'a [Option<Box<[u8]>>],
}

impl<'a> Sources<'a> {
    fn part(&self, part: &'a IdentityPart) -> &[u8] {
        match part {
            IdentityPart::Literal(bytes) => bytes,
            IdentityPart::Capture(at) => &self.captures.0[self.captures.1[*at].clone()],
            IdentityPart::Own(at) => &self.own[*at],
            IdentityPart::Value(None) => self.value,
            IdentityPart::Value(Some(at)) => {
                self.values.as_ref().map_or(&[], |values| &self.value[values[*at].clone()])
            }
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
        if field.kind.flat.as_ref().is_some_and(|flat| flat.find(field.name).is_some()) {
            read = true;
            if !field.kv.value.is_empty() {
                self.model.objects[field.id as usize].flags |= FLAT;
                self.add_fact(field, FactKind::Flat, None)?;
            }
        }
        for (moment, number) in field.kind.moments.iter().zip(0..) {
            if moment.field == field.name {
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
                    if pattern.find(field.name).is_some() {
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
        value: Option<&Pattern>,
    ) -> Result<bool, ModelError> {
        let Some(captures) = pattern.find(field.name) else { return Ok(false) };
        if rule.identity.uses_value() && field.kv.value.is_empty() {
            return Ok(true);
        }
        let values = match value {
            None => None,
            Some(pattern) => match pattern.find(&field.kv.value) {
                None => {
                    self.unresolved(field, number);
                    return Ok(true);
                }
                found => found,
            },
        };
        let sources = Sources {
            captures: (field.name, captures),
            values,
            value: &field.kv.value,
            own: field.variables,
            joined: &[],
        };
        let tests = rule.when.as_ref().map(|when| age_tests(sources.part(&when.conditions), &when.name));
        sources.render(&mut self.identity, &rule.identity);
        let other = self.related(schema, field, rule.other, Some(number))?;
        let edge = directed(rule, field.id, other, number);
        match tests {
            None => self.add_edge(edge),
            Some(tests) if tests.is_empty() => {}
            Some(tests) => self.model.conditional.push(ConditionalEdge { edge, tests }),
        }
        Ok(true)
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
        let sources = Sources { captures: none, values: None, value: &[], own: field.variables, joined: &joined };
        sources.render(&mut self.identity, &rule.identity);
        let other = self.related(schema, field, rule.other, Some(number))?;
        self.add_edge(directed(rule, field.id, other, number));
        Ok(true)
    }

    fn read_link(&mut self, schema: &Schema, field: &ObjectField<'_>, link: &Link) -> Result<bool, ModelError> {
        let Some(captures) = link.pattern.find(field.name) else { return Ok(false) };
        let captures = (field.name, captures);
        let sources = Sources { captures, values: None, value: &field.kv.value, own: field.variables, joined: &[] };
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
        let duration = parse_duration(std::str::from_utf8(duration).ok()?).ok()?;
        Some(AgeTest { younger, nanos: i128::try_from(duration.as_nanos()).ok()? })
    };
    conditions.split(|byte| *byte == b',').filter_map(test).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn conditions() {
        let hour = 3_600_000_000_000_i128;
        let test = |younger, hours| AgeTest { younger, nanos: hours * hour };
        assert_eq!(*age_tests(b"usedat<2h", b"usedat"), [test(true, 2)]);
        assert_eq!(*age_tests(b"usedat<2h,usedat>9h,x<1h,usedat=1h", b"usedat"), [test(true, 2), test(false, 9)]);
        for none in ["", "usedat", "usedat<", "usedat<x", "usedatx<2h", "usedat<=2h"] {
            assert_eq!(*age_tests(none.as_bytes(), b"usedat"), [], "{none}");
        }
    }
}
