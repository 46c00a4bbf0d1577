//! Finds the line of kvadm for a command line that was written for etcdctl.

mod mirror;
pub mod table;

use crate::shell;
use table::{Advice, Becomes, Flag, HABITS, Habit, RESTORE_FLAGS, flag_of};

/// The tip for the arguments, without the program's name; `None` if etcdctl does not know such a line either, or if kvadm
/// would not accept the translation.
pub fn tip(args: &[String], accepts: impl Fn(&[String]) -> bool) -> Option<String> {
    let line = EtcdctlLine::read(args)?;
    if let [help, command, ..] = line.words.as_slice()
        && help == "help"
    {
        return help_tip(command);
    }
    if line.words.first().is_some_and(|command| command == "make-mirror")
        && let Some(words) = mirror::line(args).filter(|words| accepts(words))
    {
        return Some(format!("kvadm {}", shell::line(&words)));
    }
    for habit in HABITS {
        let Some(found) = line.matched(habit) else { continue };
        return match &habit.advice {
            Advice::Line(template) => {
                let words = found.words(template, &line).filter(|words| words != args && accepts(words));
                words.map(|words| format!("kvadm {}", shell::line(&words))).or_else(|| other_verb_tip(template, &line))
            }
            Advice::Instead(text) => Some(match etcdutl_restore(args) {
                Some((line, file)) => text.replace("{ETCDUTL}", &line).replace("{FILE}", &file),
                None => {
                    text.replace("{ETCDUTL}", "etcdutl snapshot restore FILE --data-dir DIR").replace("{FILE}", "FILE")
                }
            }),
        };
    }
    // A command of kvadm with flags of etcdctl.
    let words = line.with_own_flags(args)?;
    let translated = (words != args && accepts(&words)).then(|| format!("kvadm {}", shell::line(&words)));
    let known = HABITS.iter().find(|habit| habit.etcdctl.split(' ').next() == line.words.first().map(String::as_str));
    translated.or_else(|| match known?.advice {
        Advice::Line(template) => other_verb_tip(template, &line),
        Advice::Instead(_) => None,
    })
}

/// Whether kvadm accepts the arguments, without the program's name, and would do something else than etcdctl: the flag in
/// `role revoke-permission --prefix ROLE KEY` has no value there, and would take the role as its value here.
pub fn is_misread(args: &[String]) -> bool {
    let Some(verb) = args.iter().position(|word| word == "revoke-permission") else { return false };
    let Some(flag) = args.iter().skip(verb).position(|word| word == "--prefix").map(|at| verb.saturating_add(at))
    else {
        return false;
    };
    let words = |args: &[String]| EtcdctlLine::read(args).map_or_else(Vec::new, |line| line.words);
    let before = words(args.get(..flag).unwrap_or_default());
    let is_first = before.ends_with(&["role".to_owned(), "revoke-permission".to_owned()]);
    is_first && words(args).len() >= before.len().saturating_add(2)
}

/// What becomes of a flag of etcdctl that kvadm did not accept, if the line could not be translated as a whole.
pub fn flag_tip(args: &[String], unknown: &str) -> Option<String> {
    let line = EtcdctlLine::read(args);
    for (flag, value) in line.iter().flat_map(|line| &line.flags) {
        match (&flag.becomes, value) {
            (Becomes::Instead(text), _) => return Some((*text).to_owned()),
            (Becomes::Values(values), Some(value)) if !values.iter().any(|(known, _)| known == value) => {
                let instead = match value.as_str() {
                    "fields" => ": '-o yaml' prints the fields line by line",
                    "protobuf" => ": '-o json' prints the same fields, with stable names and types",
                    _ => "",
                };
                return Some(format!("kvadm has no '{}={}'{instead}", flag.name, shell::quote(value.as_bytes())));
            }
            _ => {}
        }
    }
    let (flag, _) = flag_of(unknown)?;
    let name = match flag.becomes {
        Becomes::Option(name) | Becomes::Seconds(name) | Becomes::User(name) | Becomes::Secret(name) => name,
        Becomes::Values(values) => values.iter().map(|(_, words)| *words).find(|words| !words.is_empty())?,
        Becomes::Instead(text) => return Some(text.to_owned()),
        Becomes::Nothing | Becomes::Row => return None,
    };
    let name = name.split(' ').next().filter(|name| *name != unknown)?;
    Some(format!("etcdctl's '{unknown}' is '{name}' in kvadm"))
}

/// Whether etcdctl has this flag.
pub fn is_flag(arg: &str) -> bool {
    flag_of(arg).is_some()
}

