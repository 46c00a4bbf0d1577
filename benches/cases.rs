//! What is measured, against what, and what is to be reached. A new case is one more entry in [`all`].

use std::path::Path;

use crate::backups::backups;
use crate::measure::{Cmd, Until};
use crate::shapes::{SCHEMA, Shape};

/// A figure and the most it may be.
#[derive(Clone, Copy)]
pub enum Target {
    /// Wall time as a share of the other program's.
    Wall(f64),
    /// CPU time as a share of the other program's.
    Cpu(f64),
    /// Wall time as a share of the floor's.
    Floor(f64),
    /// Wall time, ms.
    Millis(f64),
    /// CPU time as a share of one core.
    Core(f64),
    /// Peak memory, MiB.
    Memory(f64),
    /// The least keys a second.
    Rate(f64),
    /// The longest put of a neighbour meanwhile, ms.
    Neighbour(f64),
    /// How long after the last write the last event was there, ms.
    Behind(f64),
    /// From the end of one holder's command to the start of the next one's: the median and the 90th in a hundred, ms.
    Handoff(f64, f64),
}

/// How a case runs.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum How {
    /// The commands in turn, each by itself.
    Alone,
    /// Each beside a neighbour who puts a key every 5 ms.
    Neighbour,
    /// The commands are watchers; so many keys are put once they watch.
    Live(u64),
    /// The commands take a lock and are followed by what to run under it: twenty processes queue for it.
    Queue,
    /// The same, but four workers take it again and again.
    BackToBack,
}

/// One row of the table.
pub struct Case {
    pub name: String,
    pub how: How,
    pub kvadm: Cmd,
    /// etcdctl, or what else the row is compared with.
    pub other: Option<Cmd>,
    /// The least that a client can do.
    pub floor: Option<Cmd>,
    /// The least that a client can do in answers of bounded size.
    pub bounded: Option<Cmd>,
    /// Run before each of them, and not measured.
    pub before: Vec<Cmd>,
    pub keys: u64,
    pub targets: Vec<Target>,
}

/// Where everything is.
pub struct Place<'a> {
    pub kvadm: String,
    pub etcdctl: String,
    /// This program, for the floors.
    pub own: String,
    pub endpoint: String,
    /// The same store, 50 ms away and back.
    pub far: String,
    /// Another store.
    pub second: String,
    /// Three members of one cluster, or nothing if no case needs them.
    pub members: Vec<String>,
    /// The store that backups are made of.
    pub backup: String,
    /// A store that speaks TLS, and the same 50 ms away and back.
    pub tls: String,
    pub tls_far: String,
    pub work: &'a Path,
    pub keys: u64,
    /// Parts of the names of the cases to run, separated by commas; empty for all.
    pub names: String,
    /// The minor version of etcd 3 and of etcdctl.
    pub minor: u32,
    /// Whether this is the first version of etcd in this run, which runs the cases that do not depend on the version.
    pub first: bool,
}

/// A command without a shell that runs to its end and exits with 0.
pub fn cmd(argv: &[&str]) -> Cmd {
    Cmd { argv: argv.iter().map(|word| (*word).to_owned()).collect(), until: Until::End, codes: vec![0] }
}

/// The same command, of which these exit codes are expected.
pub fn expect(mut cmd: Cmd, codes: &[i32]) -> Cmd {
    cmd.codes = codes.to_vec();
    cmd
}

