//! `kvadm config test`: checks the files and each step to the cluster.

use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::commands::status::diagnose;
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{Diagnosis, Fact, StepRow, StepState};
use crate::shell;
use crate::time::Time;
use crate::transport::TlsFiles;
use crate::transport::tls::certificate::Certificate;
use crate::transport::tls::{ca_certificates, client_certificate, client_config};

/// One check of a file.
struct FileCheck {
    step: &'static str,
    detail: String,
    /// What is wrong, and what to do.
    problem: Option<(String, String)>,
}

pub async fn run(ctx: &Context, name: Option<&str>) -> Result<Exit, Failure> {
    if name.is_some() && ctx.config.context.as_deref() != name {
        let text = "NAME cannot be used together with --context or -c";
        return Err(Failure::usage(text).hint("give the context once: kvadm config test NAME"));
    }
    let checks = check_files(ctx);
    let no_facts: Vec<Fact> = Vec::new();
    let steps: Vec<StepRow<'_>> = checks
        .iter()
        .map(|check| StepRow {
            name: check.step,
            state: if check.problem.is_some() { StepState::Failed } else { StepState::Done },
            took: None,
            detail: &check.detail,
            facts: &no_facts,
            error: check.problem.as_ref().map(|(error, _)| error.clone()),
            remedy: check.problem.as_ref().map(|(_, remedy)| remedy.clone()),
        })
        .collect();
    let ok = checks.iter().all(|check| check.problem.is_none());
    ctx.out.diagnosis(&Diagnosis { endpoint: "configuration", ok, serves: true, steps: &steps })?;
    match diagnose::run(ctx).await? {
        Exit::Done if !ok => {
            ctx.out.warn("the connection works, but there are problems in the configuration; see the report");
            Ok(Exit::Partial)
        }
        exit => Ok(exit),
    }
}

fn check_files(ctx: &Context) -> Vec<FileCheck> {
    let config = &ctx.config;
    let value = |key: &str| config.settings.iter().find(|setting| setting.key == key).and_then(|one| one.value.clone());
    let mut checks = Vec::new();
    let file = config.file.as_ref();
    let source =
        file.map_or_else(|| "no file; options and variables only".to_owned(), |file| file.display().to_string());
    checks.push(FileCheck { step: "file", detail: source, problem: None });
    let tls = &config.connect.tls;
    if let Some(ca) = &tls.ca {
        checks.push(certificates("ca", ca, ca_certificates(ca)));
    }
    if let Some(cert) = &tls.cert {
        checks.push(certificates("cert", cert, client_certificate(cert).map(|one| vec![one])));
    }
    if let Some(key) = &tls.key {
        checks.push(key_pair(key, tls));
    }
    for (step, key) in [("password", "password-file"), ("token", "token-file")] {
        if let Some(path) = value(key) {
            checks.push(private(step, Path::new(&path)));
        }
    }
    let holds_secret = config.settings.iter().any(|setting| {
        setting.key == "password"
            && matches!(&setting.source, crate::config::Source::File(path, _) if Some(path) == file)
    });
    if let Some(file) = file.filter(|_| holds_secret) {
        checks.push(private("password", file));
    }
    checks
}

fn certificates(
    step: &'static str,
    path: &Path,
    read: Result<Vec<Certificate>, crate::transport::TlsError>,
) -> FileCheck {
    let now = Time::now().secs;
    let shown = path.display().to_string();
    let problem = |error: String, remedy: &str| FileCheck {
        step,
        detail: String::new(),
        problem: Some((error, remedy.to_owned())),
    };
    let found = match read {
        Ok(found) => found,
        Err(error) => return problem(error.to_string(), error.hint()),
    };
    let show = format!("openssl x509 -noout -dates -in {}", shell::quote(shown.as_bytes()));
    let bad = found.iter().find(|one| !one.is_valid_at(now));
    match (bad, found.iter().map(|one| one.days_left(now)).min()) {
        (Some(bad), _) => problem(
            format!(
                "{shown}: a certificate is not valid now; it is valid from {} to {}",
                bad.not_before(),
                bad.not_after()
            ),
            &format!("issue a new certificate; to see the dates: {show}"),
        ),
        (None, Some(days)) => FileCheck { step, detail: format!("{shown}, valid for {days} more days"), problem: None },
        (None, None) => problem(format!("{shown} contains no certificate that can be read"), &format!("run '{show}'")),
    }
}

fn key_pair(key: &Path, tls: &TlsFiles) -> FileCheck {
    let check = private("key", key);
    match client_config(tls) {
        _ if check.problem.is_some() => check,
        Ok(_) => check,
        Err(error) => FileCheck { problem: Some((error.to_string(), error.hint().to_owned())), ..check },
    }
}

/// Checks that only its owner can read a file with a secret.
fn private(step: &'static str, path: &Path) -> FileCheck {
    let shown = path.display().to_string();
    let problem = match std::fs::metadata(path) {
        Err(error) => Some((format!("cannot read {shown}: {error}"), "check the path in the configuration".to_owned())),
        Ok(found) if found.is_file() && found.permissions().mode() & 0o044 != 0 => {
            let mode = found.permissions().mode() & 0o777;
            Some((
                format!("{shown} is readable by others (mode {mode:03o})"),
                format!("run 'chmod 600 {}'", shell::quote(shown.as_bytes())),
            ))
        }
        Ok(_) => None,
    };
    FileCheck { step, detail: shown, problem }
}
