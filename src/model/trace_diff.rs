//! What differs between a failing trace and the last good one: the first place to look for the cause.

use std::fmt::Write as _;

use super::message::Difference;
use super::text::{escape_controls, utc_day};
use super::trace::{Event, Trace};

/// A phase that took this many times longer has changed, …
const FACTOR: u32 = 3;
/// … when it also took this much longer: 2 ms instead of 0.5 ms is noise.
const LEAST_US: u32 = 50_000;

/// What of a trace is compared.
#[derive(Default)]
struct Seen {
    address: Option<String>,
    issuer: Option<String>,
    expires: Option<String>,
    tls: Option<String>,
    status: Option<u16>,
    redirect: Option<String>,
    /// Phases in order, in microseconds; one that was begun and not ended lasts until the end.
    phases: Vec<(&'static str, u32)>,
}

/// The differences, what is most telling first; empty when there are none.
#[must_use]
pub fn differences(good: &Trace, failing: &Trace) -> Vec<Difference> {
    let (before, after) = (look(good), look(failing));
    let mut found = Vec::new();
    let mut note = |what: &str, before: String, after: String| {
        found.push(Difference { what: what.to_owned(), before, after });
    };
    let number = |n: u16| n.to_string();
    for (what, before, after) in [
        ("status code", before.status.map(number), after.status.map(number)),
        ("address", before.address, after.address),
        ("certificate issuer", before.issuer, after.issuer),
        ("certificate expiry", before.expires, after.expires),
        ("tls", before.tls, after.tls),
        ("redirect", before.redirect, after.redirect),
    ] {
        if let (Some(before), Some(after)) = (before, after)
            && before != after
        {
            note(what, before, after);
        }
    }
    for (what, after) in after.phases {
        let Some((_, before)) = before.phases.iter().find(|(name, _)| *name == what) else { continue };
        if after >= before.saturating_mul(FACTOR) && after - before >= LEAST_US {
            note(what, millis(*before), millis(after));
        }
    }
    found
}

fn millis(us: u32) -> String {
    let ms = f64::from(us) / 1000.0;
    if us < 10_000 { format!("{ms:.1} ms") } else { format!("{ms:.0} ms") }
}

/// Reads one trace. With redirects the first hop's address and certificate count, and the last answer's status.
fn look(trace: &Trace) -> Seen {
    let mut seen = Seen::default();
    let mut open: Option<(&'static str, u32)> = None;
    let mut begin = |seen: &mut Seen, next: Option<&'static str>, at: u32| {
        // A phase goes on while attempts of the same kind follow each other.
        if open.map(|(name, _)| name) == next && next.is_some() {
            return;
        }
        if let Some((name, since)) = open.take() {
            match seen.phases.iter_mut().find(|(n, _)| *n == name) {
                Some((_, total)) => *total = total.saturating_add(at.saturating_sub(since)),
                None => seen.phases.push((name, at.saturating_sub(since))),
            }
        }
        open = next.map(|name| (name, at));
    };
    let mut tried = Vec::new();
    let mut logging_in = false;
    for step in &trace.steps {
        let at = step.at_us;
        match &step.event {
            Event::TokenAsked { .. } => {
                logging_in = true;
                begin(&mut seen, Some("login"), at);
            }
            Event::Token { .. } => {
                logging_in = false;
                begin(&mut seen, None, at);
            }
            Event::Failed { .. } => begin(&mut seen, None, at),
            _ if logging_in => {} // steps at the identity service are not the target's
            Event::Resolving { .. } => begin(&mut seen, Some("resolve"), at),
            Event::Connecting { address } => {
                begin(&mut seen, Some("connect"), at);
                tried.push(address.ip().to_string());
            }
            Event::Connected { address, .. } => {
                begin(&mut seen, None, at);
                seen.address.get_or_insert_with(|| address.ip().to_string());
            }
            Event::Reused { address, .. } => {
                seen.address.get_or_insert_with(|| address.ip().to_string());
            }
            Event::TlsStarted { .. } => begin(&mut seen, Some("tls"), at),
            Event::TlsDone { version, .. } => {
                begin(&mut seen, None, at);
                seen.tls.get_or_insert_with(|| escape_controls(version).into_owned());
            }
            Event::Certificate { issuer, not_after, .. } => {
                seen.issuer.get_or_insert_with(|| escape_controls(issuer).into_owned());
                seen.expires.get_or_insert_with(|| utc_day(*not_after));
            }
            Event::Sent { .. } => begin(&mut seen, Some("first byte"), at),
            Event::FirstByte => begin(&mut seen, Some("body"), at),
            Event::Head { status, .. } => seen.status = Some(*status),
            Event::Body { .. } => begin(&mut seen, None, at),
            Event::Redirect { to } => {
                begin(&mut seen, None, at);
                seen.redirect.get_or_insert_with(|| escape_controls(to).into_owned());
            }
            Event::Resolved { .. } => begin(&mut seen, None, at),
            Event::NotReused { .. } => {
                // What was asked over a connection that ended is asked again.
                begin(&mut seen, None, at);
                seen.phases.retain(|(name, _)| *name != "first byte");
                seen.address = None;
            }
            Event::Request { .. }
            | Event::ConnectFailed { .. }
            | Event::Auth { .. }
            | Event::TokenRefused
            | Event::Catalog { .. }
            | Event::RequestId { .. }
            | Event::Interim { .. }
            | Event::Check { .. }
            | Event::Note { .. } => {}
        }
    }
    if let Some(last) = trace.steps.last() {
        begin(&mut seen, None, last.at_us);
    }
    if seen.address.is_none() && !tried.is_empty() {
        tried.dedup();
        let mut all = String::new();
        for (i, address) in tried.iter().take(5).enumerate() {
            // Writing to a string cannot fail.
            write!(all, "{}{address}", if i > 0 { ", " } else { "" }).unwrap_or_default();
        }
        seen.address = Some(all);
    }
    seen
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::reason::Reason;

    fn trace(ip: &str, issuer: &str, until: i64, wait_us: u32, status: u16) -> Trace {
        let mut t = Trace::default();
        let address = format!("{ip}:443").parse().unwrap();
        t.push(0, Event::Resolving { host: "x".into() });
        t.push(1_000, Event::Resolved { addresses: vec![], cached: false });
        t.push(1_000, Event::Connecting { address });
        t.push(3_000, Event::Connected { address, local: None });
        t.push(3_000, Event::TlsStarted { server_name: "x".into() });
        let (subject, issuer) = ("x".into(), issuer.into());
        t.push(9_000, Event::Certificate { subject, issuer, not_after: until, refused: None, unverified: false });
        t.push(9_000, Event::TlsDone { version: "TLSv1.3".into(), cipher: "x".into() });
        t.push(9_100, Event::Sent { bytes: 10 });
        t.push(9_100 + wait_us, Event::FirstByte);
        t.push(9_200 + wait_us, Event::Head { version: "HTTP/1.1".into(), status });
        t.push(9_300 + wait_us, Event::Body { bytes: 1, framing: "length".into(), capped: false });
        t
    }

    fn words(found: &[Difference]) -> Vec<String> {
        found.iter().map(|d| format!("{}: {} -> {}", d.what, d.before, d.after)).collect()
    }

    #[test]
    fn address_issuer_expiry_status_and_a_slow_phase_are_told() {
        let good = trace("192.0.2.1", "CA one", 1_795_363_200_000, 20_000, 200);
        let bad = trace("192.0.2.7", "CA two", 1_700_000_000_000, 900_000, 503);
        assert_eq!(
            words(&differences(&good, &bad)),
            [
                "status code: 200 -> 503",
                "address: 192.0.2.1 -> 192.0.2.7",
                "certificate issuer: CA one -> CA two",
                "certificate expiry: 2026-11-22 -> 2023-11-14",
                "first byte: 20 ms -> 900 ms",
            ]
        );
    }

    #[test]
    fn the_same_again_and_little_noise_differ_in_nothing() {
        let good = trace("192.0.2.1", "CA", 1_795_363_200_000, 500, 200);
        assert_eq!(differences(&good, &good), []);
        let noisy = trace("192.0.2.1", "CA", 1_795_363_200_000, 4_000, 200);
        assert_eq!(differences(&good, &noisy), [], "4 ms instead of 0.5 ms");
        assert_eq!(differences(&Trace::default(), &good), []);
    }

    #[test]
    fn a_login_is_a_phase_and_its_own_steps_are_not_the_targets() {
        let with_login = |took| {
            let mut t = Trace::default();
            t.push(0, Event::TokenAsked { credential: "c".into() });
            t.push(
                5,
                Event::Connected { address: format!("192.0.2.{}:5000", took / 1000).parse().unwrap(), local: None },
            );
            t.push(took, Event::Head { version: "HTTP/1.1".into(), status: 201 });
            t.push(took, Event::Token { credential: "c".into(), waited_us: Some(took) });
            for step in trace("192.0.2.1", "CA", 1_795_363_200_000, 500, 200).steps {
                t.push(took + step.at_us, step.event);
            }
            t
        };
        assert_eq!(words(&differences(&with_login(20_000), &with_login(200_000))), ["login: 20 ms -> 200 ms"]);
    }

    #[test]
    fn a_phase_that_never_ended_lasts_until_the_failure() {
        let good = trace("192.0.2.1", "CA", 1_795_363_200_000, 500, 200);
        let mut hung = Trace::default();
        hung.push(0, Event::Resolving { host: "x".into() });
        hung.push(1_000, Event::Resolved { addresses: vec![], cached: false });
        for (at, ip) in [(1_000, "192.0.2.8"), (1_250_000, "192.0.2.9")] {
            hung.push(at, Event::Connecting { address: format!("{ip}:443").parse().unwrap() });
        }
        hung.push(5_001_000, Event::Failed { reason: Reason::TimeoutConnect, description: "x".into() });
        assert_eq!(
            words(&differences(&good, &hung)),
            ["address: 192.0.2.1 -> 192.0.2.8, 192.0.2.9", "connect: 2.0 ms -> 5000 ms",]
        );
    }
}