impl Place<'_> {
    /// Whether a case of this name is to run.
    pub fn wants(&self, name: &str) -> bool {
        let named = || self.names.split(',').any(|part| name.contains(part.trim()));
        (self.first || !crate::versions::is_once(name)) && (self.names.is_empty() || named())
    }

    /// Whether one of these cases may be to run; the names may lack a part, such as a size.
    fn may_want(&self, names: &[&str]) -> bool {
        let named = |name: &str| self.names.split(',').any(|part| name.contains(part.trim()) || part.contains(name));
        let asked = |name: &&&str| self.names.is_empty() || named(name);
        names.is_empty() || names.iter().filter(asked).any(|name| self.first || !crate::versions::is_once(name))
    }

    pub fn kvadm_at(&self, endpoint: &str, args: &[&str]) -> Cmd {
        cmd(&[&[self.kvadm.as_str(), "--endpoints", endpoint, "--op-timeout", "600s"], args].concat())
    }

    pub fn etcdctl_at(&self, endpoint: &str, args: &[&str]) -> Cmd {
        cmd(&[&[self.etcdctl.as_str(), "--endpoints", endpoint, "--command-timeout=600s"], args].concat())
    }

    fn kvadm(&self, args: &[&str]) -> Cmd {
        self.kvadm_at(&self.endpoint, args)
    }

    fn etcdctl(&self, args: &[&str]) -> Cmd {
        self.etcdctl_at(&self.endpoint, args)
    }

    pub fn client(&self, what: &str, args: &[&str]) -> Cmd {
        self.client_at(&self.endpoint, what, args)
    }

    pub fn client_at(&self, endpoint: &str, what: &str, args: &[&str]) -> Cmd {
        cmd(&[&[self.own.as_str(), "client", what, endpoint], args].concat())
    }

    /// etcdctl deletes the prefix. Of 1 000 000 keys its request times out in the server, which goes on all the same: the
    /// work is done when the keys are gone.
    fn one_delete(&self, endpoint: &str, prefix: &str) -> Cmd {
        let script =
            r#""$0" --endpoints "$2" --command-timeout=600s del "$3" --prefix || exec "$1" client gone "$2" "$3""#;
        cmd(&["sh", "-c", script, &self.etcdctl, &self.own, endpoint, prefix])
    }

    pub fn file(&self, name: &str) -> String {
        self.work.join(name).to_string_lossy().into_owned()
    }
}

/// The same command, stopped when its work is done. One that works until another command has ended must not end before.
pub fn until(mut cmd: Cmd, until: Until) -> Cmd {
    if matches!(until, Until::Ended(_)) {
        cmd.codes.clear();
    }
    cmd.until = until;
    cmd
}

/// A case that is run alone.
pub fn case(name: &str, kvadm: Cmd, other: Option<Cmd>, targets: &[Target]) -> Case {
    let (name, targets) = (name.to_owned(), targets.to_vec());
    Case { name, how: How::Alone, kvadm, other, floor: None, bounded: None, before: Vec::new(), keys: 0, targets }
}

/// The prefixes that hold data before the first case, and how their keys are spread.
pub const LOADED: [(&str, &str); 5] =
    [("/k/", "decimal"), ("/uuid/", "uuid"), ("/skewed/", "skewed"), ("/deep/", "deep"), ("/binary/", "binary")];

