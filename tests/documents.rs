//! The documents say what is true: the files, links, types, tests and commands that they name exist.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

use super::support::Kvadm;
use super::usage::commands;

fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

/// The texts in back quotes outside of code blocks.
fn quoted(document: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut code = false;
    for line in document.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code && !line.starts_with("    ") {
            found.extend(line.split('`').skip(1).step_by(2).map(str::to_owned));
        }
    }
    found
}

/// Every file below a folder with this extension.
fn files(folder: &Path, extension: &str) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            found.extend(files(&path, extension));
        } else if path.extension().is_some_and(|ending| ending == extension) {
            found.push(path);
        }
    }
    found
}

fn is_test(text: &str, name: &str) -> bool {
    let function = format!("fn {name}(");
    let Some((before, _)) = text.split_once(&function) else { return false };
    before.rsplit("fn ").next().unwrap_or_default().contains("test]")
}

/// What is wrong with the paths and tests that a document names.
fn problems(document: &str) -> Vec<String> {
    let folders = ["src/", "tests/", "docs/", "benches/", "man/", ".ci/"];
    let mut problems = Vec::new();
    for text in quoted(document).iter().filter(|text| folders.iter().any(|folder| text.starts_with(folder))) {
        if text.contains("NAME") {
            continue;
        }
        let (path, test) = text.split_once("::").map_or((text.as_str(), None), |(path, test)| (path, Some(test)));
        let full = root().join(path);
        match test {
            _ if !full.exists() => problems.push(format!("there is no {path}")),
            Some(test) if !is_test(&fs::read_to_string(full).unwrap_or_default(), test) => {
                problems.push(format!("there is no test {test} in {path}"));
            }
            _ => {}
        }
    }
    problems
}

#[test]
fn the_files_and_tests_that_documents_name_exist() {
    for document in ["ARCHITECTURE.md", "CONTRIBUTING.md", "SECURITY.md", "README.md"] {
        let problems = problems(&read(document));
        assert!(problems.is_empty(), "{document}: {problems:#?}");
    }
    let planted =
        "`src/nowhere.rs`, `tests/list.rs::no_such_test`, `tests/list.rs::a_prefix_is_raw_and_dir_adds_the_slash`";
    assert_eq!(problems(planted), ["there is no src/nowhere.rs", "there is no test no_such_test in tests/list.rs"]);
}

#[test]
fn every_invariant_names_a_test() {
    let text = read("ARCHITECTURE.md");
    let invariants: Vec<&str> =
        text.split("\n\n").filter(|paragraph| paragraph.contains("**Invariant:**")).skip(1).collect();
    assert!(invariants.len() > 8, "{}", invariants.len());
    for invariant in invariants {
        assert!(quoted(invariant).iter().any(|text| text.contains(".rs::")), "no test: {invariant}");
    }
}

#[test]
fn every_promise_about_security_names_a_test() {
    let text = read("SECURITY.md");
    let rows: Vec<&str> =
        text.lines().filter(|line| line.starts_with("| ") && !line.starts_with("| promise")).collect();
    assert!(rows.len() > 8, "{}", rows.len());
    for row in rows {
        assert!(quoted(row).iter().any(|text| text.contains(".rs::")), "no test: {row}");
    }
}

/// Types, and types with a variant or a method, that the architecture names.
#[test]
fn the_types_that_the_architecture_names_exist() {
    let sources: Vec<String> =
        files(&root().join("src"), "rs").iter().map(|path| fs::read_to_string(path).unwrap()).collect();
    // These are gRPC's codes, and not of this crate.
    let foreign = ["Unavailable", "DeadlineExceeded", "Cancelled", "Aborted"];
    let is_type = |word: &str| {
        word.chars().next().is_some_and(char::is_uppercase)
            && word.chars().any(char::is_lowercase)
            && word.chars().all(|c| c.is_alphanumeric() || c == ':' || c == '_')
    };
    let mut missing = BTreeSet::new();
    for word in
        quoted(&read("ARCHITECTURE.md")).iter().filter(|word| is_type(word) && !foreign.contains(&word.as_str()))
    {
        let (first, member) = word.split_once("::").map_or((word.as_str(), None), |(a, b)| (a, Some(b)));
        let defined = |text: &String| {
            let is_type = ["struct ", "enum ", "trait ", "type "].iter().any(|kind| defines(text, kind, first));
            is_type
                && member.is_none_or(|member| {
                    text.contains(member) || sources.iter().any(|text| text.contains(word.as_str()))
                })
        };
        let variant = |text: &String| member.is_none() && text.contains(&format!("::{first}"));
        let method = |text: &String| {
            member
                .is_some_and(|member| text.contains(&format!("fn {member}")) && text.contains(&format!("impl {first}")))
        };
        if !sources.iter().any(|text| defined(text) || variant(text) || method(text)) {
            missing.insert(word.clone());
        }
    }
    assert!(missing.is_empty(), "{missing:?}");
}

