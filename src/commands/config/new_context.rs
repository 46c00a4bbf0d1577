//! `kvadm config init`: creates a context.

use std::fs::DirBuilder;
use std::io::{self, Write};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use crate::atomic_file::NewFile;
use crate::config::{self, Config, Env, Overrides, Source};
use crate::context::Context;
use crate::error::{Exit, Failure};
use crate::output::{NewContextRow, bytes};
use crate::transport::Secret;

/// The options of `config init`.
#[derive(clap::Args, Debug)]
pub struct NewContextArgs {
    /// Name of the context
    #[arg(value_name = "NAME")]
    name: String,
    /// Take settings from variables of kvadm, Ligato and etcdctl too
    #[arg(long)]
    pub from_env: bool,
    /// Do not connect before the file is written
    #[arg(long)]
    no_test: bool,
}

/// Settings that are paths.
const PATHS: &[&str] = &["ca-file", "cert-file", "key-file", "password-file", "token-file", "resolv-conf"];

/// Settings of the command line that do not belong to a context.
const OF_ONE_COMMAND: &[&str] = &["output", "connect-wait", "db"];

/// A file to be written.
struct PlannedFile {
    path: PathBuf,
    contents: Vec<u8>,
}

pub async fn run(ctx: &Context, args: &NewContextArgs) -> Result<Exit, Failure> {
    let env = Env::from_process();
    config::check_context_name(&args.name)
        .map_err(|text| Failure::usage(text).hint("a context name has no '/' and no leading '.'"))?;
    let Some(dir) = config::user_dir(&env) else {
        return Err(Failure::usage("a context needs a folder, but HOME and XDG_CONFIG_HOME are not set"));
    };
    let path = dir.join(format!("{}.yaml", args.name));
    let secret_path = |kind: &str| dir.join(format!("{}.{kind}", args.name));
    for path in [&path, &secret_path("password"), &secret_path("token")] {
        if std::fs::symlink_metadata(path).is_ok() {
            let text = format!("{} exists; nothing was written", path.display());
            return Err(Failure::conflict(text).hint("choose another name, or remove the file"));
        }
    }
    let asked = match has_endpoints(&ctx.config) {
        true => None,
        false => Some(ask(ctx)?),
    };
    let config = asked.as_ref().unwrap_or(&ctx.config);
    let mut secrets = Vec::new();
    let text = render(config, &args.name, &mut secrets)?;
    if !args.no_test {
        test(ctx, config).await?;
    }
    let mut files: Vec<PlannedFile> = secrets
        .into_iter()
        .map(|(kind, secret)| PlannedFile {
            path: secret_path(kind),
            contents: format!("{}\n", secret.expose()).into_bytes(),
        })
        .collect();
    files.push(PlannedFile { path: path.clone(), contents: text.clone().into_bytes() });
    if ctx.safety.dry_run {
        ctx.out.note(&format!("would write {}:\n{}", path.display(), text.trim_end()));
    } else {
        write(&dir, files)?;
        ctx.out.note(&format!("use it with --context {0}, or by default after 'kvadm config use {0}'", args.name));
    }
    let endpoints: Vec<String> = config.connect.endpoints.iter().map(ToString::to_string).collect();
    let (context, file) = (args.name.as_str(), path.display().to_string());
    ctx.out.one(&NewContextRow { context, file: &file, endpoints: &endpoints, dry_run: ctx.safety.dry_run })?;
    Ok(Exit::Done)
}

fn has_endpoints(config: &Config) -> bool {
    config.settings.iter().any(|setting| setting.key == "endpoints" && setting.source != Source::Default)
}

/// Asks for the endpoints and, with TLS, for the file of the authority.
fn ask(ctx: &Context) -> Result<Config, Failure> {
    let missing = || {
        Failure::usage("no endpoints are given, and there is no terminal to ask on")
            .hint("add --endpoints LIST or --discovery-srv DOMAIN, or --from-env to take them from variables")
    };
    let ended = || ctx.signals.cancel().is_cancelled();
    let interrupted = || Failure::new(Exit::Interrupted, "interrupted; nothing was written");
    let line = |prompt: &str| match ctx.out.ask_line(prompt, &ended) {
        _ if ended() => Err(interrupted()),
        line => line.ok_or_else(missing),
    };
    let endpoints = line("Endpoints, separated by commas (such as https://etcd-0:2379): ")?;
    let list: Vec<String> =
        endpoints.split(',').map(|one| one.trim().to_owned()).filter(|one| !one.is_empty()).collect();
    if list.is_empty() {
        return Err(Failure::usage("no endpoints are given; nothing was written"));
    }
    let ca = match list.iter().any(|one| one.starts_with("https:")) {
        true => Some(line("PEM file of the CA certificate (empty: the system's authorities): ")?),
        false => None,
    };
    let given = |key: &str| {
        let one = ctx.config.settings.iter().find(|setting| setting.key == key && setting.source != Source::Default);
        one.and_then(|setting| setting.value.clone())
    };
    let overrides = Overrides {
        without_file: true,
        endpoints: Some(list),
        ca_file: ca.filter(|file| !file.is_empty()).or_else(|| given("ca-file")).map(PathBuf::from),
        cert_file: given("cert-file").map(PathBuf::from),
        key_file: given("key-file").map(PathBuf::from),
        user: given("username"),
        password_file: given("password-file").map(PathBuf::from),
        token_file: given("token-file").map(PathBuf::from),
        namespace: Some(ctx.config.connect.namespace.clone()).filter(|namespace| !namespace.is_empty()),
        ..Overrides::default()
    };
    Ok(config::load(&overrides, &Env::from_process().only_paths())?)
}

