//! Compiles the edges and back links of a schema, after its kinds.

use super::compiled::{EdgeRule, EdgeSource, KindId, Link, Moment, RootRule, Schema, ValueRule, When};
use super::document::{EdgeDoc, Encoding, FlatDoc, LinkDoc, SchemaDocument, ValueDoc, WhenDoc};
use super::error::SchemaProblem;
use super::json::{JsonRule, Pointer};
use super::names::{declared, declared_plainly, named, own, pattern, time_format};
use super::pattern::{Identity, IdentityPart, MAX_CAPTURES, Pattern};
use super::possible::{Reach, check_identity};
use super::template::Segment;

/// Maximum number of edges.
const MAX_EDGES: usize = 10_000;
/// Maximum number of times that the conditions of all edges to one kind compare.
const MAX_MOMENTS: usize = 100;
/// Maximum number of fields that an edge joins.
pub(in super::super) const MAX_JOINED: usize = 4;

/// Adds the edges and back links of the document.
pub fn add(schema: &mut Schema, document: &SchemaDocument) -> Result<(), SchemaProblem> {
    for (name, edges) in &document.groups.0 {
        let within = |problem: SchemaProblem| {
            problem.key(name.clone()).key("groups").at_top_level().within(format!("group '{name}'"))
        };
        if let Some(at) = edges.iter().position(|edge| edge.group.is_some()) {
            return Err(within(SchemaProblem::new("a group may not contain groups").key("group").item(at)));
        }
        if !document.kinds.iter().any(|doc| doc.edges.iter().any(|edge| edge.group.as_ref() == Some(name))) {
            return Err(within(SchemaProblem::new("no kind uses the group")));
        }
    }
    for (at, doc) in document.kinds.iter().enumerate() {
        let within = |error: SchemaProblem| error.within(named(doc)).item(at).key("kinds");
        let id = KindId::try_from(at).map_err(|_| SchemaProblem::new("too many kinds"))?;
        let first = schema.edges.len();
        for (number, edge) in doc.edges.iter().enumerate() {
            let place = format!("edge {}", number + 1);
            let numbered = |error: SchemaProblem| within(error.within(place).item(number).key("edges"));
            kind_edges(schema, document, id, edge).map_err(numbered)?;
        }
        if schema.edges.len() > MAX_EDGES {
            return Err(within(
                SchemaProblem::new(format!("a schema may have at most {MAX_EDGES} edges")).key("edges"),
            ));
        }
        schema.kinds[at].edges = first..schema.edges.len();
        for (number, link) in doc.backlinks.iter().enumerate() {
            let place = format!("back link {}", number + 1);
            let numbered = |error: SchemaProblem| within(error.within(place).item(number).key("backlinks"));
            let link = back_link(schema, id, link).map_err(numbered)?;
            schema.kinds[at].links.push(link);
        }
        flat_is_used(schema, id).map_err(within)?;
        owners(schema, at).map_err(within)?;
    }
    Ok(())
}

/// Finds the edges that the kind's `unless` rules name.
fn owners(schema: &mut Schema, at: usize) -> Result<(), SchemaProblem> {
    let Schema { kinds, edges: all, .. } = schema;
    let Some(kind) = kinds.get_mut(at) else { return Ok(()) };
    let range = kind.edges.clone();
    for (number, rule) in kind.roots.iter_mut().enumerate() {
        let RootRule::Unless { edges, text } = rule else { continue };
        let owns = |edge: &usize| all.get(*edge).is_some_and(|edge| edge.back && edge.text == *text);
        edges.extend(range.clone().filter(owns));
        if edges.is_empty() {
            let message = format!("no edge with 'from' reads the field '{text}'");
            let place = format!("rule {}", number + 1);
            return Err(SchemaProblem::new(message)
                .within(place)
                .within("root")
                .key("unless")
                .item(number)
                .key("root"));
        }
    }
    Ok(())
}

fn flat_is_used(schema: &Schema, id: KindId) -> Result<(), SchemaProblem> {
    let kind = schema.kind(id);
    let members = schema.edges[kind.edges.clone()].iter().any(|edge| edge.members);
    match (members, &kind.flat) {
        (true, None) => Err(SchemaProblem::new("'flat: members' requires the kind's 'flat' field").key("edges")),
        (false, Some(_)) => Err(SchemaProblem::new("no edge has 'flat: members'").within("flat").key("flat")),
        _ => Ok(()),
    }
}

