use proptest::prelude::*;

use super::cut::truncate_middle;
use super::*;
use crate::kvstore::KeyValue;
use crate::output::record::Field;

fn kv(key: &str, value: &str, revision: i64) -> KeyValue {
    KeyValue {
        key: key.as_bytes().to_vec(),
        value: value.as_bytes().to_vec(),
        mod_revision: revision,
        version: 1,
        ..KeyValue::default()
    }
}

#[test]
fn a_table_fits_and_leaves_empty_columns_out() {
    let mut layout = TableLayout::new(40, false);
    let mut out = String::new();
    layout.push(&mut out, &kv("/a", &"x".repeat(90), 7));
    layout.push(&mut out, &kv("/long/key", "\u{1b}[2J", 12345));
    assert_eq!(out, "");
    layout.finish(&mut out);
    let header: Vec<&str> = out.lines().nth(1).unwrap_or_default().split_whitespace().collect();
    assert_eq!(header, ["KEY", "VALUE", "REVISION"], "{out}");
    assert!(!out.contains("LEASE") && !out.contains('\u{1b}') && out.contains("xx…"), "{out}");
    assert!(out.lines().count() == 4 && out.lines().all(|line| line.width() <= 40), "{out}");
}

proptest! {
    /// What a cell shows is the bytes and no others.
    #[test]
    fn a_cell_decodes_back(bytes in proptest::collection::vec(any::<u8>(), 0..64)) {
        let shown = cell(&Value::Bytes(&bytes)).text;
        prop_assert!(!shown.chars().any(|c| !crate::output::is_safe(c, false)), "{}", shown);
        prop_assert_eq!(crate::output::bytes::unescape(shown.as_bytes()), Ok(bytes));
    }

    /// Neither end of a text begins or ends inside an escape.
    #[test]
    fn a_cut_text_has_whole_escapes(bytes in proptest::collection::vec(0u8..40, 0..40), width in 1usize..90) {
        let shown = cell(&Value::Bytes(&bytes)).text;
        for cut in [truncate(&shown, width), truncate_middle(&shown, width)] {
            prop_assert!(cut.width() <= width);
            for (index, part) in cut.split('…').enumerate() {
                let decoded = crate::output::bytes::unescape(part.as_bytes());
                prop_assert!(decoded.as_ref().is_ok_and(|part| match index {
                    0 => bytes.starts_with(part),
                    _ => bytes.ends_with(part),
                }), "{} of {}: {:?}", cut, shown, decoded);
            }
        }
    }
}

#[test]
fn a_shared_beginning_ends_before_an_escape() {
    let texts = std::collections::BTreeSet::from(["/a\\x1b", "/a\\x1c"]);
    assert_eq!(shared_chars(&texts), 2);
}

/// Title, value and whether it is extra.
struct Any<'a>(&'a [(&'static str, String, u8)]);

impl Record for Any<'_> {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        for (name, text, kind) in self.0 {
            let value = match kind % 3 {
                0 => Value::Bytes(text.as_bytes()),
                1 => Value::Uint(text.len() as u64 * 1_000_000),
                _ => Value::Hex(u64::MAX),
            };
            visit(Field { name, value, show: if *kind < 3 { Visibility::Always } else { Visibility::Table } });
        }
    }
}

/// The share of the cases with so many rows that they are printed as they arrive; each takes as long as hundreds of others.
const STREAMED: f64 = 0.1;

