//! The variables of etcdctl that kvadm does not support.

use super::layers::Layers;

/// A variable without effect, and what to do instead.
struct Unsupported {
    name: &'static str,
    /// Values, besides false ones, that change nothing in etcdctl.
    harmless: &'static [&'static str],
    instead: &'static str,
}

const fn unsupported(name: &'static str, instead: &'static str) -> Unsupported {
    Unsupported { name, harmless: &[], instead }
}

const NO_LIMIT: &str = "kvadm has no such limit";

/// The variables of etcdctl's global options that kvadm does not read. The others are in `keys.rs`.
const UNSUPPORTED: &[Unsupported] = &[
    unsupported("ETCDCTL_MAX_REQUEST_BYTES", NO_LIMIT),
    unsupported("ETCDCTL_MAX_RECV_BYTES", NO_LIMIT),
    Unsupported { harmless: &["simple"], ..unsupported("ETCDCTL_WRITE_OUT", "use -o, or set KVADM_OUTPUT") },
    unsupported("ETCDCTL_HEX", "use -o json for bytes that are not text"),
    unsupported("ETCDCTL_DEBUG", "use -vv"),
    Unsupported { harmless: &["3"], ..unsupported("ETCDCTL_API", "kvadm uses version 3 of the API") },
];

/// etcdctl's variable for plaintext.
pub(super) const INSECURE_TRANSPORT: &str = "ETCDCTL_INSECURE_TRANSPORT";

/// Whether `ETCDCTL_INSECURE_TRANSPORT` is false, with which etcdctl uses TLS without any TLS file. True is etcdctl's
/// default, and does not switch off the TLS that a file asks for, unlike `insecure-transport`.
pub(super) fn wants_tls(layers: &mut Layers<'_>) -> bool {
    const NAME: &str = INSECURE_TRANSPORT;
    let Some(value) = layers.env.get(NAME) else { return false };
    match super::values::in_env::flag(value) {
        Ok(insecure) => insecure == Some(false),
        Err(problem) => {
            layers.warn(format!("env {NAME} has no effect: {}", problem.message));
            false
        }
    }
}

/// Warns of the variables that etcdctl would honour.
pub(super) fn warn_unsupported(layers: &mut Layers<'_>) {
    for variable in UNSUPPORTED {
        let Some(value) = layers.env.get(variable.name) else { continue };
        let value = value.to_string_lossy();
        let no_effect = ["false", "FALSE", "False", "f", "F", "0"].contains(&value.as_ref());
        if !no_effect && !variable.harmless.contains(&value.as_ref()) {
            layers.warn(format!("env {} has no effect: {}", variable.name, variable.instead));
        }
    }
}
