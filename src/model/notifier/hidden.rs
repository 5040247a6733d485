//! How a notifier is written for those who look for faults: without its address, which may be a secret.

use std::fmt;

use super::{Notifier, NotifierDefinition};

const HIDDEN: &str = "***";

impl fmt::Debug for NotifierDefinition {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("NotifierDefinition")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("tenantid", &self.tenantid)
            .field("kind", &self.kind)
            .field("address", &HIDDEN)
            .field("params", &self.params)
            .field("enabled", &self.enabled)
            .field("match", &(&self.match_tags, &self.match_tenant, &self.match_name, &self.events))
            .field("group_ms", &(self.group_wait_ms, self.group_window_ms))
            .field("rate_per_minute", &self.rate_per_minute)
            .field("retry_for_ms", &self.retry_for_ms)
            .field("remind_ms", &self.remind_ms)
            .field("templates", &self.templates)
            .field("odd_flags", &self.odd_flags)
            .finish()
    }
}

impl fmt::Debug for Notifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Notifier")
            .field("id", &self.id)
            .field("name", &self.name)
            .field("tenant", &self.tenant)
            .field("kind", &self.kind)
            .field("address", &HIDDEN)
            .field("params", &self.params)
            .field("enabled", &self.enabled)
            .field("filter", &self.filter)
            .field("group", &(self.group_wait, self.group_window))
            .field("rate_per_minute", &self.rate_per_minute)
            .field("retry_for", &self.retry_for)
            .field("remind", &self.remind)
            .field("templates", &self.templates)
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use crate::model::notifier::{NotifierDefinition, any_type};
    use crate::secret::Secret;

    #[test]
    fn neither_address_nor_params_are_shown() {
        let definition = NotifierDefinition {
            name: "ops".into(),
            kind: "WEBHOOK".into(),
            address: "https://hooks.example/T0/hunter2".into(),
            params: Some(Secret::new("secret=hunter2")),
            ..NotifierDefinition::default()
        };
        let notifier = definition.validate(&any_type).unwrap();
        for text in [format!("{definition:?}"), format!("{notifier:#?}")] {
            assert!(!text.contains("hunter2") && !text.contains("hooks.example"), "{text}");
            assert!(text.contains("ops") && text.contains("WEBHOOK"), "{text}");
        }
    }
}
