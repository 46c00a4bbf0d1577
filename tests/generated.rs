//! The man pages and completions in the repository are what the command line's definition makes of them.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::ValueEnum;
use clap_mangen::roff::{Roff, bold, roman};
use kvadm::cli::manual::{self, AUTH, CHECK, CONFIG, KVADM, SCHEMA, forms, sections};
use kvadm::commands::completions::Shell;
use kvadm::output::contract;

const SOURCE: &str = concat!("kvadm ", env!("CARGO_PKG_VERSION"));
/// Name, section, title, text, and the other pages that the page names.
type ManPage = (&'static str, &'static str, &'static str, String, &'static str);

/// Pages that belong to no verb.
fn pages() -> [ManPage; 5] {
    [
        (
            "kvadm-auth",
            "5",
            "files of users and roles, for kvadm auth",
            AUTH.to_owned(),
            "kvadm(1), kvadm-auth(1), kvadm-auth-apply(1), kvadm-auth-diff(1), kvadm-auth-export(1)",
        ),
        (
            "kvadm-check",
            "5",
            "files with smoke checks, for kvadm check",
            CHECK.to_owned(),
            "kvadm(1), kvadm-check(1), kvadm-json(7)",
        ),
        (
            "kvadm-config",
            "5",
            "configuration file and environment of kvadm",
            CONFIG.to_owned(),
            "kvadm(1), kvadm-config(1), kvadm-json(7)",
        ),
        ("kvadm-json", "7", "fields of kvadm's JSON and YAML output", manual::json(), "kvadm(1), kvadm-config(5)"),
        (
            "kvadm-schema",
            "7",
            "schemas of metadata trees, for kvadm gc metadata",
            SCHEMA.to_owned(),
            "kvadm(1), kvadm-gc-metadata(1)",
        ),
    ]
}
/// The columns of text that a page of 80 columns leaves between its margins.
const TEXT_WIDTH: usize = 72;
/// The widest column of terms in a list.
const TERM_WIDTH: usize = 27;

/// What the definition makes: file name and contents, by folder.
fn generated() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for shell in Shell::value_variants() {
        let (name, script) = kvadm::cli::complete::registration::installed(*shell);
        files.insert(Path::new("completions").join(name), script.into());
    }
    // What 'kvadm help' prints is in the pages themselves.
    let root = with_all_options(kvadm::command()).mut_subcommand("help", |help| help.hide(true));
    files.insert(PathBuf::from("man/kvadm.1"), root_page(&root));
    let mut built = without_global_options(root);
    built.build();
    verb_pages(&mut files, "kvadm", &built);
    for verb in contract::VERBS {
        let schema = serde_json::to_string_pretty(&contract::json_schema(verb)).unwrap() + "\n";
        files.insert(PathBuf::from(format!("docs/json-schema/{}.json", verb.name())), schema.into());
    }
    for (name, section, title, text, see_also) in pages() {
        let mut roff = Roff::new();
        roff.control("TH", [name, section, "", SOURCE, "kvadm"]);
        roff.control("SH", ["NAME"]).text([roman(format!("{name} - {title}"))]);
        add_sections(&text, &mut roff);
        see(see_also, &mut roff);
        files.insert(PathBuf::from(format!("man/{name}.{section}")), finished(roff.to_roff().as_bytes()));
    }
    files
}

/// A page for each verb, and for each verb of a verb.
fn verb_pages(files: &mut BTreeMap<PathBuf, Vec<u8>>, name: &str, command: &clap::Command) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let page_name = format!("{name}-{}", verb.get_name());
        let nested: Vec<String> = verb
            .get_subcommands()
            .filter(|sub| !sub.is_hide_set())
            .map(|sub| format!("{page_name}-{}(1)", sub.get_name()))
            .collect();
        let mut related = vec!["kvadm(1)".to_owned()];
        if name != "kvadm" {
            related.push(format!("{name}(1)"));
        }
        related.extend(nested);
        related.extend(["kvadm-config(5)".to_owned(), "kvadm-json(7)".to_owned()]);
        if page_name.starts_with("kvadm-auth") {
            related.push("kvadm-auth(5)".to_owned());
        }
        if page_name == "kvadm-check" {
            related.push("kvadm-check(5)".to_owned());
        }
        if page_name == "kvadm-gc-metadata" {
            related.push("kvadm-schema(7)".to_owned());
        }
        let shared = "The options for the connection, the output and the safety prompts are the same for all verbs and are \
                      described in kvadm(1).";
        let page = verb_page(verb, |roff| {
            roff.control("SH", ["COMMON OPTIONS"]).text([roman(shared)]);
            see(&related.join(", "), roff);
        });
        files.insert(Path::new("man").join(format!("{page_name}.1")), page);
        verb_pages(files, &page_name, verb);
    }
}

