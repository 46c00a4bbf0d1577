//! `edit`: the text in the editor, the value that it becomes, and what stays after a failure.

use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use kvadm::output::ValueDiff;
use serde_json::json;
use tempfile::TempDir;

use super::list::load;
use super::proto::{SHOP, codec, made, shop};
use super::support::{Kvadm, Run, shared, unique_prefix};

/// A key, and the folder for the files of its edits.
pub struct Desk {
    pub key: String,
    pub folder: TempDir,
    endpoint: String,
}

impl Desk {
    pub fn new(value: impl AsRef<[u8]>) -> Self {
        let desk = Self::missing();
        load(shared(), [(&desk.key, value)]);
        desk
    }

    pub fn missing() -> Self {
        let (key, folder) = (format!("{}mode", unique_prefix()), tempfile::tempdir().unwrap());
        Self { key, folder, endpoint: shared().endpoint() }
    }

    /// Reaches etcd through this endpoint.
    pub fn through(mut self, endpoint: &str) -> Self {
        self.endpoint = endpoint.to_owned();
        self
    }

    /// The edit with this editor: a line of the shell that the name of the file follows.
    pub fn edit(&self, editor: &str, args: &[&str]) -> Kvadm {
        let edit = Kvadm::new().endpoint(&self.endpoint).args(["edit", &self.key]).args(args);
        edit.env("EDITOR", editor).env("TMPDIR", self.folder.path())
    }

    /// An editor: a script for which `$1` is the file, and `$KVADM` a kvadm that reaches etcd.
    pub fn script(&self, text: &str) -> String {
        let path = self.folder.path().join("editor.sh");
        let (kvadm, key) = (env!("CARGO_BIN_EXE_kvadm"), &self.key);
        let start = format!(
            "#!/bin/sh\nKVADM='{kvadm} --endpoints {}'\nKEY='{key}'\ncd '{}'\n",
            shared().endpoint(),
            self.folder.path().display()
        );
        std::fs::write(&path, start + text + "\n").unwrap();
        std::fs::set_permissions(&path, PermissionsExt::from_mode(0o755)).unwrap();
        // Another thread's child may still hold the file open for writing, and executing it would fail then.
        format!("sh {}", path.display())
    }

    #[track_caller]
    pub fn value(&self) -> String {
        String::from_utf8(shared().held(&self.key).unwrap().value).unwrap()
    }

    /// The folders that edits left.
    pub fn left(&self) -> Vec<PathBuf> {
        let all = std::fs::read_dir(self.folder.path()).unwrap().map(|entry| entry.unwrap().path());
        all.filter(|path| path.file_name().unwrap().to_string_lossy().starts_with("kvadm-edit-")).collect()
    }

    /// A file of the editor scripts.
    pub fn file(&self, name: &str) -> String {
        std::fs::read_to_string(self.folder.path().join(name)).unwrap()
    }

    /// Ended without a trace: nothing written, nothing kept.
    #[track_caller]
    fn nothing(&self, value: &str) {
        assert_eq!((self.value().as_str(), self.left()), (value, Vec::new()));
    }
}

/// The text that a failure has kept, and the command that it names.
#[track_caller]
pub fn kept(desk: &Desk, run: &Run) -> (PathBuf, Vec<String>) {
    let text = run.stderr_text() + &run.stdout_text();
    let line =
        |start: &str| text.lines().find_map(|line| line.trim_end().split_once(start).map(|(_, rest)| rest.to_owned()));
    let path = PathBuf::from(line("your text is kept in ").unwrap_or_else(|| panic!("no file is named: {text}")));
    let [folder] = desk.left().try_into().unwrap();
    let mode = |path: &Path| std::fs::metadata(path).unwrap().permissions().mode() & 0o777;
    assert_eq!((mode(&folder), mode(&path), path.parent()), (0o700, 0o600, Some(folder.as_path())));
    // It repeats the options that name the store.
    let start = format!("'kvadm --endpoints {} put ", desk.endpoint);
    let command = line(&start).unwrap_or_else(|| panic!("no command is named: {text}"));
    let command = command.strip_suffix("' writes it").unwrap().split(' ').map(str::to_owned).collect();
    (path, command)
}

/// Runs the named command.
#[track_caller]
pub fn run_named(command: &[String]) -> Run {
    Kvadm::new().endpoint(shared()).arg("put").args(command).run()
}