proptest! {
    /// Whatever the columns are, laid out together or streamed.
    #[test]
    fn every_row_fits(
        fields in proptest::collection::vec(
            (proptest::sample::select(vec!["key", "mod_revision", "in_use_after", "latency_ms"]), ".{0,90}", 0u8..6),
            1..9,
        ),
        width in 26usize..130,
        streamed in proptest::bool::weighted(STREAMED),
    ) {
        let mut layout = TableLayout::new(width, false);
        let mut shown = String::new();
        for _ in 0..if streamed { LAYOUT_ROWS + 1 } else { 2 } {
            layout.push(&mut shown, &Any(&fields));
        }
        layout.finish(&mut shown);
        // Numbers and IDs stay whole, even if the row is too wide then.
        let least = |kind: u8| match kind % 3 {
            0 => 12,
            1 => 11,
            _ => 16,
        };
        let kept: Vec<usize> = fields.iter().filter(|(_, _, kind)| *kind < 3).map(|(_, _, kind)| least(*kind) + GAP).collect();
        for line in shown.lines() {
            prop_assert!(line.width() <= width.max(kept.iter().sum()), "{line:?}");
        }
    }
}

#[test]
fn what_is_left_out_is_extra_and_numbers_stay_whole() {
    let wide = [
        ("key", "k".repeat(60), 0),
        ("value", "v".repeat(60), 0),
        ("lease", String::new(), 2),
        ("size", "x".repeat(99), 1),
        ("mod_revision", "x".repeat(99), 4),
    ];
    let shown = |width: usize| {
        let mut layout = TableLayout::new(width, false);
        let mut out = String::new();
        layout.push(&mut out, &Any(&wide));
        layout.finish(&mut out);
        out
    };
    assert!(shown(200).starts_with("KEY ") && shown(200).lines().count() == 2, "{}", shown(200));
    let narrower = shown(90);
    assert!(
        narrower.lines().nth(1).is_some_and(|line| line.ends_with("REVISION")) && narrower.lines().count() == 3,
        "{narrower}"
    );
    let narrow = shown(70);
    assert!(!narrow.contains("REVISION") && narrow.contains("ffffffffffffffff  99,000,000"), "{narrow}");
    // A name keeps both of its ends.
    assert!(narrow.contains(&format!("{}…{}", "k".repeat(11), "k".repeat(12))), "{narrow}");
}

#[test]
fn many_rows_stream_in_columns() {
    let mut layout = TableLayout::new(80, false);
    let (mut shown, mut lines) = (String::new(), 0);
    for n in 0..5000 {
        let mut out = String::new();
        layout.push(&mut out, &kv(&format!("/k/{n:05}"), "v", n));
        lines += out.lines().count();
        shown.push_str(&out);
        assert!(layout.rows.len() < LAYOUT_ROWS);
    }
    layout.finish(&mut shown);
    assert_eq!(lines, 5001);
    let columns: Vec<usize> = shown.lines().filter_map(|line| line.find(" v ")).collect();
    assert!(columns.iter().all(|column| column == &columns[0]));
}

#[test]
fn wide_characters_are_cut_by_columns() {
    assert_eq!(truncate("日本語テキスト", 6), "日本…");
    assert_eq!(truncate("abc", 3), "abc");
    assert_eq!(truncate_middle("日本語テキスト", 8), "日…スト");
    assert_eq!(truncate_middle("abcdefgh", 4), "a…gh");
    assert_eq!(truncate_middle("abc", 3), "abc");
}

#[test]
fn what_identifies_a_row_is_never_cut() {
    let endpoint = |n: u32| format!("https://etcd-{n}.a-long-name.of-a-service.svc.cluster.local:2379");
    let rows = |name: &'static str, texts: &[String]| {
        let mut layout = TableLayout::new(60, false);
        let mut out = String::new();
        for text in texts {
            let row = [(name, text.clone(), 0), ("why", "because ".repeat(9), 0), ("in_use_before", String::new(), 4)];
            layout.push(&mut out, &Any(&row));
        }
        layout.finish(&mut out);
        out
    };
    let shown = rows("endpoint", &[endpoint(1), endpoint(2)]);
    assert!(shown.contains(&endpoint(1)) && shown.contains(&endpoint(2)) && !shown.contains("IN USE"), "{shown}");
    // Keys that differ in the middle only are cut around it, and not at all if they would still look the same.
    let key = |middle: &str| format!("/{}{middle}{}", "a".repeat(40), "z".repeat(40));
    let shown = rows("key", &[key("x"), key("y")]);
    assert!(shown.contains("…aaaaxzz") && shown.contains("…aaaayzz"), "{shown}");
    assert!(shown.lines().all(|line| line.width() <= 60), "{shown}");
    let keys = [format!("b{}", key("x")), key("x"), key("y")];
    let shown = rows("key", &keys);
    assert!(keys.iter().all(|key| shown.contains(key.as_str())), "{shown}");
    let shown = rows("key", &[format!("/{}/1", "a".repeat(90)), format!("/{}/2", "a".repeat(90))]);
    assert!(shown.contains("a/1") && shown.contains("a/2") && shown.lines().all(|line| line.width() <= 60), "{shown}");
}

