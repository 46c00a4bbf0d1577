//! How two values of a key differ, as the lines of a unified diff for people.

use std::borrow::Cow;
use std::io;
use std::time::{Duration, Instant};

use similar::{Algorithm, DiffOp, capture_diff_slices_deadline, group_diff_ops};

use super::json_text::JsonText;
use super::out::Out;
use super::sanitize::sanitize;
use crate::plural::counted;
use crate::proto::{Codec, Decoded};

/// A larger value gets a summary: nobody reads a longer diff on a terminal.
const MAX_VALUE_BYTES: usize = 256 << 10;
/// A larger formatted value is compared as it is stored: deep nesting multiplies the size by its indentation.
const MAX_FORMATTED_BYTES: usize = 4 * MAX_VALUE_BYTES;
/// Unchanged lines around a change, as in other tools.
const CONTEXT_LINES: usize = 3;
/// Time for one diff. Values within [`MAX_VALUE_BYTES`] take milliseconds, unless they are made to be slow.
const TIME_LIMIT: Duration = Duration::from_millis(500);

/// What a line of a diff is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum DiffLineKind {
    /// A sentence about values that are not shown line by line.
    Summary,
    /// The position of a group of changes: `@@ -1,3 +1,4 @@`.
    Hunk,
    /// A line of both values.
    Context,
    /// A line of the old value only.
    Removed,
    /// A line of the new value only.
    Added,
    /// The line before has no newline, because the value ends without one.
    NoNewline,
}

/// One line of a diff.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DiffLine {
    /// What the line is.
    pub kind: DiffLineKind,
    /// The text without a newline and without the leading `+`, `-` or space. It is not sanitized.
    pub text: String,
}

/// How two values differ.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ValueDiff {
    lines: Vec<DiffLine>,
}

/// Whether a person can read the value as lines of text: UTF-8 without NUL, which no text file contains.
pub fn is_text(value: &[u8]) -> bool {
    std::str::from_utf8(value).is_ok() && !value.contains(&0)
}

/// Two values in a form in which their lines can be compared.
struct Comparable<'a> {
    old: Cow<'a, str>,
    new: Cow<'a, str>,
    /// What two values with the same text differ in.
    otherwise: &'static str,
}

impl ValueDiff {
    /// What leads from the old value of the key to the new one; `None` is a missing key. Values that the codec decodes, and
    /// JSON objects and arrays, are formatted before they are compared, if that is possible for both values.
    pub fn of(old: Option<&[u8]>, new: Option<&[u8]>, key: &[u8], codec: &Codec) -> Self {
        let (old_bytes, new_bytes) = (old.unwrap_or_default(), new.unwrap_or_default());
        if old_bytes == new_bytes {
            return Self::default();
        }
        let bytes = || byte_counts(old_bytes, new_bytes);
        if old_bytes.len().max(new_bytes.len()) > MAX_VALUE_BYTES {
            return Self::summary(format!("large values differ: {}", bytes()));
        }
        let decoded = [old, new].map(|value| value.map(|value| decode(key, value, codec)));
        let Some(values) = messages(&decoded).or_else(|| json(old, new)).or_else(|| text(old_bytes, new_bytes)) else {
            return Self::summary(format!("binary values differ: {}", bytes()));
        };
        if values.old == values.new {
            return Self::summary(format!("the values differ only in {}", values.otherwise));
        }
        unified(&values.old, &values.new).map_or_else(
            || Self::summary(format!("the values differ in too many lines: {}", bytes())),
            |lines| Self { lines },
        )
    }

    /// The lines in order; none for equal values.
    pub fn lines(&self) -> &[DiffLine] {
        &self.lines
    }

    fn summary(text: String) -> Self {
        Self { lines: vec![DiffLine { kind: DiffLineKind::Summary, text }] }
    }
}

/// The value as JSON; `None` if the codec has no rule for the key or cannot decode the value.
fn decode(key: &[u8], value: &[u8], codec: &Codec) -> Option<Decoded> {
    codec.decode(key, value)?.ok()
}

fn messages(decoded: &[Option<Option<Decoded>>; 2]) -> Option<Comparable<'static>> {
    let mut otherwise = "their encoding";
    let mut texts = [String::new(), String::new()];
    for (value, text) in decoded.iter().zip(&mut texts) {
        let Some(value) = value else { continue };
        let value = value.as_ref()?;
        if value.missing.is_some() {
            otherwise = "fields that their message type does not have";
        }
        *text = format!("{:#}\n", value.json);
    }
    let [old, new] = within_limit(texts)?;
    Some(Comparable { old: Cow::Owned(old), new: Cow::Owned(new), otherwise })
}

