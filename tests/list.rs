//! `kvadm list`.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::io::Read;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::get::{kvadm, lock, put};
use super::support::{Etcd, Kvadm, eventually, shared, unique_prefix};

/// Loads keys of any bytes through `put --from -`.
#[track_caller]
fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(etcd: &Etcd, pairs: impl IntoIterator<Item = (K, V)>) {
    let line = |(key, value): (K, V)| {
        let encode = |bytes: &[u8]| STANDARD.encode(bytes);
        format!("{}\n", json!({"key_base64": encode(key.as_ref()), "value_base64": encode(value.as_ref())}))
    };
    let lines: String = pairs.into_iter().map(line).collect();
    kvadm(etcd, ["put", "--from", "-", "-q"]).stdin(lines).run().ok();
}

/// The names below the prefix: `load` gives each its own name as the value.
fn seed(etcd: &Etcd, names: &[&str]) -> String {
    let at = unique_prefix();
    load(etcd, names.iter().map(|name| (format!("{at}{name}"), *name)));
    at
}

/// What `list` in text prints, by the last part of each line: the value.
#[track_caller]
fn values(etcd: &Etcd, args: &[&str]) -> Vec<String> {
    let run = kvadm(etcd, ["list"]).args(args).run();
    let text = run.ok().err_empty().stdout_text();
    text.lines().map(|line| line.split_once('\t').unwrap_or((line, "")).1.to_owned()).collect()
}

/// The bytes of a field that stands as text or as base64.
fn bytes(record: &Value, name: &str) -> Vec<u8> {
    match record.get(name).and_then(Value::as_str) {
        Some(text) => text.as_bytes().to_vec(),
        None => STANDARD.decode(record[format!("{name}_base64")].as_str().unwrap()).unwrap(),
    }
}

/// Undoes the escapes of the text format.
fn unescape(text: &[u8]) -> Vec<u8> {
    let (mut out, mut rest) = (Vec::new(), text);
    while let [first, tail @ ..] = rest {
        (rest, _) = match (first, tail) {
            (b'\\', [b'x', high, low, tail @ ..]) => {
                let digits = [*high, *low];
                (tail, out.push(u8::from_str_radix(std::str::from_utf8(&digits).unwrap(), 16).unwrap()))
            }
            (b'\\', [b't', tail @ ..]) => (tail, out.push(b'\t')),
            (b'\\', [b'n', tail @ ..]) => (tail, out.push(b'\n')),
            (b'\\', [b'r', tail @ ..]) => (tail, out.push(b'\r')),
            (b'\\', [b'0', tail @ ..]) => (tail, out.push(0)),
            (b'\\', [b'\\', tail @ ..]) => (tail, out.push(b'\\')),
            (b'\\', _) => panic!("no escape: {}", String::from_utf8_lossy(text)),
            (byte, tail) => (tail, out.push(*byte)),
        };
    }
    out
}

#[test]
fn a_prefix_is_raw_and_dir_adds_the_slash() {
    let etcd = shared();
    let at = seed(etcd, &["a", "a/1", "a/2", "ab", "b", "c/\u{e9}"]);
    let below = |name: &str| format!("{at}{name}");
    assert_eq!(values(etcd, &[&at]), ["a", "a/1", "a/2", "ab", "b", "c/\u{e9}"]);
    assert_eq!(values(etcd, &[&below("a")]), ["a", "a/1", "a/2", "ab"]);
    assert_eq!(values(etcd, &[&below("a"), "--dir"]), ["a/1", "a/2"]);
    assert_eq!(values(etcd, &[&below("a/"), "--dir"]), ["a/1", "a/2"]);
    assert_eq!(values(etcd, &[&below("none")]), [""; 0]);
    assert_eq!(values(etcd, &["--escape", &below("c/\\xc3")]), ["c/\u{e9}"]);
    kvadm(etcd, ["list", &below("none"), "-o", "json"]).run().ok().out_empty().err_empty();
}

