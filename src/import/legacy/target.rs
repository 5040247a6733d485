//! A row of the old `targets`.

use std::borrow::Cow;
use std::collections::HashSet;

use super::encoding;
use super::login::authentication;
use super::row::{Look, OldRow};
use super::{BroughtTarget, Fate, OldFailure};
use crate::model::definition::{DEFAULT_FREQUENCY_MS, DEFAULT_TIMEOUT_MS, Definition};
use crate::model::reason::Reason;
use crate::model::state::{Counters, Status, TargetState};
use crate::model::text::{quoted, shorten};
use crate::model::time::UtcMs;

/// Names that are given, by tenant.
#[derive(Default)]
pub(super) struct Names(HashSet<(String, String)>);

impl Names {
    /// A name that is fit and free. 0.3.0 demanded neither.
    pub(super) fn give(&mut self, tenant: &str, row: &OldRow, seen: &mut Look<'_>) -> String {
        let had = row.text("name");
        let plain: String = had.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let mut name = plain.trim().to_owned();
        if name.is_empty() {
            name = format!("id {}", row.id());
        }
        if name != had.trim() {
            seen.note(
                "name",
                Fate::Brought,
                format!("is empty or holds control characters: it is called {} now", quoted(&name)),
            );
        }
        if let Some(meant) = encoding::meant(&name) {
            let why = format!("looks like {} that was stored by a client that said latin1: rename it", quoted(&meant));
            seen.note("name", Fate::Brought, why);
        }
        if self.0.contains(&(tenant.to_owned(), name.clone())) {
            let suffix = format!(" (id {})", row.id());
            name = shorten(&name, 128 - suffix.len()).into_owned() + &suffix;
            seen.note(
                "name",
                Fate::Brought,
                format!(
                    "stands twice, and names are unique now: it is called {}; remove one of them if they are the same",
                    quoted(&name)
                ),
            );
        }
        self.0.insert((tenant.to_owned(), name.clone()));
        name
    }
}

/// The target; `None` when it is left out.
pub(super) fn bring(row: &OldRow, names: &mut Names, seen: &mut Look<'_>) -> Option<BroughtTarget> {
    let tenant: String = row.text("tenantid").chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    let tenant = tenant.trim();
    let tenant = if tenant.is_empty() { "0" } else { tenant };
    if tenant != row.text("tenantid").trim() {
        let why = format!("is empty or holds control characters: it is {} now", quoted(tenant));
        seen.note("tenantid", Fate::Brought, why);
    }
    let mut d = Definition {
        name: names.give(tenant, row, seen),
        tenantid: tenant.to_owned(),
        url: row.text("url").trim().to_owned(),
        method: row.text("method").trim().to_ascii_uppercase(),
        enabled: seen.enabled(),
        ..Definition::default()
    };
    times(&mut d, row, seen);
    authentication(&mut d, row, seen);
    let expected = row.text("pass_result").trim();
    d.pass_result = expected.to_owned();
    let problems = d.validate().err().unwrap_or_default();
    if problems.iter().any(|p| p.field == "pass_result") {
        d.pass_result = "200".into();
        d.enabled = false;
        seen.note(
            "pass_result",
            Fate::Disabled,
            "is no status code, so it never passed: 200 stands in its place; write what is right and enable it",
        );
    }
    for problem in problems.iter().filter(|p| p.field != "pass_result") {
        let why = format!("{}; mend the row and import again, or add the target by hand", problem.message);
        match problem.field.as_str() {
            "url" => seen.url("url", Fate::LeftOut, why),
            "method" => seen.note("method", Fate::LeftOut, why),
            "tenantid" => seen.note("tenantid", Fate::LeftOut, why),
            "name" => seen.note("name", Fate::LeftOut, why),
            field => seen.secret("id", Fate::LeftOut, format!("{field}: {why}")),
        }
    }
    if problems.iter().any(|p| p.field != "pass_result") {
        return None;
    }
    if row.text("url").contains('?') {
        seen.url(
            "url",
            Fate::Brought,
            "has a query, which 0.3.0 did not send and this version does: look whether it still passes",
        );
    }
    let (state, failure) = standing(&d, row, seen);
    Some(BroughtTarget { old_id: row.id(), definition: d, state, failure })
}