fn json(old: Option<&[u8]>, new: Option<&[u8]>) -> Option<Comparable<'static>> {
    let format = |value: Option<&[u8]>| {
        let Some(value) = value else { return Some(String::new()) };
        JsonText::parse(value).map(|json| json.canonical() + "\n")
    };
    let [old, new] = within_limit([format(old)?, format(new)?])?;
    Some(Comparable { old: Cow::Owned(old), new: Cow::Owned(new), otherwise: "formatting" })
}

fn text<'a>(old: &'a [u8], new: &'a [u8]) -> Option<Comparable<'a>> {
    // Most values have no newline at their end. It is worth a line only if one value has it and the other has not.
    let ends = if old.ends_with(b"\n") || new.ends_with(b"\n") { "" } else { "\n" };
    let text = |value: &'a [u8]| {
        let text = std::str::from_utf8(value).ok().filter(|_| is_text(value))?;
        Some(if text.is_empty() || ends.is_empty() { Cow::Borrowed(text) } else { Cow::Owned(text.to_owned() + ends) })
    };
    Some(Comparable { old: text(old)?, new: text(new)?, otherwise: "" })
}

fn within_limit(texts: [String; 2]) -> Option<[String; 2]> {
    texts.iter().all(|text| text.len() <= MAX_FORMATTED_BYTES).then_some(texts)
}

/// "12 bytes -> 15 bytes, first difference at byte 3"; the first byte is byte 0.
fn byte_counts(old: &[u8], new: &[u8]) -> String {
    let same = old.iter().zip(new).take_while(|(old, new)| old == new).count();
    let (old, new) = (counted(old.len(), "byte"), counted(new.len(), "byte"));
    format!("{old} -> {new}, first difference at byte {same}")
}

/// The lines of a unified diff; `None` if it takes too long.
fn unified(old: &str, new: &str) -> Option<Vec<DiffLine>> {
    let (old, new): (Vec<&str>, Vec<&str>) = (old.split_inclusive('\n').collect(), new.split_inclusive('\n').collect());
    let deadline = Instant::now() + TIME_LIMIT;
    let changes = capture_diff_slices_deadline(Algorithm::Myers, &old, &new, Some(deadline));
    if Instant::now() >= deadline {
        return None;
    }
    let mut lines = Vec::new();
    for group in group_diff_ops(changes, CONTEXT_LINES) {
        lines.push(DiffLine { kind: DiffLineKind::Hunk, text: hunk(&group) });
        for change in group {
            let (old, new) = (old.get(change.old_range())?, new.get(change.new_range())?);
            match change {
                DiffOp::Equal { .. } => add(&mut lines, DiffLineKind::Context, old),
                _ => {
                    add(&mut lines, DiffLineKind::Removed, old);
                    add(&mut lines, DiffLineKind::Added, new);
                }
            }
        }
    }
    Some(lines)
}

fn add(lines: &mut Vec<DiffLine>, kind: DiffLineKind, texts: &[&str]) {
    for line in texts {
        let text = line.strip_suffix('\n');
        lines.push(DiffLine { kind, text: text.unwrap_or(line).to_owned() });
        if text.is_none() {
            lines.push(DiffLine { kind: DiffLineKind::NoNewline, text: "no newline at the end".to_owned() });
        }
    }
}

/// The header of a group: first line and number of lines of both values.
fn hunk(group: &[DiffOp]) -> String {
    let (first, last) = (group.first(), group.last());
    let range = |start: Option<usize>, end: Option<usize>| {
        let (start, end) = (start.unwrap_or_default(), end.unwrap_or_default());
        match end.saturating_sub(start) {
            // An empty range names the line before it.
            0 => format!("{start},0"),
            1 => format!("{}", start + 1),
            count => format!("{},{count}", start + 1),
        }
    };
    let old = range(first.map(|op| op.old_range().start), last.map(|op| op.old_range().end));
    let new = range(first.map(|op| op.new_range().start), last.map(|op| op.new_range().end));
    format!("@@ -{old} +{new} @@")
}