fn defines(text: &str, kind: &str, name: &str) -> bool {
    text.match_indices(&format!("{kind}{name}")).any(|(at, found)| {
        let next = text[at + found.len()..].chars().next();
        next.is_none_or(|c| !c.is_alphanumeric() && c != '_')
    })
}

#[test]
fn relative_links_lead_somewhere() {
    let mut documents: Vec<PathBuf> =
        ["README.md", "ARCHITECTURE.md", "CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md"]
            .map(|name| root().join(name))
            .into();
    documents.extend(files(&root().join("docs"), "md"));
    for document in documents {
        let text = fs::read_to_string(&document).unwrap();
        for target in text.split("](").skip(1).filter_map(|rest| rest.split(')').next()) {
            if target.contains("://") || target.starts_with('#') {
                continue;
            }
            let path = target.split('#').next().unwrap();
            assert!(document.parent().unwrap().join(path).exists(), "{}: {target}", document.display());
        }
    }
}

pub(super) fn parses(line: &str) -> Result<(), clap::Error> {
    for command in commands(line) {
        use clap::error::ErrorKind::{DisplayHelp, DisplayVersion};
        match kvadm::command().try_get_matches_from(command.into_iter().map(OsString::from)) {
            Err(error) if !matches!(error.kind(), DisplayHelp | DisplayVersion) => return Err(error),
            _ => {}
        }
    }
    Ok(())
}

