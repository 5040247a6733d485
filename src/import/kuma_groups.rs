//! Groups of Uptime Kuma: monitors that hold others, and pause them.

use std::collections::BTreeMap;

use serde_json::Value;

/// A monitor that holds others.
pub(super) struct Group {
    pub(super) name: String,
    active: bool,
    parent: Option<i64>,
}

/// Groups by their ids.
pub(super) fn groups(monitors: &[Value]) -> BTreeMap<i64, Group> {
    let is_group = |m: &&Value| m.get("type").and_then(Value::as_str) == Some("group");
    let of = |m: &Value| {
        let name = m.get("name")?.as_str()?.to_owned();
        let active = !m.get("active").is_some_and(|a| a.as_bool() == Some(false) || a.as_i64() == Some(0));
        Some((m.get("id")?.as_i64()?, Group { name, active, parent: m.get("parent").and_then(Value::as_i64) }))
    };
    monitors.iter().filter(is_group).filter_map(of).collect()
}

/// The group that keeps a child of `parent` from being watched.
pub(super) fn paused(groups: &BTreeMap<i64, Group>, parent: i64) -> Option<&Group> {
    let up = std::iter::successors(groups.get(&parent), |g| g.parent.and_then(|id| groups.get(&id)));
    up.take(groups.len()).find(|g| !g.active) // a file may say that a group holds itself
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_group_that_is_paused_pauses_what_it_holds_at_any_depth() {
        let all = [
            json!({"id": 1, "type": "group", "name": "top", "active": 0}),
            json!({"id": 2, "type": "group", "name": "inner", "active": true, "parent": 1}),
            json!({"id": 3, "type": "group", "name": "own", "parent": 3}),
            json!({"id": 4, "type": "http", "name": "no group", "active": false}),
        ];
        let groups = groups(&all);
        assert_eq!(groups.len(), 3);
        let by = |parent| paused(&groups, parent).map(|g| g.name.as_str());
        assert_eq!([by(1), by(2), by(3), by(4), by(9)], [Some("top"), Some("top"), None, None, None]);
    }
}