impl DiffLine {
    /// The line as a terminal may show it, with its newline; with colours, but never told by colour alone.
    fn format(&self, colored: bool) -> String {
        let (mark, color) = match self.kind {
            DiffLineKind::Summary => ("", ""),
            DiffLineKind::Hunk => ("", "36"),
            DiffLineKind::Context => (" ", ""),
            DiffLineKind::Removed => ("-", "31"),
            DiffLineKind::Added => ("+", "32"),
            DiffLineKind::NoNewline => ("\\ ", ""),
        };
        // Tabs stay; the text has no newline.
        let text = sanitize(self.text.as_bytes(), true);
        if colored && !color.is_empty() {
            format!("\x1b[{color}m{mark}{text}\x1b[0m\n")
        } else {
            format!("{mark}{text}\n")
        }
    }
}

impl Out {
    /// Prints the lines of a diff to stdout.
    ///
    /// # Errors
    /// The stream is closed or full.
    pub fn value_diff(&self, diff: &ValueDiff) -> io::Result<()> {
        diff.lines.iter().try_for_each(|line| self.bytes(line.format(self.shared.bold).as_bytes()))
    }

    /// Prints the lines of a diff to stderr, below a note; nothing with `--quiet`.
    pub fn note_value_diff(&self, about: &str, diff: &ValueDiff) {
        if self.notes() {
            self.note(about);
            self.difference_to_stderr(diff);
        }
    }

    /// Prints what leads from one value to another, also with `--quiet`.
    pub fn value_diff_always(&self, about: &str, diff: &ValueDiff) {
        if self.notes() {
            self.note(about);
        } else {
            self.warn_always(about);
        }
        self.difference_to_stderr(diff);
    }

