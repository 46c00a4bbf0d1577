//! What kvadm(1) says beyond the options: configuration, keys, the JSON contract, exit codes.

mod schema;

pub use crate::cli::manual::schema::SECTIONS as SCHEMA_SECTIONS;

/// The sections of the manual page, each a heading and lines as they are to be set.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "KEYS",
        "\
Keys and values are bytes; they need not be UTF-8. With --escape, \\xNN, \\n, \\t, \\r, \\0
and \\\\ are decoded in keys, prefixes and range ends on the command line. A key from a JSON
record is always exact. A prefix is a raw byte prefix: /a matches /ab; --dir appends the
missing slash. --namespace puts a prefix before every key and takes it off again.",
    ),
    (
        "CONFIGURATION",
        "\
One YAML file, read as it is from Ligato (etcd.conf) or clientv3 and Cilium (etcd.config).
The first of these that is there: -c FILE, $ETCD_CONFIG, --context NAME or $KVADM_CONTEXT
($XDG_CONFIG_HOME/kvadm/NAME.yaml), $XDG_CONFIG_HOME/kvadm/etcd.yaml, /etc/kvadm/etcd.yaml.
A file that is named but missing or bad is an error.

  endpoints                  list of host:port, http://, https://, unix:// (127.0.0.1:2379)
  dial-timeout               bound on reaching an endpoint (1s)
  operation-timeout          bound on each request (3s); ten times that where a whole range is
                             counted or read and the member that is at it shows life
  insecure-transport         true: plaintext, and the TLS files are not opened
  insecure-skip-tls-verify   true: any server certificate will do
  ca-file, trusted-ca-file   PEM certificates to trust (the system's)
  cert-file, key-file        PEM certificate and key to present; both or neither
  username, password         etcd's own authentication
  allow-delayed-start        true: keep trying while no endpoint answers
  reconnect-interval         the pause between such tries (2s)
  dial-keep-alive-time       HTTP/2 ping interval (10s; at least 5s)
  dial-keep-alive-timeout    how long a ping may stay unanswered (5s)
  session-ttl                seconds that a key held by a process outlives it (5)
  resync-after-reconnect     true: 'watch' resyncs by default
  auto-compact               period of 'compact --every'
  namespace, qps, output     as the options of the same name
  lock-ttl                   TTL of a lock's lease (25s)
  proto                      list of {prefix, file, message}: see PROTOBUF VALUES

Durations: a bare number is nanoseconds, as in Go; a text is 300ms, 5s, 1h30m. Unknown keys
are warned of, or refused with --strict-config.

For each key the strongest source wins: flag; KVADM_<KEY> in the environment; the file;
ETCD_ENDPOINTS, then ETCDV3_ENDPOINTS (endpoints only); ETCDCTL_ENDPOINTS, _CACERT, _CERT,
_KEY, _USER, _PASSWORD; the default. 'kvadm config' shows which did.",
    ),
    (
        "TLS",
        "\
A scheme on an endpoint decides for that endpoint. Without one: TLS if any TLS file is set,
else plaintext. TLS 1.2 or later; keys as PKCS#1, PKCS#8 or SEC1.",
    ),
    (
        "PERMISSIONS",
        "\
etcd before 3.6 (seen with 3.5.1) does not check a user's permissions inside nested transactions.
'put --from', --if-different, --keep-lease, --if-locked and 'txn' with nested ones are nested: there
the server may let a user write what a plain put would refuse.",
    ),
    (
        "JSON",
        "\
With -o json every record is one object on one line. Names are a contract: they only grow.
Bytes that are not UTF-8 stand in NAME_base64 instead of NAME. IDs of 64 bits are hex texts;
revisions, versions and counts are numbers. What is absent is left out.

  get, list        key, value, create_revision, mod_revision, version, lease
                   --with-leases: ttl (granted, in seconds); --keys-only: no value, no lease
  list --count     count, revision
  put KEY          outcome, key, mod_revision, lease, ttl, written
  put --from       written (or would_write), unchanged, exists, unknown, leases
  delete           deleted (or would_delete), kept, revision; --prev: the records that went
  lease            lease, ttl, left (seconds), keys (their number; of 'show' a list of key)
  txn              branch, revision, succeeded, dry_run, results: for each operation op, and
                   put: prev; get: count, more, kvs; delete: deleted, prev;
                   txn: branch, succeeded, results
  watch            event: created, modified or deleted, with key, value, prev_value (--prev),
                   create_revision, mod_revision, version, lease; a deleted key has no value,
                   and mod_revision is that of its deletion, absent where --sync found the
                   key gone after a compaction; list-done, with revision; status, with
                   status (wait-for-datastore, resync-in-progress, in-sync) and revision;
                   error, with key, error, field and mod_revision: a value of the event
                   before it is no such message
  status           health, quorum, quorum_ms, cluster, revision, complaints, members: endpoint,
                   name, health, latency_ms, version, db_size, in_use, quota, role, term,
                   index, applied, revision, id, leader, learner, alarms
  status --revision  revision
  status --diagnose  an object for each endpoint: endpoint, ok, serves, steps: step (resolve, tcp or, in
                   place of both, socket; tls, http2, auth, leader, quorum, alarms, quota), state (ok,
                   failed, skipped), ms, detail, facts (an object of what was learnt), error, remedy
  compact          compacted (the revision; absent where nothing was compacted), removed (a member has
                   removed what is old), disarmed (member IDs), already, current, members,
                   complaints; --dry-run: dry_run, would_compact, would_defrag (endpoints in their
                   order), would_disarm in place of the first three. A member: endpoint, name, id, role,
                   db_size_before, db_size_after, in_use_before, in_use_after, revision_before,
                   revision_after, quota (from etcd 3.6 on), defrag (done, failed, unknown, left,
                   or skipped for a learner), alarms, error
  compact --every  round, outcome (compacted, already, nothing, failed), compacted, current,
                   took_ms, error
  lock NAME        key, revision, token, lease, ttl, shared
  lock --list      name, state, order, mode, shared, lease, left, ttl, create_revision, key
  allocate get     id, key, nodes (their number), state, store; of lookup: id, key, store
  allocate list    id, key, nodes: node, lease, ttl, left (with --ttl); state, left, store
  allocate watch   event: created, modified or deleted, with id, key, prev_key, mod_revision; a
                   deleted ID has the key it had, none where that is not known any more;
                   list-done and status as of watch
  allocate check   severity, problem, id, key, text, repair (restore or restored), keys: key
                   IDs are decimal texts; store is absent for the command's own
  gc               a row for each candidate: state (garbage, young; removed, changed, busy,
                   failed), key, why, seen (seconds), error, and
                   ids: id, value (the allocator's key), mod_revision
                   locks: lease, left, ttl, waiting, create_revision
                   metadata (also gone, held-back): kind, scope, identity, keys, bytes,
                   mod_revision, expired
  gc, at the end on stderr; with --every a line a round on stdout
                   time, round, kind, revision, looked_at, garbage, young, skipped, agreed,
                   removed, changed, busy, failed, took_ms, error; of metadata also
                   parts: kind, objects, keys, bytes, roots, edges, reachable, garbage,
                   garbage_bytes, removed, removed_keys, removed_bytes, skipped, gone, failed
                   phases: phase (read, mark, sweep), took_ms, transactions, refused, memory
  gc metadata --explain
                   verdict (root, kept, garbage, not-collected, absent), kind, key, scope,
                   identity, why; path (the root first) and referrers: step (root, keeps, refers,
                   idle), kind, key, by, flat
  gc metadata --check
                   severity (problem, note), finding, key, text
  config           key, value, source
  version          version

What 'list -o json' prints, 'put --from' takes. An error is one object on stderr: error,
caused_by, hints, exit_code.",
    ),
    (
        "PROTOBUF VALUES",
        "\
get, list, watch, txn and 'delete --prev' show a value as JSON, and put, 'put --from', txn and
--if-value make such a value of JSON, where its message type is known: --proto FILE --message
PKG.TYPE is for all keys; else the longest matching prefix of the config's section is:

  proto:
    - {prefix: /phonebook/, file: contact.desc, message: phonebook.Contact}

FILE is a descriptor set: protoc --include_imports -o FILE x.proto. In the config ~ and a path
relative to its folder are understood; a prefix is behind the namespace. --no-proto ignores the
section. The JSON is protobuf's own mapping with the names of the .proto file: fields that are not
set are left out, integers of 64 bits are texts, enums go by name, bytes are base64. On the way in
a field's JSON name will do as well; what does not fit is wrong usage, and the field is named.

In JSON and YAML 'value' is then the message itself, a mapping, and 'put --from' and txn encode a
mapping by the same rules (a text is always the bytes). That is so only where the very same bytes
come out of it again; else (fields that the type does not know, maps or fields in another order,
types whose JSON is no mapping) 'value' or 'value_base64' has the bytes, which 'put --from' takes,
and 'value_decoded' shows the message and is not read. Maps are written by key.

A value that is no such message, or whose descriptor set cannot be read, is shown as bytes with a
warning; of fields that the type does not know a warning tells too. 'watch' tells the event with
the bytes and an error record behind it, which --count does not count, and goes on. -o raw,
'watch --exec' and 'delete --save' have the bytes as they are.",
    ),
    (
        "WATCHING",
        "\
'watch' tells each change once, in the order of revisions, and within a revision in the order
of its transaction; none is missing. It resumes by itself, backing off from 50ms to 1s between
tries. A peer that is silent without an error is found by the HTTP/2 keep-alive, in 15s.
What was told is never told again by the same run. A store whose history is another one
(restored from a backup) ends it with 4. Where nothing happens below the prefixes, the place
moves with the server's progress reports (every 10 minutes by default): where compaction is
closer behind than that, --sync is what a long watch needs.

--sync keeps each key's revision in memory, and no value. After a compaction it lists again
and tells what was created or modified, then what was deleted; what did not change is not
told. Its status goes from wait-for-datastore (it waits for the store) to resync-in-progress
to in-sync, and never back.

--resume keeps {next_revision, after_key} in a file, replaced as a whole: with --exec after
every command, else within 100ms of the output and at the end. A run that is killed may so
tell its last events again; none is left out. With --list or --sync the place counts from the
end of the listing. Where the place is compacted, --sync tells what changed since, but cannot
know what was deleted, and says so; without --sync it ends with 4.

--exec runs CMD once a change, one at a time. It has KVADM_EVENT (created, modified, deleted),
KVADM_EVENT_KEY (escaped as in text), KVADM_EVENT_KEY_RAW (the key's bytes; not set if there
is a NUL), KVADM_EVENT_REV, KVADM_EVENT_CREATE_REV, KVADM_EVENT_VERSION and KVADM_EVENT_LEASE
(not set where absent), and the value on stdin. While it runs nothing more is read, and
nothing is dropped. SIGINT, SIGTERM, --timeout and --deadline let it end; a second signal does
not. If it fails, kvadm ends with 6 before the event is counted, or goes on with
--on-error continue; if it cannot be started, 2.",
    ),
    (
        "LOCKS",
        "\
'lock' speaks etcd's own mutex: below NAME/ each contender has a key named after its lease, and
the oldest one holds the lock, so that 'etcdctl lock', Go's concurrency.Mutex and Cilium exclude
kvadm and are excluded by it. An exclusive lock's value is empty; a shared one's is 'shared', and
it waits only for older keys that are not.

The lease is renewed every third of its TTL. It counts as held until the TTL is over since the
last renewal that was answered was sent (CLOCK_BOOTTIME). When less than a quarter of the TTL is
left of that (1 s to 30 s, at most half), CMD gets SIGTERM, and SIGKILL at half of the rest: it is
dead before anybody else can hold the lock. A second process of kvadm's own does the same where
kvadm is stopped or killed. A key that is deleted, or a lease that is revoked, lets the next one in
at once; CMD then dies within a second.

So only a CMD whose whole group is frozen together with kvadm and its helper (a suspended virtual
machine, a frozen cgroup), that left its process group, or whose lock somebody took away by force
can act beside the next holder. That is what the fencing token is for: KVADM_LOCK_REV grows from
holder to holder, and 'put --if-locked' and its like do nothing once the lock is lost. What is
written elsewhere has to be checked there. The exit code is 5 then.",
    ),
    (
        "COLLECTING",
        "\
'gc' looks at everything of its kind at one revision and plans. A plan is a JSON file with one
candidate a line: key, why, when it was first seen, and the facts that its removal compares. It
may be read, compared and shortened; it holds keys, so it is written for its owner alone.

--apply removes what this look and an earlier one have both, with the same facts: every plan of
--since, or the look that the same run made --grace before, or the round before with --every. A
plan of another kind, cluster, schema or of other keys is refused with 5, and a file that is no
plan with 2. Each removal is a transaction that compares its facts: what changed meanwhile is
skipped and counted, and what somebody has locked too; neither is an error. What fails does not
keep the rest from going, and ends with 6. What is wrong with the store ends the run, or the
round.

Without --apply it ends with 1 if there is garbage that every earlier look has too. More than
--max-delete or --max-percent: nothing goes, and 5. With --every a signal ends it between two
removals; a store that is away fails the round and not the service, and what was seen before
counts when it is back. --save keeps the last look, for the --since of the next start.

What a tree of metadata is made of, for 'gc metadata', is said by a schema: kvadm-schema(7).",
    ),
    (
        "GIVING SPACE BACK",
        "\
etcd keeps every revision until the store is compacted; a compaction frees pages inside the
database files, which keep their size until they are defragmented. etcd holds the file's size
against the quota (--quota-backend-bytes, 2 GiB by default), member by member. The first one that
is full raises the alarm NOSPACE, and from then on the cluster takes no put and no lease grant,
until the alarm is cleared; if there is no room by then it is back with the next write. So the way
out has an order, and 'compact --reclaim' goes it: compact, wait until all members have removed
what is old, defragment one member after the other, clear the alarms, and grant a lease, which is
given back, to see that the store takes writes.

An alarm is cleared only where its member's file is smaller than the quota. etcd before 3.6 does
not tell the quota; there it is tried, and if the alarm comes back that is said (6, or 5 where
nothing else was done). Then the keys themselves are too many: 'kvadm delete' works on a full
store.

A member that is being defragmented serves nothing; the others do. Before each turn every member
must answer, know the same leader, serve a read by way of the quorum, have no alarm but NOSPACE
and be less than 1000 raft entries behind; that is waited for 2 minutes. If the answer to a
defragmentation is lost, it counts as done where the file is smaller once the member is back, and
as unknown (7) where it is not.",
    ),
    (
        "OUTPUT",
        "\
text    one record a line, fields separated by tabs; tab, newline, carriage return, backslash
        and NUL as \\t \\n \\r \\\\ \\0, other control bytes and bytes that are not UTF-8 as \\xNN.
        'get' of one key prints the value's bytes and a newline.
table   for people: control characters are made visible, long values cut.
json    see above.    yaml    the same fields, a document each.
raw     the exact bytes of values, nothing added.
On a terminal the default is table, else text. NO_COLOR is honoured. A closed pipe ends the
program quietly.",
    ),
    (
        "COMPLETION",
        "\
While a line is typed the shell runs kvadm, with KVADM_COMPLETE=SHELL in its environment, and
kvadm prints the candidates. 'kvadm completions SHELL' prints the script that tells the shell
to do so (bash, zsh, fish, elvish, powershell). The installed files run that command when the
shell first needs them, so they need no change when kvadm is upgraded. 'make install' with
PREFIX=/usr/local puts the file of fish into /etc/fish/completions.

Verbs, options and their values are completed; and from etcd keys and prefixes, up to the next
slash, the names of locks, leases and the allocator's keys (below --base); and the names of
contexts and of built-in schemas. kvadm asks the etcd that the options on the command line, the
environment and the configuration name. It takes at most 150ms and prints at most 200
candidates. Errors are not printed, a password is never asked for, and keys that cannot be
typed (not UTF-8, control characters) are left out. Keys are quoted for the shell. In
PowerShell, keys that need quotes are left out. Keys below a level are not read, but etcd up to
3.6 counts them: below a prefix with several 100000 keys it may not answer in time.",
    ),
    ("EXIT STATUS", EXIT_CODES),
];

/// The table of exit codes.
pub const EXIT_CODES: &str = "  0  done, or yes
  1  no: not found, nothing deleted, busy, or a wait that elapsed
  2  wrong usage or configuration
  3  etcd could not be reached, did not answer in time, or has no quorum
  4  etcd refused: authentication, permission, compacted or future revision, no space, too large
  5  a condition did not hold, a safety rule refused, or a lock was lost
  6  partly done, or degraded; the summary says what is left
  7  sent, and whether etcd did it is unknown
  70 a bug in kvadm
  130, 143  ended by SIGINT, SIGTERM
Under 'lock NAME -- CMD' and 'put --hold -- CMD' it is CMD's own: its code, 128+n for a signal,
126 or 127 where it cannot be started; and 5 where the lock or the lease was lost.";
