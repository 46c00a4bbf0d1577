//! `snapshot verify` of files that nothing proves, or whose end is missing, and how it shows what it found.

use std::fs;
use std::path::Path;

use super::support::databases::{snapshot, sparse, write};
use super::support::{Kvadm, Run};

fn verify(path: &Path, args: &[&str]) -> Run {
    Kvadm::new().args(["snapshot", "verify"]).arg(path).args(args).run()
}

/// The checksum of a meta page (FNV-1a, 64 bits).
fn checksum(fields: &[u8]) -> u64 {
    fields.iter().fold(0xcbf2_9ce4_8422_2325, |hash, byte| (hash ^ u64::from(*byte)).wrapping_mul(0x100_0000_01b3))
}

/// Writes another number of pages into both meta pages.
fn set_pages(bytes: &mut [u8], pages: u64) {
    for page in [0, 4096] {
        let meta = &mut bytes[page + 16..page + 80];
        meta[40..48].copy_from_slice(&pages.to_le_bytes());
        let sum = checksum(&meta[..56]);
        meta[56..].copy_from_slice(&sum.to_le_bytes());
    }
}

fn without_sha256() -> Vec<u8> {
    let mut bytes = fs::read(snapshot("3.5")).unwrap();
    bytes.truncate(bytes.len() - 32);
    bytes
}

#[test]
fn a_script_does_not_take_an_unproved_file_for_a_proved_one() {
    let folder = tempfile::tempdir().unwrap();
    let path = write(folder.path(), "copy.db", &without_sha256());
    let run = verify(&path, &["-q"]);
    run.ok().out_has("result\tunproved\n").out_has("damages\t0\n").err_has("warning: values cannot be proved");
    let run = verify(&path, &["-q", "--require-sha256", "-o", "json"]);
    assert_eq!(run.code(4).json()["result"], "unproved");
    run.err_has("copy.db is not proved: it has no SHA-256\"")
        .err_has("\"a snapshot has one: kvadm snapshot save FILE\"");
    verify(&snapshot("3.5"), &["-q", "--require-sha256"]).ok().out_has("result\tintact\n").err_empty();
}

#[test]
fn a_file_without_its_end_is_damaged() {
    let folder = tempfile::tempdir().unwrap();
    let whole = without_sha256();
    let pages = whole.len() as u64 / 4096;
    for claimed in [pages + 1, 1_000_000_000, u64::MAX] {
        let mut bytes = whole.clone();
        set_pages(&mut bytes, claimed);
        let run = verify(&write(folder.path(), "db", &bytes), &["-o", "json"]);
        let found = run.code(4).json();
        assert!(found["free"].as_u64() < found["size"].as_u64(), "{found}");
        let text =
            format!("the database has {claimed} pages, but the file has {pages}: the end of the file is missing");
        run.err_has(&text).err_has("db is damaged: 1 problem in its pages\"");
    }
    // A member's file may be longer than its pages.
    let mut bytes = whole.clone();
    bytes.extend_from_slice(&[0; 8192]);
    verify(&write(folder.path(), "longer", &bytes), &[]).ok().out_has("result\tunproved\n");
    verify(&write(folder.path(), "page-16k", &sparse("page-16k")), &[]).ok();
}

#[test]
fn a_table_shows_whole_values_beside_their_names() {
    let folder = tempfile::tempdir().unwrap();
    fs::copy(snapshot("3.5"), folder.path().join("a.db")).unwrap();
    let run = Kvadm::new().folder(folder.path()).args(["snapshot", "verify", "a.db", "-o", "table"]).pty().run();
    let text = run.ok().stdout_text();
    let lines: Vec<&str> = text.lines().map(str::trim_end).collect();
    let row = |name: &str| *lines.iter().find(|line| line.contains(name)).unwrap_or_else(|| panic!("{name}: {text}"));
    let at = row("FIELD").find("VALUE").unwrap() - row("FIELD").find("FIELD").unwrap();
    assert!(at <= 20, "{text}");
    assert_eq!(&row("members")[at..], "1", "{text}");
    let sha256 = row("sha256  ").rsplit(' ').next().unwrap();
    assert!(sha256.len() == 64 && sha256.bytes().all(|byte| byte.is_ascii_hexdigit()), "{text}");
}

#[test]
fn what_is_no_file_says_what_to_do() {
    let run = Kvadm::new().args(["snapshot", "verify", "-"]).stdin("x").run();
    run.code(2).out_empty().err_has("error: cannot verify a pipe").err_has("hint: save it to a file first");
    let run = verify(Path::new("no such/a.db"), &[]);
    run.code(2)
        .out_empty()
        .err_has("cannot read no such/a.db")
        .err_has("hint: check the name of the file: ls -l 'no such'");
}
