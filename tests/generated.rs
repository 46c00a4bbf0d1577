//! The man pages and completions in the repository are what the command line's definition makes of them.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::ValueEnum;
use clap_mangen::roff::{Roff, roman};
use kvadm::commands::completions::Shell;

/// What the definition makes: file name and contents, by folder.
fn generated() -> BTreeMap<PathBuf, Vec<u8>> {
    let mut files = BTreeMap::new();
    for shell in Shell::value_variants() {
        let (name, script) = kvadm::cli::complete::installed(*shell);
        files.insert(Path::new("completions").join(name), script.into());
    }
    // What 'kvadm help' prints is in the pages themselves.
    let command = shown(kvadm::command()).mut_subcommand("help", |help| help.hide(true));
    files.insert(PathBuf::from("man/kvadm.1"), manual(command.clone()));
    pages(&mut files, "kvadm", &command);
    files.insert(PathBuf::from("man/kvadm-schema.7"), schema_page());
    files
}

/// A page for each verb, and for each verb of a verb.
fn pages(files: &mut BTreeMap<PathBuf, Vec<u8>>, name: &str, command: &clap::Command) {
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        let name = format!("{name}-{}", verb.get_name());
        let mut page = Vec::new();
        page_of(verb.clone()).render(&mut page).unwrap();
        files.insert(Path::new("man").join(format!("{name}.1")), page);
        pages(files, &name, verb);
    }
}

/// The pages say what `-h` leaves out for brevity.
fn shown(command: clap::Command) -> clap::Command {
    command.mut_args(|arg| arg.hide_short_help(false)).mut_subcommands(shown)
}

fn page_of(command: clap::Command) -> clap_mangen::Man {
    clap_mangen::Man::new(command).source(concat!("kvadm ", env!("CARGO_PKG_VERSION"))).manual("kvadm")
}

/// kvadm(1): what clap knows, and the sections that it does not.
fn manual(command: clap::Command) -> Vec<u8> {
    let mut page = Vec::new();
    let man = page_of(command);
    man.render_title(&mut page).unwrap();
    man.render_name_section(&mut page).unwrap();
    man.render_synopsis_section(&mut page).unwrap();
    man.render_description_section(&mut page).unwrap();
    man.render_subcommands_section(&mut page).unwrap();
    man.render_options_section(&mut page).unwrap();
    set(kvadm::cli::manual::SECTIONS, Roff::new()).to_writer(&mut page).unwrap();
    man.render_extra_section(&mut page).unwrap();
    page
}

/// The sections, their lines as they stand.
fn set(sections: &[(&str, &str)], mut roff: Roff) -> Roff {
    for (heading, text) in sections {
        roff.control("SH", [*heading]).control("nf", []).text([roman(*text)]).control("fi", []);
    }
    roff
}

/// kvadm-schema(7), which is about no verb.
fn schema_page() -> Vec<u8> {
    let mut roff = Roff::new();
    let source = concat!("kvadm ", env!("CARGO_PKG_VERSION"));
    roff.control("TH", ["kvadm-schema", "7", "", source, "kvadm"]);
    roff.control("SH", ["NAME"])
        .text([roman("kvadm-schema - what a tree of metadata is made of, for kvadm gc metadata")]);
    let mut page = Vec::new();
    set(kvadm::cli::manual::SCHEMA_SECTIONS, roff).to_writer(&mut page).unwrap();
    page
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
    for folder in ["man", "completions"] {
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
        assert!(after.starts_with("Examples:\n") && (2..=5).contains(&examples), "{name}: {after}");
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
