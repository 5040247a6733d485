//! Which notifiers are told of a target's event.

use crate::model::notifier::{EventKind, Filter, Matched, Notifier};
use crate::model::subject::{SubjectId, SubjectKind};

/// The notifiers that are told of `event` of `target`, in the order given.
pub fn route<'a>(
    notifiers: impl IntoIterator<Item = &'a Notifier>,
    target: &Matched,
    event: EventKind,
) -> impl Iterator<Item = &'a Notifier> {
    notifiers.into_iter().filter(move |n| sees(n, target) && wants(n, target.id, event))
}

/// Whether an enabled notifier is told of this target at all. One of a tenant other than `0` sees its own tenant only. A
/// credential is seen by whoever sees one of the targets that use it, the monitor itself by whoever has asked for it.
#[must_use]
pub fn sees(notifier: &Notifier, target: &Matched) -> bool {
    if target.id.kind() == SubjectKind::Monitor {
        return notifier.enabled && notifier.filter.monitor;
    }
    if !target.users.is_empty() {
        return target.users.iter().any(|user| sees(notifier, user));
    }
    notifier.enabled
        && (notifier.tenant == "0" || notifier.tenant == target.tenant)
        && matches(&notifier.filter, target)
}

/// Whether the notifier is told of events of this kind about `subject`. Of the monitor itself it is told of all or none.
#[must_use]
pub fn wants(notifier: &Notifier, subject: SubjectId, event: EventKind) -> bool {
    match subject.kind() {
        SubjectKind::Monitor => notifier.filter.monitor,
        _ => notifier.filter.events.as_ref().is_none_or(|events| events.contains(&event)),
    }
}

fn matches(filter: &Filter, target: &Matched) -> bool {
    (filter.tags.is_empty() || filter.tags.iter().any(|t| target.tags.contains(t)))
        && filter.tenant.as_ref().is_none_or(|t| *t == target.tenant)
        && filter.name.as_ref().is_none_or(|p| fits(p, &target.name))
}

/// Whether `name` fits `pattern`: `*` is any characters, `?` one character, everything else itself.
/// Takes at most length times length steps, whatever the pattern.
#[must_use]
pub fn fits(pattern: &str, name: &str) -> bool {
    let (pattern, name): (Vec<char>, Vec<char>) = (pattern.chars().collect(), name.chars().collect());
    let (mut p, mut n) = (0, 0);
    // Where the last `*` stands, and the first character that it has not swallowed yet.
    let mut star: Option<(usize, usize)> = None;
    while n < name.len() {
        match pattern.get(p) {
            Some('*') => {
                star = Some((p, n));
                p += 1;
            }
            Some(&c) if c == '?' || c == name[n] => {
                p += 1;
                n += 1;
            }
            _ => {
                let Some((at, swallowed)) = star else { return false };
                star = Some((at, swallowed + 1));
                p = at + 1;
                n = swallowed + 1;
            }
        }
    }
    pattern[p..].iter().all(|c| *c == '*')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_star_is_any_characters_and_a_question_mark_one() {
        for (pattern, name, fit) in [
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("web-*", "web-1", true),
            ("web-*", "web-", true),
            ("web-?", "web-", false),
            ("web-?", "web-ü", true),
            ("*-eu-*", "api-eu-1", true),
            ("*a*b", "xaybzb", true),
            ("*a*b", "xaybzbc", false),
            ("Web", "web", false),
            ("a[b]", "a[b]", true),
        ] {
            assert_eq!(fits(pattern, name), fit, "{pattern} {name}");
        }
        assert!(!fits(&"*a".repeat(200), &"a".repeat(199)), "and it ends");
    }
}
