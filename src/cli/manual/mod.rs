//! The text of the manual pages that goes beyond the options: kvadm(1), kvadm-config(5), kvadm-json(7), kvadm-schema(7).
//!
//! A section is a heading and a text made of blocks, which are separated by blank lines. A block whose first line begins
//! with four spaces is printed as it stands; with two spaces it is a list of terms (`  term  what it means`, continued on
//! lines that are indented further); with `- ` it is a list of points. Every other block is a paragraph, which is filled.
//! The section named EXAMPLE is printed as it stands. A text that begins with a list begins with a line break.

mod config;
mod json;
mod schema;
mod synopsis;

pub use crate::cli::manual::config::SECTIONS as CONFIG_SECTIONS;
pub use crate::cli::manual::json::SECTIONS as JSON_SECTIONS;
pub use crate::cli::manual::schema::SECTIONS as SCHEMA_SECTIONS;
pub use crate::cli::manual::synopsis::forms;

/// The sections of kvadm(1), each a heading and its text.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "KEYS",
        "\
Keys and values are bytes; they need not be UTF-8. With --escape, the sequences \\xNN, \\n, \\t, \\r, \\0 and \\\\ are
decoded in keys, prefixes and range ends on the command line. A key in a JSON record is never decoded twice.

A prefix is a raw byte prefix: /a matches /ab. --dir appends the missing slash, so that /a means /a/.

--namespace adds a prefix to every key sent to etcd and removes it from every key shown. Lock tokens and gc plans hold
absolute keys, which include the namespace.",
    ),
    (
        "OUTPUT FORMATS",
        "\
Data is written to standard output. Notes, warnings, progress and errors are written to standard error. The default
format is table on a terminal and text elsewhere.

  text   One record per line, fields separated by tabs. Tab, newline, carriage return, backslash and NUL are written as
         \\t, \\n, \\r, \\\\ and \\0; other control bytes and bytes that are not UTF-8 as \\xNN. 'get' with one key prints
         the bytes of the value and a newline.
  table  Columns for people. Control characters are made visible and long values are cut.
  json   One object per line; see kvadm-json(7).
  yaml   The same fields as json, one YAML document per record.
  raw    The exact bytes of the values, with nothing added.

NO_COLOR is honoured. A closed pipe ends the program quietly.",
    ),
    (
        "PERMISSIONS",
        "\
etcd before 3.6 (seen with 3.5.1) does not check a user's permissions inside nested transactions. 'put --from',
--if-different, --keep-lease, --if-locked and a 'txn' file with a nested transaction use them. With such a server they
may write keys that a plain put would be refused.",
    ),
    (
        "PROTOBUF VALUES",
        "\
If the message type of a key's value is known, get, list, watch, txn and 'delete --prev' show the value as JSON, and
put, 'put --from', txn and --if-value encode JSON as that message. --proto FILE and --message PKG.TYPE set the type for
all keys. Without them, the longest matching prefix of the proto list in the configuration file decides; see
kvadm-config(5). --no-proto ignores that list.

FILE is a descriptor set, which this command writes:

    protoc --include_imports -o FILE x.proto

The JSON is protobuf's own mapping with the field names of the .proto file. Fields that are not set are omitted, 64-bit
integers are strings, enum values are names, and bytes are base64. Input may also use the JSON names of fields. Input
that does not fit the message is a usage error that names the field.

In JSON and YAML output, the field value is the message itself if encoding the message again gives the same bytes.
'put --from' and txn encode it by the same rules; a string is always taken as bytes. Otherwise (unknown fields, maps or
fields in another order, message types whose JSON is not an object) value or value_base64 holds the bytes, which
'put --from' reads, and value_decoded shows the message and is ignored on input.

A value that does not decode, or whose descriptor set cannot be read, is shown as bytes with a warning. A warning also
reports unknown fields. 'watch' prints such an event with the bytes, followed by an error record, which --count does not
count. -o raw, 'watch --exec' and 'delete --save' always use the bytes as stored.",
    ),
    (
        "WATCHING",
        "\
'watch' prints every change once, in revision order, and within a revision in the order of the transaction. After a
broken connection it resumes at the next revision, with a backoff of 50ms to 1s between attempts. The HTTP/2 keep-alive
detects a silent peer within 15s. A run never prints an event twice. If the store has another history, for example
because it was restored from a backup, 'watch' exits with 4.

If nothing changes below the prefixes, the position only advances with the server's progress notifications (every 10
minutes by default). If the store is compacted more often than that, use --sync for a long watch.

