//! Compiles a parsed schema file; every contradiction is an error here.

use super::compiled::{Kind, RootRule, Schema};
use super::document::{self, Encoding, InvalidDoc, KindDoc, MissingDoc, RootDoc, RootRuleDoc, SchemaDocument};
use super::edges;
use super::error::SchemaError;
use super::error::SchemaProblem;
use super::names::{declared, declared_plainly, named, own, pattern, time_format};
use super::pattern::Pattern;
use super::template::{Segment, Template};

/// Maximum number of kinds.
const MAX_KINDS: usize = 200;
/// Maximum number of rules that make an object of a kind a root.
const MAX_ROOT_RULES: usize = 100;
/// Maximum number of variables in a key.
const MAX_VARIABLES: usize = 8;

pub(super) fn compile(text: &str, origin: &str) -> Result<Schema, SchemaError> {
    let document = document::read(text).map_err(|(line, message)| SchemaError {
        origin: origin.to_owned(),
        line,
        place: Vec::new(),
        message,
    })?;
    let mut schema = build(document).map_err(|problem| problem.at(origin, text))?;
    schema.hash = hash(text);
    Ok(schema)
}

fn build(document: SchemaDocument) -> Result<Schema, SchemaProblem> {
    if document.schema != 1 {
        let message = format!("unknown schema version {}: this kvadm reads version 1", document.schema);
        return Err(SchemaProblem::new(message).within("schema").key("schema"));
    }
    if document.kinds.is_empty() || document.kinds.len() > MAX_KINDS {
        return Err(SchemaProblem::new(format!("a schema has 1 to {MAX_KINDS} kinds")).key("kinds"));
    }
    let mut kinds = Vec::new();
    for (at, doc) in document.kinds.iter().enumerate() {
        let within = |error: SchemaProblem| error.within(named(doc)).item(at).key("kinds");
        if kinds.iter().any(|kind: &Kind| kind.name == doc.kind) {
            return Err(within(SchemaProblem::new("two kinds have this name").key("kind")));
        }
        kinds.push(kind(doc, &document).map_err(within)?);
    }
    if kinds.iter().all(|kind| !kind.always_root && kind.roots.is_empty()) {
        let message = "no kind has a root, so everything would be garbage";
        return Err(SchemaProblem::new(message).key("kinds"));
    }
    let opaque = document.opaque.iter().enumerate().map(|(at, text)| {
        let encoded = document.encoding == Encoding::Percent;
        let opaque = template(text, encoded).and_then(|opaque| plain_variables(&opaque).map(|()| opaque));
        opaque.map_err(|error| error.within("opaque").item(at).key("opaque"))
    });
    let mut schema = Schema {
        name: document.name.clone(),
        hash: String::new(),
        scope: document.scope.clone(),
        outside_roots: document.outside_roots,
        opaque: opaque.collect::<Result<_, _>>()?,
        reserved: document.reserved.iter().map(|text| text.clone().into_bytes()).collect(),
        kinds,
        edges: Vec::new(),
    };
    scopes_are_used(&schema)?;
    kinds_are_apart(&schema)?;
    edges::add(&mut schema, &document)?;
    Ok(schema)
}