/// Some cases, and what they need in the stores.
type Group = fn(&Place<'_>) -> Result<Vec<Case>, String>;

/// Every case by groups, in the order in which they run. A group is prepared right before it runs. The names tell whether a
/// group is wanted at all; a group without names is cheap to prepare.
pub const GROUPS: [(&[&str], Group); 12] = [
    (&[], gets),
    (&[], |p| Ok(lists(p))),
    (&[SPREAD], spread),
    (&[], |p| Ok(crate::versions::streams(p))),
    (&["put --from", "copy", "delete --prefix"], writes),
    (&["diff of two stores", "diff of two revisions", "restore of 1 %"], comparisons),
    (&["mirror, missed puts of distinct keys", "mirror, missed puts of one key"], mirrors),
    (&[], backups),
    (&[], watches),
    (&[], |p| Ok(locks(p))),
    (&["allocate new", "gc ids", "gc metadata"], growth),
    (&[], crate::database::rows),
];

/// The wanted cases of a group, prepared.
///
/// # Errors
/// The stores or the files cannot be filled.
pub fn prepared(p: &Place<'_>, (names, group): (&[&str], Group)) -> Result<Vec<Case>, String> {
    if !p.may_want(names) {
        return Ok(Vec::new());
    }
    let wanted = group(p)?.into_iter().filter(|case| p.wants(&case.name)).collect();
    crate::floors::add(p, crate::versions::adjusted(p, wanted))
}

fn decimal(p: &Place<'_>, n: u64) -> String {
    debug_assert!(n < p.keys);
    String::from_utf8_lossy(&Shape::Decimal.key("/k/", n)).into_owned()
}

fn gets(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Memory, Millis, Wall};
    let one = decimal(p, p.keys / 2);
    let ca = p.file("tls.pem");
    let get = |endpoint: &str| (p.kvadm_at(endpoint, &["get", &one]), p.etcdctl_at(endpoint, &["get", &one]));
    let tls = |endpoint: &str| {
        let endpoint = format!("https://{endpoint}");
        let theirs = p.etcdctl_at(&endpoint, &["--cacert", &ca, "get", "k"]);
        (p.kvadm_at(&endpoint, &["--ca-file", &ca, "get", "k"]), theirs)
    };
    let secure = format!("https://{}", p.tls);
    crate::measure::run(&p.kvadm_at(&secure, &["--ca-file", &ca, "put", "k", "x"]), p.work)?;
    let row = |name: &str, (ours, theirs), targets: &[Target]| case(name, ours, Some(theirs), targets);
    Ok(vec![
        row("get", get(&p.endpoint), &[Wall(0.15), Memory(8.0)]),
        row("get over TLS", tls(&p.tls), &[Wall(0.35)]),
        // One round trip behind the TCP connection, which the proxy accepts at once. TLS 1.3 takes one more, and TLS 1.2,
        // which etcd 3.5 speaks, two.
        row("get, 50 ms away", get(&p.far), &[Millis(90.0)]),
        row("get over TLS, 50 ms away", tls(&p.tls_far), &[Millis(190.0)]),
    ])
}

fn lists(p: &Place<'_>) -> Vec<Case> {
    use Target::{Cpu, Floor, Memory, Wall};
    let list = |args: &[&str]| p.kvadm(&[&["list", "/k/"], args].concat());
    let get = |args: &[&str]| Some(p.etcdctl(&[&["get", "/k/", "--prefix"], args].concat()));
    let keys_only = list(&["--keys-only"]);
    let count = get(&["--count-only", "-w", "fields"]);
    let line = Until::Lines(1);
    let far = p.etcdctl_at(&p.far, &["get", "/k/", "--prefix"]);
    let whole = case("list", list(&[]), get(&[]), &[Wall(0.8), Floor(1.2), Cpu(0.4), Memory(24.0)]);
    let mut cases = vec![
        Case { floor: Some(p.client("range", &["/k/"])), ..whole },
        case("list -o json", list(&["-o", "json"]), get(&["-w", "json"]), &[Wall(0.65), Memory(24.0)]),
        case("list --keys-only", keys_only, get(&["--keys-only"]), &[Wall(0.8)]),
        case("list --count", list(&["--count"]), count, &[Wall(0.8)]),
        Case {
            // etcd counts the whole range before it answers the first page.
            floor: Some(p.client("first", &["/k/"])),
            ..case(
                "first line of list",
                until(list(&[]), line.clone()),
                get(&[]).map(|theirs| until(theirs, line)),
                &[Wall(0.1)],
            )
        },
        case("list, 50 ms away", p.kvadm_at(&p.far, &["list", "/k/"]), Some(far), &[Wall(1.0)]),
    ];
    for (prefix, shape) in &LOADED[1..] {
        // etcd itself takes longer for keys that were not written in their order; the floor, one Range, shows it.
        let name = format!("list of {shape} keys, compared with decimal");
        let case = case(&name, p.kvadm(&["list", prefix]), Some(list(&[])), &[Wall(1.3), Floor(1.3)]);
        cases.push(Case { floor: Some(p.client("range", &[prefix])), ..case });
    }
    cases.into_iter().map(|case| Case { keys: p.keys, ..case }).collect()
}