#[test]
fn ends_make_a_half_open_range() {
    let etcd = shared();
    let at = seed(etcd, &["a", "b", "b0", "c", "d"]);
    let (b, d, space) = (format!("{at}b"), format!("{at}d"), ["--namespace", &at]);
    assert_eq!(values(etcd, &["--from", &b, "--to", &d]), ["b", "b0", "c"]);
    // Without an end (or a beginning) it is open, but never leaves the namespace.
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "b"]), ["b", "b0", "c", "d"]);
    assert_eq!(values(etcd, &[space[0], space[1], "--to", "b0"]), ["a", "b"]);
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "b0"]), ["b0", "c", "d"]);
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "x"]), [""; 0]);
    assert_eq!(values(etcd, &[space[0], space[1], "--from", "\u{10ffff}"]), [""; 0]);
    assert!(values(etcd, &["--from", &b]).starts_with(&["b".to_owned(), "b0".into(), "c".into(), "d".into()]));
    let keys = kvadm(etcd, ["--namespace", &at, "list", "--from", "c", "--keys-only"]).run();
    keys.ok().out("c\nd\n");
}

#[test]
fn a_range_that_holds_nothing_by_itself_is_wrong_usage() {
    let run = |args: &[&str]| Kvadm::new().args(["--endpoints", "127.0.0.1:1", "list"]).args(args).run();
    run(&["--from", "/b", "--to", "/a"]).code(2).out_empty().err_has("--from /b is not below --to /a");
    run(&["--from", "/a", "--to", "/a"]).code(2).out_empty();
    run(&["--from", "/a", "--to", ""]).code(2).out_empty();
    run(&["/p", "--from", "/a"]).code(2).out_empty().err_has("exclude each other");
    run(&["--from", "/a", "--dir"]).code(2).out_empty().err_has("--dir");
    run(&["--match", "[a"]).code(2).out_empty().err_has("--match '[a'");
    run(&["/a", "--rev", "0"]).code(2).out_empty().err_has("revisions count from 1");
    run(&["/a", "--count", "--limit", "3"]).code(2).out_empty();
    run(&["/a", "--count", "--keys-only"]).code(2).out_empty();
    run(&["/a", "--sort", "size"]).code(2).out_empty().err_has("create");
    run(&["/a", "--limit", "-1"]).code(2).out_empty();
    run(&["/a", "/b"]).code(2).out_empty();
    run(&["/a", "--if-locked"]).code(2).out_empty().err_has("KVADM_LOCK");
}

#[test]
fn globs_filter_whole_keys() {
    let etcd = shared();
    let at = seed(etcd, &["a.crt", "a.key", "b/c.crt", "b/c.key", "d"]);
    let all = |glob: &str| values(etcd, &[&at, "--match", glob]);
    assert_eq!(all("*.crt"), ["a.crt", "b/c.crt"]);
    assert_eq!(all("*b/?.*"), ["b/c.crt", "b/c.key"]);
    assert_eq!(all("d"), [""; 0]);
    assert_eq!(all("*{d,a.key}"), ["a.key", "d"]);
    assert_eq!(values(etcd, &["--namespace", &at, "--match", "d"]), ["d"]);
    assert_eq!(values(etcd, &["--namespace", &at, "b", "--match", "*.key", "--limit", "1"]), ["b/c.key"]);
    load(etcd, [([at.as_bytes(), b"\xff\x00.crt"].concat(), "binary")]);
    assert_eq!(all("*.crt"), ["a.crt", "b/c.crt", "binary"]);
}

