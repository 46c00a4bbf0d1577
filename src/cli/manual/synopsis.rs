//! The forms in which a verb is called, one line each, for the SYNOPSIS of its manual page.

/// Verbs that have more than the one form that their usage line shows.
const FORMS: &[(&str, &[&str])] = &[
    (
        "kvadm put",
        &[
            "[OPTIONS] KEY VALUE",
            "[OPTIONS] KEY --file FILE",
            "[OPTIONS] KEY --revert-to REV",
            "[OPTIONS] KEY --ignore-value --keep-lease",
            "[OPTIONS] KEY VALUE --hold [-- CMD...]",
            "[OPTIONS] --from FILE",
        ],
    ),
    ("kvadm delete", &["[OPTIONS] KEY...", "[OPTIONS] --prefix P [--all]", "[OPTIONS] --from KEY [--to KEY]"]),
    ("kvadm list", &["[OPTIONS] [PREFIX]", "[OPTIONS] --from KEY [--to KEY]"]),
    (
        "kvadm watch",
        &[
            "[OPTIONS] PREFIX...",
            "[OPTIONS] --exact KEY",
            "[OPTIONS] --from KEY [--to KEY]",
            "[OPTIONS] PREFIX... --exec -- CMD...",
        ],
    ),
    (
        "kvadm lock",
        &[
            "[OPTIONS] NAME [-- CMD...]",
            "[OPTIONS] NAME --value TEXT [-- CMD...]",
            "[OPTIONS] NAME --observe",
            "[OPTIONS] --list [PREFIX]",
        ],
    ),
    (
        "kvadm compact",
        &[
            "[OPTIONS] [REV]",
            "[OPTIONS] --keep N",
            "[OPTIONS] --every [D]",
            "[OPTIONS] --defrag [--member MEMBER]... [--pause D]",
            "[OPTIONS] --disarm",
            "[OPTIONS] --reclaim",
        ],
    ),
    (
        "kvadm status",
        &[
            "[OPTIONS] [--quorum] [--wait D]",
            "[OPTIONS] --probes",
            "[OPTIONS] --watch [D]",
            "[OPTIONS] --diagnose",
            "[OPTIONS] --advice",
            "[OPTIONS] --consistency",
            "[OPTIONS] --forecast [D]",
            "[OPTIONS] --revision",
        ],
    ),
    (
        "kvadm config",
        &[
            "[OPTIONS]",
            "list [OPTIONS]",
            "init [OPTIONS] NAME",
            "use [OPTIONS] CONTEXT",
            "use --none",
            "test [OPTIONS] [CONTEXT]",
        ],
    ),
    ("kvadm txn", &["[OPTIONS] FILE", "[OPTIONS] -", "[OPTIONS] --interactive"]),
    (
        "kvadm gc metadata",
        &[
            "[OPTIONS] --schema FILE|NAME [PREFIX]",
            "[OPTIONS] --schema FILE|NAME [PREFIX] --explain KEY",
            "[OPTIONS] --schema FILE|NAME [PREFIX] --check",
            "[OPTIONS] --schema FILE|NAME [PREFIX] --graph",
            "--print-schema [NAME]",
        ],
    ),
];

/// The lines of the SYNOPSIS of a verb, such as `kvadm lease grant`; `usage` is the line of its help, without `Usage: `.
pub fn forms(verb: &str, usage: &str) -> Vec<String> {
    match FORMS.iter().find(|(name, _)| *name == verb) {
        Some((name, forms)) => forms.iter().map(|form| format!("{name} {form}")).collect(),
        None => vec![usage.replace(['<', '>'], "")],
    }
}