/// `frequency` and `timeout`, in seconds there.
fn times(d: &mut Definition, row: &OldRow, seen: &mut Look<'_>) {
    let seconds = |column: &str| row.text(column).trim().parse::<i64>().ok();
    d.frequency_ms = match seconds("frequency") {
        Some(s @ 1..=31_622_400) => {
            if s >= 86_400 {
                seen.note(
                    "frequency",
                    Fate::Brought,
                    "is a day or longer, so that 0.3.0 never probed it again: this version does",
                );
            }
            s * 1000
        }
        Some(..=0) => {
            seen.note(
                "frequency",
                Fate::Brought,
                "means at each turn of the loop: 60 s stand in its place; write what is wanted (1s is possible)",
            );
            DEFAULT_FREQUENCY_MS
        }
        _ => {
            seen.note("frequency", Fate::Brought, "is no time that can be meant: 60 s stand in its place");
            DEFAULT_FREQUENCY_MS
        }
    };
    let timeout = match seconds("timeout") {
        Some(s @ 1..=600) => s * 1000,
        Some(601..) if d.frequency_ms >= 600_000 => {
            seen.note("timeout", Fate::Brought, "is longer than ten minutes: 600 s stand in its place");
            600_000
        }
        Some(601..) => d.frequency_ms + 1,
        _ => {
            let default = DEFAULT_TIMEOUT_MS.min(d.frequency_ms);
            seen.note("timeout", Fate::Brought, format!("is no time to wait: {} s stand in its place", default / 1000));
            default
        }
    };
    if timeout > d.frequency_ms {
        let s = d.frequency_ms / 1000;
        seen.note(
            "timeout",
            Fate::Brought,
            format!("is longer than the frequency: {s} s stand in its place, as a probe ends before the next is due"),
        );
    }
    d.timeout_ms = Some(timeout.min(d.frequency_ms));
}

/// Where it stands, and the failure that it is in.
fn standing(d: &Definition, row: &OldRow, seen: &mut Look<'_>) -> (TargetState, Option<OldFailure>) {
    let mut status = |column: &'static str| match row.text(column).trim() {
        "NEW" => Status::New,
        "PASS" => Status::Pass,
        "FAIL" => Status::Fail,
        _ => {
            seen.note(
                column,
                Fate::Brought,
                "is not NEW, PASS or FAIL (columns in another order?): NEW stands in its place",
            );
            Status::New
        }
    };
    let (mut conclusive, previous_status) = (status("status"), status("previous_status"));
    let last_updated = date(row.text("last_updated"));
    if last_updated.is_none() {
        let text = row.text("last_updated").trim();
        let why = if text.is_empty() || text.starts_with("0000-00-00") {
            "is no time"
        } else {
            "is no time (columns in another order?)"
        };
        seen.note("last_updated", Fate::Brought, format!("{why}: it counts as never probed until the next probe"));
    }
    let counters = Counters {
        pass_count: seen.count("pass_count"),
        fail_count: seen.count("fail_count"),
        count200: seen.count("count200"),
        count300: seen.count("count300"),
        count400: seen.count("count400"),
        count500: seen.count("count500"),
        network_fails: seen.count("network_fails"),
        ..Counters::default()
    };
    let repeated = u32::try_from(seen.count("repeated_fails")).unwrap_or(u32::MAX);
    let description = row.text("status_description").trim().to_owned();
    let mut failure = None;
    let mut reason = None;
    if conclusive == Status::Fail && d.enabled {
        let began = i64::from(repeated.saturating_sub(1)).saturating_mul(d.frequency_ms);
        let since = last_updated.map(|at| UtcMs(at.0.saturating_sub(began).max(0)));
        reason = Some(reason_of(&description));
        failure = Some(OldFailure { since, reason: reason_of(&description) });
    } else if conclusive == Status::Fail {
        // As a target that is disabled while it fails: what it will be when it is watched again is not known.
        conclusive = Status::New;
    }
    let state = TargetState {
        conclusive,
        previous_status,
        status_description: Cow::Owned(description),
        reason,
        last_updated,
        repeated_fails: if conclusive == Status::Fail { repeated } else { 0 },
        counters,
        ..TargetState::default()
    };
    (state, failure)
}

/// `2014-05-06 12:00:00` in UTC.
fn date(text: &str) -> Option<UtcMs> {
    let at = jiff::civil::DateTime::strptime("%Y-%m-%d %H:%M:%S%.f", text.trim()).ok()?;
    let at = at.to_zoned(jiff::tz::TimeZone::UTC).ok()?.timestamp().as_millisecond();
    (at > 0).then_some(UtcMs(at))
}