/// The line of etcdutl for `snapshot restore`, without the flags of a connection, and its file; `None` with flags that
/// etcdutl does not have, whose values may be secrets.
fn etcdutl_restore(args: &[String]) -> Option<(String, String)> {
    let (mut words, mut flags) = (Vec::new(), Vec::new());
    let mut args = args.iter();
    while let Some(arg) = args.next() {
        let name = arg.split_once('=').map_or(arg.as_str(), |(name, _)| name);
        if let Some((_, is_valued)) = RESTORE_FLAGS.iter().find(|(known, _)| *known == name) {
            flags.push(arg.clone());
            if *is_valued && name == arg {
                flags.push(args.next()?.clone());
            }
        } else if let Some((flag, value)) = flag_of(arg).filter(|_| arg.starts_with('-')) {
            if flag.valued && value.is_none() {
                args.next()?;
            }
        } else if arg.starts_with('-') {
            return None;
        } else {
            words.push(arg.clone());
        }
    }
    let [_, _, file] = words.as_slice() else { return None };
    let file = shell::line(std::slice::from_ref(file));
    if !flags.iter().any(|flag| flag.starts_with("--data-dir")) {
        flags.extend(["--data-dir".to_owned(), "DIR".to_owned()]);
    }
    Some((format!("etcdutl {} {}", shell::line(&words), shell::line(&flags)), file))
}

/// The page of 'kvadm help' for a command of etcdctl.
fn help_tip(command: &str) -> Option<String> {
    let is_first = |habit: &&Habit| habit.etcdctl.split(' ').next() == Some(command);
    match HABITS.iter().find(is_first)?.advice {
        Advice::Line(template) => {
            let verb = template.split(' ').next().filter(|verb| *verb != command && *verb != "help")?;
            Some(format!("kvadm help {verb}"))
        }
        Advice::Instead(_) => None,
    }
}

/// The page of 'kvadm help' for a line with options that neither program has, if no verb of kvadm has the name that was
/// typed.
fn other_verb_tip(template: &'static str, line: &EtcdctlLine) -> Option<String> {
    let typed = line.words.first().filter(|_| !line.other.is_empty())?;
    let verb = |template: &'static str| template.split(' ').next();
    let is_verb = |habit: &Habit| matches!(habit.advice, Advice::Line(template) if verb(template) == Some(typed));
    (!HABITS.iter().any(is_verb)).then(|| verb(template).map(|verb| format!("kvadm help {verb}")))?
}

/// A command line, split as etcdctl splits it.
struct EtcdctlLine {
    /// The command's words and its arguments.
    words: Vec<String>,
    flags: Vec<(&'static Flag, Option<String>)>,
    /// Options that etcdctl does not have.
    other: Vec<String>,
    /// What follows `--`.
    tail: Vec<String>,
}

/// A habit that fits a line.
struct Match {
    /// The habit's own flags.
    flags: Vec<&'static str>,
    /// The arguments by their names; several for a name with dots.
    arguments: Vec<(&'static str, Vec<String>)>,
}

impl EtcdctlLine {
    /// `None` if a flag has no value where it needs one.
    fn read(args: &[String]) -> Option<Self> {
        let mut line = Self { words: Vec::new(), flags: Vec::new(), other: Vec::new(), tail: Vec::new() };
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            // 'etcdctl lock NAME CMD' hands everything behind CMD to it.
            let of_command = line.words.len() > 2 && line.words.first().is_some_and(|word| word == "lock");
            if arg == "--" {
                line.tail = args.by_ref().cloned().collect();
            } else if of_command || !arg.starts_with('-') || arg == "-" {
                line.words.push(arg.clone());
            } else if let Some((flag, value)) = flag_of(arg) {
                let value = if flag.valued && value.is_none() { Some(args.next()?.clone()) } else { value };
                match value.as_deref() {
                    // Waiting is kvadm's default.
                    Some("false") if flag.name == "--physical" => line.other.push(arg.clone()),
                    Some("false") if !flag.valued => {}
                    _ => line.flags.push((flag, value)),
                }
            } else {
                line.other.push(arg.clone());
            }
        }
        Some(line)
    }

    fn matched(&self, habit: &'static Habit) -> Option<Match> {
        let (mut flags, mut arguments) = (Vec::new(), Vec::new());
        let mut words = self.words.iter();
        let mut takes_tail = false;
        for part in habit.etcdctl.split(' ') {
            if part == "--" {
                takes_tail = true;
            } else if part.starts_with("--") {
                let (_, value) = self.flags.iter().find(|(flag, _)| flag.name == part)?;
                // With --user, the password is that of the login.
                if part == "--password" && self.flags.iter().any(|(flag, _)| flag.name == "--user") {
                    return None;
                }
                flags.push(part);
                arguments.extend(value.clone().map(|value| (part, vec![value])));
            } else if let Some(name) = part.strip_suffix("...") {
                let rest: Vec<String> = if takes_tail { self.tail.clone() } else { words.by_ref().cloned().collect() };
                if rest.is_empty() {
                    return None;
                }
                arguments.push((name, rest));
            } else if part.chars().all(|c| c.is_ascii_uppercase()) {
                let word = words.next().filter(|word| part != "ACCESS" || is_access(word))?;
                arguments.push((part, vec![argument(part, word)]));
            } else {
                words.next().filter(|word| *word == part)?;
            }
        }
        // kvadm has nothing for the command, whatever its arguments are. With options of kvadm it may be meant for kvadm.
        let is_missing = matches!(habit.advice, Advice::Instead(_)) && (flags.is_empty() || self.other.is_empty());
        let nothing_left = words.next().is_none() && (takes_tail || self.tail.is_empty());
        let mut rows = self.flags.iter().filter(|(flag, _)| matches!(flag.becomes, Becomes::Row));
        let fits = nothing_left && rows.all(|(flag, _)| flags.contains(&flag.name));
        (is_missing || fits).then_some(Match { flags, arguments })
    }