fn root_page(root: &clap::Command) -> Vec<u8> {
    let mut built = root.clone();
    built.build();
    let verbs = built.get_subcommands().filter(|verb| !verb.is_hide_set());
    let mut related: Vec<String> = verbs.map(|verb| format!("kvadm-{}(1)", verb.get_name())).collect();
    related.extend(
        ["kvadm-auth(5)", "kvadm-check(5)", "kvadm-config(5)", "kvadm-json(7)", "kvadm-schema(7)"].map(str::to_owned),
    );
    verb_page(&built, |roff| {
        add_sections(KVADM, roff);
        see(&related.join(", "), roff);
    })
}

/// The parts of a page that clap knows, and `rest` behind the options.
fn verb_page(command: &clap::Command, rest: impl FnOnce(&mut Roff)) -> Vec<u8> {
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(command.clone()).source(SOURCE).manual("kvadm");
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    let name = command.get_bin_name().unwrap_or_else(|| command.get_name());
    let usage = command.clone().render_usage().to_string();
    let usage = usage.strip_prefix("Usage: ").unwrap_or(&usage).to_owned();
    let mut synopsis = Roff::new();
    synopsis.control("SH", ["SYNOPSIS"]).control("nf", []);
    for form in forms(name, &usage) {
        assert!(form.chars().count() <= TEXT_WIDTH, "the SYNOPSIS line is too long for a page: {form}");
        let arguments = form.strip_prefix(name).unwrap_or_default().to_owned();
        synopsis.text([bold(name), roman(arguments)]);
    }
    synopsis.control("fi", []).to_writer(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    if command.has_subcommands() {
        man.render_subcommands_section(&mut page).unwrap();
    }
    man.render_options_section(&mut page).unwrap();
    let mut roff = Roff::new();
    if let Some(after) = command.get_after_long_help().or_else(|| command.get_after_help()) {
        add_help_blocks(&after.to_string(), &mut roff);
    }
    rest(&mut roff);
    roff.to_writer(&mut page).unwrap();
    finished(&page)
}

/// What follows the options in the help: blocks of indented lines under a title (`Examples:`, `The file:`), which are
/// printed as they stand. A sentence without a block refers to kvadm(1), as the page does itself.
fn add_help_blocks(text: &str, roff: &mut Roff) {
    for block in text.split("\n\n") {
        let mut lines = block.lines();
        let Some(title) = lines.next().and_then(|line| line.strip_suffix(':')) else { continue };
        let body: Vec<String> = lines.flat_map(|line| folded(line.strip_prefix("  ").unwrap_or(line))).collect();
        roff.control("SH", [title.to_uppercase().as_str()]).control("nf", []);
        roff.text([roman(body.join("\n"))]).control("fi", []);
    }
}

/// A line of the help in lines that fit the page: a comment goes to a line of its own before the rest, a command is
/// broken as a shell allows, and everything else between words.
fn folded(line: &str) -> Vec<String> {
    if line.chars().count() <= TEXT_WIDTH {
        return vec![line.to_owned()];
    }
    let indent = " ".repeat(line.len() - line.trim_start().len());
    if let Some((text, comment)) = line.split_once(" # ") {
        return vec![format!("{indent}# {comment}"), text.trim_end().to_owned()];
    }
    let is_command = line.starts_with("kvadm");
    let (end, margin) = if is_command { (" \\", "    ".to_owned()) } else { ("", indent) };
    let mut lines = Vec::new();
    let mut rest = line.to_owned();
    while rest.chars().count() > TEXT_WIDTH {
        let mut quote = None;
        let mut cut = None;
        for (at, c) in rest.char_indices().skip_while(|(_, c)| *c == ' ') {
            match quote {
                Some(open) if c == open => quote = None,
                None if is_command && (c == '\'' || c == '"') => quote = Some(c),
                None if c == ' ' && at <= TEXT_WIDTH - end.len() => cut = Some(at),
                _ => {}
            }
        }
        let Some(cut) = cut else { break };
        lines.push(format!("{}{end}", &rest[..cut]));
        rest = format!("{margin}{}", &rest[cut + 1..]);
    }
    lines.push(rest);
    lines
}

fn see(pages: &str, roff: &mut Roff) {
    roff.control("SH", ["SEE ALSO"]).text([roman(pages)]);
}

/// Sections of the manual, in the markup that `kvadm::cli::manual` describes.
fn add_sections(page: &str, roff: &mut Roff) {
    for (heading, text) in sections(page) {
        roff.control("SH", [heading]);
        if heading == "EXAMPLE" {
            roff.control("nf", []).text([roman(text)]).control("fi", []);
            continue;
        }
        let mut parts =
            format!("\n{}", text.trim_start_matches('\n')).split("\n== ").map(str::to_owned).collect::<Vec<_>>();
        let before = parts.remove(0);
        for (index, block) in
            before.trim_start_matches('\n').split("\n\n").filter(|block| !block.is_empty()).enumerate()
        {
            add_block(block, index == 0, false, roff);
        }
        for part in &parts {
            let (title, text) = part.split_once('\n').unwrap_or((part, ""));
            roff.control("SS", [title]);
            for (index, block) in text.trim_end().split("\n\n").filter(|block| !block.is_empty()).enumerate() {
                add_block(block, index == 0, true, roff);
            }
        }
    }
}

fn add_block(block: &str, first: bool, close: bool, roff: &mut Roff) {
    if block.starts_with("    ") {
        roff.control("PP", []).control("RS", ["4"]).control("nf", []);
        let lines: Vec<&str> = block.lines().map(|line| line.strip_prefix("    ").unwrap_or(line)).collect();
        roff.text([roman(lines.join("\n"))]).control("fi", []).control("RE", []);
    } else if block.starts_with("  ") {
        add_terms(block, close, roff);
    } else if block.starts_with("- ") {
        for point in points(block) {
            roff.control("IP", ["\\(bu", "3"]).text([roman(point)]);
        }
    } else {
        if !first {
            roff.control("PP", []);
        }
        roff.text([roman(block)]);
    }
}

/// The points of a list, each in one line.
fn points(block: &str) -> Vec<String> {
    let mut points: Vec<String> = Vec::new();
    for line in block.lines() {
        match (line.strip_prefix("- "), points.last_mut()) {
            (None, Some(last)) => write!(last, " {}", line.trim_start()).unwrap(),
            (text, _) => points.push(text.unwrap_or(line).to_owned()),
        }
    }
    points
}

/// A list of terms: `  term  what it means`, continued on lines that are indented further.
fn add_terms(block: &str, close: bool, roff: &mut Roff) {
    let mut terms: Vec<(String, String)> = Vec::new();
    for line in block.lines() {
        let text = line.strip_prefix("  ").unwrap_or(line);
        match (text.starts_with(' '), terms.last_mut()) {
            (true, Some((_, meaning))) => {
                if !meaning.is_empty() {
                    meaning.push(' ');
                }
                meaning.push_str(text.trim_start());
            }
            _ => {
                let (term, meaning) = text.split_once("  ").unwrap_or((text, ""));
                terms.push((term.to_owned(), meaning.trim_start().to_owned()));
            }
        }
    }
    let widths = terms.iter().map(|(term, _)| term.chars().count() + 2);
    let width = widths.filter(|width| *width <= TERM_WIDTH).max().unwrap_or(8).to_string();
    let compact =
        close || terms.iter().all(|(term, meaning)| term.chars().count() < TERM_WIDTH && meaning.chars().count() < 56);
    if compact {
        roff.control("PP", []).control("PD", ["0"]);
    }
    for (term, meaning) in terms {
        roff.control("TP", [width.as_str()]).text([bold(term)]).text([roman(meaning)]);
    }
    if compact {
        roff.control("PD", []);
    }
}

/// No word is broken, no line is stretched, and sentences are one space apart; every character that is not ASCII is written as an escape, so that no
/// formatter needs to know the file's encoding.
fn finished(page: &[u8]) -> Vec<u8> {
    let text = std::str::from_utf8(page).unwrap();
    let mut out = String::with_capacity(text.len());
    for line in text.lines() {
        for c in line.trim_end().chars() {
            if c.is_ascii() {
                out.push(c);
            } else {
                write!(out, "\\[u{:04X}]", u32::from(c)).unwrap();
            }
        }
        out.push('\n');
        if line.starts_with(".TH ") {
            out.push_str(".nh\n.ad l\n.ss 12 0\n");
        }
    }
    out.into_bytes()
}

/// The pages say what `-h` leaves out for brevity.
fn with_all_options(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(with_all_options)
}

/// kvadm(1) describes the options that all verbs take.
fn without_global_options(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| if arg.is_global_set() { arg.hide(true) } else { arg })
}