#[test]
fn every_kvadm_command_beside_etcdctl_s_parses() {
    let text = read("docs/etcdctl.md").replace("\\|", "|");
    let lines: Vec<String> = quoted(&text).into_iter().filter(|text| text.starts_with("kvadm ")).collect();
    assert!(lines.len() > 50, "{}", lines.len());
    for line in lines {
        parses(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
    assert!(parses("kvadm list /a | kvadm put --form -").is_err());
}

#[test]
fn every_kvadm_command_of_the_readme_parses() {
    let text = read("README.md");
    let lines: Vec<String> = text
        .lines()
        .filter_map(|line| line.strip_prefix("$ "))
        .map(|line| line.replace(" 2>/dev/null", "").replace(" <<'END'", ""))
        .collect();
    assert!(lines.len() > 30, "{}", lines.len());
    for line in lines {
        parses(&line).unwrap_or_else(|error| panic!("{line}: {error}"));
    }
}

/// Whether the command needs a part of kvadm that is not there: a verb, or database files as a source.
fn is_missing(line: &str) -> bool {
    let command = kvadm::command();
    let list = command.find_subcommand("list").unwrap();
    line.starts_with("kvadm snapshot ") && command.find_subcommand("snapshot").is_none()
        || (line.contains(" --db ") || line.contains(" db:")) && list.get_arguments().all(|arg| arg.get_id() != "db")
}

#[test]
fn every_kvadm_command_for_kubernetes_parses() {
    let text = read("docs/kubernetes.md");
    let lines: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("$ ")).collect();
    let mut parsed = 0;
    for line in lines.iter().filter(|line| line.starts_with("kvadm ") && !is_missing(line)) {
        let command = line.split(" > ").next().unwrap().split(" | jq").next().unwrap();
        parses(command).unwrap_or_else(|error| panic!("{line}: {error}"));
        parsed += 1;
    }
    assert!(parsed > 15, "{parsed}");
}

/// The context file of the page about Kubernetes is a configuration, and its rule decodes.
#[test]
fn the_context_for_kubernetes_is_a_configuration() {
    let text = read("docs/kubernetes.md");
    let yaml = text.split("```yaml\n").nth(1).unwrap().split("```").next().unwrap();
    let run = Kvadm::new().config_file("etcd.yaml", yaml).args(["config", "--strict-config"]).run();
    run.ok().err_empty().out_has("/registry/=kubernetes").out_has("/etc/kubernetes/pki/etcd/healthcheck-client.key");
}

/// The first two cells of each row of the page about etcdctl.
pub(super) fn cells_of_etcdctl() -> Vec<(String, String)> {
    let text = read("docs/etcdctl.md").replace("\\|", "\u{a6}");
    let rows = text.lines().filter_map(|line| line.strip_prefix("| `"));
    let cells = rows.filter_map(|row| {
        let mut cells = row.split(" | ");
        Some((format!("`{}", cells.next()?), cells.next()?.to_owned()))
    });
    cells.collect()
}

/// The commands of etcdctl 3.7.
const ETCDCTL: [&str; 54] = [
    "alarm disarm",
    "alarm list",
    "auth disable",
    "auth enable",
    "auth status",
    "check datascale",
    "check perf",
    "compaction",
    "completion",
    "defrag",
    "del",
    "downgrade cancel",
    "downgrade enable",
    "downgrade validate",
    "elect",
    "endpoint hashkv",
    "endpoint health",
    "endpoint status",
    "get",
    "lease grant",
    "lease keep-alive",
    "lease list",
    "lease revoke",
    "lease timetolive",
    "lock",
    "make-mirror",
    "member add",
    "member list",
    "member promote",
    "member remove",
    "member update",
    "move-leader",
    "options",
    "put",
    "role add",
    "role delete",
    "role get",
    "role grant-permission",
    "role list",
    "role revoke-permission",
    "snapshot save",
    "txn",
    "user add",
    "user delete",
    "user get",
    "user grant-role",
    "user list",
    "user passwd",
    "user revoke-role",
    "version",
    "watch",
    "--endpoints",
    "--write-out",
    "--command-timeout",
];

/// The flags of the commands of etcdctl 3.7, and its global flags.
const ETCDCTL_FLAGS: [&str; 66] = [
    "--auth-jwt-token",
    "--auto-compact",
    "--auto-defrag",
    "--cacert",
    "--cert",
    "--cluster",
    "--command-timeout",
    "--consistency",
    "--count-only",
    "--debug",
    "--dest-cacert",
    "--dest-cert",
    "--dest-insecure-transport",
    "--dest-key",
    "--dest-password",
    "--dest-prefix",
    "--dest-user",
    "--detail",
    "--dial-timeout",
    "--discovery-srv",
    "--discovery-srv-name",
    "--endpoints",
    "--from-key",
    "--hex",
    "--ignore-lease",
    "--ignore-value",
    "--insecure-discovery",
    "--insecure-skip-tls-verify",
    "--insecure-transport",
    "--interactive",
    "--keepalive-time",
    "--keepalive-timeout",
    "--key",
    "--keys",
    "--keys-only",
    "--learner",
    "--lease",
    "--limit",
    "--listen",
    "--load",
    "--max-create-rev",
    "--max-mod-rev",
    "--max-recv-bytes",
    "--max-request-bytes",
    "--max-txn-ops",
    "--min-create-rev",
    "--min-mod-rev",
    "--new-user-password",
    "--no-dest-prefix",
    "--no-password",
    "--once",
    "--order",
    "--password",
    "--peer-urls",
    "--physical",
    "--prefix",
    "--prev-kv",
    "--print-value-only",
    "--progress-notify",
    "--range",
    "--rev",
    "--sort-by",
    "--stream",
    "--ttl",
    "--user",
    "--write-out",
];

#[test]
fn every_flag_of_etcdctl_is_on_the_page() {
    let text = read("docs/etcdctl.md");
    for flag in ETCDCTL_FLAGS {
        let is_in = |text: &str| {
            text.split(flag).skip(1).any(|rest| !rest.starts_with(|c: char| c == '-' || c.is_ascii_lowercase()))
        };
        assert!(text.split('`').any(is_in), "etcdctl's {flag} is not on the page");
    }
}

#[test]
fn a_row_without_a_line_of_kvadm_says_why() {
    let text = read("docs/etcdctl.md");
    for row in text.lines().filter(|line| line.starts_with("| `") && line.contains(" | none | ")) {
        let reason = row.split(" | ").nth(2).unwrap_or_default();
        assert!(reason.len() > 40, "{row}");
    }
    assert!(!text.contains("not yet"));
}

#[test]
fn every_command_of_etcdctl_has_a_row() {
    let text = read("docs/etcdctl.md");
    let left: Vec<&str> = text.lines().filter_map(|line| line.strip_prefix("| `")?.split(" | ").next()).collect();
    for command in ETCDCTL {
        let is_in = |cell: &str| {
            cell.split('`')
                .any(|text| text.strip_prefix(command).is_some_and(|rest| rest.is_empty() || rest.starts_with(' ')))
        };
        assert!(left.iter().any(|cell| is_in(cell)), "etcdctl {command} has no row");
    }
}

/// The rows of the table behind this heading, as cells without the outer ones, which are empty.
fn table_below<'a>(document: &'a str, heading: &str) -> Vec<Vec<&'a str>> {
    let section = document.split(heading).nth(1).unwrap_or_else(|| panic!("no {heading}"));
    let section = section.split("\n## ").next().unwrap();
    let rows = section.lines().filter_map(|line| line.strip_prefix("| ")?.strip_suffix(" |"));
    rows.map(|row| row.split(" | ").collect()).collect()
}