    /// The flags in kvadm's words, except those named; `None` if kvadm lacks one.
    fn options(&self, without: &[&str]) -> Option<Vec<String>> {
        let mut words = Vec::new();
        for (flag, value) in self.flags.iter().filter(|(flag, _)| !without.contains(&flag.name)) {
            words.extend(translated(flag, value.as_deref())?);
        }
        words.extend(self.other.iter().cloned());
        Some(words)
    }

    /// The same words, with the flags of etcdctl replaced where they stand.
    fn with_own_flags(&self, args: &[String]) -> Option<Vec<String>> {
        let mut words = Vec::new();
        let mut args = args.iter();
        while let Some(arg) = args.next() {
            match flag_of(arg).filter(|_| arg.starts_with('-')) {
                _ if arg == "--" => {
                    words.push(arg.clone());
                    words.extend(args.by_ref().cloned());
                }
                Some((flag, value)) => {
                    let value = if flag.valued && value.is_none() { Some(args.next()?.clone()) } else { value };
                    words.extend(translated(flag, value.as_deref())?);
                }
                None => words.push(arg.clone()),
            }
        }
        Some(words)
    }
}

impl Match {
    /// The line of the template, with the arguments put in and the other flags added in front of `--`.
    fn words(&self, template: &str, line: &EtcdctlLine) -> Option<Vec<String>> {
        let (mut words, mut behind) = (Vec::new(), Vec::new());
        for part in template.split(' ') {
            let into = if part == "--" || !behind.is_empty() { &mut behind } else { &mut words };
            match part.split_once('{').and_then(|(before, rest)| Some((before, rest.split_once('}')?))) {
                Some((before, (name, after))) => {
                    let values = &self.arguments.iter().find(|(argument, _)| *argument == name)?.1;
                    into.extend(values.iter().map(|value| format!("{before}{value}{after}")));
                }
                None => into.push(part.to_owned()),
            }
        }
        words.extend(line.options(&self.flags)?);
        words.extend(behind);
        Some(words)
    }
}

/// Whether etcdctl takes the word for the access of a permission.
fn is_access(word: &str) -> bool {
    ["read", "write", "readwrite"].iter().any(|access| word.eq_ignore_ascii_case(access))
}

/// An argument as kvadm takes it.
fn argument(name: &str, word: &str) -> String {
    match name {
        // What follows the colon is a password.
        "USER" => word.split(':').next().unwrap_or_default().to_owned(),
        "TTL" if word.bytes().all(|byte| byte.is_ascii_digit()) => format!("{word}s"),
        "ACCESS" => word.to_ascii_lowercase(),
        _ => word.to_owned(),
    }
}

/// The flag in kvadm's words; `None` if kvadm has nothing for it.
fn translated(flag: &Flag, value: Option<&str>) -> Option<Vec<String>> {
    let split = |words: &str| words.split(' ').filter(|word| !word.is_empty()).map(str::to_owned).collect();
    let value = value.unwrap_or_default();
    Some(match flag.becomes {
        // etcd's lease 0 is none.
        Becomes::Option("--lease") if value == "0" => Vec::new(),
        Becomes::Option(name) if flag.valued => vec![name.to_owned(), value.to_owned()],
        Becomes::Option(name) => vec![name.to_owned()],
        Becomes::Seconds(name) => {
            let unit = if value.bytes().all(|byte| byte.is_ascii_digit()) { "s" } else { "" };
            vec![name.to_owned(), format!("{value}{unit}")]
        }
        Becomes::User(name) => match value.split_once(':') {
            Some((user, _)) => [name, user, "--password-file", "FILE"].map(str::to_owned).to_vec(),
            None => vec![name.to_owned(), value.to_owned()],
        },
        Becomes::Secret(words) => split(words),
        Becomes::Values(values) => split(values.iter().find(|(given, _)| *given == value)?.1),
        Becomes::Nothing => Vec::new(),
        Becomes::Row | Becomes::Instead(_) => return None,
    })
}
