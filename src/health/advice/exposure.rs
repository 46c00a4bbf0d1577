//! Advice about certificates, addresses and access.

use super::facts::{Certainty, ClusterFacts, LoginNeed, Recommendation, Urgency, member_name};
use crate::health::certificates::{CertificateFact, CertificateRole};
use crate::plural::counted;
use crate::transport::Scheme;

const DAY: i64 = 86_400;
/// A certificate that ends sooner is urgent.
const URGENT_DAYS: i64 = 7;
/// A certificate that ends sooner is worth a warning.
const WARNING_DAYS: i64 = 30;

pub(super) fn judge(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    for certificate in &facts.certificates {
        match certificate {
            Ok(certificate) => expiry(facts, certificate, found),
            // A member that is down is reported as such.
            Err(error) if facts.silent.iter().any(|(endpoint, _)| *endpoint == error.origin) => {}
            Err(error) => found.push(
                Recommendation::new("certificate", Urgency::Suggestion, Certainty::Possible, error.origin.clone())
                    .finding(format!("the certificate cannot be read: {}", error.why))
                    .why("kvadm cannot say when it expires")
                    .remedy("check the endpoint step by step")
                    .kvadm_at(error.origin.clone(), ["status", "--diagnose"]),
            ),
        }
    }
    addresses(facts, found);
    access(facts, found);
}

fn expiry(facts: &ClusterFacts, certificate: &CertificateFact, found: &mut Vec<Recommendation>) {
    let days = certificate.not_after.secs.saturating_sub(facts.now.secs).div_euclid(DAY);
    if days >= WARNING_DAYS {
        return;
    }
    let urgency = if days < URGENT_DAYS { Urgency::Critical } else { Urgency::Warning };
    let subject = certificate.endpoint.clone().or_else(|| certificate.file.clone()).unwrap_or_default();
    let end = certificate.not_after.format_utc();
    let what = format!("the {} '{}'", certificate.role, certificate.subject.escape_debug());
    let advice = Recommendation::new("certificate", urgency, Certainty::Certain, subject);
    let advice = match &certificate.endpoint {
        Some(endpoint) => advice.kvadm_at(endpoint.clone(), ["status", "--diagnose"]),
        None => advice.kvadm(["status", "--diagnose"]),
    };
    found.push(
        advice
            .finding(match days {
                ..0 => format!("{what} expired on {end}"),
                0 => format!("{what} expires in less than a day, on {end}"),
                days => format!("{what} expires in {}, on {end}", counted(days, "day")),
            })
            .why(match certificate.role {
                CertificateRole::Server => "clients and peers that verify it can no longer connect",
                CertificateRole::Client => "members that verify client certificates no longer accept kvadm",
                CertificateRole::Ca => "every certificate that this authority has issued is then refused",
            })
            .remedy(match certificate.role {
                CertificateRole::Server => {
                    "issue a new certificate; etcd reads the files again for each new connection"
                }
                CertificateRole::Client => "issue a new client certificate",
                CertificateRole::Ca => {
                    "add the new authority to the CA files of all members and clients before it expires"
                }
            }),
    );
}

fn addresses(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    if facts.listed.len() < 2 {
        return;
    }
    let reaches_others = facts.configured.iter().any(|endpoint| !endpoint.is_local())
        || facts.listed.iter().any(|member| facts.addresses(member).iter().any(|url| !url.is_local()));
    for member in &facts.listed {
        let urls = facts.addresses(member);
        if urls.is_empty() {
            continue;
        }
        let subject = member_name(member);
        let shown: Vec<String> = urls.iter().map(ToString::to_string).collect();
        if reaches_others && urls.iter().all(crate::transport::Endpoint::is_local) {
            found.push(
                Recommendation::new("client-url", Urgency::Warning, Certainty::Certain, subject)
                    .finding(format!("the member tells clients its loopback address only: {}", shown.join(", ")))
                    .why("clients that take the addresses from the cluster connect to themselves")
                    .remedy("set --advertise-client-urls of the member to an address that clients reach"),
            );
        } else if !urls.iter().any(|url| facts.configured.contains(url) || url.is_as_safe_as(&facts.configured)) {
            found.push(
                Recommendation::new("client-url", Urgency::Warning, Certainty::Certain, subject)
                    .finding(format!("the member tells clients an address without TLS: {}", shown.join(", ")))
                    .why("kvadm does not send a login there, and other clients should not: the connection is readable")
                    .remedy("set --advertise-client-urls of the member to https://"),
            );
        }
    }
}

fn access(facts: &ClusterFacts, found: &mut Vec<Recommendation>) {
    if facts.login != LoginNeed::None {
        return;
    }
    let listed = facts.listed.iter().flat_map(|member| facts.addresses(member));
    let mut remote: Vec<String> = facts
        .configured
        .iter()
        .cloned()
        .chain(listed)
        .filter(|endpoint| endpoint.scheme != Scheme::Unix && !endpoint.is_local())
        .map(|endpoint| endpoint.to_string())
        .collect();
    remote.sort_unstable();
    remote.dedup();
    if remote.is_empty() {
        return;
    }
    found.push(
        Recommendation::new("open-access", Urgency::Warning, Certainty::Certain, remote.join(", "))
            .finding("requests without a login and without a client certificate are served")
            .why("everybody who reaches these addresses can read and change everything; a firewall may be all that protects them")
            .remedy("require client certificates (--client-cert-auth), or enable authentication")
            .kvadm(["auth", "enable"]),
    );
}
