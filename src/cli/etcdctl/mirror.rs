//! The line of kvadm for `etcdctl make-mirror`, whose flags mean something else than those of other commands.

use super::table::flag_of;

/// What becomes of a flag of `make-mirror`.
#[derive(Clone, Copy)]
enum MirrorFlag {
    SourcePrefix,
    TargetPrefix,
    NoTargetPrefix,
    /// This option, with the value.
    Option(&'static str),
    /// These words; the value may be a secret.
    Words(&'static [&'static str]),
    /// `--user`; what follows the first colon of the value is a password.
    User,
    /// Nothing: the mirror does so anyway.
    Nothing,
}

use MirrorFlag::{NoTargetPrefix, Nothing, Option as Becomes, SourcePrefix, TargetPrefix, User, Words};

/// The flags of the command, whether they have a value, and what becomes of them.
const FLAGS: &[(&str, bool, MirrorFlag)] = &[
    ("--prefix", true, SourcePrefix),
    ("--dest-prefix", true, TargetPrefix),
    ("--no-dest-prefix", false, NoTargetPrefix),
    ("--rev", true, Nothing),
    ("--max-txn-ops", true, Becomes("--max-ops")),
    ("--dest-cacert", true, Becomes("--ca-file")),
    ("--dest-cert", true, Becomes("--cert-file")),
    ("--dest-key", true, Becomes("--key-file")),
    ("--dest-user", true, User),
    ("--dest-password", true, Words(&["--password-file", "FILE"])),
    ("--dest-insecure-transport", false, Nothing),
];

/// The line without the program's name. The other flags describe the source, which is a context for kvadm. `None` with a flag
/// that etcdctl does not have, or without one target.
pub(super) fn line(args: &[String]) -> Option<Vec<String>> {
    let (mut words, mut options) = (Vec::new(), Vec::<String>::new());
    let (mut source, mut target, mut has_password) = (None, None, false);
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        if !arg.starts_with('-') {
            words.push(arg.clone());
            continue;
        }
        let (name, joined) =
            arg.split_once('=').map_or((arg.as_str(), None), |(name, value)| (name, Some(value.to_owned())));
        let Some((_, valued, becomes)) = FLAGS.iter().find(|(known, _, _)| *known == name) else {
            let (flag, value) = flag_of(arg)?;
            if flag.valued && value.is_none() {
                args.next()?;
            }
            continue;
        };
        let value = if *valued && joined.is_none() { Some(args.next()?.clone()) } else { joined };
        let value = value.unwrap_or_default();
        match becomes {
            SourcePrefix => source = Some(value),
            TargetPrefix => target = Some(value),
            NoTargetPrefix => target = Some(String::new()),
            Becomes(option) => options.extend([(*option).to_owned(), value]),
            Words(words) if !has_password => {
                has_password = true;
                options.extend(words.iter().map(|word| (*word).to_owned()));
            }
            User => {
                let (user, password) =
                    value.split_once(':').map_or((value.as_str(), None), |(user, rest)| (user, Some(rest)));
                options.extend(["--user".to_owned(), user.to_owned()]);
                if password.is_some() && !has_password {
                    has_password = true;
                    options.extend(["--password-file", "FILE"].map(str::to_owned));
                }
            }
            Words(_) | Nothing => {}
        }
    }
    let [_, endpoint] = words.as_slice() else { return None };
    let mut line = vec!["mirror".to_owned()];
    let (prefix, source) = match (source, target) {
        (None, None) => ("PREFIX".to_owned(), None),
        (Some(source), None) => (source, None),
        (None, Some(target)) => (target, Some(String::new())),
        (Some(source), Some(target)) if source == target => (source, None),
        (Some(source), Some(target)) => (target, Some(source)),
    };
    line.extend([prefix, "--source".to_owned(), "context:NAME".to_owned()]);
    line.extend(source.into_iter().flat_map(|source| ["--source-prefix".to_owned(), source]));
    line.extend(["--endpoints".to_owned(), endpoint.clone()]);
    line.extend(options);
    Some(line)
}
