//! What members say over HTTP: the health checks /livez and /readyz, and the feature gates among the metrics.

use crate::output::{FeatureRow, ProbesRow};

/// Upper bound of the feature gates that are shown: etcd 3.7 has 11.
const FEATURES: usize = 100;
/// Upper bound of the characters of a name or of a reason that are shown.
const SHOWN_CHARS: usize = 200;
/// The metric that tells the feature gates (etcd 3.6 and later).
const FEATURE_METRIC: &str = "etcd_server_feature_enabled{";

/// The result of a health check.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum HealthCheck {
    /// All its parts are well.
    Ok,
    /// A part is not; etcd's own words.
    Failed(String),
    /// This version of etcd does not serve the check.
    NotServed,
    /// There is no answer, or one that cannot be read.
    Unknown(String),
}

/// A feature gate.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FeatureGate {
    /// The name.
    pub name: String,
    /// How far its development is, such as `ALPHA`.
    pub stage: String,
    /// Whether the member has it enabled.
    pub enabled: bool,
}

/// What a member says over HTTP.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct MemberProbes {
    /// Whether the process must be restarted.
    pub livez: HealthCheck,
    /// Whether it can serve clients.
    pub readyz: HealthCheck,
    /// The feature gates, none before etcd 3.6; or why they are not known.
    pub features: Result<Vec<FeatureGate>, String>,
}

impl HealthCheck {
    /// Judges the HTTP status and the body, or why there is none.
    pub(super) fn of(answer: Result<(u16, Vec<u8>), String>) -> Self {
        match answer {
            Ok((200, _)) => Self::Ok,
            Ok((404, _)) => Self::NotServed,
            Ok((503, body)) => Self::Failed(failed_parts(&body)),
            Ok((status, _)) => Self::Unknown(format!("the answer has the HTTP status {status}")),
            Err(why) => Self::Unknown(why),
        }
    }

    /// The value in JSON.
    pub fn as_str(&self) -> &'static str {
        match self {
            Self::Ok => "ok",
            Self::Failed(_) => "failed",
            Self::NotServed => "not-served",
            Self::Unknown(_) => "unknown",
        }
    }
}

impl MemberProbes {
    /// The checks that fail, in words. Of a learner, only liveness is one: it is never ready.
    pub(super) fn failures(&self, learner: bool) -> Vec<String> {
        let checks = [("livez", Some(&self.livez)), ("readyz", Some(&self.readyz).filter(|_| !learner))];
        let failed = checks.into_iter().filter_map(|(name, check)| match check? {
            HealthCheck::Failed(why) => Some(format!("{name} failed: {why}")),
            HealthCheck::Ok | HealthCheck::NotServed | HealthCheck::Unknown(_) => None,
        });
        failed.collect()
    }

    /// What is not known, in words.
    pub fn gaps(&self) -> Vec<String> {
        if self.serves_nothing() {
            return vec![
                "this version of etcd does not serve livez and readyz, and does not tell its feature gates".to_owned(),
            ];
        }
        let checks =
            [("livez", &self.livez), ("readyz", &self.readyz)].into_iter().filter_map(|(name, check)| match check {
                HealthCheck::Unknown(why) => Some(format!("{name} is not known: {why}")),
                HealthCheck::NotServed => Some(format!("this version of etcd does not serve {name}")),
                HealthCheck::Ok | HealthCheck::Failed(_) => None,
            });
        let features = match &self.features {
            Ok(gates) if gates.is_empty() => Some("this version of etcd does not tell its feature gates".to_owned()),
            Ok(_) => None,
            Err(why) => Some(format!("the feature gates are not known: {why}")),
        };
        checks.chain(features).collect()
    }

    fn serves_nothing(&self) -> bool {
        let checks = [&self.livez, &self.readyz];
        checks.into_iter().all(|check| *check == HealthCheck::NotServed)
            && self.features.as_ref().is_ok_and(Vec::is_empty)
    }

