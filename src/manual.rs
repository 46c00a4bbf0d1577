//! What kvadm(1) says beyond the options: configuration, keys, the JSON contract, exit codes.

/// The sections of the manual page, each a heading and lines as they are to be set.
pub const SECTIONS: [(&str, &str); 7] = [
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
  operation-timeout          bound on each request (3s)
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
  proto                      list of {prefix, file, message}: how values are decoded

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
        "JSON",
        "\
With -o json every record is one object on one line. Names are a contract: they only grow.
Bytes that are not UTF-8 stand in NAME_base64 instead of NAME. IDs of 64 bits are hex texts;
revisions, versions and counts are numbers. What is absent is left out.

  get, list        key, value, create_revision, mod_revision, version, lease
                   --with-leases: ttl (granted, in seconds); --keys-only: no value
  list --count     count, revision
  put KEY          outcome, key, mod_revision, lease, ttl, written
  put --from       written (or would_write), unchanged, exists, unknown, leases
  delete           deleted (or would_delete), kept, revision; --prev: the records that went
  txn              branch, revision, succeeded, dry_run, results: for each operation op, and
                   put: prev; get: count, more, kvs; delete: deleted, prev;
                   txn: branch, succeeded, results
  status           health, quorum, quorum_ms, cluster, revision, complaints, members: endpoint,
                   name, health, latency_ms, version, db_size, in_use, quota, role, term,
                   index, applied, revision, id, leader, learner, alarms
  status --revision  revision
  lock NAME        key, revision, token, lease, ttl, shared
  lock --list      name, state, order, mode, shared, lease, left, ttl, create_revision, key
  config           key, value, source

What 'list -o json' prints, 'put --from' takes. An error is one object on stderr: error,
caused_by, hints, exit_code.",
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