#[test]
fn a_changed_text_is_shown_and_written() {
    let desk = Desk::new("a\nblue\nb\n");
    let before = shared().held(&desk.key).unwrap();
    let run = desk.edit("sed -i s/blue/green/", &[]).run();
    let now = shared().held(&desk.key).unwrap();
    run.ok().out(&format!("written\t{}\t{}\n", desk.key, now.modified));
    let note = format!("note: change of {} since revision {}:\n", desk.key, before.modified);
    assert_eq!(run.stderr_text(), note + "@@ -1,3 +1,3 @@\n a\n-blue\n+green\n b\n");
    assert_eq!(now.version, 2);
    desk.nothing("a\ngreen\nb\n");
    let run = desk.edit("sed -i s/green/red/", &["-o", "json", "-q"]).run();
    let now = shared().held(&desk.key).unwrap();
    run.ok().err_empty();
    assert_eq!(run.json(), json!({"outcome": "written", "key": desk.key, "mod_revision": now.modified}));
}

#[test]
fn an_unchanged_text_writes_nothing() {
    let desk = Desk::new("blue");
    let before = shared().held(&desk.key).unwrap();
    desk.edit("true", &[]).run().ok().out_empty().err_has("note: unchanged; nothing was written");
    // What only the editor changed is not a change either.
    desk.edit("echo >>", &[]).run().ok().out_empty().err_has("unchanged");
    let run = desk.edit("true", &["-o", "json"]).run();
    run.ok().err_empty();
    assert_eq!(run.json(), json!({"outcome": "unchanged", "key": desk.key, "mod_revision": before.modified}));
    assert_eq!(shared().held(&desk.key).unwrap(), before);
    desk.nothing("blue");
}

#[test]
fn visual_comes_before_editor_and_both_may_have_arguments() {
    let desk = Desk::new("blue");
    desk.edit("false", &[]).env("VISUAL", "sh -c 'echo \"it'\\''s green\" > \"$1\"' -").run().ok();
    assert_eq!(desk.value(), "it's green");
    desk.edit("sed -i s/green/red/", &[]).env("VISUAL", "").run().ok();
    // Without both it is vi.
    let bin = desk.folder.path().join("bin");
    std::fs::create_dir(&bin).unwrap();
    std::os::unix::fs::symlink("/bin/true", bin.join("sh")).unwrap();
    desk.script("echo vi > \"$1\"");
    std::fs::rename(desk.folder.path().join("editor.sh"), bin.join("vi")).unwrap();
    std::fs::remove_file(bin.join("sh")).unwrap();
    let path = format!("{}:{}", bin.display(), std::env::var("PATH").unwrap());
    desk.edit("", &[]).env("PATH", path).run().ok();
    assert_eq!(desk.value(), "vi");
}

#[test]
fn an_editor_that_fails_writes_nothing_and_a_changed_text_stays() {
    let desk = Desk::new("blue");
    let run = desk.edit("no-such-editor --wait", &[]).run();
    run.code(2)
        .out_empty()
        .err_has("error: cannot run the editor 'no-such-editor --wait'")
        .err_has("set VISUAL or EDITOR");
    desk.edit("false", &[])
        .run()
        .code(5)
        .out_empty()
        .err_has("the editor 'false' exited with status 1; nothing was written");
    desk.edit("sh -c 'kill -9 $$' -", &[]).run().code(5).err_has("exited with status 137");
    desk.edit("rm", &[])
        .run()
        .code(5)
        .err_has("cannot read the text that the editor left, so nothing was written: No such file");
    desk.nothing("blue");
    // Whatever the editor left stays.
    let run = desk.edit("truncate -s 65M", &[]).run();
    run.code(5).out_empty().err_has("cannot read the text that the editor left, so nothing was written: more than ");
    std::fs::remove_dir_all(kept(&desk, &run).0.parent().unwrap()).unwrap();
    let run = desk.edit(&desk.script("echo green > \"$1\"; chmod 644 \"$1\"; exit 1"), &[]).run();
    run.code(5).out_empty().err_lacks("+green");
    assert_eq!(desk.value(), "blue");
    let (path, command) = kept(&desk, &run);
    assert_eq!(std::fs::read_to_string(path).unwrap(), "green");
    run_named(&command).ok();
    assert_eq!(desk.value(), "green");
    // The command compares the revision that was edited.
    run_named(&command).code(5);
    let missing = desk.folder.path().join("none");
    desk.edit("true", &[])
        .env("TMPDIR", missing)
        .run()
        .code(2)
        .err_has("cannot create a file for the editor")
        .err_has("TMPDIR");
}