/// The name of the case that reads from three members.
pub const SPREAD: &str = "list --serializable, three members, compared with one";

/// The windows of one listing from three members: what it gains depends on the cores that the members have for themselves.
fn spread(p: &Place<'_>) -> Result<Vec<Case>, String> {
    let [first, ..] = p.members.as_slice() else { return Ok(Vec::new()) };
    let keys = p.keys.to_string();
    let load = p.client_at(first, "load", &["/k/", &keys, "uuid"]);
    crate::measure::run(&load, p.work)?;
    // A member that lags behind the first one is not used.
    for member in &p.members {
        crate::measure::run(&p.client_at(member, "await", &["/k/", &keys]), p.work)?;
    }
    let list = |endpoints: &str| p.kvadm_at(endpoints, &["list", "/k/", "--serializable"]);
    let case = case(SPREAD, list(&p.members.join(",")), Some(list(first)), &[Target::Wall(0.67)]);
    Ok(vec![Case { floor: Some(p.client_at(first, "range", &["/k/"])), keys: p.keys, ..case }])
}

fn writes(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Floor, Memory, Neighbour, Rate, Wall};
    let records = p.file("records");
    write(&records, |out| {
        for n in 0..p.keys {
            let key = String::from_utf8_lossy(&Shape::Decimal.key("/p/", n)).into_owned();
            writeln!(out, r#"{{"key":"{key}","value":"{}"}}"#, Shape::Decimal.value(n))?;
        }
        Ok(())
    })?;
    let load = || p.client("load", &["/p/", &p.keys.to_string(), "decimal"]);
    let import = p.kvadm(&["put", "--from", &records]);
    let import = case("put --from", import, None, &[Rate(50_000.0), Floor(1.25), Memory(48.0)]);
    // etcdctl copies one key after the other: it gets the first 10 000.
    let (few, mirrored) = (p.keys.min(10_000), "/k/000000");
    let copy = |prefix: &str| {
        let common = "--op-timeout 600s";
        let from = format!("{} --endpoints {} {common} list {prefix} -o json", p.kvadm, p.endpoint);
        let script = format!("{from} | {} --endpoints {} {common} put --from -", p.kvadm, p.second);
        cmd(&["bash", "-o", "pipefail", "-c", &script])
    };
    let mirror = p.etcdctl(&["make-mirror", &p.second, "--prefix", mirrored]);
    let mirror = until(mirror, Until::Ended(p.client_at(&p.second, "await", &[&decimal(p, few - 1), "1"]).argv));
    let delete = p.kvadm(&["delete", "--prefix", "/p/", "--yes"]);
    let delete =
        case("delete --prefix", delete, Some(p.one_delete(&p.endpoint, "/p/")), &[Wall(1.5), Neighbour(200.0)]);
    let whole = case("copy: list to put --from", copy("/k/"), None, &[Rate(30_000.0)]);
    let part = case("copy of 10 000, compared with make-mirror", copy(mirrored), Some(mirror), &[]);
    Ok(vec![
        Case { floor: Some(load()), before: vec![p.one_delete(&p.endpoint, "/p/")], keys: p.keys, ..import },
        Case { before: vec![p.one_delete(&p.second, "/k/")], keys: p.keys, ..whole },
        Case { before: vec![p.one_delete(&p.second, "/k/")], keys: few, ..part },
        Case { how: How::Neighbour, before: vec![load()], keys: p.keys, ..delete },
    ])
}