fn kind(doc: &KindDoc, document: &SchemaDocument) -> Result<Kind, SchemaProblem> {
    let encoding = doc.encoding.unwrap_or(document.encoding);
    let encoded = encoding == Encoding::Percent;
    if doc.kind.is_empty() || !doc.kind.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte)) {
        return Err(SchemaProblem::new("the name of a kind may only contain letters, digits, '-', '_' and '.'"));
    }
    let mut key = template(&doc.key, encoded).map_err(|error| error.within("key").key("key"))?;
    let scoped = variables(&key, document).map_err(|error| error.within("key").key("key"))?;
    if encoded {
        only_variable_takes_slashes(&mut key, &scoped);
    }
    let own_key = doc.fields.iter().any(|field| field == ".");
    let mut fields = Vec::new();
    for (at, text) in doc.fields.iter().enumerate().filter(|(_, text)| *text != ".") {
        let field = template(text, encoded).and_then(|field| plain_variables(&field).map(|()| field));
        fields.push(field.map_err(|error| error.within("fields").item(at).key("fields"))?);
    }
    if doc.fields.is_empty() {
        return Err(SchemaProblem::new("a kind needs at least one field ('.' is the object's own key)")
            .within("fields")
            .key("fields"));
    }
    let anchor = doc.anchor.as_ref().map(|text| {
        let parts: Vec<&[u8]> = text.split('/').map(str::as_bytes).collect();
        let declared = if text == "." { own_key } else { fields.iter().any(|field| field.fits(&parts).is_some()) };
        let unknown =
            || SchemaProblem::new(format!("'{text}' is not one of the fields")).within("anchor").key("anchor");
        declared.then(|| own(text)).ok_or_else(unknown)
    });
    let anchor = anchor.transpose()?;
    if key.many().is_some() && anchor.is_none() && !same_length(&fields, own_key) {
        let message = format!(
            "the end of a name in '{}' is ambiguous: give the kind an anchor (a field that every object has) or encoding: \
             percent",
            doc.key
        );
        return Err(SchemaProblem::new(message).within("key").key("key"));
    }
    let (always_root, roots) = roots(&doc.root).map_err(|error| error.within("root").key("root"))?;
    let flat = doc.flat.as_ref().map(|text| Pattern::parse(text, None));
    let flat = flat.transpose().map_err(|error| SchemaProblem::new(error).within("flat").key("flat"))?;
    let kind = Kind {
        name: doc.kind.clone(),
        key,
        encoding,
        scoped,
        anchor,
        own_key,
        fields,
        collect: doc.collect,
        may_empty: doc.may_empty,
        always_root,
        roots,
        flat,
        moments: Vec::new(),
        edges: 0..0,
        links: Vec::new(),
    };
    root_fields_exist(&kind, doc.flat.as_ref())?;
    Ok(kind)
}

/// Whether all keys of an object have the same number of segments after the object's own key, so that the end of that
/// key is unambiguous.
fn same_length(fields: &[Template], own_key: bool) -> bool {
    let lengths = fields.iter().map(|field| if field.many().is_some() { usize::MAX } else { field.0.len() });
    let mut lengths: Vec<usize> = lengths.chain(own_key.then_some(0)).collect();
    lengths.dedup();
    lengths.len() == 1 && lengths[0] != usize::MAX
}

fn root_fields_exist(kind: &Kind, flat: Option<&String>) -> Result<(), SchemaProblem> {
    for (at, rule) in kind.roots.iter().enumerate() {
        match rule {
            RootRule::Field { pattern, text, .. } => declared(kind, pattern, text),
            RootRule::Unexpired { field, .. } => declared_plainly(kind, field),
            // The edges are not known yet.
            RootRule::Unless { .. } => Ok(()),
        }
        .map_err(|error| error.within(format!("rule {}", at + 1)).within("root").item(at).key("root"))?;
    }
    match kind.flat.as_ref().zip(flat) {
        Some((pattern, text)) => declared(kind, pattern, text).map_err(|error| error.within("flat").key("flat")),
        None => Ok(()),
    }
}

fn template(text: &str, encoded: bool) -> Result<Template, SchemaProblem> {
    Template::parse(text, encoded).map_err(SchemaProblem::new)
}

/// Lets the variable of an encoded key contain slashes if it is the whole identity.
fn only_variable_takes_slashes(key: &mut Template, scoped: &[bool]) {
    if scoped.iter().filter(|scoped| !**scoped).count() != 1 {
        return;
    }
    let own = scoped.iter().position(|scoped| !*scoped).and_then(|at| key.variables().nth(at)).map(str::to_owned);
    for segment in &mut key.0 {
        if let Segment::One(name) = segment
            && Some(&*name) == own.as_ref()
        {
            *segment = Segment::Encoded(std::mem::take(name));
        }
    }
}

