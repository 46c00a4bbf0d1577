//! What users of etcdctl type, and the line of kvadm that does it: the data behind the tips of usage errors.
//! `docs/etcdctl.md` has the same commands for readers.

/// A command of etcdctl.
pub struct Habit {
    /// Its words, its arguments in capitals, and the flags that choose this row. `NAME...` takes the rest of the line.
    pub etcdctl: &'static str,
    /// What to do instead.
    pub advice: Advice,
}

/// What kvadm has for a command of etcdctl. `{NAME}` stands for an argument of the command, shell-quoted.
pub enum Advice {
    /// This line, without `kvadm`; other flags are translated and added.
    Line(&'static str),
    /// Nothing that does the same: the text says what to use. `{ETCDUTL}` stands for the line with etcdutl.
    Instead(&'static str),
}

use Advice::{Instead, Line};

/// What stands for etcdctl's load tests.
const CHECK: &str = "'kvadm status --latency' measures reads and writes of each member without loading the cluster; \
                     'kvadm check FILE' compares the results with limits";

const fn habit(etcdctl: &'static str, advice: Advice) -> Habit {
    Habit { etcdctl, advice }
}

/// The habits. The first one that fits a command line decides, so rows with flags stand before those without.
pub const HABITS: &[Habit] = &[
    habit("get KEY --prefix --print-value-only", Line("list {KEY} -o raw")),
    habit("get KEY --prefix", Line("list {KEY}")),
    habit("get KEY --from-key", Line("list --from {KEY}")),
    habit("get KEY END", Line("list --from {KEY} --to {END}")),
    habit("get --prefix", Line("list")),
    habit("get --from-key", Line("list")),
    habit("get KEY", Line("get {KEY}")),
    habit("put KEY --ignore-value", Line("put {KEY} --ignore-value")),
    habit("put KEY VALUE", Line("put {KEY} {VALUE}")),
    habit("put KEY", Line("put {KEY} -")),
    habit("del KEY --prefix", Line("delete --prefix {KEY}")),
    habit("del KEY --from-key", Line("delete --from {KEY}")),
    habit("del --prefix", Line("delete --prefix PREFIX")),
    habit("del KEY END", Line("delete --from {KEY} --to {END}")),
    habit("del KEY", Line("delete {KEY}")),
    habit("txn --interactive", Line("txn --interactive")),
    habit("txn", Line("txn --interactive")),
    habit("watch --interactive", Instead("'kvadm watch PREFIX...' watches any number of prefixes in one command")),
    habit("watch KEY --prefix -- CMD...", Line("watch {KEY} --exec -- {CMD}")),
    habit("watch KEY -- CMD...", Line("watch --exact {KEY} --exec -- {CMD}")),
    habit("watch KEY --prefix", Line("watch {KEY}")),
    habit("watch KEY", Line("watch --exact {KEY}")),
    habit("make-mirror TARGET", Line("mirror PREFIX --source context:NAME --endpoints {TARGET}")),
    habit("lock NAME CMD...", Line("lock {NAME} -- {CMD}")),
    habit("lock NAME", Line("lock {NAME}")),
    habit("elect NAME --listen", Line("lock {NAME} --observe")),
    habit("elect NAME VALUE", Line("lock {NAME} --value {VALUE}")),
    habit("elect NAME", Line("lock {NAME} --value VALUE")),
    habit("lease grant TTL", Line("lease grant --ttl {TTL}")),
    habit("lease revoke ID", Line("lease revoke {ID}")),
    habit("lease timetolive ID", Line("lease show {ID}")),
    habit("lease keep-alive ID --once", Line("lease renew {ID}")),
    habit("lease keep-alive ID", Line("lease renew {ID} --every 20s")),
    habit("lease list", Line("lease list")),
    habit("endpoint health", Line("status")),
    habit("endpoint status", Line("status")),
    habit(
        "endpoint hashkv --rev",
        Instead("'kvadm status --consistency' compares all members at one revision, which it chooses itself"),
    ),
    habit("endpoint hashkv", Line("status --consistency")),
    habit("endpoint WORD", Line("status")),
    habit("endpoint", Line("status")),
    habit("member list --hex", Line("member list")),
    habit("member add NAME URL", Line("member add {NAME} --peer-urls {URL}")),
    habit("member update ID URL", Line("member update {ID} --peer-urls {URL}")),
    habit("member add NAME", Line("member add {NAME} --peer-urls http://HOST:2380")),
    habit("member update ID", Line("member update {ID} --peer-urls http://HOST:2380")),
    habit("move-leader ID", Line("member move-leader {ID}")),
    habit("move-leader", Line("member move-leader")),
    habit("alarm list", Line("status")),
    habit("alarm disarm", Line("compact --disarm")),
    habit("alarm WORD", Line("status")),
    habit("alarm", Line("status")),
    habit("compaction REV", Line("compact {REV}")),
    habit("defrag --cluster", Line("compact --defrag")),
    habit("defrag --endpoints", Line("compact --defrag --member {--endpoints} --endpoints {--endpoints}")),
    habit("defrag", Line("compact --defrag --member MEMBER")),
    habit("check perf", Instead(CHECK)),
    habit("check datascale", Instead(CHECK)),
    habit("snapshot save FILE", Line("snapshot save {FILE}")),
    habit("snapshot save", Line("snapshot save FILE")),
    habit("snapshot status FILE", Line("snapshot verify {FILE}")),
    habit("snapshot status", Line("snapshot verify FILE")),
    habit(
        "snapshot restore FILE",
        Instead(
            "'{ETCDUTL}' creates a data directory from a snapshot; 'kvadm snapshot verify {FILE}' verifies the snapshot",
        ),
    ),
    habit(
        "snapshot restore",
        Instead("'etcdutl snapshot restore FILE --data-dir DIR' creates a data directory from a snapshot"),
    ),
    // Of etcdutl.
    habit("hashkv FILE", Line("snapshot verify {FILE}")),
    habit("snapshot hashkv FILE", Line("snapshot verify {FILE}")),
    // What follows a colon is a password.
    habit("user add USER --new-user-password", Line("user add {USER} --new-password-file FILE")),
    habit("user add USER --password", Line("user add {USER} --new-password-file FILE")),
    habit("user add USER", Line("user add {USER}")),
    habit("user get USER", Line("user show {USER}")),
    habit("user passwd USER", Line("user password {USER}")),
    habit("user grant-role USER ROLE", Line("user grant {USER} {ROLE}")),
    habit("user revoke-role USER ROLE", Line("user revoke {USER} {ROLE}")),
    habit("role get ROLE", Line("role show {ROLE}")),
    habit("role grant-permission ROLE ACCESS KEY --prefix", Line("role grant {ROLE} {ACCESS} --prefix {KEY}")),
    habit("role grant-permission ROLE ACCESS KEY --from-key", Line("role grant {ROLE} {ACCESS} --from {KEY}")),
    habit("role grant-permission ROLE ACCESS KEY END", Line("role grant {ROLE} {ACCESS} --from {KEY} --to {END}")),
    habit("role grant-permission ROLE ACCESS KEY", Line("role grant {ROLE} {ACCESS} {KEY}")),
    habit("role revoke-permission ROLE KEY --prefix", Line("role revoke {ROLE} --prefix {KEY}")),
    habit("role revoke-permission ROLE KEY --from-key", Line("role revoke {ROLE} --from {KEY}")),
    habit("role revoke-permission ROLE KEY END", Line("role revoke {ROLE} --from {KEY} --to {END}")),
    habit("role revoke-permission ROLE KEY", Line("role revoke {ROLE} {KEY}")),
    // The verbs of kvadm with flags or words of etcdctl. To revoke a permission needs no access.
    habit("role revoke ROLE ACCESS KEY --prefix", Line("role revoke {ROLE} --prefix {KEY}")),
    habit("role revoke ROLE ACCESS KEY --from-key", Line("role revoke {ROLE} --from {KEY}")),
    habit("role revoke ROLE ACCESS KEY END", Line("role revoke {ROLE} --from {KEY} --to {END}")),
    habit("role revoke ROLE ACCESS KEY", Line("role revoke {ROLE} {KEY}")),
    habit("role revoke ROLE KEY --prefix", Line("role revoke {ROLE} --prefix {KEY}")),
    habit("role revoke ROLE KEY --from-key", Line("role revoke {ROLE} --from {KEY}")),
    habit("role revoke ROLE KEY END", Line("role revoke {ROLE} --from {KEY} --to {END}")),
    habit("list KEY --prefix", Line("list {KEY}")),
    habit("list KEY --from-key", Line("list --from {KEY}")),
    habit("list --prefix", Line("list")),
    habit("delete KEY --prefix", Line("delete --prefix {KEY}")),
    habit("delete KEY --from-key", Line("delete --from {KEY}")),
    habit("completion SHELL", Line("completions {SHELL}")),
    habit("version", Line("version")),
    habit("options", Line("help")),
];

/// The flags of `etcdutl snapshot restore`, and whether they have a value.
pub const RESTORE_FLAGS: &[(&str, bool)] = &[
    ("--bump-revision", true),
    ("--data-dir", true),
    ("--initial-advertise-peer-urls", true),
    ("--initial-cluster", true),
    ("--initial-cluster-token", true),
    ("--initial-memory-map-size", true),
    ("--mark-compacted", false),
    ("--name", true),
    ("--skip-hash-check", false),
    ("--wal-dir", true),
];

/// A flag of etcdctl.
pub struct Flag {
    /// Its name with the dashes.
    pub name: &'static str,
    /// Its short form.
    pub short: Option<&'static str>,
    /// Whether it has a value.
    pub valued: bool,
    /// What becomes of it.
    pub becomes: Becomes,
}

/// What a flag of etcdctl becomes in a line of kvadm.
pub enum Becomes {
    /// This option; a value follows it unchanged.
    Option(&'static str),
    /// This option, with the value in seconds.
    Seconds(&'static str),
    /// This option; what follows the first colon of the value is a password and is left out.
    User(&'static str),
    /// These words instead of a password.
    Secret(&'static str),
    /// The words for each value; a value that is not listed has no counterpart.
    Values(&'static [(&'static str, &'static str)]),
    /// Nothing: kvadm does so anyway.
    Nothing,
    /// It only chooses a row of [`HABITS`].
    Row,
    /// Nothing; the text says why, or what to use.
    Instead(&'static str),
}

const fn switch(name: &'static str, becomes: Becomes) -> Flag {
    Flag { name, short: None, valued: false, becomes }
}

const fn valued(name: &'static str, becomes: Becomes) -> Flag {
    Flag { name, short: None, valued: true, becomes }
}

const fn short(short: &'static str, flag: Flag) -> Flag {
    Flag { short: Some(short), ..flag }
}

/// The flags of etcdctl, and kvadm's own options that have a value and may stand among them.
pub const FLAGS: &[Flag] = &[
    valued("--cacert", Becomes::Option("--ca-file")),
    valued("--cert", Becomes::Option("--cert-file")),
    valued("--key", Becomes::Option("--key-file")),
    valued("--command-timeout", Becomes::Option("--op-timeout")),
    valued("--endpoints", Becomes::Option("--endpoints")),
    valued("--dial-timeout", Becomes::Option("--dial-timeout")),
    valued("--user", Becomes::User("--user")),
    valued("--password", Becomes::Secret("--password-file FILE")),
    valued("--keepalive-time", Becomes::Nothing),
    valued("--keepalive-timeout", Becomes::Nothing),
    valued("--max-request-bytes", Becomes::Nothing),
    valued("--max-recv-bytes", Becomes::Nothing),
    switch("--debug", Becomes::Option("-vv")),
    switch("--hex", Becomes::Instead("bytes that are not UTF-8 are escaped; '-o json' prints them in base64")),
    valued("--auth-jwt-token", Becomes::Secret("--token-file FILE")),
    short("-d", valued("--discovery-srv", Becomes::Option("--discovery-srv"))),
    valued("--discovery-srv-name", Becomes::Option("--discovery-srv-name")),
    switch("--insecure-discovery", Becomes::Option("--insecure-discovery")),
    valued("--new-user-password", Becomes::Row),
    short(
        "-w",
        valued("--write-out", Becomes::Values(&[("simple", "-o text"), ("table", "-o table"), ("json", "-o json")])),
    ),
    switch("--prefix", Becomes::Row),
    switch("--from-key", Becomes::Row),
    switch("--range", Becomes::Nothing),
    switch("--keys-only", Becomes::Option("--keys-only")),
    switch("--count-only", Becomes::Option("--count")),
    switch("--print-value-only", Becomes::Nothing),
    valued("--limit", Becomes::Option("--limit")),
    valued("--rev", Becomes::Option("--rev")),
    valued(
        "--sort-by",
        Becomes::Values(&[
            ("KEY", "--sort key"),
            ("VERSION", "--sort version"),
            ("CREATE", "--sort create"),
            ("MODIFY", "--sort mod"),
            ("VALUE", "--sort value"),
        ]),
    ),
    valued("--order", Becomes::Values(&[("ASCEND", ""), ("DESCEND", "--desc")])),
    valued("--consistency", Becomes::Values(&[("l", ""), ("s", "--serializable")])),
    switch("--stream", Becomes::Nothing),
    valued("--min-mod-rev", Becomes::Option("--min-mod-rev")),
    valued("--max-mod-rev", Becomes::Option("--max-mod-rev")),
    valued("--min-create-rev", Becomes::Option("--min-create-rev")),
    valued("--max-create-rev", Becomes::Option("--max-create-rev")),
    switch("--prev-kv", Becomes::Option("--prev")),
    switch("--ignore-value", Becomes::Row),
    switch("--ignore-lease", Becomes::Option("--keep-lease")),
    valued("--lease", Becomes::Option("--lease")),
    short("-i", switch("--interactive", Becomes::Row)),
    switch("--progress-notify", Becomes::Nothing),
    valued("--ttl", Becomes::Seconds("--ttl")),
    short("-l", switch("--listen", Becomes::Row)),
    switch("--keys", Becomes::Nothing),
    switch("--once", Becomes::Nothing),
    switch("--cluster", Becomes::Nothing),
    switch("--physical", Becomes::Nothing),
    short("-o", valued("--output", Becomes::Option("-o"))),
    short("-c", valued("--config", Becomes::Option("--config"))),
    valued("--context", Becomes::Option("--context")),
    valued("--ca-file", Becomes::Option("--ca-file")),
    valued("--cert-file", Becomes::Option("--cert-file")),
    valued("--key-file", Becomes::Option("--key-file")),
    valued("--password-file", Becomes::Option("--password-file")),
    valued("--token-file", Becomes::Option("--token-file")),
    valued("--op-timeout", Becomes::Option("--op-timeout")),
    valued("--namespace", Becomes::Option("--namespace")),
    valued("--deadline", Becomes::Option("--deadline")),
];

/// The flag of an argument, and the value that is joined to it.
pub fn flag_of(arg: &str) -> Option<(&'static Flag, Option<String>)> {
    let (name, value) = arg.split_once('=').map_or((arg, None), |(name, value)| (name, Some(value.to_owned())));
    if let Some(flag) = FLAGS.iter().find(|flag| flag.name == name || flag.short == Some(name)) {
        return Some((flag, value));
    }
    // -wjson
    let joined = |flag: &&Flag| flag.valued && flag.short.is_some_and(|short| arg.starts_with(short));
    let flag = FLAGS.iter().find(joined).filter(|_| !arg.starts_with("--"))?;
    Some((flag, flag.short.and_then(|short| arg.strip_prefix(short)).map(str::to_owned)))
}