#[test]
fn keys_only_has_everything_but_the_value() {
    let etcd = shared();
    let at = seed(etcd, &["a", "b"]);
    kvadm(etcd, ["list", &at, "--keys-only"]).run().ok().err_empty().out(&format!("{at}a\n{at}b\n"));
    for args in [&["--keys-only"][..], &["--keys-only", "--sort", "value"]] {
        let records = kvadm(etcd, ["list", &at, "-o", "json"]).args(args).run().ok().json_lines();
        assert_eq!(records.len(), 2);
        for record in &records {
            let names: Vec<&String> = record.as_object().unwrap().keys().collect();
            assert_eq!(names, ["key", "create_revision", "mod_revision", "version"]);
        }
    }
}

#[test]
fn counting_reads_no_values() {
    let etcd = shared();
    let at = unique_prefix();
    load(etcd, (0..500).map(|n| (format!("{at}{n}"), "v")));
    kvadm(etcd, ["list", &at, "--count"]).run().ok().err_empty().out_has("500");
    let counted = kvadm(etcd, ["list", &at, "--count", "-o", "json"]).run().ok().json();
    assert_eq!(counted["count"], 500);
    let rev = counted["revision"].as_i64().unwrap();
    load(etcd, [(format!("{at}1000"), "v"), (format!("{at}1001"), "v")]);
    let count = |args: &[&str]| {
        let json = kvadm(etcd, ["list", &at, "--count", "-o", "json"]).args(args).run().ok().json();
        (json["count"].as_i64().unwrap(), json["revision"].as_i64().unwrap())
    };
    assert_eq!(count(&["--rev", &rev.to_string()]), (500, rev));
    assert_eq!(count(&[]).0, 502);
    assert_eq!(count(&["--match", "*/1*"]).0, 113);
    assert_eq!(count(&["--match", "*/1*", "--rev", &rev.to_string()]), (111, rev));
    assert_eq!(count(&["--match", "none"]).0, 0);
    assert!(count(&["--match", "none"]).1 > rev);
    assert_eq!(kvadm(etcd, ["list", &format!("{at}none"), "--count", "-o", "json"]).run().ok().json()["count"], 0);
}

#[test]
fn limits_count_what_is_shown() {
    let etcd = shared();
    let at = unique_prefix();
    let names: Vec<String> = (0..450).map(|n| format!("{n:03}")).collect();
    load(etcd, names.iter().map(|name| (format!("{at}{name}"), name)));
    for limit in [0, 1, 99, 100, 101, 200, 449, 450, 451, 100_000] {
        let shown = values(etcd, &[&at, "--limit", &limit.to_string()]);
        assert_eq!(shown, names[..limit.min(450)], "--limit {limit}");
    }
    let odd: Vec<&String> = names.iter().filter(|name| name.ends_with('7')).collect();
    for limit in [0, 1, 10, 44, 45, 46] {
        let shown = values(etcd, &[&at, "--match", "*7", "--limit", &limit.to_string()]);
        assert!(shown.iter().eq(odd.iter().take(limit).copied()), "--limit {limit}: {shown:?}");
    }
    let last: Vec<&String> = names.iter().rev().collect();
    for limit in [0, 1, 3, 224, 225, 226, 450, 500] {
        let shown = values(etcd, &[&at, "--desc", "--limit", &limit.to_string()]);
        assert!(shown.iter().eq(last.iter().take(limit).copied()), "--desc --limit {limit}: {shown:?}");
    }
    assert_eq!(values(etcd, &[&at, "--desc", "--match", "*9", "--limit", "2"]), ["449", "439"]);
}