/// The reason that comes nearest to what 0.3.0 wrote: its own words, or those of the system.
fn reason_of(description: &str) -> Reason {
    let lower = description.to_lowercase();
    let has = |words: &[&str]| words.iter().any(|w| lower.contains(w));
    if has(&["target status"]) {
        Reason::Status
    } else if has(&["authn params", "keystone", "openstack"]) {
        Reason::AuthConfig
    } else if has(&["name or service", "nodename", "no address", "name resolution"]) {
        Reason::Dns
    } else if has(&["refused"]) {
        Reason::ConnectRefused
    } else if has(&["unreachable", "no route"]) {
        Reason::ConnectUnreachable
    } else if has(&["timed out", "timeout"]) {
        Reason::TimeoutFirstByte
    } else if has(&["reset"]) {
        Reason::Reset
    } else if has(&["ssl", "certificate"]) {
        Reason::TlsHandshake
    } else if has(&["badstatusline"]) {
        Reason::ClosedEarly
    } else {
        Reason::Protocol
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{row, target};
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_sound_row_comes_over_whole_and_without_a_word() {
        let (t, told) = target(&[]);
        let t = t.unwrap();
        let d = &t.definition;
        assert_eq!(
            (d.name.as_str(), d.tenantid.as_str(), d.frequency_ms, d.timeout_ms),
            ("shop", "0", 30_000, Some(10_000))
        );
        assert_eq!((d.pass_result.as_str(), d.authn.as_str(), d.enabled), ("200", "NONE", true));
        let s = &t.state;
        assert_eq!(
            (s.conclusive, s.previous_status, s.last_updated),
            (Status::Pass, Status::Pass, Some(UtcMs(1_399_377_600_000)))
        );
        assert_eq!(
            (s.counters.pass_count, s.counters.fail_count, s.counters.count200, t.imported_count()),
            (100, 7, 100, 107)
        );
        assert_eq!((t.failure, told), (None, vec![]));
    }

    #[test]
    fn a_failing_target_is_in_a_failure_that_began_with_its_first_fail() {
        let failing = [
            ("status", "FAIL"),
            ("previous_status", "FAIL"),
            ("status_description", "target status:500 != 200"),
            ("repeated_fails", "3"),
        ];
        let (t, told) = target(&failing);
        let t = t.unwrap();
        let since = Some(UtcMs(1_399_377_600_000 - 60_000));
        assert_eq!(t.failure, Some(OldFailure { since, reason: Reason::Status }));
        assert_eq!((t.state.conclusive, t.state.repeated_fails, told.len()), (Status::Fail, 3, 0));
        let (t, _) = target(&[failing.as_slice(), &[("enabled", "0")]].concat());
        let t = t.unwrap();
        assert_eq!((t.failure, t.state.conclusive, t.state.counters.fail_count), (None, Status::New, 7));
    }

    #[test]
    fn rows_that_are_odd_are_told_with_what_was_done() {
        for (columns, fate, part) in [
            (vec![("url", "www.example.com")], Fate::LeftOut, "targets 1 (`shop`), url `www.example.com`: left out: "),
            (vec![("url", "http://u:hunter2@h/")], Fate::LeftOut, "url `http://***@h/`"),
            (vec![("method", "FETCH")], Fate::LeftOut, "method `FETCH`: left out"),
            (vec![("frequency", "0")], Fate::Brought, "frequency `0`: brought over: means at each turn"),
            (vec![("frequency", "86400")], Fate::Brought, "0.3.0 never probed it again"),
            (vec![("frequency", "x")], Fate::Brought, "60 s stand"),
            (vec![("timeout", "45")], Fate::Brought, "timeout `45`: brought over: is longer than the frequency: 30 s"),
            (vec![("timeout", "700")], Fate::Brought, "longer than the frequency: 30 s"),
            (vec![("timeout", "0")], Fate::Brought, "10 s stand"),
            (vec![("pass_result", "0")], Fate::Disabled, "pass_result `0`: brought over, not enabled"),
            (vec![("enabled", "2")], Fate::Disabled, "neither 1 nor 0"),
            (vec![("status", "http")], Fate::Brought, "status `http`: brought over: is not NEW"),
            (vec![("previous_status", "")], Fate::Brought, "previous_status ``"),
            (vec![("last_updated", "0000-00-00 00:00:00")], Fate::Brought, "last_updated `0000-00-00 00:00:00`"),
            (vec![("last_updated", "NEW")], Fate::Brought, "columns in another order?"),
            (vec![("fail_count", "-4")], Fate::Brought, "fail_count `-4`"),
            (vec![("pass_count", "9223372036854775807")], Fate::Brought, "is no count that can be"),
            (vec![("name", "a\u{1b}[2Jb")], Fate::Brought, "it is called `a [2Jb` now"),
            (vec![("name", " ")], Fate::Brought, "it is called `id 1` now"),
            (vec![("name", "groÃŸ")], Fate::Brought, "looks like `groß` that was stored"),
            (vec![("tenantid", "")], Fate::Brought, "tenantid ``: brought over: is empty"),
            (vec![("authn", "DIGEST")], Fate::Brought, "it is NONE now"),
            (
                vec![("authn_parms", "user=hunter2")],
                Fate::Brought,
                "authn_parms (not shown): brought over: are parameters",
            ),
            (vec![("authn", "BASIC"), ("authn_parms", "user=u")], Fate::Disabled, "`password` is missing"),
            (vec![("authn", "BASIC"), ("authn_parms", "hunter2")], Fate::Disabled, "--authn BASIC --authn-parms -"),
            (
                vec![("authn", "basic"), ("authn_parms", "user=u,password=hunter2,realm=hunter2")],
                Fate::Brought,
                "hold `realm`",
            ),
            (vec![("authn", "OPENSTACK"), ("authn_parms", "user=u,password=hunter2")], Fate::Disabled, "authn_parms"),
            (
                vec![
                    ("authn", "OPENSTACK"),
                    ("authn_parms", "user=u,password=hunter2,osauthendpoint=http://k:5000/v2.0/tokens,tenantid=t"),
                ],
                Fate::Brought,
                "/v2.0/tokens",
            ),
            (
                vec![
                    ("authn", "OPENSTACK"),
                    ("authn_parms", "user=u,password=hunter2,osauthendpoint=http://k:5000/v3,tenantid=t"),
                ],
                Fate::Brought,
                "spoken to as v3",
            ),
            (vec![("url", "http://h/?a=b")], Fate::Brought, "has a query"),
        ] {
            let (t, told) = target(&columns);
            let told: Vec<String> = told.iter().filter(|a| a.fate == fate).map(ToString::to_string).collect();
            assert!(told.iter().any(|a| a.contains(part)), "{columns:?}: {told:?}");
            assert!(!told.concat().contains("hunter2"), "{told:?}");
            assert_eq!(t.is_none(), fate == Fate::LeftOut, "{columns:?}");
            if fate == Fate::Disabled {
                assert!(!t.unwrap().definition.enabled, "{columns:?}");
            }
        }
    }

    #[test]
    fn descriptions_tell_reasons() {
        for (text, reason) in [
            ("[Errno 111] Connection refused", Reason::ConnectRefused),
            ("timed out", Reason::TimeoutFirstByte),
            ("[Errno -2] Name or service not known", Reason::Dns),
            ("<class 'httplib.BadStatusLine'>", Reason::ClosedEarly),
            ("", Reason::Protocol),
        ] {
            assert_eq!(reason_of(text), reason, "{text}");
        }
    }

    proptest! {
        #[test]
        fn whatever_stands_in_a_row_what_comes_over_is_fit(
            columns in proptest::collection::vec((0usize..23, "\\PC{0,20}|[0-9-]{0,6}|PASS|FAIL|BASIC|OPENSTACK|https?://[a-z:@]{1,9}/"), 0..8)
        ) {
            let columns: Vec<(&str, &str)> = columns.iter().map(|(i, v)| (super::super::TARGET_COLUMNS[*i], v.as_str())).collect();
            let (t, told) = target(&columns);
            match t {
                Some(t) => {
                    prop_assert!(t.definition.validate().is_ok(), "{:?}", t.definition.validate());
                    prop_assert_eq!(t.failure.is_some(), t.state.conclusive == Status::Fail);
                    prop_assert!(t.imported_count() >= 0);
                }
                None => prop_assert!(told.iter().any(|a| a.fate == Fate::LeftOut)),
            }
            let _row = row(&columns);
        }
    }
}
