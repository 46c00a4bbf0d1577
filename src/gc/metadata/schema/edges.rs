//! Compiles the edges and back links of a schema, after its kinds.

use super::compiled::{EdgeRule, EdgeSource, KindId, Link, Moment, Schema, When};
use super::document::{EdgeDoc, FlatDoc, KindDoc, LinkDoc, SchemaDocument, WhenDoc};
use super::error::SchemaProblem;
use super::names::{declared, declared_plainly, kind_line, named, own, pattern, time_format};
use super::pattern::{Identity, IdentityPart, Pattern};

/// Maximum number of edges.
const MAX_EDGES: usize = 10_000;
/// Maximum number of fields that an edge joins.
pub(in super::super) const MAX_JOINED: usize = 4;

/// Adds the edges and back links of the document.
pub fn add(schema: &mut Schema, document: &SchemaDocument) -> Result<(), SchemaProblem> {
    for (name, edges) in &document.groups.0 {
        if edges.iter().any(|edge| edge.group.is_some()) {
            return Err(SchemaProblem::new("a group may not contain groups")
                .within(format!("group '{name}'"))
                .about(name));
        }
        if !document.kinds.iter().any(|doc| doc.edges.iter().any(|edge| edge.group.as_ref() == Some(name))) {
            return Err(SchemaProblem::new("no kind uses the group")
                .within(format!("group '{name}'"))
                .about(format!("{name}:")));
        }
    }
    for (at, doc) in document.kinds.iter().enumerate() {
        let within = |error: SchemaProblem| error.within(named(doc)).about(kind_line(doc));
        let id = KindId::try_from(at).map_err(|_| SchemaProblem::new("too many kinds"))?;
        let first = schema.edges.len();
        for (number, edge) in doc.edges.iter().enumerate() {
            let place = format!("edge {}", number + 1);
            kind_edges(schema, document, id, edge).map_err(|error| within(error.within(place)))?;
        }
        if schema.edges.len() > MAX_EDGES {
            return Err(SchemaProblem::new(format!("a schema may have at most {MAX_EDGES} edges")));
        }
        schema.kinds[at].edges = first..schema.edges.len();
        for (number, link) in doc.backlinks.iter().enumerate() {
            let place = format!("back link {}", number + 1);
            let link = back_link(schema, id, link).map_err(|error| within(error.within(place)))?;
            schema.kinds[at].links.push(link);
        }
        flat_is_used(schema, doc, id).map_err(within)?;
    }
    Ok(())
}

fn flat_is_used(schema: &Schema, doc: &KindDoc, id: KindId) -> Result<(), SchemaProblem> {
    let kind = schema.kind(id);
    let members = schema.edges[kind.edges.clone()].iter().any(|edge| edge.members);
    match (members, &kind.flat) {
        (true, None) => {
            Err(SchemaProblem::new("'flat: members' requires the kind's 'flat' field").about("flat: members"))
        }
        (false, Some(_)) => Err(SchemaProblem::new("no edge has 'flat: members'").within("flat").about(doc_flat(doc))),
        _ => Ok(()),
    }
}

fn doc_flat(doc: &KindDoc) -> String {
    doc.flat.clone().unwrap_or_default()
}

fn kind_edges(schema: &mut Schema, document: &SchemaDocument, id: KindId, doc: &EdgeDoc) -> Result<(), SchemaProblem> {
    let Some(group) = &doc.group else {
        let edge = edge(schema, id, doc)?;
        schema.edges.push(edge);
        return Ok(());
    };
    let alone = doc.field.is_none() && doc.fields.is_none() && doc.to.is_none() && doc.from.is_none();
    if !alone || doc.id.is_some() || doc.flat.is_some() || doc.when.is_some() || doc.value.is_some() {
        return Err(SchemaProblem::new("'group' cannot be combined with other keys").about(group));
    }
    let Some((_, edges)) = document.groups.0.iter().find(|(name, _)| name == group) else {
        return Err(SchemaProblem::new(format!("there is no group '{group}'")).about(group));
    };
    for (number, doc) in edges.iter().enumerate() {
        let edge =
            edge(schema, id, doc).map_err(|error| error.within(format!("group '{group}', edge {}", number + 1)))?;
        schema.edges.push(edge);
    }
    Ok(())
}