#[test]
fn every_order_and_its_reverse() {
    let etcd = shared();
    let at = unique_prefix();
    for (name, value) in [("a", "3"), ("b", "2"), ("c", "1"), ("b", "2"), ("a", "3"), ("a", "3"), ("c", "1")] {
        put(etcd, format!("{at}{name}"), value);
    }
    // Created a b c; last changed b a c; changed b 2, c 2, a 3 times.
    let ordered = |args: &[&str]| values(etcd, &[&[at.as_str()], args].concat()).concat();
    for (order, expected) in [("key", "321"), ("create", "321"), ("mod", "231"), ("version", "213"), ("value", "123")] {
        assert_eq!(ordered(&["--sort", order]), expected, "--sort {order}");
        let reverse: String = expected.chars().rev().collect();
        assert_eq!(ordered(&["--sort", order, "--desc"]), reverse, "--sort {order} --desc");
        assert_eq!(ordered(&["--sort", order, "--limit", "2"]), expected[..2], "--sort {order} --limit 2");
    }
    assert_eq!(ordered(&["--desc"]), "123");
    let keys = kvadm(etcd, ["list", &at, "--sort", "value", "--keys-only"]).run();
    keys.ok().out(&format!("{at}c\n{at}b\n{at}a\n"));
}

#[test]
fn an_earlier_revision_is_listed_as_it_was() {
    let etcd = shared();
    let at = unique_prefix();
    put(etcd, format!("{at}a"), "one");
    let rev = put(etcd, format!("{at}b"), "two").to_string();
    put(etcd, format!("{at}a"), "three");
    kvadm(etcd, ["delete", &format!("{at}b")]).run().ok();
    put(etcd, format!("{at}c"), "four");
    assert_eq!(values(etcd, &[&at]), ["three", "four"]);
    assert_eq!(values(etcd, &[&at, "--rev", &rev]), ["one", "two"]);
    assert_eq!(values(etcd, &[&at, "--rev", &rev, "--desc"]), ["two", "one"]);
    kvadm(etcd, ["list", &at, "--rev", "99999999"]).run().code(4).out_empty().err_has("status --revision");
    kvadm(etcd, ["list", &at, "--count", "--rev", "99999999"]).run().code(4).out_empty();
}

#[test]
fn leases_come_with_their_granted_ttl() {
    let etcd = shared();
    let at = unique_prefix();
    let (token, lease) = lock(etcd, &format!("{at}leased"));
    put(etcd, format!("{at}none"), "v");
    let key = token.rsplit_once('@').unwrap().0;
    let record = |args: &[&str]| kvadm(etcd, ["list", &at, "-o", "json"]).args(args).run().ok().json_lines();
    let records = record(&["--with-leases"]);
    assert_eq!((&records[0]["key"], &records[0]["ttl"]), (&json!(key), &json!(300)));
    assert!(records[1].get("lease").is_none() && records[1].get("ttl").is_none(), "{records:?}");
    assert!(record(&[])[0].get("ttl").is_none());
    let rev = records[1]["mod_revision"].to_string();
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    let records = record(&["--with-leases", "--rev", &rev]);
    assert_eq!(records.len(), 2);
    assert!(records[0].get("lease").is_some() && records[0].get("ttl").is_none(), "{records:?}");
}

#[test]
fn under_a_lock_every_page_is_guarded() {
    let etcd = shared();
    let at = unique_prefix();
    load(etcd, (0..700).map(|n| (format!("{at}{n:03}"), "v")));
    let (token, lease) = lock(etcd, &format!("{}lock", unique_prefix()));
    let guard = format!("--if-locked={token}");
    assert_eq!(values(etcd, &[&at, &guard]).len(), 700);
    let trace = kvadm(etcd, ["list", &at, "--if-locked", "-vv"]).env("KVADM_LOCK", &token).run();
    let text = trace.ok().stderr_text();
    let pages: Vec<&str> = text.lines().filter(|line| line.starts_with("trace: list ")).collect();
    assert!(pages.len() > 1 && pages.iter().all(|page| page.contains("if[lock@")), "{text}");
    kvadm(etcd, ["list", &at, "--count", &guard]).run().ok().out_has("700");
    kvadm(etcd, ["--namespace", &at, "list", "69", "--keys-only", &guard]).run().ok().out_has("699\n");
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    for more in [&[][..], &["--count"], &["--desc"], &["--match", "*", "--count"]] {
        kvadm(etcd, ["list", &at, &guard]).args(more).run().code(5).out_empty().err_has("lock").err_has("hint: ");
    }
}

