//! The egress policy: which enabled targets it keeps from their address. Only addresses in URLs are looked at: what a name
//! leads to is seen by the probe.

use super::Finding;
use crate::model::definition::Definition;
use crate::model::egress::EgressPolicy;
use crate::model::text::quoted;

const CHECK: &str = "egress";
/// So many are told one by one.
const MOST: usize = 20;

/// What the rows say, gathered one by one.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Look {
    policy: EgressPolicy,
    found: Vec<Finding>,
    more: usize,
}

impl Look {
    /// Nothing seen yet.
    pub fn new(policy: EgressPolicy) -> Look {
        Look { policy, found: Vec::new(), more: 0 }
    }

    /// Looks at a row. What is wrong with it otherwise is said elsewhere.
    pub fn see(&mut self, row: &Definition) {
        if !row.enabled {
            return;
        }
        let Some(denied) = row.validate().ok().and_then(|target| target.denied(&self.policy)) else { return };
        if self.found.len() == MOST {
            self.more += 1;
            return;
        }
        let message = format!("target {}: {} is {denied}", quoted(&row.name), denied.address);
        self.found.push(Finding::warning(CHECK, message, denied.mend()));
    }

    /// What was found.
    pub fn findings(mut self) -> Vec<Finding> {
        if self.more > 0 {
            let message = format!("{} more targets have an address that is denied", self.more);
            self.found.push(Finding::warning(CHECK, message, "see [egress] in the settings"));
        }
        if self.found.is_empty() {
            let deny: Vec<String> = self.policy.deny.entries().iter().map(ToString::to_string).collect();
            let message = match deny.as_slice() {
                [] => "no address is denied".to_owned(),
                some => format!("no enabled target has an address that is denied ({})", some.join(", ")),
            };
            self.found.push(Finding::ok(CHECK, message));
        }
        self.found
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::doctor::Level;

    #[test]
    fn enabled_targets_at_denied_addresses_are_told_and_not_too_many() {
        let row = |url: &str| Definition { name: "a".into(), url: url.into(), ..Definition::default() };
        let mut look = Look::new(EgressPolicy::default());
        look.see(&row("http://127.0.0.1/"));
        look.see(&row("http://localhost/"));
        look.see(&row("nonsense"));
        look.see(&Definition { enabled: false, ..row("http://169.254.169.254/") });
        look.see(&Definition { egress_allow: Some("metadata".into()), ..row("http://169.254.169.254/") });
        let quiet = look.clone().findings();
        assert_eq!(quiet.len(), 1);
        assert_eq!((quiet[0].level, quiet[0].message.contains("link-local, metadata")), (Level::Ok, true), "{quiet:?}");
        for _ in 0..22 {
            look.see(&row("http://[::ffff:169.254.169.254]/"));
        }
        let found = look.findings();
        assert_eq!((found.len(), found[0].level), (21, Level::Warning));
        assert!(found[0].message.starts_with("target `a`: ::ffff:169.254.169.254 is denied by metadata"), "{found:?}");
        assert!(found[20].message.starts_with("2 more targets"), "{found:?}");
    }
}