/// Two stores of which one key in a hundred differs, and a store that goes back by as many changes as one in a hundred.
fn comparisons(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Memory, Wall};
    let contexts = p.work.join("contexts/kvadm");
    std::fs::create_dir_all(&contexts).map_err(|e| e.to_string())?;
    write(&p.file("contexts/kvadm/second.yaml"), |out| writeln!(out, "endpoints: [\"{}\"]", p.second))?;
    let records = |name: &str, word: &str| -> Result<String, String> {
        let file = p.file(name);
        write(&file, |out| {
            for n in (0..p.keys).step_by(100) {
                let value = format!("{word}{}", Shape::Decimal.value(n));
                writeln!(out, r#"{{"key":"{}","value":"{value}"}}"#, decimal(p, n))?;
            }
            Ok(())
        })?;
        Ok(file)
    };
    let (changed, original) = (records("changed", "changed")?, records("original", "")?);
    let common = "--op-timeout 600s";
    let kvadm = format!("{} --endpoints {} {common}", p.kvadm, p.endpoint);
    let second = format!("{} --endpoints {} {common}", p.kvadm, p.second);
    let shell = |script: String| cmd(&["bash", "-o", "pipefail", "-c", &script]);
    let copy = format!("{kvadm} list /k/ -o json | {second} put --from - && {second} put --from {changed}");
    crate::measure::run(&p.one_delete(&p.second, "/k/"), p.work)?;
    crate::measure::run(&shell(copy), p.work)?;
    let change = || shell(format!("{kvadm} put --from {changed}"));
    crate::measure::run(&change(), p.work)?;
    crate::measure::run(&shell(format!("{kvadm} put --from {original}")), p.work)?;
    let revision = revision(p)?;
    // Before the last load of a hundredth of the keys: each of its revisions has a batch of records.
    let before = revision - i64::try_from(p.keys / 100 / 100).unwrap_or(1).max(1);
    // Both sides differ: kvadm exits with 1.
    let contexts = format!("XDG_CONFIG_HOME={}; export XDG_CONFIG_HOME", p.file("contexts"));
    let two = expect(shell(format!("{contexts}; exec {kvadm} diff /k/ --source context:second")), &[1]);
    let at_once = |first: String, second: String| shell(format!("{first} & {second} && wait $!"));
    let lists = at_once(format!("{second} list /k/"), format!("{kvadm} list /k/"));
    let past = expect(shell(format!("exec {kvadm} diff /k/ --source rev:{before}")), &[1]);
    let keys_only = format!("{kvadm} list /k/ --keys-only");
    let names = at_once(format!("{keys_only} --rev {before}"), keys_only);
    let restore = shell(format!("{kvadm} restore /k/ --source rev:{revision} --yes"));
    let diff = format!("{kvadm} diff /k/ --source rev:{revision}");
    let by_hand = shell(format!("{diff}; [ $? = 1 ] && {kvadm} put --from {original}"));
    let row =
        |name: &str, ours, theirs, targets: &[Target]| Case { keys: p.keys, ..case(name, ours, Some(theirs), targets) };
    Ok(vec![
        row("diff of two stores, 1 % different, compared with both listings", two, lists, &[Wall(1.2), Memory(32.0)]),
        row("diff of two revisions, compared with two keys-only listings", past, names, &[Wall(1.2), Memory(32.0)]),
        Case {
            before: vec![change()],
            ..row("restore of 1 %, compared with diff and put --from", restore, by_hand, &[Wall(1.25), Memory(48.0)])
        },
    ])
}