    fn difference_to_stderr(&self, diff: &ValueDiff) {
        let lines: String = diff.lines.iter().map(|line| line.format(self.shared.colored_errors)).collect();
        self.stderr(lines.as_bytes());
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use proptest::prelude::*;

    use super::*;

    fn diff(old: Option<&[u8]>, new: Option<&[u8]>) -> String {
        let diff = ValueDiff::of(old, new, b"k", &Codec::default());
        diff.lines().iter().map(|line| line.format(false)).collect()
    }

    #[test]
    fn text_is_compared_line_by_line() {
        assert_eq!(diff(Some(b"a\nb\nc\n"), Some(b"a\nB\nc\nd\n")), "@@ -1,3 +1,4 @@\n a\n-b\n+B\n c\n+d\n");
        assert_eq!(diff(Some(b"a"), Some(b"a")), "");
        assert_eq!(diff(Some(b"a\nb"), Some(b"a\nc")), "@@ -1,2 +1,2 @@\n a\n-b\n+c\n");
        assert_eq!(diff(Some(b""), Some(b"a")), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff(None, Some(b"a\n")), "@@ -0,0 +1 @@\n+a\n");
        assert_eq!(diff(Some(b"a\n"), None), "@@ -1 +0,0 @@\n-a\n");
        assert_eq!(diff(Some(b"a\n"), Some(b"a")), "@@ -1 +1 @@\n-a\n+a\n\\ no newline at the end\n");
        let many: String = (0..20).map(|line| format!("{line}\n")).collect();
        let changed = many.replace("10\n", "x\n");
        assert_eq!(
            diff(Some(many.as_bytes()), Some(changed.as_bytes())),
            "@@ -8,7 +8,7 @@\n 7\n 8\n 9\n-10\n+x\n 11\n 12\n 13\n"
        );
    }

    #[test]
    fn json_is_compared_in_its_canonical_form() {
        assert_eq!(
            diff(Some(br#"{"b":1,"a":[]}"#), Some(b"{\"a\": [],\n\"b\": 1}")),
            "the values differ only in formatting\n"
        );
        let changed = diff(Some(br#"{"b":1,"a":[]}"#), Some(br#"{"a":[],"b":2}"#));
        assert_eq!(changed, "@@ -1,4 +1,4 @@\n {\n   \"a\": [],\n-  \"b\": 1\n+  \"b\": 2\n }\n");
        // With a name that is given twice, it is only text.
        assert_eq!(diff(Some(br#"{"b":1,"b":1}"#), Some(b"{}")).lines().next(), Some("@@ -1 +1 @@"));
        assert!(diff(None, Some(b"[1]")).contains("+  1\n"));
    }

    #[test]
    fn what_is_not_text_or_too_large_gets_one_line() {
        let binary = "binary values differ: 3 bytes -> 1 byte, first difference at byte 1\n";
        assert_eq!(diff(Some(b"a\xffb"), Some(b"a")), binary);
        assert!(diff(Some(b"a\0"), Some(b"a")).starts_with("binary values differ: 2 bytes -> 1 byte"));
        let large = vec![b'a'; MAX_VALUE_BYTES + 1];
        assert_eq!(
            diff(Some(&large), None),
            "large values differ: 262,145 bytes -> 0 bytes, first difference at byte 0\n"
        );
        // The formatted text would have a hundred times the size of the value.
        let deep = format!("{}{}{}", "[".repeat(120), "1,".repeat(50_000) + "1", "]".repeat(120));
        assert_eq!(diff(Some(deep.as_bytes()), Some(b"[]")).lines().count(), 3);
    }

    #[test]
    fn a_diff_that_is_hard_to_find_takes_limited_time() {
        let hard = |seed: usize| (0..100_000).map(|n| format!("{}\n", n * seed % 97)).collect::<String>();
        let start = Instant::now();
        assert!(!diff(Some(hard(31).as_bytes()), Some(hard(57).as_bytes())).is_empty());
        assert!(start.elapsed() < 20 * TIME_LIMIT);
    }

    #[test]
    fn a_line_cannot_control_the_terminal_and_has_its_mark_in_colour_too() {
        assert_eq!(diff(None, Some(b"\x1b[2J\tx\r\n")), "@@ -0,0 +1 @@\n+\\x1b[2J\tx\\r\n");
        let line = |kind| DiffLine { kind, text: "x".to_owned() }.format(true);
        assert_eq!(line(DiffLineKind::Removed), "\x1b[31m-x\x1b[0m\n");
        assert_eq!(line(DiffLineKind::Added), "\x1b[32m+x\x1b[0m\n");
        assert_eq!(line(DiffLineKind::Context), " x\n");
    }

    /// Applies the diff to the old text as `patch` does.
    fn apply(old: &str, diff: &ValueDiff) -> String {
        let old: Vec<&str> = old.split_inclusive('\n').collect();
        let (mut new, mut at) = (String::new(), 0);
        let mut lines = diff.lines().iter().peekable();
        while let Some(line) = lines.next() {
            let ends = if lines.peek().is_some_and(|next| next.kind == DiffLineKind::NoNewline) { "" } else { "\n" };
            let text = format!("{}{ends}", line.text);
            match line.kind {
                DiffLineKind::Hunk => {
                    let range = line.text.split(' ').nth(1).unwrap().trim_start_matches('-');
                    let (start, count) = range.split_once(',').unwrap_or((range, "1"));
                    let start: usize = start.parse().unwrap();
                    let start = if count == "0" { start } else { start - 1 };
                    new.extend(old[at..start].iter().copied());
                    at = start;
                }
                DiffLineKind::Context | DiffLineKind::Removed => {
                    assert_eq!(old[at], text);
                    at += 1;
                    if line.kind == DiffLineKind::Context {
                        new.push_str(&text);
                    }
                }
                DiffLineKind::Added => new.push_str(&text),
                DiffLineKind::Summary | DiffLineKind::NoNewline => {}
            }
        }
        new.extend(old[at..].iter().copied());
        new
    }

    proptest! {
        #[test]
        fn a_diff_applied_to_the_old_value_gives_the_new_one(
            lines in proptest::collection::vec("[ab\r]{0,2}", 0..40),
            edits in proptest::collection::vec((any::<prop::sample::Index>(), "[abc]{0,2}\n?", 0..3_usize), 0..6),
            end in any::<bool>(),
        ) {
            let old = lines.join("\n") + if end { "\n" } else { "" };
            let mut new: Vec<String> = old.split_inclusive('\n').map(str::to_owned).collect();
            for (index, text, kind) in edits {
                let at = index.index(new.len() + 1);
                match kind {
                    0 => new.insert(at, text + "\n"),
                    1 if at < new.len() => new[at] = text,
                    _ if at < new.len() => drop(new.remove(at)),
                    _ => {}
                }
            }
            let new = new.concat();
            let diff = ValueDiff::of(Some(old.as_bytes()), Some(new.as_bytes()), b"k", &Codec::default());
            prop_assert_eq!(diff.lines().is_empty(), old == new);
            let without = !old.ends_with('\n') && !new.ends_with('\n');
            let ended = |text: String| if without && !text.is_empty() { text + "\n" } else { text };
            prop_assert_eq!(apply(&ended(old), &diff), ended(new));
        }
    }
}