fn edge(schema: &mut Schema, id: KindId, doc: &EdgeDoc) -> Result<EdgeRule, SchemaProblem> {
    let (other, back) = match (&doc.to, &doc.from) {
        (Some(to), None) => (kind_named(schema, to)?, false),
        (None, Some(from)) => (kind_named(schema, from)?, true),
        _ => return Err(SchemaProblem::new("an edge needs either 'to' or 'from'").about(first_text(doc))),
    };
    let mut names = IdentityNames { own: own_variables(schema, id), ..IdentityNames::default() };
    let source = source(doc, &mut names).map_err(|error| error.about(first_text(doc)))?;
    check_source(schema, id, &source, &first_text(doc))?;
    let identity = identity(doc.id.as_deref().unwrap_or("{value}"), &names)?;
    scopes_allow(schema, id, other)?;
    let when = doc.when.as_ref().map(|when| condition(schema, other, when, &names)).transpose()?;
    if back && (doc.flat.is_some() || when.is_some()) {
        return Err(SchemaProblem::new("a back reference cannot have 'flat' or 'when'").about(first_text(doc)));
    }
    if when.is_some() && doc.flat == Some(FlatDoc::Through) {
        return Err(SchemaProblem::new("'when' cannot be combined with 'flat: through'").about(first_text(doc)));
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

fn source(doc: &EdgeDoc, names: &mut IdentityNames) -> Result<EdgeSource, SchemaProblem> {
    match (&doc.field, &doc.fields) {
        (Some(field), None) => {
            let pattern = match field.as_str() {
                "." => Pattern::own_key(),
                field => pattern(field, doc.suffix.as_deref())?,
            };
            let value = doc.value.as_ref().map(|text| super::names::pattern(text, None)).transpose()?;
            names.captures = pattern.names().map(str::to_owned).collect();
            names.values = value.iter().flat_map(Pattern::names).map(str::to_owned).collect();
            names.value = true;
            Ok(EdgeSource::Field { pattern, value })
        }
        (None, Some(fields)) => {
            if doc.suffix.is_some() || doc.value.is_some() {
                return Err(SchemaProblem::new("'suffix' and 'value' require 'field'"));
            }
            if fields.0.len() < 2 || fields.0.len() > MAX_JOINED {
                return Err(SchemaProblem::new(format!("'fields' needs 2 to {MAX_JOINED} fields")));
            }
            names.joined = fields.0.iter().map(|(name, _)| name.clone()).collect();
            Ok(EdgeSource::Joined(fields.0.iter().map(|(_, field)| own(field)).collect()))
        }
        _ => Err(SchemaProblem::new("an edge needs either 'field' or 'fields'")),
    }
}

fn check_source(schema: &Schema, id: KindId, source: &EdgeSource, text: &str) -> Result<(), SchemaProblem> {
    let kind = schema.kind(id);
    match source {
        EdgeSource::Field { pattern, .. } => declared(kind, pattern, text),
        EdgeSource::Joined(fields) => fields.iter().try_for_each(|field| declared_plainly(kind, field)),
    }
}

/// Names that an identity may use.
#[derive(Default)]
struct IdentityNames {
    captures: Vec<String>,
    values: Vec<String>,
    joined: Vec<String>,
    own: Vec<String>,
    value: bool,
}

impl IdentityNames {
    fn resolve(&self, name: &str) -> Option<IdentityPart> {
        let place = |names: &[String]| names.iter().position(|known| known == name);
        place(&self.captures)
            .map(IdentityPart::Capture)
            .or_else(|| place(&self.values).map(|at| IdentityPart::Value(Some(at))))
            .or_else(|| place(&self.joined).map(IdentityPart::Joined))
            .or_else(|| (self.value && name == "value").then_some(IdentityPart::Value(None)))
            .or_else(|| place(&self.own).map(IdentityPart::Own))
    }
}

fn identity(text: &str, names: &IdentityNames) -> Result<Identity, SchemaProblem> {
    let identity = Identity::parse(text, |name| names.resolve(name))
        .map_err(|error| SchemaProblem::new(error).within("id").about(text))?;
    let uses_join = |at: usize| identity.0.contains(&IdentityPart::Joined(at));
    if let Some(unused) = (0..names.joined.len()).find(|at| !uses_join(*at)) {
        let message = format!("the id does not use the joined field '{}'", names.joined[unused]);
        return Err(SchemaProblem::new(message).within("id").about(text));
    }
    Ok(identity)
}

fn condition(schema: &mut Schema, other: KindId, doc: &WhenDoc, names: &IdentityNames) -> Result<When, SchemaProblem> {
    let within = |error: SchemaProblem| error.within("when");
    let conditions = match names.resolve(&doc.conditions) {
        Some(part @ (IdentityPart::Capture(_) | IdentityPart::Value(_))) => part,
        _ => return Err(within(SchemaProblem::new(format!("nothing captures '{}'", doc.conditions)))),
    };
    declared_plainly(schema.kind(other), &own(&doc.field)).map_err(within)?;
    let moment = Moment { field: own(&doc.field), format: time_format(doc.format) };
    let moments = &mut schema.kinds[usize::from(other)].moments;
    let at = moments.iter().position(|known| *known == moment).unwrap_or_else(|| {
        moments.push(moment);
        moments.len() - 1
    });
    Ok(When { conditions, name: doc.name.clone().into_bytes(), moment: at })
}

fn back_link(schema: &Schema, id: KindId, doc: &LinkDoc) -> Result<Link, SchemaProblem> {
    let pattern = pattern(&doc.field, None)?;
    declared(schema.kind(id), &pattern, &doc.field)?;
    let of = kind_named(schema, &doc.of)?;
    scopes_allow(schema, id, of)?;
    let captures = pattern.names().map(str::to_owned).collect();
    let names = IdentityNames { captures, own: own_variables(schema, id), value: true, ..IdentityNames::default() };
    let identity = identity(&doc.id, &names)?;
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

fn own_variables(schema: &Schema, id: KindId) -> Vec<String> {
    schema.kind(id).key.variables().map(str::to_owned).collect()
}

fn kind_named(schema: &Schema, name: &str) -> Result<KindId, SchemaProblem> {
    schema.kind_named(name).ok_or_else(|| SchemaProblem::new(format!("there is no kind '{name}'")).about(name))
}

/// Name of an edge in messages: its field, or the fields it joins.
fn first_text(doc: &EdgeDoc) -> String {
    match (&doc.field, &doc.fields) {
        (Some(field), _) => field.clone(),
        (None, Some(fields)) => fields.0.iter().map(|(_, field)| field.as_str()).collect::<Vec<_>>().join("+"),
        (None, None) => String::new(),
    }
}
