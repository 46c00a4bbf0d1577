//! kvadm-config(5): the configuration file, the environment, and which source wins.

/// The sections of the page, each a heading and its text.
pub const SECTIONS: &[(&str, &str)] = &[
    (
        "DESCRIPTION",
        "\
kvadm reads one YAML file. It accepts the files of Ligato (etcd.conf) and of clientv3 and Cilium (etcd.config) unchanged.
'kvadm config' prints each effective value and its source; it connects to nothing.

The file is the first of these:

- the file of -c, --config or --etcd-config
- $XDG_CONFIG_HOME/kvadm/NAME.yaml, for --context NAME
- the file that $ETCD_CONFIG names; if it does not exist, that name inside $CONFIG_DIR
- $XDG_CONFIG_HOME/kvadm/NAME.yaml, for the NAME in $KVADM_CONTEXT
- $XDG_CONFIG_HOME/kvadm/etcd.yaml, if it exists
- /etc/kvadm/etcd.yaml, if it exists

If XDG_CONFIG_HOME is not set, $HOME/.config is used. A file that is named explicitly but is missing or invalid is an
error. An unknown key causes a warning; with --strict-config it is an error. Relative paths in the file are relative to
the folder of the file, and ~ is the home folder.",
    ),
    (
        "EXAMPLE",
        "\
endpoints:
  - etcd-0.example:2379
  - etcd-1.example:2379
  - etcd-2.example:2379
ca-file: ca.pem
cert-file: client.pem
key-file: client-key.pem
operation-timeout: 5s
namespace: /team-a
proto:
  - {prefix: /phonebook/, file: contact.desc, message: phonebook.Contact}
",
    ),
    (
        "CONNECTION",
        "
  endpoints                 List of host[:port], http://, https:// or unix:// addresses. The default port is 2379.
                            [127.0.0.1:2379]
  dial-timeout              Timeout for reaching an endpoint. [1s]
  operation-timeout         Timeout for each request. A request that counts or reads a whole range may take up to ten
                            times as long, as long as its member answers health checks. [3s]
  allow-delayed-start       true: retry while no endpoint answers. [false]
  reconnect-interval        The pause between these retries. [2s]
  dial-keep-alive-time      Interval of the HTTP/2 keep-alive pings; at least 5s. [10s]
  dial-keep-alive-timeout   How long a ping may stay unanswered. [5s]
  namespace                 Key prefix added to requests and removed from output.
  qps                       Limit of requests per second. [no limit]
  username, password        A user of etcd's own authentication.",
    ),
    (
        "TLS",
        "
  ca-file, trusted-ca-file  PEM certificates to trust. [the certificates of the system]
  cert-file, key-file       PEM certificate and private key to present. Both or neither must be set.
  insecure-transport        true: use plaintext and do not open the TLS files. [false]
  insecure-skip-tls-verify  true: do not verify the server's certificate. [false]

The scheme of an endpoint decides for that endpoint. Without a scheme, kvadm uses TLS if any TLS file is set, and
plaintext otherwise. TLS is version 1.2 or later. Private keys may be PKCS#1, PKCS#8 or SEC1.",
    ),
    (
        "DEFAULTS FOR VERBS",
        "
  output                  Format of the output: text, table, json, yaml or raw.
  lock-ttl                TTL of the lease of a lock. [25s]
  session-ttl             TTL of the lease of 'put --hold' and 'allocate hold'; a bare number is seconds. [5s]
  resync-after-reconnect  true: 'watch' works as with --sync. [false]
  auto-compact            Period of 'compact --every'.
  proto                   List of {prefix, file, message}. A value whose key begins with prefix is the protobuf message
                          type message of the descriptor set file. The longest prefix wins. The prefix does not include
                          the namespace. See PROTOBUF VALUES in kvadm(1).",
    ),
    (
        "KEYS WITHOUT EFFECT",
        "\
These keys of the other programs are accepted and do nothing: auto-sync-interval, reject-old-cluster,
permit-without-stream, max-unary-retries, backoff-wait-between, backoff-jitter-fraction, max-call-send-size,
max-call-recv-size, max-call-send-msg-size, max-call-recv-msg-size and token. expand-env-variables: true has no effect and causes
a warning.",
    ),
    (
        "DURATIONS",
        "\
A string is a Go duration such as 300ms, 5s or 1h30m. A bare number is nanoseconds, as in Go, except for session-ttl. A
number below 1ms causes a warning.",
    ),
    (
        "PRECEDENCE",
        "\
For each key the first source in this list wins:

- the option on the command line
- the environment variable KVADM_KEY: the key in upper case with underscores, such as KVADM_DIAL_TIMEOUT; for
  operation-timeout it is KVADM_OP_TIMEOUT, for username KVADM_USER
- the file
- ETCD_ENDPOINTS, then ETCDV3_ENDPOINTS (endpoints only)
- ETCDCTL_ENDPOINTS, ETCDCTL_CACERT, ETCDCTL_CERT, ETCDCTL_KEY, ETCDCTL_USER and ETCDCTL_PASSWORD
- the default

An empty variable counts as not set. proto can only be set in the file.",
    ),
    (
        "PASSWORDS",
        "\
A password comes from the first of --password-file, KVADM_PASSWORD_FILE, KVADM_PASSWORD, the key password of the file,
ETCDCTL_PASSWORD, and ETCDCTL_USER (NAME:PASSWORD); no option takes a password. Passwords are never shown. kvadm warns if a configuration file with a
password, or a password file, is readable by the group or by others.",
    ),
];