#[test]
fn the_file_is_private_and_named_as_the_key() {
    let look = "stat -c '%a %n' \"$(dirname \"$1\")\" \"$1\" > seen; cp \"$1\" text";
    let desk = Desk::new("{\"b\":1.50,\"a\":[12345678901234567890123]}");
    // The editor's own output is not data.
    let run = desk.edit(&desk.script(&format!("umask 0; echo hello; {look}")), &["-o", "json"]).run();
    assert_eq!(run.ok().json()["outcome"], "unchanged");
    run.err_has("hello");
    let seen = desk.file("seen");
    let lines: Vec<&str> = seen.lines().collect();
    assert!(lines[0].starts_with("700 ") && lines[1].starts_with("600 ") && lines[1].ends_with("/mode.json"), "{seen}");
    assert_eq!(desk.file("text"), "{\n  \"b\": 1.50,\n  \"a\": [\n    12345678901234567890123\n  ]\n}\n");
    let run = desk.edit("sed -i s/1.50/1e2/", &[]).run();
    run.ok().err_has("-  \"b\": 1.50\n+  \"b\": 1e2\n");
    desk.nothing("{\"b\":1e2,\"a\":[12345678901234567890123]}");
}

#[test]
fn what_is_probably_a_mistake_needs_consent() {
    let desk = Desk::new("{\"a\":1}");
    for (editor, question) in [("cp /dev/null", "an empty value"), ("sed -i s/}//", "text that is not valid JSON")] {
        let run = desk.edit(editor, &[]).run();
        run.code(2).out_empty().err_has(&format!("store {question} in {}", desk.key)).err_has("add --yes to confirm");
        assert_eq!(desk.value(), "{\"a\":1}");
        let (path, _) = kept(&desk, &run);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    desk.edit("sed -i s/}//", &["--yes"]).run().ok();
    desk.nothing("{\n  \"a\": 1\n\n");
    desk.edit("cp /dev/null", &["--yes"]).run().ok();
    desk.nothing("");
    // A value that was empty may stay so, and becomes a line without its end.
    desk.edit("true", &[]).run().ok();
    desk.edit("echo blue >", &[]).run().ok().err_has("+blue");
    desk.nothing("blue");
}

#[test]
fn a_key_is_created_only_if_it_is_missing() {
    let desk = Desk::missing();
    let run = desk.edit("echo blue >", &[]).run();
    run.code(1).out_empty().err_has("key not found").err_has(&format!(
        "'kvadm --endpoints {} edit {} --create' creates it",
        shared().endpoint(),
        desk.key
    ));
    let run = desk.edit("true", &["--create"]).run();
    run.code(1).out_empty().err_has(&format!("the text was not changed; {} was not created", desk.key));
    assert!(desk.left().is_empty());
    assert_eq!(shared().held(&desk.key), None);
    desk.edit("echo blue >", &["--create"]).run().ok().out_has("written\t").err_has("@@ -0,0 +1 @@\n+blue\n");
    desk.nothing("blue");
    let run = desk.edit("echo green >", &["--create"]).run();
    run.code(5).out_empty().err_has("condition failed").err_has("already exists (created in revision");
    desk.nothing("blue");
}

/// Runs the command in which these words are, as a shell does that has nothing but the line.
fn paste(run: &Run, words: &str) -> Run {
    let text = run.stderr_text();
    let line = text.lines().find(|line| line.contains(words)).unwrap_or_else(|| panic!("no line with {words}: {text}"));
    let (_, command) = line.split_once(": '").unwrap();
    let (command, _) = command.rsplit_once("' writes it").unwrap();
    let folder = Path::new(env!("CARGO_BIN_EXE_kvadm")).parent().unwrap();
    let path = format!("{}:{}", folder.display(), std::env::var("PATH").unwrap());
    Kvadm::program("bash").args(["-c", command]).env("PATH", path).run()
}

#[test]
fn a_printed_command_reaches_the_same_store() {
    let (desk, prefix) = (Desk::missing(), unique_prefix());
    // Without the options of the line, kvadm would reach nothing.
    let config = desk.folder.path().join("it's prod.yaml");
    std::fs::write(&config, format!("endpoints: [\"{}\"]\n", shared().endpoint())).unwrap();
    let edit = |args: &[&str]| {
        let edit = Kvadm::new().arg("-c").arg(&config).args(["--namespace", &prefix, "edit", "mode"]).args(args);
        edit.env("EDITOR", "sh -c 'echo green > \"$1\"; exit 1' -").env("TMPDIR", desk.folder.path()).run()
    };
    paste(edit(&["--create"]).code(5), " put mode --create --file ").ok();
    assert_eq!(shared().held(format!("{prefix}mode")).unwrap().text(), "green");
    assert_eq!(shared().held("mode"), None);
    edit(&["--create"]).code(5).err_has(" --namespace ").err_has(" edit mode' edits the existing value");
    load(shared(), [(&format!("{prefix}mode"), "blue")]);
    paste(edit(&[]).code(5), " put mode --if-rev ").ok();
    assert_eq!(shared().held(format!("{prefix}mode")).unwrap().text(), "green");
}

#[test]
fn a_printed_command_writes_a_key_with_a_nul_byte() {
    let (desk, prefix) = (Desk::missing(), unique_prefix());
    let edit = Kvadm::new().endpoint(shared()).args(["edit", "--escape", "--create", "--dry-run"]);
    let edit = edit.arg(format!("{prefix}a\\0b")).env("EDITOR", "echo green >").env("TMPDIR", desk.folder.path());
    paste(edit.run().ok(), " put --escape ").ok();
    let get = Kvadm::new().endpoint(shared()).args(["get", "--escape"]).arg(format!("{prefix}a\\0b"));
    get.run().ok().out("green\n");
    assert_eq!(shared().held(format!("{prefix}a")), None);
}

#[test]
fn a_write_whose_output_fails_is_reported_as_a_write() {
    let desk = Desk::new("blue");
    let script = "exec \"$@\" > /dev/full";
    let run = Kvadm::program("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_kvadm"), "edit", &desk.key])
        .endpoint(shared())
        .env("EDITOR", "echo green >")
        .env("TMPDIR", desk.folder.path())
        .run();
    let revision = shared().held(&desk.key).unwrap().modified;
    run.code(6).err_has(&format!("error: {} was written in revision {revision}; only the output failed", desk.key));
    run.err_has("cannot write the output").err_lacks("kept").err_lacks("writes it");
    desk.nothing("green");
    let put = Kvadm::program("sh")
        .args(["-c", script, "sh", env!("CARGO_BIN_EXE_kvadm"), "put", &desk.key, "red"])
        .endpoint(shared())
        .run();
    put.code(6).err_has("was written in revision ").err_has("cannot write the output");
}