/// The verbs that the first cells of the rows do not name.
fn verbs_without_row(rows: &[Vec<&str>]) -> Vec<String> {
    let words: Vec<String> = rows
        .iter()
        .flat_map(|row| quoted(row[0]))
        .filter_map(|text| text.split(' ').next().map(str::to_owned))
        .collect();
    let verbs = kvadm::command();
    verbs.get_subcommands().map(|verb| verb.get_name().to_owned()).filter(|verb| !words.contains(verb)).collect()
}

#[test]
fn every_verb_has_a_row_that_says_what_it_grows_with() {
    let text = read("README.md");
    let rows = table_below(&text, "\n## What grows with what\n");
    assert_eq!(rows[0].len(), 4, "{:?}", rows[0]);
    for row in &rows {
        assert!(row.len() == 4 && row.iter().all(|cell| !cell.trim().is_empty()), "{row:?}");
    }
    assert_eq!(verbs_without_row(&rows), [] as [String; 0]);
    let without: Vec<Vec<&str>> = rows.into_iter().filter(|row| !row[0].contains("`diff`")).collect();
    assert_eq!(verbs_without_row(&without), ["diff"]);
}

/// The SYNOPSIS of every man page is accepted by the parser, with and without what is optional.
#[test]
fn every_form_in_a_synopsis_parses() {
    fn all(name: &str, command: &clap::Command) -> Vec<String> {
        let mut found = Vec::new();
        for verb in command.get_subcommands() {
            let name = format!("{name} {}", verb.get_name());
            if verb.has_subcommands() {
                found.extend(all(&name, verb));
            } else {
                found.extend(kvadm::cli::manual::forms(&name, ""));
            }
        }
        found
    }
    for form in all("kvadm", &kvadm::command()).iter().filter(|form| !form.is_empty()) {
        let whole = form.replace("[OPTIONS]", "").replace("...", "").replace(['[', ']'], "");
        let mut depth = 0;
        let bare: String = form
            .replace("...", "")
            .chars()
            .filter(|c| {
                depth += usize::from(*c == '[');
                let kept = depth == 0;
                depth -= usize::from(*c == ']');
                kept
            })
            .collect();
        for line in [whole, bare] {
            let value = |word: &str| match word {
                "D" => "5s".to_owned(),
                "N" | "REV" => "5".to_owned(),
                "FILE|NAME" => "containerd".to_owned(),
                other => other.to_owned(),
            };
            let line: Vec<String> = line.split_whitespace().map(value).collect();
            // A period stands behind its option only.
            let line = line.join(" ").replace("--every 5s", "--every=5s").replace("--watch 5s", "--watch=5s");
            let parsed = kvadm::command().try_get_matches_from(line.split_whitespace().map(OsString::from));
            assert!(parsed.is_ok(), "{form}: {line}\n{}", parsed.unwrap_err());
        }
    }
}
