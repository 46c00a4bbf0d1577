//! kvadm-schema(7): the language in which `gc metadata` is told what a tree is made of.

/// The page's sections, each a heading and lines as they are to be set.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "DESCRIPTION",
        "\
A schema is a YAML file that describes a tree of metadata in etcd: what objects there are, which
of them are needed for themselves (roots), and which ones keep others. 'gc metadata' removes the
rest. Two schemas are built in, and printed by 'kvadm gc metadata --print-schema NAME':

  containerd       containerd 2.x
  containerd-1.7   containerd 1.5 to 1.7: images never go, no back references, no conditions

Every key of the file is known or refused, with the line. A plan holds the file's hash: a plan
that was made with another text is refused, be it a comment that changed.",
    ),
    ("EXAMPLE", EXAMPLE),
    (
        "THE WHOLE",
        "\
  schema          1, the version of the language
  name            for messages
  encoding        raw (default): names stand in keys as they are; percent: %XX, so that a name
                  with slashes is one segment
  scope           variables of keys; a reference never leaves what has the same values of them
  outside-roots   true: some roots are not in etcd; --apply then demands --roots FILE or
                  --roots-complete
  opaque          keys that are known, belong to no object, and are never touched
  reserved        what fields begin with that only rules may have: --check reports others
  groups          lists of edges by name, that several kinds share
  kinds           a list, in the order in which they are swept",
    ),
    (
        "KINDS",
        "\
  kind        its name
  key         the template of its objects' keys, below the prefix that is collected
  fields      templates below the object's key; all there are. '.' is the object's own key,
              '**' anything below it
  anchor      a field that every object has; see NAMES
  encoding    its own, if it is another
  collect     true: objects that nothing keeps go
  may-empty   true: all of them may go at once
  root        what makes a root; see ROOTS
  edges       what its objects keep, or who keeps them; see EDGES
  flat        the field that makes an object's members flat; see EDGES
  backlinks   a list of {field, of, id}: the field names an object that refers back to this one;
              when that one is swept, the field goes with it

Two kinds whose keys could be the same are refused, and so is a kind that is collected while
another one's keys lie inside its objects.",
    ),
    (
        "NAMES",
        "\
{name} in a template is one segment between slashes. {name+} may hold slashes: with raw encoding
it takes one segment or more, so that a key may be read in several ways. It belongs to the object
whose anchor is there. If that is not exactly one, the key is ambiguous: it is reported, and
nothing is swept (--ignore-unparsed: but what it may lie in). An object's identity is its
variables but the scope's, joined by slashes.",
    ),
    (
        "ROOTS",
        "\
always, never, or a list of rules of which one must hold:

  {field: F}                     F is there and not empty; 'suffix' as for edges; 'empty: true':
                                 or empty
  {unexpired: F, format: X, missing: Y, invalid: Z}
                                 F holds a moment that is not over; equal is not over

The format is rfc3339, unix (seconds) or go-binary (15 or 16 bytes). Without F the object is a
root (missing: root), a root that --check notes (suspect), or none (no-root). With a moment that
cannot be read it is a root (invalid: root, the default), or the collection is refused (error).
Where no kind has a root the schema is refused.",
    ),
    (
        "EDGES",
        "\
  field       the field it is read from; {x} captures up to the next slash or to what follows it
              in the pattern, {x+} also over slashes
  suffix      what may follow the field's name: one of these characters and anything, or '*' for
              anything at all
  fields      instead: {a: F, b: G} joins several fields, all of which must be there
  value       a pattern over the value, with captures
  to          the kind that it leads to
  from        instead: a back reference; that kind's object keeps this one
  id          the other's identity (default {value}), of captures, the object's own variables,
              {value}, and what 'value' captures. Without {value} the key's existence counts,
              else an empty value is no reference
  when        {conditions: C, name: N, field: F, format: X}: only where one of the conditions
              N<DURATION or N>DURATION in capture C, between commas, holds for the age of F of
              the object it leads to
  flat        members: where the object has its kind's flat field, what this leads to is kept
              flat: without following its edges, but those with 'flat: through'
  group       instead of all that: the edges of this group

A reference to what is not there is legal; --check lists it.",
    ),
    (
        "THE SWEEP",
        "\
Expired roots go first, then kind by kind as listed, within a kind whoever refers before whom it
refers to. A transaction removes up to 127 objects and compares, for each, that none of its keys
is newer than the look, and that the fields it is garbage by (an expiry, a flat label) are as
they were: one that somebody withdrew is seen. A refused transaction is halved, down to the
object that changed; that one is skipped, and what it referred to is held back.",
    ),
    ("SEE ALSO", "kvadm(1), kvadm-gc-metadata(1)"),
];

/// A schema as one writes it.
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