/// Checks the variables of a field or an opaque key.
fn plain_variables(template: &Template) -> Result<(), SchemaProblem> {
    if template.0.iter().any(|segment| matches!(segment, Segment::Part(..))) {
        return Err(SchemaProblem::new("a part of a variable can only be used in a key and in an id"));
    }
    one_long_variable(template)
}

fn one_long_variable(template: &Template) -> Result<(), SchemaProblem> {
    let is_long = |segment: &&Segment| matches!(segment, Segment::Many(_) | Segment::Encoded(_));
    let long = template.0.iter().filter(is_long).count();
    if long > 1 {
        return Err(SchemaProblem::new("a template may have only one variable of any length"));
    }
    Ok(())
}

/// For each variable of the key, whether it belongs to the scope.
fn variables(key: &Template, document: &SchemaDocument) -> Result<Vec<bool>, SchemaProblem> {
    one_long_variable(key)?;
    let names: Vec<&str> = key.variables().collect();
    if names.len() > MAX_VARIABLES {
        return Err(SchemaProblem::new(format!("a key may have at most {MAX_VARIABLES} variables")));
    }
    if let Some(twice) = names.iter().enumerate().find(|(at, name)| names[..*at].contains(name)) {
        return Err(SchemaProblem::new(format!("the variable '{{{}}}' is used twice", twice.1)));
    }
    let unknown = key.0.iter().find_map(|segment| match segment {
        Segment::Part(name, _) if !names.contains(&name.as_str()) => Some(name),
        _ => None,
    });
    if let Some(unknown) = unknown {
        return Err(SchemaProblem::new(format!("the key has a part of '{{{unknown}}}', but not the variable itself")));
    }
    let scoped: Vec<bool> = names.iter().map(|name| document.scope.iter().any(|scope| scope == name)).collect();
    let long = key.0.iter().find_map(|segment| match segment {
        Segment::Many(name) | Segment::Encoded(name) => Some(name),
        _ => None,
    });
    if key.0.contains(&Segment::Many(String::new())) {
        return Err(SchemaProblem::new("'**' is only allowed in fields"));
    }
    if let Some(long) = long.filter(|name| document.scope.contains(name)) {
        return Err(SchemaProblem::new(format!("the scope variable '{{{long}+}}' must be one segment: '{{{long}}}'")));
    }
    let in_scope = scoped.iter().filter(|scoped| **scoped).count();
    if in_scope != 0 && in_scope != document.scope.len() {
        return Err(SchemaProblem::new("the key has some but not all variables of the scope"));
    }
    let order: Vec<&&str> = names.iter().zip(&scoped).filter(|(_, scoped)| **scoped).map(|(name, _)| name).collect();
    if in_scope != 0 && !order.iter().zip(&document.scope).all(|(name, scope)| **name == scope) {
        return Err(SchemaProblem::new("the key has the scope's variables in another order"));
    }
    Ok(scoped)
}

fn scopes_are_used(schema: &Schema) -> Result<(), SchemaProblem> {
    let used = schema.kinds.iter().any(|kind| kind.scoped.contains(&true));
    if !schema.scope.is_empty() && !used {
        return Err(SchemaProblem::new("no key uses these variables").within("scope").key("scope"));
    }
    Ok(())
}

fn roots(doc: &RootDoc) -> Result<(bool, Vec<RootRule>), SchemaProblem> {
    match doc {
        RootDoc::Always => Ok((true, Vec::new())),
        RootDoc::Never => Ok((false, Vec::new())),
        RootDoc::Rules(rules) if rules.is_empty() => Err(SchemaProblem::new("the list of rules is empty; use 'never'")),
        RootDoc::Rules(rules) if rules.len() > MAX_ROOT_RULES => {
            Err(SchemaProblem::new(format!("a kind may have at most {MAX_ROOT_RULES} rules")))
        }
        RootDoc::Rules(rules) => {
            let numbered = rules
                .iter()
                .enumerate()
                .map(|(at, rule)| root_rule(rule).map_err(|error| error.within(format!("rule {}", at + 1)).item(at)));
            Ok((false, numbered.collect::<Result<_, _>>()?))
        }
    }
}