fn kind_edges(schema: &mut Schema, document: &SchemaDocument, id: KindId, doc: &EdgeDoc) -> Result<(), SchemaProblem> {
    let Some(group) = &doc.group else {
        let edge = edge(schema, id, doc)?;
        schema.edges.push(edge);
        return Ok(());
    };
    let alone = doc.field.is_none() && doc.fields.is_none() && doc.to.is_none() && doc.from.is_none();
    if !alone || doc.id.is_some() || doc.flat.is_some() || doc.when.is_some() || doc.value.is_some() {
        return Err(SchemaProblem::new("'group' cannot be combined with other keys").key("group"));
    }
    let Some((_, edges)) = document.groups.0.iter().find(|(name, _)| name == group) else {
        return Err(SchemaProblem::new(format!("there is no group '{group}'")).key("group"));
    };
    for (number, doc) in edges.iter().enumerate() {
        let edge = edge(schema, id, doc).map_err(|error| {
            let place = format!("group '{group}', edge {}", number + 1);
            error.item(number).key(group.clone()).key("groups").at_top_level().within(place)
        })?;
        schema.edges.push(edge);
    }
    Ok(())
}

fn edge(schema: &mut Schema, id: KindId, doc: &EdgeDoc) -> Result<EdgeRule, SchemaProblem> {
    let (other, back) = match (&doc.to, &doc.from) {
        (Some(to), None) => (kind_named(schema, to).map_err(|error| error.key("to"))?, false),
        (None, Some(from)) => (kind_named(schema, from).map_err(|error| error.key("from"))?, true),
        _ => return Err(SchemaProblem::new("an edge needs either 'to' or 'from'")),
    };
    let mut names = IdentityNames { own: own_variables(schema, id), ..IdentityNames::default() };
    let encoded = schema.kind(id).encoding == Encoding::Percent;
    let source = source(doc, &mut names, encoded)?;
    check_source(schema, id, &source, doc)?;
    let text = doc.id.as_deref().unwrap_or("{value}");
    let identity = identity(text, &names)
        .and_then(|identity| {
            check_identity(schema.kind(other), text, &identity, |part| names.reach(part))
                .map_err(SchemaProblem::new)?;
            Ok(identity)
        })
        .map_err(|error| error.within("id").key("id"))?;
    scopes_allow(schema, id, other).map_err(|error| error.key(if back { "from" } else { "to" }))?;
    let when = doc.when.as_ref().map(|when| condition(schema, other, when, &names)).transpose()?;
    if back && (doc.flat.is_some() || when.is_some()) {
        return Err(SchemaProblem::new("a back reference cannot have 'flat' or 'when'"));
    }
    if when.is_some() && doc.flat == Some(FlatDoc::Through) {
        return Err(SchemaProblem::new("'when' cannot be combined with 'flat: through'").key("flat"));
    }
    Ok(EdgeRule {
        declared_by: id,
        other,
        back,
        source,
        identity,
        through: doc.flat == Some(FlatDoc::Through),
        members: doc.flat == Some(FlatDoc::Members),
        when,
        text: first_text(doc),
    })
}

fn source(doc: &EdgeDoc, names: &mut IdentityNames, encoded: bool) -> Result<EdgeSource, SchemaProblem> {
    match (&doc.field, &doc.fields) {
        (Some(field), None) => {
            let pattern = match field.as_str() {
                "." => Pattern::own_key(),
                field => pattern(field, doc.suffix.as_deref()).map_err(|error| error.key("field"))?,
            };
            let pattern = match &doc.skip {
                Some(bytes) => pattern.skipping(bytes).map_err(|error| SchemaProblem::new(error).key("skip"))?,
                None => pattern,
            };
            let value = doc.value.as_ref().map(value_rule).transpose();
            let value = value.map_err(|error| error.within("value").key("value"))?;
            let reach = |slashes: bool| if slashes { Reach::Several } else { Reach::One };
            // An encoded segment may contain slashes.
            names.captures =
                pattern.captures().map(|(name, slashes)| (name.to_owned(), reach(slashes || encoded))).collect();
            (names.values, names.value) = match &value {
                None => (Vec::new(), true),
                Some(ValueRule::Pattern(pattern)) => {
                    (pattern.captures().map(|(name, slashes)| (name.to_owned(), reach(slashes))).collect(), true)
                }
                Some(ValueRule::Json(rule)) => {
                    (rule.take.iter().map(|(name, _)| (name.clone(), Reach::Several)).collect(), rule.take.is_empty())
                }
            };
            Ok(EdgeSource::Field { pattern, value })
        }
        (None, Some(fields)) => {
            if doc.suffix.is_some() || doc.value.is_some() || doc.skip.is_some() {
                return Err(SchemaProblem::new("'suffix', 'skip' and 'value' require 'field'"));
            }
            if fields.0.len() < 2 || fields.0.len() > MAX_JOINED {
                return Err(SchemaProblem::new(format!("'fields' needs 2 to {MAX_JOINED} fields")).key("fields"));
            }
            let same = |(at, (_, field)): &(usize, &(String, String))| {
                fields.0[..*at].iter().any(|(_, earlier)| earlier == field)
            };
            if let Some((_, (name, field))) = fields.0.iter().enumerate().find(same) {
                let message = format!("'fields' names '{field}' twice, so the edge can never exist");
                return Err(SchemaProblem::new(message).key(name.clone()).key("fields"));
            }
            names.joined = fields.0.iter().map(|(name, _)| name.clone()).collect();
            Ok(EdgeSource::Joined(fields.0.iter().map(|(_, field)| own(field)).collect()))
        }
        _ => Err(SchemaProblem::new("an edge needs either 'field' or 'fields'")),
    }
}