/// Shapes that mislead whoever guesses where the next keys are.
fn shapes() -> BTreeMap<Vec<u8>, Vec<u8>> {
    let mix = |n: u64| n.wrapping_mul(0x9e37_79b9_7f4a_7c15).rotate_left(29).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let mut keys: Vec<Vec<u8>> = Vec::new();
    keys.extend((0..4000).map(|n| format!("dec/{n}").into_bytes()));
    keys.extend((0..4000).map(|n| {
        let (a, b) = (mix(n), mix(n + 1_000_000));
        format!("uuid/{:08x}-{:04x}-4{:03x}-{:04x}-{:012x}", a >> 32, a as u16, b >> 52, b >> 16 & 0xffff, a & b >> 16)
            .into_bytes()
    }));
    keys.extend((0..4000).map(|n| {
        let deep: String = (0..n % 13).map(|level| format!("{}/", mix(n % 97 + level) % 5)).collect();
        format!("deep/{deep}{n:x}/leaf").into_bytes()
    }));
    keys.extend((0..4000).map(|n| {
        let (bytes, len) = (mix(n).to_be_bytes(), 1 + n as usize % 8);
        [&b"bin/"[..], &bytes[..len], &[[0u8, 0xff][n as usize % 2]; 3][..n as usize % 4]].concat()
    }));
    keys.extend((0..2000).map(|n| format!("a/very/long/shared/head/of/many/keys/{n}").into_bytes()));
    keys.extend((0..2000).map(|n| format!("z/another/long/shared/head/{}/{}", n / 700, mix(n)).into_bytes()));
    keys.into_iter().map(|key| (key.clone(), key)).collect()
}

/// A server with all of [`shapes`] below `/s/`.
fn big() -> &'static Etcd {
    static BIG: OnceLock<Etcd> = OnceLock::new();
    BIG.get_or_init(|| {
        let etcd = Etcd::start();
        load(&etcd, shapes().into_iter().map(|(key, value)| ([b"/s/", &key[..]].concat(), value)));
        etcd
    })
}

#[test]
fn many_keys_of_every_shape_come_as_etcdctl_gives_them() {
    let etcd = big();
    let theirs = etcd.etcdctl_ok(&["get", "--prefix", "--keys-only", "-w", "json", "/s/"]);
    let theirs: Value = serde_json::from_str(&theirs).unwrap();
    let theirs: Vec<Vec<u8>> = theirs["kvs"]
        .as_array()
        .unwrap()
        .iter()
        .map(|kv| STANDARD.decode(kv["key"].as_str().unwrap()).unwrap())
        .collect();
    assert!(theirs.len() > 19_000, "{}", theirs.len());
    let records = kvadm(etcd, ["list", "/s/", "-o", "json"]).run().ok().json_lines();
    let ours: Vec<Vec<u8>> = records.iter().map(|record| bytes(record, "key")).collect();
    assert!(ours == theirs, "{} and {} keys", ours.len(), theirs.len());
    assert!(records.iter().all(|record| bytes(record, "key")[3..] == bytes(record, "value")));
    let text = kvadm(etcd, ["list", "/s/", "--keys-only"]).run();
    let lines: Vec<Vec<u8>> = text.ok().stdout_text().lines().map(|line| unescape(line.as_bytes())).collect();
    assert!(lines == theirs, "{} and {} keys", lines.len(), theirs.len());
    for (part, head) in
        [("dec", "dec/1"), ("uuid", "uuid/a"), ("deep", "deep/3/"), ("bin", "bin/"), ("long", "z/another/")]
    {
        let prefix = format!("/s/{head}");
        let run = kvadm(etcd, ["list", &prefix, "-o", "json", "--keys-only"]).run();
        let ours: Vec<Vec<u8>> = run.ok().json_lines().iter().map(|record| bytes(record, "key")).collect();
        let theirs: Vec<&Vec<u8>> = theirs.iter().filter(|key| key.starts_with(prefix.as_bytes())).collect();
        assert!(ours.iter().eq(theirs.iter().copied()) && !ours.is_empty(), "{part}: {}, {}", ours.len(), theirs.len());
    }
}

