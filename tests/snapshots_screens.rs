//! What a terminal of 80 and of 160 columns shows besides tables: streams of events, trees, questions, plans.

use super::snapshots::{Files, Page, call};
use super::support::{Etcd, Kvadm};

/// The snapshots of this file.
pub(super) const NAMES: &[&str] = &["screens-40", "screens-80", "screens-160"];

fn done(etcd: &Etcd, args: &[&str]) {
    Kvadm::new().endpoint(etcd).args(args).run().ok();
}

/// The time of an event that begins a line.
fn timeless(text: String) -> String {
    let line = |line: &str| match line.get(..24) {
        Some(time) if time.ends_with('Z') && time.starts_with("20") => {
            format!("[TIME................]{}\n", &line[24..])
        }
        _ => format!("{line}\n"),
    };
    text.lines().map(line).collect()
}

/// A store with short and long keys, wide characters, and bytes that are no text.
fn filled() -> Etcd {
    let etcd = Etcd::start();
    for (key, value) in [
        ("/app/mode", "blue"),
        ("/app/config/a", "1"),
        ("/app/config/b", "two lines\nof text\n"),
        ("/app/config/nested/deep", "x"),
        ("/app/mode", "green"),
        ("/app/日本語/キー", "値値値 🦀"),
        ("/app/ctl/\u{1b}[2J\u{202e}x", "\u{7}"),
        ("/app/long/long-segment/long-segment/long-segment/long-segment/long-segment/end", &"value ".repeat(40)),
        ("/app/config/a", &"a value that is too long for the line of a terminal ".repeat(4)),
        ("/db/a", "1"),
    ] {
        done(&etcd, &["put", key, value]);
    }
    done(&etcd, &["delete", "/app/config/b"]);
    etcd
}

fn screens(columns: u16, name: &str) {
    let etcd = filled();
    let mut page = Page::of_server(&etcd);
    let files = Files::new(&mut page);
    let show = |page: &mut Page, args: &[&str], typed: &str, mask: fn(String) -> String| {
        let call = call([args, &["--no-progress"]].concat()).terminal_of(columns).stdin(typed);
        page.show_masked(call, mask);
    };
    let plain = |text: String| text;
    show(&mut page, &["watch", "/app/", "--rev", "2", "--count", "10"], "", plain);
    show(&mut page, &["watch", "/app/", "--rev", "2", "--count", "10", "--prev", "--timestamps"], "", timeless);
    show(&mut page, &["watch", "/app/config/", "--list", "--until", "list-done", "--keys-only"], "", plain);
    show(&mut page, &["list", "/", "--tree"], "", plain);
    show(&mut page, &["list", "/app/", "--tree", "--depth", "1"], "", plain);
    show(&mut page, &["diff", "/app/", "--source", "rev:4"], "", plain);
    show(&mut page, &["diff", "/app/", "--source", "rev:4", "--stat"], "", plain);
    show(&mut page, &["restore", "/app/", "--source", "rev:4", "--dry-run"], "", plain);
    show(&mut page, &["restore", "/app/", "--source", "rev:4"], "n\n", plain);
    show(&mut page, &["delete", "--prefix", "/app/", "--dry-run"], "", plain);
    show(&mut page, &["delete", "/app/mode", "/db/a", "/none", "--dry-run"], "", plain);
    show(&mut page, &["delete", "--prefix", "/app/"], "n\n", plain);
    show(&mut page, &["delete", "/app/mode", "/db/a"], "n\n", plain);
    for n in 0..25 {
        done(&etcd, &["put", &format!("/locks/{n:02}/7a000000000000{n:02x}"), ""]);
    }
    show(&mut page, &["gc", "locks", "/locks/", "--apply", "--max-percent", "100"], "n\n", plain);
    done(&etcd, &["lease", "grant", "--ttl", "1000000s", "--id", "7a00000000000001"]);
    done(&etcd, &["put", "/leased/a", "x", "--lease", "7a00000000000001"]);
    done(&etcd, &["put", "/leased/b", "x", "--lease", "7a00000000000001"]);
    show(&mut page, &["lease", "revoke", "7a00000000000001"], "n\n", plain);
    show(&mut page, &["compact", "--reclaim"], "n\n", plain);
    // Hints for what selects nothing.
    show(&mut page, &["list", "/app/mode/"], "", plain);
    show(&mut page, &["list", "app/"], "", plain);
    show(&mut page, &["list", "/app/confg/"], "", plain);
    show(&mut page, &["list", "/", "--match", "config"], "", plain);
    show(&mut page, &["get", "/app/config"], "", plain);
    show(&mut page, &["get", "app/mode"], "", plain);
    show(&mut page, &["delete", "/app/config"], "", plain);
    let missing = files.name("missing/undo");
    show(&mut page, &["restore", "/app/", "--source", "rev:4", "--undo", &missing], "y\n", plain);
    page.hold(name);
}

#[test]
fn of_40_columns() {
    screens(40, "screens-40");
}

#[test]
fn of_80_columns() {
    screens(80, "screens-80");
}

#[test]
fn of_160_columns() {
    screens(160, "screens-160");
}