fn value_rule(doc: &ValueDoc) -> Result<ValueRule, SchemaProblem> {
    let doc = match doc {
        ValueDoc::Pattern(text) => return Ok(ValueRule::Pattern(pattern(text, None)?)),
        ValueDoc::Json(doc) => doc,
    };
    let at = Pointer::parse(&doc.json, true).map_err(|error| SchemaProblem::new(error).key("json"))?;
    let one = |(name, text): &(String, String), key: &str, pointer: &str| {
        let found = Pointer::parse(pointer, false);
        let found = found.map_err(|error| SchemaProblem::new(error).key(name.clone()).key(key));
        found.map(|found| (found, name.clone(), text.clone()))
    };
    let take = doc.take.0.iter().map(|entry| one(entry, "take", &entry.1).map(|(at, name, _)| (name, at)));
    let when = doc.when.0.iter().map(|entry| one(entry, "when", &entry.0).map(|(at, _, text)| (at, text)));
    let (take, when): (Vec<_>, Vec<_>) = (take.collect::<Result<_, _>>()?, when.collect::<Result<_, _>>()?);
    if take.len() > MAX_CAPTURES {
        return Err(SchemaProblem::new(format!("'take' has more than {MAX_CAPTURES} names")).key("take"));
    }
    Ok(ValueRule::Json(JsonRule { at, when, take }))
}

fn check_source(schema: &Schema, id: KindId, source: &EdgeSource, doc: &EdgeDoc) -> Result<(), SchemaProblem> {
    let kind = schema.kind(id);
    match source {
        EdgeSource::Field { pattern, .. } => {
            declared(kind, pattern, &first_text(doc)).map_err(|error| error.key("field"))
        }
        EdgeSource::Joined(fields) => {
            let names = doc.fields.iter().flat_map(|fields| &fields.0).map(|(name, _)| name);
            names.zip(fields).try_for_each(|(name, field)| {
                declared_plainly(kind, field).map_err(|error| error.key(name.clone()).key("fields"))
            })
        }
    }
}

/// Names that an identity may use.
#[derive(Default)]
struct IdentityNames {
    captures: Vec<(String, Reach)>,
    values: Vec<(String, Reach)>,
    joined: Vec<String>,
    own: Vec<(String, Reach)>,
    value: bool,
}

impl IdentityNames {
    fn resolve(&self, name: &str) -> Option<IdentityPart> {
        let place = |names: &[(String, Reach)]| names.iter().position(|(known, _)| known == name);
        place(&self.captures)
            .map(IdentityPart::Capture)
            .or_else(|| place(&self.values).map(|at| IdentityPart::Value(Some(at))))
            .or_else(|| self.joined.iter().position(|known| known == name).map(IdentityPart::Joined))
            .or_else(|| (self.value && name == "value").then_some(IdentityPart::Value(None)))
            .or_else(|| place(&self.own).map(IdentityPart::Own))
    }

    /// How many segments the variable can take.
    fn reach(&self, part: &IdentityPart) -> Reach {
        let known = |names: &[(String, Reach)], at: usize| names.get(at).map(|(_, reach)| *reach);
        let reach = match part.whole() {
            IdentityPart::Capture(at) => known(&self.captures, *at),
            IdentityPart::Value(Some(at)) => known(&self.values, *at),
            IdentityPart::Own(at) => known(&self.own, *at),
            _ => None,
        };
        reach.unwrap_or(Reach::Several)
    }
}

fn identity(text: &str, names: &IdentityNames) -> Result<Identity, SchemaProblem> {
    let identity = Identity::parse(text, |name| names.resolve(name)).map_err(SchemaProblem::new)?;
    let uses_join = |at: usize| identity.0.iter().any(|part| *part.whole() == IdentityPart::Joined(at));
    if let Some(unused) = (0..names.joined.len()).find(|at| !uses_join(*at)) {
        let message = format!("the id does not use the joined field '{}'", names.joined[unused]);
        return Err(SchemaProblem::new(message));
    }
    Ok(identity)
}