#[test]
fn json_on_one_line_stays_on_one_line_whatever_its_spaces() {
    for (value, expected) in [
        ("{ \"host\": \"a\", \"port\": 1 }", "{\"host\": \"a\", \"port\": 2}"),
        ("{\"a\":0, \"b\":1}", "{\"a\":0, \"b\":2}"),
        ("{\"a\":1}  ", "{\"a\":2}  "),
    ] {
        let desk = Desk::new(value);
        // Other white space is no change.
        desk.edit("sed -i 's/^ */\t/'", &[]).run().ok().err_has("unchanged");
        desk.nothing(value);
        desk.edit("sed -i s/1/2/", &[]).run().ok().out_has("written");
        desk.nothing(expected);
        // The printed command stores one line as well.
        let run = desk.edit("sh -c 'sed -i s/2/3/ \"$1\"; exit 1' -", &[]).run();
        run_named(&kept(&desk, run.code(5)).1).ok();
        assert_eq!(desk.value(), expected.replace('2', "3"));
    }
}

#[test]
fn what_the_editor_leaves_must_be_a_file() {
    let desk = Desk::new("blue");
    let run = desk.edit(&desk.script("rm \"$1\"; mkfifo \"$1\""), &[]).run();
    run.code(5).out_empty().err_has("cannot read the text that the editor left").err_has("not a regular file");
    // A command that reads it would wait for ever.
    run.err_has("your text is kept in ").err_lacks("writes it");
    assert_eq!(desk.value(), "blue");
}

#[test]
fn the_editors_line_is_shown_as_it_is() {
    let desk = Desk::new("blue");
    desk.edit("sh -c \"exit 127\"", &[]).run().code(2).err_has("cannot run the editor 'sh -c \"exit 127\"': ");
    desk.edit("sh -c \"exit 3\"", &[]).run().code(5).err_has("the editor 'sh -c \"exit 3\"' exited with status 3");
}