#[test]
fn a_binary_prefix_and_binary_ends() {
    let etcd = big();
    let shapes = shapes();
    for byte in [1u8, 0x7f, 0x80, 0xfe, 0xff] {
        let prefix = [b"bin/", &[byte][..]].concat();
        let expected = shapes.keys().filter(|key| key.starts_with(&prefix)).count();
        let exact = [b"/s/", &prefix[..]].concat();
        let keys = kvadm(etcd, ["list", "--keys-only", "-o", "json"]).arg(OsStr::from_bytes(&exact)).run();
        assert_eq!(keys.ok().json_lines().len(), expected, "{byte:#x}");
        let escaped = format!("/s/bin/\\x{byte:02x}");
        let run = kvadm(etcd, ["list", "--escape", "--count", "-o", "json", &escaped]).run();
        assert_eq!(run.ok().json()["count"], expected, "{byte:#x}");
        let range = ["--from", &escaped, "--to", "/s/bin0", "--escape"];
        let above = shapes.keys().filter(|key| key.starts_with(b"bin/") && key[4..].first() >= Some(&byte)).count();
        assert_eq!(kvadm(etcd, ["list", "-o", "json"]).args(range).run().ok().json_lines().len(), above, "{byte:#x}");
    }
}

/// A listing whose output is read only as far as the test says.
struct Slow(Child);

impl Slow {
    fn start(etcd: &Etcd, args: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_kvadm"));
        command.env_clear().env("HOME", "/nonexistent").args(["--endpoints", &etcd.endpoint(), "list"]).args(args);
        Self(command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap())
    }

    fn read(&mut self, most: usize) -> Vec<u8> {
        let mut part = vec![0; most];
        let got = self.0.stdout.as_mut().unwrap().read(&mut part).unwrap();
        part.truncate(got);
        part
    }

    /// The most memory it ever had, in KiB; `None` once it has ended.
    fn peak(&self) -> Option<u64> {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).ok()?;
        status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?.trim().trim_end_matches(" kB").parse().ok()
    }

    /// Whether its main thread waits in a system call for the pipe to be read.
    fn stuck(&self) -> bool {
        let at = std::fs::read_to_string(format!("/proc/{}/syscall", self.0.id())).unwrap_or_default();
        // write(1, …) on whatever descriptor; 64 on AArch64.
        let write = if cfg!(target_arch = "x86_64") { "1 " } else { "64 " };
        at.starts_with(write)
    }

    fn end(mut self, within: Duration) -> (std::process::ExitStatus, String) {
        let end = Instant::now() + within;
        while self.0.try_wait().unwrap().is_none() {
            assert!(Instant::now() < end, "the listing did not end within {within:?}");
            std::thread::sleep(Duration::from_millis(2));
        }
        let mut stderr = String::new();
        self.0.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
        (self.0.wait().unwrap(), stderr)
    }
}

