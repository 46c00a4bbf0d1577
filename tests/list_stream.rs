//! `kvadm list` over many keys and large values, before readers that are slow or go away.

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
use serde_json::Value;

use super::get::{kvadm, lock, put};
use super::list::load;
use super::support::{Etcd, eventually};

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

/// A slow reader holds a listing up; meanwhile the lock goes.
#[test]
fn a_lock_lost_under_a_listing_ends_it() {
    let etcd = big();
    let (token, lease) = lock(etcd, "/lock");
    let mut slow = Slow::start(etcd, &["/s/", &format!("--if-locked={token}")]);
    let mut all = slow.read(1);
    eventually("the pipe to be full", Duration::from_secs(10), || slow.stuck());
    etcd.etcdctl_ok(&["lease", "revoke", &lease]);
    slow.0.stdout.as_mut().unwrap().read_to_end(&mut all).unwrap();
    let (status, stderr) = slow.end(Duration::from_secs(5));
    assert_eq!(status.code(), Some(5), "{stderr}");
    let lines = all.iter().filter(|byte| **byte == b'\n').count();
    assert!(all.ends_with(b"\n") && lines < 19_000, "{lines} lines");
    let listed = kvadm::plural::counted(lines, "key");
    assert!(stderr.contains(&format!("incomplete: it ended after {listed}")), "{stderr}, {lines} lines");
}

/// A slow reader holds a listing up; meanwhile every key is written anew and the listing's revision compacted.
#[test]
fn a_compaction_under_a_listing_is_said_and_revisions_are_never_mixed() {
    let etcd = Etcd::start();
    let keys = || (0..12_000).map(|n| format!("/c/{n:05}"));
    // More than fits between etcd and a reader who rests.
    let write = |word: &str| load(&etcd, keys().map(|key| (key, word.repeat(2000))));
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
    assert!(said.contains(&format!("revision {rev} was compacted during the listing")), "{said}");
    let listed = kvadm::plural::counted(records.len(), "key");
    assert!(said.contains(&format!("after {listed}")), "{said}, {} came", records.len());
    assert!(error["hints"].to_string().contains("incomplete"), "{error}");
}