/// The file's text. Secrets are returned, to be written to files of their own.
fn render(config: &Config, name: &str, secrets: &mut Vec<(&'static str, Secret)>) -> Result<String, Failure> {
    let mut text =
        format!("# kvadm's context '{}': see kvadm-config(5). Use it with --context {0}.\n", name.escape_debug());
    for setting in &config.settings {
        let is_default = setting.source == Source::Default || OF_ONE_COMMAND.contains(&setting.key);
        let Some(value) = setting.value.as_deref().filter(|_| !is_default) else { continue };
        let (key, value) = match setting.key {
            "password" | "token" => {
                let secret = match setting.key {
                    "password" => config.connect.credentials.as_ref().map(|credentials| credentials.password.clone()),
                    _ => config.connect.token.clone(),
                };
                let Some(secret) = secret else { continue };
                // A setting of a file that wins over a variable is written as the file.
                let file_key = if setting.key == "password" { "password-file" } else { "token-file" };
                if config.settings.iter().any(|other| other.key == file_key && other.value.is_some()) {
                    continue;
                }
                secrets.push((setting.key, secret));
                (file_key, quote(&format!("{name}.{}", setting.key)))
            }
            "endpoints" if config.connect.discovery.is_some() => continue,
            "endpoints" => {
                let list: Vec<String> = config.connect.endpoints.iter().map(|one| quote(&one.to_string())).collect();
                ("endpoints", format!("[{}]", list.join(", ")))
            }
            "namespace" => {
                let namespace = std::str::from_utf8(&config.connect.namespace).map_err(|_| {
                    let shown = bytes::escape(&config.connect.namespace);
                    Failure::usage(format!(
                        "the namespace '{shown}' is not UTF-8, which a configuration file cannot have"
                    ))
                    .hint("omit --namespace here, and give it to each command")
                })?;
                ("namespace", quote(namespace))
            }
            key if PATHS.contains(&key) => {
                let path = std::path::absolute(value).unwrap_or_else(|_| PathBuf::from(value));
                let path = path.to_str().ok_or_else(|| Failure::usage(format!("{key}: the path is not UTF-8")))?;
                (key, quote(path))
            }
            key => (key, if is_plain(value) { value.to_owned() } else { quote(value) }),
        };
        text += &format!("# {}\n{key}: {value}\n", setting.source);
    }
    Ok(text)
}

/// A string that YAML reads as it is. JSON's strings are YAML's.
fn quote(text: &str) -> String {
    serde_json::Value::from(text).to_string()
}

/// Whether the value is a number, a duration or a truth value, which needs no quotes.
fn is_plain(value: &str) -> bool {
    matches!(value, "true" | "false")
        || value.chars().next().is_some_and(|c| c.is_ascii_digit())
            && value.chars().all(|c| c.is_ascii_alphanumeric() || c == '.')
}

/// Connects, logs in, and reads.
async fn test(ctx: &Context, config: &Config) -> Result<(), Failure> {
    let store = ctx.store_with(config.connect.clone());
    let read = store.read_empty_key("read", true).await;
    match read {
        // A user who may not read this key has been authenticated.
        Err(error) if error.is_refusal(crate::kvstore::Refusal::Permission) => Ok(()),
        Ok(_) => Ok(()),
        Err(error) => Err(Failure::from(error)
            .context("the test of the context failed; nothing was written")
            .hint("add --no-test to write the file without a test")),
    }
}

/// Writes the files, the context last: a context whose password is missing must not appear.
fn write(dir: &Path, files: Vec<PlannedFile>) -> Result<(), Failure> {
    let failed = |path: &Path, error: &io::Error| {
        Failure::new(Exit::Partial, format!("cannot write {}: {error}", path.display()))
            .hint("check the permissions of the folder and the space on its disk")
    };
    DirBuilder::new().recursive(true).mode(0o700).create(dir).map_err(|error| failed(dir, &error))?;
    let mut written: Vec<PathBuf> = Vec::new();
    for file in files {
        let publish = || -> io::Result<()> {
            let new = NewFile::create(&file.path, "context")?;
            new.handle()?.write_all(&file.contents)?;
            new.publish().map(drop)
        };
        if let Err(error) = publish() {
            for path in &written {
                let _ = std::fs::remove_file(path);
            }
            return Err(failed(&file.path, &error));
        }
        written.push(file.path);
    }
    Ok(())
}
