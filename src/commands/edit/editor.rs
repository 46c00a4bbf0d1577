//! Runs the user's editor.

use std::ffi::{OsStr, OsString};
use std::io;
use std::path::Path;
use std::process::ExitStatus;
use std::time::Duration;

use signal_hook::consts::SIGINT;
use tokio::process::{Child, Command};

use crate::args::editor_command;
use crate::commands::watch::exec::format_exit;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::signal;

/// Time that the editor gets to save its text after a signal that ends kvadm.
const SAVE_TIME: Duration = Duration::from_secs(2);

/// Opens the file in the editor and waits for the editor's end. Ctrl-C belongs to the editor meanwhile.
///
/// # Errors
/// [`Exit::Usage`] if the editor cannot be started, [`Exit::Conflict`] if it fails, [`Exit::Interrupted`] after a signal.
pub async fn run(ctx: &Context, file: &Path) -> Result<(), Failure> {
    let editor = editor_command();
    let name = editor.to_string_lossy().into_owned();
    let cannot_run = |why: String| {
        Failure::usage(format!("cannot run the editor '{name}': {why}"))
            .hint("set VISUAL or EDITOR to the command of an editor")
    };
    let mut diversion = ctx.signals.divert();
    if ctx.signals.cancel().is_cancelled() {
        return Err(Failure::new(Exit::Interrupted, "interrupted"));
    }
    let mut child = start(ctx, &editor, file).map_err(|error| cannot_run(error.to_string()))?;
    let status = loop {
        tokio::select! {
            biased;
            status = child.wait() => break status,
            Some(number) = diversion.incoming.recv() => if number != SIGINT {
                end_by_signal(&mut child, number).await;
                drop(diversion);
                ctx.signals.receive(number);
                return Err(Failure::new(Exit::Interrupted, "interrupted while the editor was running"));
            },
        }
    };
    let status = status.map_err(|error| Failure::new(Exit::Bug, format!("cannot wait for the editor: {error}")))?;
    outcome(status).map_err(|why| match why {
        EditorFault::NotStarted => cannot_run("the shell cannot find or execute it".to_owned()),
        EditorFault::Failed => {
            Failure::conflict(format!("the editor '{name}' {}; nothing was written", format_exit(status)))
        }
    })
}

enum EditorFault {
    NotStarted,
    Failed,
}

fn outcome(status: ExitStatus) -> Result<(), EditorFault> {
    match status.code() {
        Some(0) => Ok(()),
        // A POSIX shell's codes for a command that cannot be executed, and that cannot be found.
        Some(126 | 127) => Err(EditorFault::NotStarted),
        _ => Err(EditorFault::Failed),
    }
}

/// Starts the editor through the shell, as git does: the command may have arguments and quotes. Its output does not mix
/// with kvadm's data.
fn start(ctx: &Context, editor: &OsStr, file: &Path) -> io::Result<Child> {
    // Ctrl-C must not end the shell before the editor, and the editor must not inherit that it is ignored.
    let mut script = OsString::from("trap : INT; ");
    script.push(editor);
    script.push(" \"$@\"");
    Command::new("sh").arg("-c").arg(script).arg(editor).arg(file).stdout(ctx.out.stdout_of_programs()?).spawn()
}

/// Passes the signal on, and waits a limited time for the editor to save its text and to leave the terminal in order.
async fn end_by_signal(shell: &mut Child, number: i32) {
    if let Some(id) = shell.id() {
        // The shell ends with the editor that it waits for.
        let children = std::fs::read_to_string(format!("/proc/{id}/task/{id}/children")).unwrap_or_default();
        let mut editors: Vec<u32> = children.split_whitespace().filter_map(|id| id.parse().ok()).collect();
        if editors.is_empty() {
            editors.push(id);
        }
        editors.into_iter().for_each(|id| signal::send(id, number));
    }
    let _ = tokio::time::timeout(SAVE_TIME, shell.wait()).await;
}
