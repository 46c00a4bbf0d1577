//! kvadm-schema(7): the language in which a schema describes a metadata tree for `gc metadata`.

/// The sections of the page, each a heading and its text.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "DESCRIPTION",
        "\
A schema is a YAML file that describes a tree of metadata in etcd: which objects exist, which of them are roots, and which
objects keep which others. An object that no root keeps, directly or through other objects, is garbage. 'gc metadata'
finds garbage and removes it.

Two schemas are built in. 'kvadm gc metadata --print-schema NAME' prints them:

  containerd      containerd 2.x
  containerd-1.7  containerd 1.5 to 1.7: images are never collected; no back references and no conditions

Every key of the file is checked: an unknown key is an error that names the line. A plan stores the hash of the schema
file, so a plan that was made with another text is refused, even if only a comment differs.

The schema in EXAMPLE describes builds. A run is a root until it expires. A run keeps the artifacts that it uses, and an
artifact keeps the artifact that it is based on. An artifact with the label keep is a root.",
    ),
    ("EXAMPLE", EXAMPLE),
    (
        "TOP LEVEL",
        "
  schema         The version of the language: 1.
  name           The name of the schema, for messages.
  encoding       How names are written in keys. raw (the default): as they are. percent: with %XX, so that a name that
                 contains slashes is one segment.
  scope          The variables of keys that separate scopes. A reference never leaves its scope: it only leads to objects
                 with the same values of these variables.
  outside-roots  true: some roots are not stored in etcd. --apply then requires --roots FILE or --roots-complete.
  opaque         Keys that are known, belong to no object, and are never touched.
  reserved       Prefixes of field names that are reserved for rules. --check reports other fields that begin with them.
  groups         Named lists of edges that several kinds share.
  kinds          The list of kinds, in the order in which they are swept.",
    ),
    (
        "KINDS",
        "
  kind       The name of the kind.
  key        Template of the keys of its objects, below the prefix that is collected.
  fields     Templates of all keys below the key of the object. '.' is the key of the object itself, '**' is anything below
             it.
  anchor     A field that every object has; see NAMES.
  encoding   The encoding of this kind, if it differs from the top level.
  collect    true: objects of this kind are removed if nothing keeps them.
  may-empty  true: all objects of this kind may be removed at once.
  root       The rules that make an object a root; see ROOTS.
  edges      What objects of this kind keep, or what keeps them; see EDGES.
  flat       The field that makes the members of an object flat; see EDGES.
  backlinks  List of {field, of, id}: the field names an object that refers back to this object. When this object is swept,
             the field is removed with it.

A schema is refused if keys of two kinds could be the same, or if the keys of another kind lie inside the objects of a kind
that is collected.",
    ),
    (
        "NAMES",
        "\
{name} in a template matches one segment between slashes. {name+} may contain slashes. With raw encoding, {name+} matches
one or more segments, so a key may be read in several ways. The key then belongs to the object whose anchor exists. If this
does not single out one object, the key is ambiguous: kvadm reports it and sweeps nothing. With --ignore-unparsed, kvadm
continues and keeps the objects that such a key may belong to.

The identity of an object is the values of its variables, without those of the scope, joined by slashes.",
    ),
    (
        "ROOTS",
        "\
root is always, never, or a list of rules. An object is a root if one of the rules holds:

  {field: F}  The field F exists and is not empty. 'suffix' works as for edges. 'empty: true' also accepts an empty field.
  {unexpired: F, format: X, missing: Y, invalid: Z}
              The field F holds a time that has not passed. A time equal to now has not passed.

The format is rfc3339, unix (seconds) or go-binary (15 or 16 bytes). If the field F is missing, the object is a root
(missing: root), a root that --check reports (missing: suspect), or not a root (missing: no-root). If the time cannot be
read, the object is a root (invalid: root, the default) or the collection is refused (invalid: error).

A schema in which no kind has a root is refused.",
    ),
    (
        "EDGES",
        "
  field   The field that holds the reference. {x} captures up to the next slash, or up to what follows it in the pattern.
          {x+} also captures slashes.
  suffix  What may follow the name of the field: one of these characters and then anything, or '*' for anything at all.
  fields  Instead of field: {a: F, b: G} joins several fields, all of which must exist.
  value   A pattern for the value, with captures.
  to      The kind that the edge leads to.
  from    Instead of to: a back reference. The object of that kind keeps this one.
  id      The identity of the other object (default: {value}), made of captures, the variables of the object, {value} and
          what 'value' captures. If {value} is not used, the existence of the key counts; otherwise an empty value is not a
          reference.
  when    {conditions: C, name: N, field: F, format: X}: the edge exists only if one of the conditions N<DURATION or
          N>DURATION in the capture C, separated by commas, holds for the age of the field F of the object that the edge
          leads to.
  flat    members: if the object has the flat field of its kind, the other object is kept flat: its own edges are not
          followed, except those with 'flat: through'.
  group   Instead of all the above: the edges of this group.

A reference to an object that does not exist is legal; --check lists it.",
    ),
    (
        "SWEEP ORDER",
        "\
Expired roots are removed first, then the kinds in the order of the schema. Within a kind, an object is removed before the
objects that it refers to.

A transaction removes up to 127 objects. For each object it compares that none of its keys is newer than the scan, and that
the fields that made it garbage (an expiry time, a flat label) are unchanged. If etcd refuses the transaction because
something changed, kvadm splits it in half until it finds the object that changed. That object is skipped, and the objects
that it referred to are held back.",
    ),
];

/// A complete schema.
const EXAMPLE: &str = "\
schema: 1
name: builds
scope: [project]
kinds:
  - kind: run
    key: \"{project}/runs/{id}\"
    fields: [expires, \"uses/{artifact}\"]
    collect: true
    may-empty: true
    root:
      - {unexpired: expires, format: unix, missing: root}
    edges:
      - {field: \"uses/{artifact}\", to: artifact, id: \"{artifact}\"}
  - kind: artifact
    key: \"{project}/artifacts/{id}\"
    fields: [size, base, \"labels/{label}\"]
    collect: true
    root:
      - {field: labels/keep}
    edges:
      - {field: base, to: artifact}
";