fn condition(schema: &mut Schema, other: KindId, doc: &WhenDoc, names: &IdentityNames) -> Result<When, SchemaProblem> {
    let within = |error: SchemaProblem| error.within("when").key("when");
    let conditions = match names.resolve(&doc.conditions) {
        Some(part @ (IdentityPart::Capture(_) | IdentityPart::Value(_))) => part,
        _ => {
            let message = format!("nothing captures '{}'", doc.conditions);
            return Err(within(SchemaProblem::new(message).key("conditions")));
        }
    };
    if doc.name.is_empty() || doc.name.contains([',', '<', '>', '=']) {
        let message = format!("no condition can have the name '{}', so the edge can never exist", doc.name);
        return Err(within(SchemaProblem::new(message).key("name")));
    }
    let field = match doc.field.as_str() {
        "." => Pattern::own_key(),
        field => pattern(field, doc.suffix.as_deref()).map_err(|error| within(error.key("field")))?,
    };
    declared(schema.kind(other), &field, &doc.field).map_err(|error| within(error.key("field")))?;
    let moment = Moment { field, format: time_format(doc.format) };
    let moments = &mut schema.kinds[usize::from(other)].moments;
    let at = moments.iter().position(|known| *known == moment).unwrap_or_else(|| {
        moments.push(moment);
        moments.len() - 1
    });
    if at >= MAX_MOMENTS {
        let message = format!("the conditions of the edges to a kind may compare at most {MAX_MOMENTS} times");
        return Err(within(SchemaProblem::new(message)));
    }
    Ok(When { conditions, name: doc.name.clone().into_bytes(), moment: at })
}

fn back_link(schema: &Schema, id: KindId, doc: &LinkDoc) -> Result<Link, SchemaProblem> {
    let pattern = pattern(&doc.field, None).map_err(|error| error.key("field"))?;
    declared(schema.kind(id), &pattern, &doc.field).map_err(|error| error.key("field"))?;
    let of = kind_named(schema, &doc.of).map_err(|error| error.key("of"))?;
    scopes_allow(schema, id, of).map_err(|error| error.key("of"))?;
    let encoded = schema.kind(id).encoding == Encoding::Percent;
    let reach = |slashes: bool| if slashes || encoded { Reach::Several } else { Reach::One };
    let captures = pattern.captures().map(|(name, slashes)| (name.to_owned(), reach(slashes))).collect();
    let names = IdentityNames { captures, own: own_variables(schema, id), value: true, ..IdentityNames::default() };
    let identity = identity(&doc.id, &names)
        .and_then(|identity| {
            check_identity(schema.kind(of), &doc.id, &identity, |part| names.reach(part))
                .map_err(SchemaProblem::new)?;
            Ok(identity)
        })
        .map_err(|error| error.within("id").key("id"))?;
    Ok(Link { pattern, of, identity, text: doc.field.clone() })
}

/// An object outside every scope cannot refer to an object in a scope.
fn scopes_allow(schema: &Schema, from: KindId, to: KindId) -> Result<(), SchemaProblem> {
    let scoped = |id: KindId| schema.kind(id).scoped.contains(&true);
    if !scoped(from) && scoped(to) {
        let message = format!(
            "kind '{}' is in a scope and this kind is not, so the reference's scope is unknown",
            schema.kind(to).name
        );
        return Err(SchemaProblem::new(message));
    }
    Ok(())
}

fn own_variables(schema: &Schema, id: KindId) -> Vec<(String, Reach)> {
    let segments = schema.kind(id).key.0.iter();
    let variable = |segment: &Segment| match segment {
        Segment::Literal(_) | Segment::Part(..) => None,
        Segment::One(name) => Some((name.clone(), Reach::One)),
        Segment::Encoded(name) | Segment::Many(name) => Some((name.clone(), Reach::Several)),
    };
    segments.filter_map(variable).collect()
}

fn kind_named(schema: &Schema, name: &str) -> Result<KindId, SchemaProblem> {
    schema.kind_named(name).ok_or_else(|| SchemaProblem::new(format!("there is no kind '{name}'")))
}

/// Name of an edge in messages: its field, or the fields it joins.
fn first_text(doc: &EdgeDoc) -> String {
    match (&doc.field, &doc.fields) {
        (Some(field), _) => field.clone(),
        (None, Some(fields)) => fields.0.iter().map(|(_, field)| field.as_str()).collect::<Vec<_>>().join("+"),
        (None, None) => String::new(),
    }
}