#[test]
fn man_pages_and_completions_are_in_step() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let bless = env::var_os("KVADM_BLESS").is_some_and(|value| !value.is_empty());
    let generated = generated();
    let mut wrong = Vec::new();
    for (path, contents) in &generated {
        let file = root.join(path);
        if fs::read(&file).ok().as_ref() == Some(contents) {
            continue;
        }
        if bless {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, contents).unwrap();
        } else {
            wrong.push(path.display().to_string());
        }
    }
    for folder in ["man", "completions", "docs/json-schema"] {
        for entry in fs::read_dir(root.join(folder)).into_iter().flatten() {
            let path = Path::new(folder).join(entry.unwrap().file_name());
            if !generated.contains_key(&path) {
                if bless {
                    fs::remove_file(root.join(&path)).unwrap();
                } else {
                    wrong.push(format!("{} (nothing makes it)", path.display()));
                }
            }
        }
    }
    assert!(
        wrong.is_empty(),
        "out of step with the command line; run 'make bless' and look at the difference: {wrong:?}"
    );
}

#[test]
fn a_page_needs_no_encoding_breaks_no_word_and_does_not_name_itself() {
    for (path, contents) in generated() {
        let name = path.file_name().unwrap().to_str().unwrap();
        let Some((page, section)) = name.rsplit_once('.').filter(|_| path.starts_with("man")) else { continue };
        assert!(contents.is_ascii(), "{name}");
        let text = String::from_utf8(contents).unwrap();
        assert!(text.contains("\n.nh\n.ad l\n"), "{name} lets words be broken");
        assert!(!text.contains(&format!("{}({section})", page.replace('-', "\\-"))), "{name} refers to itself");
        let mut literal = false;
        for line in text.lines() {
            match line {
                ".nf" => literal = true,
                ".fi" => literal = false,
                _ => {}
            }
            let shown = line.replace("\\fB", "").replace("\\fR", "").replace("\\&", "").replace("\\*(Aq", "'");
            let shown = shown.replace("\\-", "-").replace("\\\\", "\\");
            assert!(!literal || shown.chars().count() <= TEXT_WIDTH + 1, "{name} is wider than 80 columns: {shown}");
        }
    }
}