impl Drop for Slow {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

#[test]
fn large_values_take_little_memory() {
    let etcd = Etcd::start();
    for n in 0..30 {
        let value: Vec<u8> = (0..1 << 20).map(|at| b'a' + ((at * 7 + n) % 26) as u8).collect();
        put(&etcd, format!("/big/{n:02}"), value);
    }
    for (args, each) in [(&["-o", "raw"][..], 1 << 20), (&["-o", "json"], (1 << 20) + 70), (&["-o", "yaml"], 1 << 20)] {
        let mut slow = Slow::start(&etcd, &[&["/big/"], args].concat());
        let (mut peak, mut total) = (0, 0);
        loop {
            let part = slow.read(256 << 10);
            peak = slow.peak().unwrap_or(0).max(peak);
            if part.is_empty() {
                break;
            }
            total += part.len();
        }
        let (status, stderr) = slow.end(Duration::from_secs(10));
        assert!(status.success() && stderr.is_empty(), "{status}: {stderr}");
        assert!(total >= 30 * each, "{args:?}: {total} bytes");
        assert!((1000..80_000).contains(&peak), "{args:?}: {peak} KiB");
    }
}

#[test]
fn a_reader_that_goes_away_ends_the_listing_quietly() {
    for args in [&["-o", "text"][..], &["-o", "json"], &["-o", "table"], &["-o", "raw"], &["--desc"]] {
        let mut slow = Slow::start(big(), &[&["/s/"], args].concat());
        assert!(!slow.read(100).is_empty());
        drop(slow.0.stdout.take());
        let (status, stderr) = slow.end(Duration::from_secs(5));
        assert!(status.code() == Some(0) && stderr.is_empty(), "{args:?}: {status}: {stderr}");
    }
}

#[test]
fn an_interrupt_ends_a_listing_that_nobody_reads() {
    for (signal, args) in [(Signal::SIGINT, &["-o", "json"][..]), (Signal::SIGTERM, &["-o", "json", "--desc"])] {
        let mut slow = Slow::start(big(), &[&["/s/"], args].concat());
        assert!(!slow.read(1).is_empty());
        eventually("the pipe to be full", Duration::from_secs(10), || slow.stuck());
        kill(Pid::from_raw(slow.0.id() as i32), signal).unwrap();
        let (status, stderr) = slow.end(Duration::from_secs(2));
        assert_eq!(status.signal(), Some(signal as i32), "{status}: {stderr}");
    }
}

/// A slow reader holds a listing up; meanwhile every key is written anew and the listing's revision compacted.
#[test]
fn a_compaction_under_a_listing_is_said_and_revisions_are_never_mixed() {
    let etcd = Etcd::start();
    let keys = || (0..12_000).map(|n| format!("/c/{n:05}"));
    let write = |word: &str| load(&etcd, keys().map(|key| (key, word.repeat(300))));
    write("1");
    let rev = kvadm(&etcd, ["status", "--revision", "-o", "json"]).run().ok().json()["revision"].as_i64().unwrap();
    let mut slow = Slow::start(&etcd, &["/c/", "-o", "json"]);
    let mut all = slow.read(1);
    write("2");
    let now = kvadm(&etcd, ["status", "--revision", "-o", "json"]).run().ok().json()["revision"].as_i64().unwrap();
    etcd.etcdctl_ok(&["compact", &now.to_string()]);
    slow.0.stdout.as_mut().unwrap().read_to_end(&mut all).unwrap();
    let (status, stderr) = slow.end(Duration::from_secs(5));
    let lines = all.split_inclusive(|byte| *byte == b'\n').filter(|line| line.ends_with(b"\n"));
    let records: Vec<Value> = lines.map(|line| serde_json::from_slice(line).unwrap()).collect();
    assert!(all.ends_with(b"\n") && records.len() > 100, "{} records", records.len());
    for (record, key) in records.iter().zip(keys()) {
        assert!(record["key"] == key.as_str() && record["value"].as_str().unwrap().starts_with('1'), "{record}");
        assert!(record["mod_revision"].as_i64().unwrap() <= rev, "{record}");
    }
    // It cannot have been complete: most of it had not been asked for.
    assert!(records.len() < 12_000);
    assert_eq!(status.code(), Some(4), "{stderr}");
    let error: Value = serde_json::from_str(&stderr).unwrap();
    let said = error["error"].as_str().unwrap();
    assert!(said.contains(&format!("revision {rev} was compacted while it was being listed")), "{said}");
    assert!(said.contains(&format!("after {} keys", records.len())), "{said}, {} came", records.len());
    assert!(error["hints"].to_string().contains("incomplete"), "{error}");
}
