//! Writes the tree as a DOT graph for Graphviz.

use std::fmt::Write as _;
use std::io::{self, Write};

use super::mark::Marking;
use super::model::{Model, ObjectId};

/// Writes the graph: roots are boxes, garbage is red, objects that are only referred to are dashed.
///
/// # Errors
/// The writer fails.
pub fn write_dot(model: &Model, marking: &Marking, out: &mut dyn Write) -> io::Result<()> {
    writeln!(out, "digraph {} {{", quoted(model.schema().name.as_bytes()))?;
    writeln!(out, "  rankdir=LR; node [shape=ellipse, fontname=\"monospace\"];")?;
    for id in model.all_ids() {
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
    for (edge, holds) in plain.chain(tied) {
        let style = if holds { "" } else { ", style=dotted" };
        let label = quoted(model.rule(edge).text.as_bytes());
        writeln!(out, "  n{} -> n{} [label={label}{style}];", edge.from, edge.to)?;
    }
    writeln!(out, "}}")
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
