//! The names of service types: the official one of each service, and those that it had before.

/// Official types that went by other names, with those names, the preferred one first. Source: the Service Types
/// Authority, <https://opendev.org/openstack/service-types-authority> (service-types.yaml).
const ALIASES: &[(&str, &[&str])] = &[
    ("admin-logic", &["registration"]),
    ("alarm", &["alarming"]),
    ("application-container", &["container"]),
    ("baremetal", &["bare-metal"]),
    ("block-storage", &["volumev3", "volumev2", "volume", "block-store"]),
    ("clustering", &["resource-cluster", "cluster"]),
    ("container-infrastructure-management", &["container-infrastructure", "container-infra"]),
    ("event", &["events"]),
    ("instance-ha", &["ha"]),
    ("message", &["messaging"]),
    ("meter", &["metering", "telemetry"]),
    ("monitoring-logging", &["monitoring-log-api"]),
    ("multi-region-network-automation", &["tricircle"]),
    ("operator-policy", &["policy"]),
    ("resource-optimization", &["infra-optim"]),
    ("root-cause-analysis", &["rca"]),
    ("shared-file-system", &["sharev2", "share"]),
    ("workflow", &["workflowv2"]),
];

/// A type as types are compared: in small letters, with `-` for `_`.
pub(super) fn normal(service_type: &str) -> String {
    service_type.trim().to_ascii_lowercase().replace('_', "-")
}

/// The official type of a type in its normal form: itself where no other is known. A type that is a known one with a
/// version behind it (`imagev2`) counts as that one.
#[must_use]
pub fn official(normal: &str) -> &str {
    known(normal).or_else(|| without_version(normal).map(|stem| known(stem).unwrap_or(stem))).unwrap_or(normal)
}

/// Which of two types of one service is the better: the official name, then its aliases in their order.
pub(super) fn rank(normal: &str) -> usize {
    let aliases = ALIASES.iter().find(|(name, _)| *name == official(normal)).map_or(&[][..], |(_, all)| *all);
    match normal == official(normal) {
        true => 0,
        false => 1 + aliases.iter().position(|a| *a == normal).unwrap_or(aliases.len()),
    }
}

fn known(normal: &str) -> Option<&'static str> {
    ALIASES.iter().find(|(name, aliases)| *name == normal || aliases.contains(&normal)).map(|(name, _)| *name)
}

/// `image` of `imagev2`.
fn without_version(normal: &str) -> Option<&str> {
    let stem = normal.trim_end_matches(|c: char| c.is_ascii_digit());
    (stem.len() < normal.len()).then_some(stem)?.strip_suffix('v').filter(|s| !s.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn old_names_mean_the_official_type() {
        for (old, name) in [
            ("volumev3", "block-storage"),
            ("volumev2", "block-storage"),
            ("Block_Store", "block-storage"),
            ("sharev2", "shared-file-system"),
            ("workflowv2", "workflow"),
            ("container-infra", "container-infrastructure-management"),
            ("imagev2", "image"),
            ("compute", "compute"),
            ("my-own", "my-own"),
            ("v2", "v2"),
        ] {
            assert_eq!(official(&normal(old)), name, "{old}");
        }
    }

    #[test]
    fn no_name_stands_for_two_services() {
        let mut all: Vec<&str> = ALIASES
            .iter()
            .flat_map(|(name, aliases)| aliases.iter().filter(move |a| *a != name).chain([name]))
            .copied()
            .collect();
        let count = all.len();
        all.sort_unstable();
        all.dedup();
        assert_eq!(all.len(), count);
    }

    #[test]
    fn the_official_name_is_better_than_an_alias_and_a_newer_alias_than_an_older() {
        let mut types = ["volume", "volumev2", "block-storagev9", "block-storage", "volumev3"];
        types.sort_by_key(|t| rank(t));
        assert_eq!(types, ["block-storage", "volumev3", "volumev2", "volume", "block-storagev9"]);
    }
}