/// Two words around a key.
struct Painted(&'static str, String, Tone);

impl Record for Painted {
    fn fields<'a>(&'a self, visit: &mut dyn FnMut(Field<'a>)) {
        let field = |name, value| Field { name, value, show: Visibility::Always };
        visit(field("event", Value::Word(self.0, self.2)));
        visit(field("key", Value::Bytes(self.1.as_bytes())));
        visit(field("verdict", Value::Word(&self.1, self.2)));
    }
}

/// The text without its colours, as `TableLayout` writes it with and without them.
fn with_and_without_colors(width: usize, rows: &[Painted]) -> (String, String) {
    let laid_out = |colors| {
        let (mut layout, mut out) = (TableLayout::new(width, colors), String::new());
        rows.iter().for_each(|row| layout.push(&mut out, row));
        layout.finish(&mut out);
        out
    };
    (laid_out(true), laid_out(false))
}

fn without_colors(text: &str) -> String {
    let mut parts = text.split('\u{1b}');
    let first = parts.next().unwrap_or_default().to_owned();
    parts.fold(first, |text, part| text + part.split_once('m').map_or("", |(_, rest)| rest))
}

#[test]
fn words_are_colored_and_stay_in_their_columns() {
    let rows = [
        Painted("created", "/a".to_owned(), Tone::Good),
        Painted("modified", "/日本語/テキスト".repeat(3), Tone::Warning),
        Painted("deleted", "/x".repeat(40), Tone::Bad),
        Painted("status", "/n".to_owned(), Tone::Neutral),
    ];
    for width in [200, 60, 40] {
        let (painted, plain) = with_and_without_colors(width, &rows);
        assert_eq!(without_colors(&painted), plain);
        let lines: Vec<&str> = painted.lines().collect();
        assert!(lines[1].starts_with("\u{1b}[32mcreated\u{1b}[0m   /a "), "{painted}");
        assert!(lines[1].ends_with("\u{1b}[32m/a\u{1b}[0m"), "{painted}");
        assert!(lines[2].starts_with("\u{1b}[33mmodified\u{1b}[0m  "), "{painted}");
        assert!(lines[3].starts_with("\u{1b}[31mdeleted\u{1b}[0m   "), "{painted}");
        assert!(lines[3].matches("\u{1b}[31m").count() == 2, "a cut word is colored as well: {painted}");
        assert!(!lines[4].contains('\u{1b}') && !plain.contains('\u{1b}'), "{painted}");
    }
}

proptest! {
    /// Laid out together or streamed, colours change nothing but the colours.
    #[test]
    fn colors_disturb_no_width(keys in proptest::collection::vec("\\PC{0,60}", 1..8), width in 20usize..130, streamed in proptest::bool::weighted(STREAMED)) {
        let tones = [Tone::Good, Tone::Warning, Tone::Bad, Tone::Neutral];
        let count = if streamed { LAYOUT_ROWS + 2 } else { keys.len() };
        let row = |n: usize| Painted("modified", keys[n % keys.len()].clone(), tones[n % tones.len()]);
        let rows: Vec<Painted> = (0..count).map(row).collect();
        let (painted, plain) = with_and_without_colors(width, &rows);
        prop_assert_eq!(without_colors(&painted), plain);
    }
}