#[test]
fn every_verb_s_help_opens_with_a_sentence_and_shows_examples() {
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        let verbs = command.get_subcommands().filter(|verb| verb.get_name() != "help");
        verbs.flat_map(|verb| [vec![verb.clone()], all(verb)].concat()).collect()
    }
    for verb in all(&kvadm::command()) {
        let name = verb.get_name();
        let about = verb.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 20 && !about.contains('\n'), "{name}: {about}");
        let after = verb.get_after_long_help().or(verb.get_after_help()).map(ToString::to_string).unwrap_or_default();
        let examples = after.lines().filter(|line| line.starts_with("  ") && line.contains("kvadm")).count();
        assert!(after.starts_with("Examples:\n") && (2..=6).contains(&examples), "{name}: {after}");
        for option in verb.get_arguments() {
            assert!(option.get_help().is_some(), "{name}: {} has no help", option.get_id());
        }
    }
}

#[test]
fn help_fits_eighty_columns() {
    fn all(command: &clap::Command) -> Vec<clap::Command> {
        std::iter::once(command.clone()).chain(command.get_subcommands().flat_map(all)).collect()
    }
    let mut wide = Vec::new();
    for verb in all(&kvadm::command()) {
        for help in [verb.clone().term_width(80).render_long_help(), verb.clone().term_width(80).render_help()] {
            let lines = help.to_string();
            let too_wide = lines.lines().filter(|line| line.chars().count() > 80);
            wide.extend(too_wide.map(|line| format!("{}: {line}", verb.get_name())));
        }
    }
    assert!(wide.is_empty(), "{}", wide.join("\n"));
}
