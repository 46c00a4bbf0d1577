//! The message of an object, by its `apiVersion` and `kind`.
//!
//! Kubernetes names a package after the first label of the API group and the version: `k8s.io.api.apps.v1`,
//! `k8s.io.kube_aggregator.pkg.apis.apiregistration.v1` (group `apiregistration.k8s.io`).

use std::collections::HashMap;

use prost_reflect::DescriptorPool;

use super::super::descriptors::Message;
use super::super::text::shown;

/// A label of the API group, the version and the kind.
type TypeName = (String, String, String);

/// The messages of a descriptor set that can be objects.
#[derive(Clone, Debug)]
pub(super) struct ObjectTypes {
    messages: HashMap<TypeName, Vec<Message>>,
}

impl ObjectTypes {
    pub(super) fn of(pool: &DescriptorPool) -> Self {
        let mut messages: HashMap<TypeName, Vec<Message>> = HashMap::new();
        for message in pool.all_messages().filter(|message| message.parent_message().is_none()) {
            let mut labels = message.package_name().rsplit('.');
            if let (Some(version), Some(group)) = (labels.next(), labels.next()) {
                let name = (group.to_owned(), version.to_owned(), message.name().to_owned());
                messages.entry(name).or_default().push(Message::new(message));
            }
        }
        Self { messages }
    }

    /// The message of this kind.
    ///
    /// # Errors
    /// The set has no such message, or several.
    pub(super) fn find(&self, api_version: &str, kind: &str) -> Result<&Message, String> {
        let (group, version) = api_version.split_once('/').unwrap_or(("", api_version));
        let found = label(group)
            .and_then(|label| self.messages.get(&(label.to_owned(), version.to_owned(), kind.to_owned())))
            .map_or(&[][..], Vec::as_slice);
        let named = || format!("{} {}", shown(api_version), shown(kind));
        match found {
            // These two fields are the envelope's.
            [message] if !message.has_field("apiVersion") && !message.has_field("kind") => Ok(message),
            [_] => Err(format!("the message for {} in the descriptor set is not a Kubernetes object", named())),
            [] => Err(format!("the descriptor set has no message for {}", named())),
            [one, other, ..] => {
                Err(format!("the descriptor set has several messages for {}: {one} and {other}", named()))
            }
        }
    }
}

/// The label of the packages of an API group; `None` for a group that is not Kubernetes' own, whose packages can have
/// any name.
fn label(group: &str) -> Option<&str> {
    match group {
        "" => Some("core"),
        "internal.apiserver.k8s.io" => Some("apiserverinternal"),
        _ => match group.split_once('.') {
            None => Some(group),
            Some((label, _)) => group.ends_with(".k8s.io").then_some(label),
        },
    }
}

/// Whether the group is not Kubernetes' own, so that the API server stores its objects as JSON.
pub(super) fn is_custom(api_version: &str) -> bool {
    api_version.split_once('/').is_some_and(|(group, _)| label(group).is_none())
}

impl Message {
    /// Whether the message has a field of this name.
    fn has_field(&self, name: &str) -> bool {
        self.kind().get_field_by_name(name).is_some() || self.kind().get_field_by_json_name(name).is_some()
    }
}
