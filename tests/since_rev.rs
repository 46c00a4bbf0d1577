//! `list --since-rev`: what was written after a revision.

use serde_json::json;

use super::get::{kvadm, put};
use super::list::load;
use super::support::{Etcd, Kvadm, Run};

fn listing(etcd: &Etcd, args: &[&str]) -> Run {
    kvadm(etcd, ["list", "--since-rev"]).args(args).run()
}

#[test]
fn only_keys_written_after_the_revision_are_listed() {
    let etcd = Etcd::start();
    let revisions: Vec<i64> = ["/a/1", "/a/2", "/b", "/a/3"].iter().map(|key| put(&etcd, key, "x")).collect();
    assert_eq!(revisions, [2, 3, 4, 5]);
    put(&etcd, "/a/1", "y");
    kvadm(&etcd, ["delete", "/a/2"]).run().ok();
    let note = "note: listed at revision 7; next time use --since-rev 7\n";
    let text = |since: &str, out: &str| {
        let run = listing(&etcd, &[since, "/a/"]);
        run.ok().out(out);
        assert_eq!(run.stderr_text(), note);
    };
    text("0", "/a/1\ty\n/a/3\tx\n");
    text("4", "/a/1\ty\n/a/3\tx\n");
    text("5", "/a/1\ty\n");
    text("6", "");
    text("7", "");
    listing(&etcd, &["5", "/a/", "-q"]).ok().err_empty().out("/a/1\ty\n");
    listing(&etcd, &["5", "/a/", "--count"]).ok().out("1\n").err_has(note);
    listing(&etcd, &["3", "/", "--search", "x", "--keys-only"]).ok().out("/a/3\n/b\n").err_has(note);
    listing(&etcd, &["3", "/", "--match", "/a*"]).ok().out("/a/1\ty\n/a/3\tx\n").err_has(note);
    listing(&etcd, &["3", "/", "--depth", "1"]).ok().out("/a/\n/b\n").err_has(note);
    listing(&etcd, &["3", "/", "--sort", "mod", "--desc", "--keys-only"]).ok().out("/a/1\n/a/3\n/b\n");
    // At an earlier revision.
    listing(&etcd, &["3", "/", "--rev", "5"]).ok().out("/a/3\tx\n/b\tx\n").err_has("listed at revision 5;");
    let run = listing(&etcd, &["5", "/a/", "-o", "json"]);
    assert_eq!(run.ok().json()["mod_revision"], 6);
    assert_eq!(run.err_json(), json!({"count": 1, "revision": 7}));
}

#[test]
fn the_revision_of_one_listing_continues_with_the_next() {
    let etcd = Etcd::start();
    load(&etcd, (0..12_000).map(|n| (format!("/many/{n:05}"), "first")));
    let next = |since: &str| {
        let run = listing(&etcd, &[since, "/many/", "-o", "json"]);
        let end = run.ok().err_json();
        let keys: Vec<_> = run.json_lines().iter().map(|kv| kv["key"].as_str().unwrap().to_owned()).collect();
        assert_eq!(end["count"], keys.len());
        (keys, end["revision"].to_string())
    };
    let (all, since) = next("0");
    assert_eq!(all.len(), 12_000);
    let (none, since) = next(&since);
    assert_eq!(none, [""; 0]);
    put(&etcd, "/many/11999", "second");
    put(&etcd, "/many/00007", "second");
    put(&etcd, "/other", "x");
    let (changed, _) = next(&since);
    assert_eq!(changed, ["/many/00007", "/many/11999"]);
}

#[test]
fn a_revision_that_the_store_has_not_reached_is_refused() {
    let etcd = Etcd::start();
    put(&etcd, "/a", "x");
    for args in [&[][..], &["--count"], &["--du"], &["--tree"], &["--desc"], &["/none"]] {
        let run = listing(&etcd, &[&["9"], args].concat());
        run.code(4).out_empty().err_has("error: --since-rev 9: the store is at revision 2\n");
        run.err_has("hint: ").err_has("list without --since-rev\n").err_lacks("note: listed");
    }
    listing(&etcd, &["9", "--serializable"])
        .code(4)
        .out_empty()
        .err_has("hint: the member may be behind the other members");
    let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "list", "--since-rev"]).args(args).run();
    run(&["9", "--rev", "8"]).code(2).out_empty().err_has("no key: --since-rev 9 is after revision 8, which is listed");
    run(&["-1"]).code(2).out_empty();
    run(&["x"]).code(2).out_empty();
    run(&["1", "--trailer", "-o", "json"]).code(2).out_empty().err_has("cannot be used with");
    // The next listing would leave out what the limit cut off.
    for args in [&["1", "--limit", "2"][..], &["1", "--limit", "2", "--sort", "mod"], &["1", "--limit=2", "--count"]] {
        run(args).code(2).out_empty().err_has("cannot be used with");
    }
    run(&["1", "--limit", "2"])
        .err_has("tip: the next --since-rev would skip the keys beyond --limit; choose a narrower PREFIX instead");
}
