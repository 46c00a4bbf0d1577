//! Writes the tree as a DOT graph for Graphviz.

use std::collections::HashSet;
use std::fmt::Write as _;
use std::io::{self, Write};

use super::mark::Marking;
use super::model::{Model, ObjectId};

/// Writes the graph: roots are boxes, garbage is red, objects that are only referred to are dashed. An edge is solid if it
/// keeps its target, dotted if its condition fails, and dashed if it does not count for another reason: the object that
/// it leads from is not kept, or is kept flat. With `only`, just these objects and the edges between them are written.
///
/// # Errors
/// The writer fails.
pub fn write_dot(
    model: &Model,
    marking: &Marking,
    only: Option<&HashSet<ObjectId>>,
    out: &mut dyn Write,
) -> io::Result<()> {
    let shown = |id: ObjectId| only.is_none_or(|only| only.contains(&id));
    writeln!(out, "digraph {} {{", quoted(model.schema().name.as_bytes()))?;
    writeln!(out, "  rankdir=LR; node [shape=ellipse, fontname=\"monospace\"];")?;
    for id in model.all_ids().filter(|id| shown(*id)) {
        let mut style = String::new();
        if marking.is_root(id) {
            style.push_str(", shape=box");
        }
        if !model.exists(id) {
            style.push_str(", style=dashed");
        } else if marking.is_garbage(model, id) {
            style.push_str(", color=red");
        }
        writeln!(out, "  n{id} [label={}{style}];", quoted(name(model, id).as_slice()))?;
    }
    let plain = model.all_edges().iter().map(|edge| (*edge, true));
    let tied = model.all_conditional().map(|edge| (edge, marking.conditional().binary_search(&edge).is_ok()));
    for (edge, holds) in plain.chain(tied).filter(|(edge, _)| shown(edge.from) && shown(edge.to)) {
        let through = model.rule(edge).through && marking.is_reached(edge.from);
        let style = match (holds, marking.is_reached_fully(edge.from) || through) {
            (false, _) => ", style=dotted",
            (true, false) => ", style=dashed",
            (true, true) => "",
        };
        let label = quoted(model.rule(edge).text.as_bytes());
        writeln!(out, "  n{} -> n{} [label={label}{style}];", edge.from, edge.to)?;
    }
    writeln!(out, "}}")
}

/// The objects that at most `depth` edges, in either direction, separate from this one, and itself.
pub fn neighbourhood(model: &Model, id: ObjectId, depth: u32) -> HashSet<ObjectId> {
    let mut found = HashSet::from([id]);
    for _ in 0..depth {
        let mut new = Vec::new();
        for edge in model.all_edges().iter().copied().chain(model.all_conditional()) {
            match (found.contains(&edge.from), found.contains(&edge.to)) {
                (true, false) => new.push(edge.to),
                (false, true) => new.push(edge.from),
                _ => {}
            }
        }
        if new.is_empty() {
            break;
        }
        found.extend(new);
    }
    found
}

/// `kind scope/identity`, as bytes.
fn name(model: &Model, id: ObjectId) -> Vec<u8> {
    let mut name = model.kind(id).name.clone().into_bytes();
    name.push(b'\n');
    for (part, first) in [(model.scope(id), true), (model.identity(id), false)] {
        if !first && !part.is_empty() && name.last() != Some(&b'\n') {
            name.push(b'/');
        }
        name.extend_from_slice(part);
    }
    name
}

/// Formats a DOT string: escapes quotes, backslashes, newlines, and (as `\xNN`) control characters and invalid UTF-8.
fn quoted(bytes: &[u8]) -> String {
    let mut text = String::from("\"");
    for chunk in bytes.utf8_chunks() {
        for c in chunk.valid().chars() {
            match c {
                '"' => text.push_str("\\\""),
                '\\' => text.push_str("\\\\"),
                '\n' => text.push_str("\\n"),
                c if c.is_control() => {
                    let _ = write!(text, "\\\\x{:02x}", u32::from(c));
                }
                c => text.push(c),
            }
        }
        for byte in chunk.invalid() {
            let _ = write!(text, "\\\\x{byte:02x}");
        }
    }
    text.push('"');
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_stay_strings() {
        assert_eq!(quoted(b"a\"b\\c\nd\x1b\xff\xc3\xa9"), "\"a\\\"b\\\\c\\nd\\\\x1b\\\\xff\u{e9}\"");
    }
}