#[test]
fn bytes_and_other_json_need_consent() {
    for (value, editor, question) in [
        ("blue", "printf 'a\\377' >", "store bytes that are not text in "),
        ("{\"a\":1,\"a\":2}", "echo { >", "store text that is not valid JSON in "),
        ("[1e400]", "echo { >", "store text that is not valid JSON in "),
        ("{\"a\":1}", "echo '{\"a\":1,\"a\":2}' >", "store JSON that some programs reject ('a' is given twice"),
        ("{\"a\":1}", "echo 5 >", "store a JSON number or word in "),
    ] {
        let desk = Desk::new(value);
        let run = desk.edit(editor, &[]).run();
        run.code(2).out_empty().err_has("note: change of ").err_has(question).err_has("add --yes to confirm");
        kept(&desk, &run);
        assert_eq!(desk.value(), value);
        desk.edit(editor, &["--yes"]).run().ok();
    }
    // A number is text, too.
    let desk = Desk::new("30");
    desk.edit("echo 30s >", &[]).run().ok();
    desk.nothing("30s");
}

#[test]
fn the_lease_is_kept() {
    let desk = Desk::new("x");
    let lease = shared().grant(300);
    Kvadm::new().endpoint(shared()).args(["put", &desk.key, "blue", "--lease", &lease]).run().ok();
    let run = desk.edit("echo green >", &["-o", "json"]).run();
    assert_eq!(run.ok().json()["lease"], json!(lease));
    assert_eq!(shared().held(&desk.key).unwrap().lease, Some(lease));
}

#[test]
fn a_dry_run_shows_the_change_and_keeps_the_text() {
    let desk = Desk::new("blue");
    let run = desk.edit("echo green >", &["--dry-run"]).run();
    run.ok().out_empty().err_has("-blue\n").err_has("+green\n").err_has("would be written");
    assert_eq!(desk.value(), "blue");
    let (path, command) = kept(&desk, &run);
    // The only file holds the value as the edit would have written it, and may be corrected.
    assert_eq!(std::fs::read_to_string(&path).unwrap(), "green");
    assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    std::fs::write(&path, "corrected").unwrap();
    run_named(&command).ok();
    assert_eq!(desk.value(), "corrected");
    let run = Desk::new("blue").edit("echo green >", &["--dry-run", "-o", "json"]).run();
    assert_eq!(
        (run.ok().json()["outcome"].clone(), run.json()["dry_run"].clone()),
        (json!("would-write"), json!(true))
    );
    let desk = Desk::new("blue");
    desk.edit("true", &["--dry-run"]).run().ok().err_has("unchanged");
    // A file that no note names does not stay.
    desk.edit("echo green >", &["--dry-run", "-q"]).run().ok().err_empty();
    desk.nothing("blue");
}

#[test]
fn binary_values_are_refused_and_any_text_survives() {
    for value in [&b"a\xff"[..], b"a\0b"] {
        let desk = Desk::new(value);
        let run = desk.edit("echo green >", &[]).run();
        run.code(2).out_empty().err_has("is binary (");
        let (endpoint, key, revision) = (shared().endpoint(), &desk.key, shared().held(&desk.key).unwrap().modified);
        run.err_has(&format!("'kvadm --endpoints {endpoint} get {key} -o raw > FILE' saves it"));
        run.err_has(&format!("put {key} --if-rev {revision} --keep-lease --file FILE' writes it"));
        assert_eq!((shared().held(&desk.key).unwrap().value.as_slice(), desk.left()), (value, Vec::new()));
    }
    let desk = Desk::new("a\r\n\tb\r\nc");
    desk.edit("sed -i s/b/B/", &[]).run().ok().err_has("-\tb\\r\n+\tB\\r\n");
    desk.nothing("a\r\n\tB\r\nc");
    let large = "0123456789abcde\n".repeat(1 << 16);
    let desk = Desk::new(&large);
    desk.edit("sed -i '1s/0/x/'", &[]).run().ok().err_has("large values differ: 1,048,576 bytes -> 1,048,576 bytes");
    desk.nothing(&large.replacen('0', "x", 1));
    // etcd's limit for a request.
    let run = desk.edit(&desk.script("cat \"$1\" \"$1\" > more; mv more \"$1\""), &[]).run();
    run.code(4).out_empty();
    let (path, _) = kept(&desk, &run);
    assert_eq!(std::fs::metadata(path).unwrap().len(), 2 << 20);
}