fn root_rule(doc: &RootRuleDoc) -> Result<RootRule, SchemaProblem> {
    match (&doc.field, &doc.unexpired, &doc.unless) {
        (None, None, Some(text)) => {
            let others = doc.suffix.is_some() || doc.empty;
            if others || doc.format.is_some() || doc.missing.is_some() || doc.invalid.is_some() {
                return Err(SchemaProblem::new("'unless' cannot be combined with other keys"));
            }
            Ok(RootRule::Unless { edges: Vec::new(), text: text.clone() })
        }
        (Some(field), None, None) => {
            if doc.format.is_some() || doc.missing.is_some() || doc.invalid.is_some() {
                return Err(SchemaProblem::new("'format', 'missing' and 'invalid' require 'unexpired'"));
            }
            let text = if field == "." { "" } else { field };
            let pattern = if text.is_empty() { Pattern::own_key() } else { pattern(text, doc.suffix.as_deref())? };
            Ok(RootRule::Field { pattern, empty: doc.empty, text: field.clone() })
        }
        (None, Some(field), None) => {
            if doc.suffix.is_some() || doc.empty {
                return Err(SchemaProblem::new("'suffix' and 'empty' require 'field'"));
            }
            let (Some(format), Some(missing)) = (doc.format, doc.missing) else {
                return Err(SchemaProblem::new("'unexpired' requires 'format' and 'missing'"));
            };
            Ok(RootRule::Unexpired {
                field: own(field),
                format: time_format(format),
                missing: missing != MissingDoc::NoRoot,
                suspect: missing == MissingDoc::Suspect,
                strict: doc.invalid == Some(InvalidDoc::Error),
            })
        }
        _ => Err(SchemaProblem::new("a rule needs one of 'field', 'unexpired' and 'unless'")),
    }
}

/// Templates of all keys that a kind can have.
fn keys_of(kind: &Kind) -> impl Iterator<Item = Template> {
    let own = kind.own_key.then(|| kind.key.clone());
    kind.fields.iter().map(|field| kind.key.join(field)).chain(own)
}

/// Rejects schemas in which a key could belong to two kinds, or in which removing an object could remove keys of
/// another kind that lie inside it.
fn kinds_are_apart(schema: &Schema) -> Result<(), SchemaProblem> {
    let anything = Template(vec![Segment::Many(String::new())]);
    for (at, kind) in schema.kinds.iter().enumerate() {
        let problem = |message: String| {
            let kind = format!("kind '{}'", kind.name);
            SchemaProblem::new(message).within(kind).key("key").item(at).key("kinds")
        };
        let inside = kind.key.join(&anything);
        for other in schema.kinds.iter().enumerate().filter(|(place, _)| *place != at).map(|(_, other)| other) {
            let others: Vec<Template> = keys_of(other).collect();
            if keys_of(kind).any(|key| others.iter().any(|other| key.meets(other))) {
                return Err(problem(format!("a key could belong to this kind or to kind '{}'", other.name)));
            }
            if kind.collect && others.iter().any(|key| inside.meets(key)) {
                let message =
                    format!("the kind cannot be collected: keys of kind '{}' lie inside its objects", other.name);
                return Err(problem(message));
            }
        }
        for opaque in &schema.opaque {
            if keys_of(kind).any(|key| key.meets(opaque)) || (kind.collect && inside.meets(opaque)) {
                return Err(problem(
                    "an opaque key could belong to this kind or lie inside one of its objects".to_owned(),
                ));
            }
        }
    }
    Ok(())
}

/// FNV-1a with 128 bits: distinguishes an edited schema from the one a plan was made with.
fn hash(text: &str) -> String {
    const OFFSET: u128 = 0x6c62_272e_07bb_0142_62b8_2175_6295_c58d;
    const PRIME: u128 = 0x0000_0000_0100_0000_0000_0000_0000_013b;
    let hash = text.bytes().fold(OFFSET, |hash, byte| (hash ^ u128::from(byte)).wrapping_mul(PRIME));
    format!("{hash:032x}")
}