/// The changes that a mirror has missed, in the source's order: of distinct keys, and of one key, of which a transaction can
/// write one change only.
fn mirrors(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Memory, Rate};
    let changes = p.keys.min(10_000);
    let hot = p.file("hot");
    write(&hot, |out| (0..2000).try_for_each(|n| writeln!(out, r#"{{"key":"/mir/hot","value":"{n}"}}"#)))?;
    let common = "--op-timeout 600s";
    let kvadm = format!("{} --endpoints {} {common}", p.kvadm, p.endpoint);
    let second = format!("XDG_CONFIG_HOME={} {} --endpoints {} {common}", p.file("contexts"), p.kvadm, p.second);
    let shell = |script: String| cmd(&["sh", "-c", &script]);
    // The copy has the first key and the place when the changes come.
    let copied = shell(format!(
        "{second} delete --prefix /mir --yes; {kvadm} delete --prefix /mir --yes; {kvadm} put /mir/first 1 && \
         {second} mirror /mir/ --source context:second-source --once"
    ));
    write(&p.file("contexts/kvadm/second-source.yaml"), |out| writeln!(out, "endpoints: [\"{}\"]", p.endpoint))?;
    let mirror = || shell(format!("{second} mirror /mir/ --source context:second-source --once"));
    // It copies the keys, which are as many writes.
    let make_mirror = p.etcdctl(&["make-mirror", &p.second, "--prefix", "/mir/"]);
    let all = p.client_at(&p.second, "await", &["/mir/", &(changes + 1).to_string()]);
    let make_mirror = until(make_mirror, Until::Ended(all.argv));
    let puts = p.client("puts", &["/mir/", &changes.to_string()]);
    let one_key = shell(format!("{kvadm} --max-ops 3 put --from {hot}"));
    let distinct =
        case("mirror, missed puts of distinct keys", mirror(), Some(make_mirror), &[Rate(20_000.0), Memory(64.0)]);
    let hot = case("mirror, missed puts of one key", mirror(), None, &[]);
    Ok(vec![
        Case { before: vec![copied.clone(), puts], keys: changes, ..distinct },
        Case { before: vec![copied, one_key], keys: 2000, ..hot },
    ])
}

fn watches(p: &Place<'_>) -> Result<Vec<Case>, String> {
    use Target::{Behind, Core, Cpu, Memory, Wall};
    let events = (p.keys / 2).min(100_000);
    let both = |prefix: &str, args: &[&str]| {
        let ours = p.kvadm(&[&["watch", prefix], args].concat());
        (ours, p.etcdctl(&[&["watch", prefix, "--prefix"], args].concat()))
    };
    let (ours, theirs) = both("/live/", &[]);
    let live = case("watch, live", ours, Some(theirs), &[Cpu(0.35), Memory(10.0), Behind(100.0)]);
    let mut cases = vec![Case { how: How::Live(events), keys: events, ..live }];
    // Distinct keys, in transactions of ten and as single puts, as fast as the store takes these.
    for (name, batch, least) in
        [("top, 20 000 events/s in transactions", "10", "19000"), ("top, single puts", "1", "1")]
    {
        let steady = p.client("steady", &["/top/", "20000", "10", batch, least]);
        let top = until(p.kvadm(&["top", "/top/"]), Until::Ended(steady.argv));
        cases.push(Case { keys: 200_000, ..case(name, top, None, &[Core(0.1), Memory(32.0)]) });
    }
    // The backlog is written now, so that every round replays the same one. etcd reads the rest of it again for each
    // thousand revisions, so that its time grows with the square of their number: of single puts there are fewer.
    let puts = (p.keys / 5).min(100_000);
    for (name, prefix, part, events) in [
        ("watch, backlog of transactions", "/log/", "load", events),
        ("watch, backlog of puts", "/puts/", "puts", puts),
    ] {
        if !p.wants(name) {
            continue;
        }
        let revision = (revision(p)? + 1).to_string();
        let keys = events.to_string();
        let args: &[&str] = if part == "load" { &[prefix, &keys, "decimal"] } else { &[prefix, &keys] };
        crate::measure::run(&p.client(part, args), p.work)?;
        let (ours, theirs) = both(prefix, &["--rev", &revision]);
        let (ours, theirs) = (until(ours, Until::Lines(events)), until(theirs, Until::Lines(events * 3)));
        cases.push(Case { keys: events, ..case(name, ours, Some(theirs), &[Wall(0.5), Memory(64.0)]) });
    }
    Ok(cases)
}

fn revision(p: &Place<'_>) -> Result<i64, String> {
    let argv = p.client("revision", &[]).argv;
    let output = std::process::Command::new(&argv[0]).args(&argv[1..]).output().map_err(|e| e.to_string())?;
    String::from_utf8_lossy(&output.stdout).trim().parse().map_err(|_| "the store says no revision".to_owned())
}

fn locks(p: &Place<'_>) -> Vec<Case> {
    use Target::{Handoff, Wall};
    let ours = |name: &str, rest: &[&str]| p.kvadm(&[&["lock", name, "--"], rest].concat());
    let theirs = |name: &str, rest: &[&str]| Some(p.etcdctl(&[&["lock", name], rest].concat()));
    let (alone, queue, again) = ("/bench/lock", "/bench/queue", "/bench/again");
    let true_alone = case("lock -- true", ours(alone, &["true"]), theirs(alone, &["true"]), &[Wall(0.25)]);
    let queue = case("lock: handoff in a queue", ours(queue, &[]), theirs(queue, &[]), &[Handoff(3.0, 10.0)]);
    let again = case("lock: handoff back to back", ours(again, &[]), theirs(again, &[]), &[Handoff(3.0, 10.0)]);
    vec![true_alone, Case { how: How::Queue, ..queue }, Case { how: How::BackToBack, ..again }]
}

/// Jobs over whole sets, at a quarter, a half and all of their size: what a doubling costs.
fn growth(p: &Place<'_>) -> Result<Vec<Case>, String> {
    let sizes = |most: u64| [4, 2, 1].map(|part| p.keys.min(most) / part);
    let wanted = |keys: u64| -> Result<String, String> {
        let file = p.file(&format!("wanted-{keys}"));
        write(&file, |out| (0..keys).try_for_each(|n| writeln!(out, "k8s:app=bench-{n};")))?;
        Ok(file)
    };
    let mut cases = Vec::new();
    for keys in sizes(10_000) {
        let name = format!("allocate new, {keys} keys");
        let base = format!("bench/new/{keys}");
        let new = p.kvadm(&["allocate", "new", "--from", &wanted(keys)?, "--base", &base, "--node", "n"]);
        let before = vec![p.etcdctl(&["del", &base, "--prefix"])];
        cases.push(Case { before, keys, ..case(&name, new, None, &[]) });
    }
    for keys in sizes(100_000) {
        let name = format!("gc ids, {keys} IDs");
        if !p.wants(&name) {
            continue;
        }
        let base = format!("bench/ids/{keys}");
        let pool = ["--base", &base, "--max", "16777215"];
        let fill = ["allocate", "new", "--from", &wanted(keys)?, "--node", "n", "--permanent"];
        crate::measure::run(&p.kvadm(&[&fill[..], &pool].concat()), p.work)?;
        // All of the IDs are in use.
        let gc = p.kvadm(&[&["gc", "ids"], &pool[..]].concat());
        cases.push(Case { keys, ..case(&name, gc, None, &[]) });
    }
    let schema = p.file("schema.yaml");
    write(&schema, |out| out.write_all(SCHEMA.as_bytes()))?;
    for keys in sizes(1_000_000) {
        let name = format!("gc metadata, {keys} keys");
        if !p.wants(&name) {
            continue;
        }
        let prefix = format!("/metadata-{keys}/");
        crate::measure::run(&p.client("load", &[&prefix, &keys.to_string(), "metadata"]), p.work)?;
        // Some artifacts are garbage: kvadm exits with 1.
        let gc = expect(p.kvadm(&["gc", "metadata", &prefix, "--schema", &schema]), &[1]);
        cases.push(Case { keys, ..case(&name, gc, None, &[]) });
    }
    Ok(cases)
}

/// Writes a file.
pub fn write(file: &str, fill: impl FnOnce(&mut dyn std::io::Write) -> std::io::Result<()>) -> Result<(), String> {
    let told = |e: std::io::Error| format!("{file}: {e}");
    let mut out = std::io::BufWriter::new(std::fs::File::create(file).map_err(told)?);
    fill(&mut out).and_then(|()| std::io::Write::flush(&mut out)).map_err(told)
}