--sync keeps the revision of each key in memory, but no values. After a compaction it lists the keys again, prints what
was created or modified, and then what was deleted; unchanged keys are not printed. Its status records go from
wait-for-datastore to resync-in-progress to in-sync, and never back.

--resume FILE stores the position as next_revision and after_key and replaces the file as a whole: with --exec after
every command, otherwise within 100ms of the output and at the end. After a run that was killed, the next run may repeat
the last events; it never skips one. With --list or --sync, the position is stored from the end of the initial listing
on. If the position has been compacted, --sync prints what changed since, but cannot know what was deleted, and says so;
without --sync, 'watch' exits with 4.

--exec runs CMD once for each change, one at a time and in order, with the value on standard input. While CMD runs,
kvadm reads no further events and drops none. SIGINT, SIGTERM, --timeout and --deadline let the running CMD finish; a
second signal does not. If CMD fails, kvadm exits with 6 before it counts the event, or continues with
--on-error continue. If CMD cannot be started, kvadm exits with 2. CMD finds these variables in its environment:

  KVADM_EVENT             created, modified or deleted
  KVADM_EVENT_KEY         the key, escaped as in text output
  KVADM_EVENT_KEY_RAW     the bytes of the key; not set if the key contains a NUL byte
  KVADM_EVENT_REV         the mod revision
  KVADM_EVENT_CREATE_REV  the create revision; not set if absent
  KVADM_EVENT_VERSION     the version; not set if absent
  KVADM_EVENT_LEASE       the lease; not set if absent",
    ),
    (
        "LOCKS",
        "\
'lock' uses the layout of etcd's own mutex. Each contender creates a key NAME/LEASE, bound to its lease; the oldest key
holds the lock. 'etcdctl lock', Go's concurrency.Mutex and Cilium therefore exclude kvadm and are excluded by it. The
value is empty for an exclusive lock and 'shared' for a shared one. A shared contender waits only for older keys that
are not shared.

The lease is renewed every third of its TTL. kvadm treats the lease as valid for one TTL from the moment before the last
answered renewal was sent, measured with CLOCK_BOOTTIME. The margin is a quarter of the TTL, but at least 1s and at most
30s, and never more than half of the TTL. When less than the margin is left, CMD gets SIGTERM. When half of the margin is
left, CMD gets SIGKILL, so that it is dead before anyone else can hold the lock. A second process of kvadm, the guardian,
does the same if kvadm is stopped or killed.

If somebody deletes the lock key or revokes the lease, the next waiter holds the lock at once. CMD then dies within a
second.

CMD can run beside the next holder only in these cases:

- CMD is frozen together with kvadm and the guardian: a suspended virtual machine, a frozen cgroup.
- CMD, or a process that it started, has left its process group.
- Somebody took the lock away by force.

Use the fencing token for these cases. KVADM_LOCK_REV grows from holder to holder. 'put --if-locked' and the other verbs
with --if-locked do nothing once the lock is lost. Other systems that CMD writes to have to check the token themselves.
If the lock was lost, kvadm exits with 5.",
    ),
    (
        "GARBAGE COLLECTION",
        "\
'gc' scans everything of one kind at one revision and makes a plan: a JSON file with one candidate per line, which gives
its key, the reason, when it was first seen, and the facts that its removal compares. You may read a plan, compare it and
delete lines from it. A plan contains keys, so only its owner can read the file.

--apply removes what this scan and an earlier scan agree on, with the same facts. The earlier scan is every plan given
with --since, or a scan that the same run made --grace earlier, or the previous round with --every. Each removal is a
transaction that compares its facts. Candidates that changed meanwhile or that somebody has locked are skipped and
counted, which is not an error. If a removal fails, the others continue and kvadm exits with 6. If the store itself
fails, the run or the round ends.

A plan of another kind, cluster, schema or range of keys is refused with exit code 5; a file that is not a plan with 2.

Without --apply, kvadm exits with 1 if every scan found the same garbage. If more candidates qualify than --max-delete or
--max-percent allows, nothing is removed and kvadm exits with 5.

With --every, a signal ends the service between two removals. If the store is unreachable, the round fails and the
service continues; the previous scan still counts when the store is back. --save stores the last scan for the --since of
the next start.

A schema describes a metadata tree for 'gc metadata': see kvadm-schema(7).",
    ),
    (
        "RECLAIMING SPACE",
        "\
etcd keeps every revision until the store is compacted. A compaction frees pages inside the database files; the files keep
their size until they are defragmented. etcd compares the size of each member's file with the quota
(--quota-backend-bytes, 2 GiB by default). The first member over the quota raises the NOSPACE alarm. From then on the
cluster refuses puts and lease grants until the alarm is cleared. If there is still no room, the alarm returns with the
next write.

'compact --reclaim' performs the steps in the required order:

- compact, and wait until all members have removed the old revisions;
- defragment one member after another, the leader last;
- clear the alarms;
- grant a lease, and revoke it, to check that the store accepts writes.

An alarm is cleared only if its member's file is smaller than the quota. etcd before 3.6 does not report the quota; kvadm
then clears the alarm anyway and reports if it returns (exit code 6, or 5 if nothing else was done). In that case the live
keys take too much space. 'kvadm delete' works on a full store.

A member serves no requests while it is defragmented; the other members do. Before each turn, every member must answer,
know the same leader, serve a linearizable read, have no alarm except NOSPACE, and be less than 1000 raft entries behind.
kvadm waits up to 2 minutes for that. If the reply to a defragmentation is lost, it counts as done if the file is smaller
when the member is back, and as unknown (7) otherwise.",
    ),
    (
        "COMPLETION",
        "\
While a line is typed, the shell runs kvadm with KVADM_COMPLETE=SHELL in its environment, and kvadm prints the candidates.
'kvadm completions SHELL' prints the script that registers this (bash, zsh, fish, elvish, powershell). The installed files
run that command when the shell first needs them, so they need no change when kvadm is upgraded. 'make install' with
PREFIX=/usr/local puts the file of fish into /etc/fish/completions.

kvadm completes verbs, options and option values; from etcd keys and prefixes up to the next slash, lock names, leases and
allocator keys (below --base); and the names of contexts and of built-in schemas. It queries the store that the command
line, the environment and the configuration name.

Completion takes at most 150ms and returns at most 200 candidates. It prints no errors, never asks for a password, and
omits keys that cannot be typed (not UTF-8, control characters). Keys are quoted for the shell; in PowerShell, keys that
need quotes are left out. It does not read what lies below the next slash, but etcd up to 3.6 counts those keys: below a
prefix with several 100000 keys the answer may come too late.",
    ),
    ("EXIT STATUS", EXIT_CODES),
    (
        "FILES",
        "
  $XDG_CONFIG_HOME/kvadm/etcd.yaml  the user's configuration ($HOME/.config if XDG_CONFIG_HOME is not set)
  $XDG_CONFIG_HOME/kvadm/NAME.yaml  the configuration that --context NAME selects
  /etc/kvadm/etcd.yaml              the configuration of the machine",
    ),
];

/// The table of exit codes.
pub const EXIT_CODES: &str = "
  0         Done, or the answer is yes.
  1         The answer is no: key not found, nothing deleted, lock busy, problems or garbage found, or a wait timed out.
  2         Wrong usage or configuration.
  3         etcd could not be reached, did not answer in time, or has no quorum.
  4         etcd refused: authentication, permission, compacted or future revision, no space, request too large.
  5         A condition did not hold, a safety rule refused, or a lock was lost.
  6         Partly done, or degraded; the summary says what is left.
  7         The request was sent, and whether etcd executed it is unknown.
  70        A bug in kvadm, or a failure of the operating system.
  130, 143  Ended by SIGINT or SIGTERM.

With 'lock NAME -- CMD', 'put --hold -- CMD' and 'allocate hold -- CMD', the exit code is that of CMD: its own code, 128+n
if signal n ended it, 126 or 127 if it could not be started. It is 5 if the lock or the lease was lost.";