    /// The columns of the status table.
    pub(super) fn row(&self) -> ProbesRow<'_> {
        let features = self.features.as_deref().unwrap_or_default();
        ProbesRow {
            livez: self.livez.as_str(),
            readyz: self.readyz.as_str(),
            features: features
                .iter()
                .map(|gate| FeatureRow { name: &gate.name, stage: &gate.stage, enabled: gate.enabled })
                .collect(),
        }
    }
}

/// The lines of a health check that begin with `[-]`, without their mark.
fn failed_parts(body: &[u8]) -> String {
    let text = String::from_utf8_lossy(body);
    let parts: Vec<String> = text.lines().filter_map(|line| line.strip_prefix("[-]")).map(shown).collect();
    if parts.is_empty() { "it does not say why".to_owned() } else { shown(&parts.join("; ")) }
}

fn shown(text: &str) -> String {
    text.trim().chars().take(SHOWN_CHARS).collect()
}

/// The feature gates in the text of the metrics.
pub(super) fn feature_gates(metrics: &[u8]) -> Vec<FeatureGate> {
    let text = String::from_utf8_lossy(metrics);
    text.lines().filter_map(feature_gate).take(FEATURES).collect()
}

/// `etcd_server_feature_enabled{name="AllBeta",stage="BETA"} 0`.
fn feature_gate(line: &str) -> Option<FeatureGate> {
    let (labels, value) = line.strip_prefix(FEATURE_METRIC)?.split_once("} ")?;
    let label = |wanted: &str| {
        labels.split(',').find_map(|label| {
            let (name, value) = label.split_once('=')?;
            (name == wanted).then(|| shown(value.trim_matches('"')))
        })
    };
    let enabled = match value.trim() {
        "0" => false,
        "1" => true,
        _ => return None,
    };
    Some(FeatureGate { name: label("name")?, stage: label("stage").unwrap_or_default(), enabled })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, reason = "a test fails by panicking")]
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn feature_gates_are_read_from_the_metrics() {
        let gates = feature_gates(
            b"# TYPE etcd_server_feature_enabled gauge\n\
              etcd_server_feature_enabled{name=\"AllBeta\",stage=\"BETA\"} 0\n\
              etcd_server_feature_enabled{stage=\"ALPHA\",name=\"Other\"} 1\n\
              etcd_server_feature_enabled{stage=\"ALPHA\"} 1\n\
              etcd_server_feature_enabled{name=\"Odd\",stage=\"BETA\"} 2\n\
              etcd_server_has_leader 1\n",
        );
        let gate = |name: &str, stage: &str, enabled| FeatureGate { name: name.into(), stage: stage.into(), enabled };
        assert_eq!(gates, [gate("AllBeta", "BETA", false), gate("Other", "ALPHA", true)]);
    }

    #[test]
    fn a_failed_check_names_its_failed_parts() {
        let body = b"[+]serializable_read ok\n[-]data_corruption failed: alarm activated: CORRUPT\n".to_vec();
        let check = HealthCheck::of(Ok((503, body)));
        assert_eq!(check, HealthCheck::Failed("data_corruption failed: alarm activated: CORRUPT".to_owned()));
        let probes = MemberProbes { livez: HealthCheck::Ok, readyz: check, features: Ok(Vec::new()) };
        assert_eq!((probes.failures(true).len(), probes.failures(false).len()), (0, 1));
        assert_eq!(HealthCheck::of(Ok((503, Vec::new()))), HealthCheck::Failed("it does not say why".to_owned()));
        assert_eq!(HealthCheck::of(Ok((404, Vec::new()))), HealthCheck::NotServed);
        assert!(matches!(HealthCheck::of(Ok((302, Vec::new()))), HealthCheck::Unknown(_)));
    }

    proptest! {
        #[test]
        fn no_answer_panics(body in proptest::collection::vec(any::<u8>(), 0..200), text in "\\PC*") {
            let _ = failed_parts(&body);
            let _ = feature_gates(&[b"etcd_server_feature_enabled{".as_slice(), text.as_bytes(), b"} 1\n", &body].concat());
        }
    }
}