#[test]
fn a_message_is_edited_as_json() {
    let desk = Desk::new(made(SHOP, r#"id: 7 note_text: "blue" colour: RED"#));
    let shop = shop();
    let order = ["--proto", &shop, "--message", SHOP];
    let run = desk.edit("sed -i s/blue/green/", &order).run();
    run.ok().err_has("-  \"note_text\": \"blue\",\n+  \"note_text\": \"green\",\n");
    let green = made(SHOP, r#"id: 7 note_text: "green" colour: RED"#);
    assert_eq!(shared().held(&desk.key).unwrap().value, green);
    desk.edit("true", &order).run().ok().err_has("unchanged");
    // What is not a message is refused, and the text stays.
    for (editor, why) in [("sed -i s/RED/MAUVE/", "field colour: "), ("sed -i s/}//", "not valid JSON: ")] {
        let run = desk.edit(editor, &order).run();
        run.code(2).out_empty().err_has("the text is not a value for ").err_has(why).err_has("correct it, then '");
        let (path, command) = kept(&desk, &run);
        run_named(&command).code(2).err_has(why);
        std::fs::remove_dir_all(path.parent().unwrap()).unwrap();
    }
    // The command of a dry run writes the message.
    let run = desk.edit("sed -i s/green/red/", &[&order[..], &["--dry-run"]].concat()).run();
    run.err_lacks("correct it");
    run_named(&kept(&desk, &run).1).ok();
    assert_eq!(shared().held(&desk.key).unwrap().value, made(SHOP, r#"id: 7 note_text: "red" colour: RED"#));
    // Fields that the type does not have would be lost.
    let tiny = ["--proto", &shop, "--message", "shop.v1.Tiny"];
    let part = Desk::new(made("shop.v1.Part", r#"name: "a" weight: 3"#));
    part.edit("echo '{}' >", &tiny).run().code(2).out_empty().err_has("would be lost").err_has("--no-proto");
    let text = Desk::new("not a message");
    text.edit("echo '{}' >", &order).run().code(2).err_has("cannot edit").err_has("not a valid shop.v1.Order");
    text.edit("echo text >", &["--no-proto"]).run().ok();
    text.nothing("text");
    let new = Desk::missing();
    new.edit("echo '{\"id\": 7}' >", &[&order[..], &["--create"]].concat()).run().ok();
    assert_eq!(shared().held(&new.key).unwrap().value, made(SHOP, "id: 7"));
}

#[test]
fn messages_that_differ_only_in_their_bytes_are_told_apart() {
    let part = made("shop.v1.Part", r#"name: "a" weight: 3"#);
    let swapped = [made("shop.v1.Part", "weight: 3"), made("shop.v1.Part", r#"name: "a""#)].concat();
    let other = made("shop.v1.Part", r#"name: "a" weight: 4"#);
    let lines = |message: &str, old: &[u8], new: &[u8]| {
        let diff = ValueDiff::of(Some(old), Some(new), b"k", &codec(message));
        diff.lines().iter().map(|line| line.text.clone()).collect::<Vec<_>>()
    };
    assert_eq!(lines("shop.v1.Part", &part, &swapped), ["the values differ only in their encoding"]);
    let unknown = "the values differ only in fields that their message type does not have";
    assert_eq!(lines("shop.v1.Tiny", &part, &other), [unknown]);
    assert_eq!(lines("shop.v1.Part", &part, &other)[3..], ["  \"weight\": \"3\"", "  \"weight\": \"4\"", "}"]);
    // A value that is not a message is compared as it is.
    assert_eq!(lines("shop.v1.Part", &part, b"text")[2..], ["\u{1}a\u{10}\u{3}", "text"]);
}

#[test]
fn a_key_of_any_bytes_can_be_edited() {
    let desk = Desk::new("x");
    let key = format!("{}\n\u{1b}[2J", desk.key);
    load(shared(), [(&key, "blue")]);
    let escaped = format!("{}\\n\\x1b[2J", desk.key);
    let run = Kvadm::new()
        .endpoint(shared())
        .args(["edit", "--escape", &escaped])
        .env("EDITOR", "sh -c 'echo \"$1\" | sed s/.*kvadm-edit-[^/]*// >&2; echo green > \"$1\"' -")
        .run();
    run.ok().err_has("/mode___2J.txt").err_has("\\x1b[2J");
    assert_eq!(shared().held(&key).unwrap().text(), "green");
}
