//! The scenarios with tokens: logins at a real Keystone, probes at an origin that wants a good `X-Auth-Token`.
//!
//! ```text
//!  openstack: plain | token | plain, each a daemon of its own with 1,000 targets @ 1 s; tokens live 30 s
//!  own:       1,000 targets with one credential | with 1,000, one each
//! ```

use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::definition::Definition;
use skypunch::model::time::Mono;
use skypunch::secret::Secret;

use crate::daemon::{Daemon, Place};
use crate::keystone::Keystone;
use crate::origin::Origin;
use crate::report::{Report, quantile};
use crate::window::{SETTLE, WRITTEN_AFTER, Window, due_times};
use crate::{Options, Outcome, process};

const TARGETS: usize = 1_000;

/// Seconds that tokens live in the scenario `openstack`.
const LIFE: u64 = 30;

/// So many milliseconds may a probe with a token be later than one without.
const LATER_MS: f64 = 1.0;

/// One daemon's window.
struct Run {
    window: Window,
    /// Lateness of all probes in it, microseconds, sorted.
    late: Vec<i64>,
    due: u64,
    /// Results that are no PASS: in the window, and at any time.
    not_passed: (i64, i64),
}

impl Run {
    fn each(&self) -> f64 {
        self.window.cpu_us / self.window.answered as f64
    }

    fn ms(&self, share: f64) -> f64 {
        quantile(&self.late, share) as f64 / 1000.0
    }

    fn report(&self, report: &mut Report, name: &str) {
        report.add(format!("{name}: due times in the window"), self.due as f64, "", "");
        report.add(format!("{name}: results of them in the database"), self.late.len() as f64, "", "all");
        report.add(format!("{name}: of them no PASS with 200"), self.not_passed.0 as f64, "", "0");
        let before = self.not_passed.1 - self.not_passed.0;
        report.add(format!("{name}: the same, while it started"), before as f64, "", "");
        for (what, share) in [("p50", 0.5), ("p99", 0.99), ("max", 1.0)] {
            report.add(format!("{name}: lateness {what}"), self.ms(share), "ms", "");
        }
        report.add(format!("{name}: CPU of all threads"), self.each(), "us/probe", "");
    }
}

/// Probes in one window; the daemon is stopped afterwards.
fn run(options: &Options, clock: &Clock, origin: &mut Origin, place: Place) -> Outcome<(Run, Duration)> {
    let mut daemon = place.start(options, clock)?;
    daemon.until_running(TARGETS)?;
    daemon.until_probed()?;
    let probing = clock.now();
    std::thread::sleep(SETTLE);
    let window = Window::measure(options, clock, &daemon, origin)?;
    std::thread::sleep(WRITTEN_AFTER);
    let mut late: Vec<i64> = daemon.database.due_between(window.from, window.to)?.iter().map(|r| r.1).collect();
    late.sort_unstable();
    let due = due_times(TARGETS, Duration::from_secs(1), window.from, window.to);
    let not_passed = (not_passed(&mut daemon, window.from)?, not_passed(&mut daemon, 0)?);
    let probed_for = clock.now().since(probing);
    let (rows, counted) = daemon.stop()?;
    if rows != counted {
        return Err(format!("{rows} rows, but {counted} outcomes counted").into());
    }
    Ok((Run { window, late, due, not_passed }, probed_for))
}

/// Results that are no PASS with 200, of what was due from then on (wall-clock milliseconds).
fn not_passed(daemon: &mut Daemon, from: i64) -> Outcome<i64> {
    let other = "verdict <> 'PASS' OR status_code <> 200";
    let sql = format!("SELECT COUNT(*) AS a, 0 AS b FROM results WHERE due_at >= {from} AND ({other})");
    Ok(daemon.database.pairs(&sql)?[0].0)
}

/// 1,000 targets @ 1 s share a credential; the same without authentication before and after.
pub fn shared(options: &Options) -> Outcome<Report> {
    let options = &Options { seconds: Some(options.seconds.unwrap_or(60)), ..options.clone() };
    let clock = Clock::system();
    let mut report = Report::new("1,000 targets @ 1 s with the token of one credential, which lives 30 s");
    let keystone = Keystone::start(LIFE)?;
    let mut origin = Origin::start(options.nice)?;
    origin.trust(keystone.port(), LIFE)?;
    let port = origin.port();
    let plain = |origin: &mut Origin| {
        let mut place = Place::new(options)?;
        place.database.insert(TARGETS, 1000, |id| format!("http://127.0.0.1:{port}/t/{id}"))?;
        Outcome::Ok(run(options, &clock, origin, place)?.0)
    };
    let before = plain(&mut origin)?;
    let mut place = Place::new(options)?;
    place.database.insert_credential("cloud", keystone.params())?;
    place.database.insert_each(TARGETS, |id| Definition {
        url: format!("http://127.0.0.1:{port}/a/{id}"),
        frequency_ms: 1000,
        credential: Some("cloud".into()),
        ..Definition::default()
    })?;
    let (token, probed_for) = run(options, &clock, &mut origin, place)?;
    let (logins, refused) = (keystone.logins()?, origin.refused()?);
    let after = plain(&mut origin)?;

    for (run, name) in [(&before, "without, before"), (&token, "with a token"), (&after, "without, after")] {
        run.report(&mut report, name);
    }
    let mean = |of: &dyn Fn(&Run) -> f64| f64::midpoint(of(&before), of(&after));
    report.add("lateness p99, with less without (mean)", token.ms(0.99) - mean(&|r| r.ms(0.99)), "ms", "at most 1");
    report.add("CPU, with / without (mean)", token.each() / mean(&Run::each), "", "");
    report.add("answers 401 of the origin", refused as f64, "", "0");
    report.add("logins that came to Keystone", logins.came as f64, "", "one, and one for each renewal");
    report.add("logins that it granted", logins.granted as f64, "", "");
    // Renewed when three quarters of its life are over, and by up to a sixteenth of it earlier.
    let seconds = probed_for.as_secs_f64();
    let (latest, soonest) = (LIFE as f64 * 0.75, LIFE as f64 * (0.75 - 0.0625));
    report.add("renewals that must have been", (seconds / latest).floor(), "", "");
    report.add("renewals that may have been", (seconds / soonest).ceil(), "", "");
    if token.ms(0.99) > before.ms(0.99).max(after.ms(0.99)) + LATER_MS {
        report.note("GOAL NOT REACHED: probes with a token are later than without");
    }
    report.note(process::load());
    Ok(report)
}

/// 1,000 targets with a credential each, all NEW: the logins at the start, and what a credential's actor takes.
pub fn own(options: &Options) -> Outcome<Report> {
    const FREQUENCY_MS: i64 = 10_000;
    let clock = Clock::system();
    let mut report = Report::new("1,000 targets @ 10 s with a credential of their own each, all NEW");
    let mut memory = Vec::new();
    for own in [false, true] {
        let keystone = Keystone::start(3600)?;
        let mut origin = Origin::start(options.nice)?;
        origin.trust(keystone.port(), 3600)?;
        let port = origin.port();
        let mut place = Place::new(options)?;
        place.database.insert_credential("cloud", keystone.params())?;
        place.database.insert_each(TARGETS, |id| Definition {
            url: format!("http://127.0.0.1:{port}/a/{id}"),
            frequency_ms: FREQUENCY_MS,
            authn: "OPENSTACK".into(),
            credential: (!own).then(|| "cloud".into()),
            authn_parms: own.then(|| Secret::new(keystone.params())),
            ..Definition::default()
        })?;
        let mut daemon = place.start(options, &clock)?;
        daemon.until_running(TARGETS)?;
        let probed = daemon.until_probed()?;
        let wanted = if own { TARGETS } else { 1 };
        let (first, granted) = until_granted(&keystone, wanted, &clock)?;
        // Each is probed once more, with its token at hand.
        let from = clock.utc_now().0;
        std::thread::sleep(Duration::from_secs(12));
        memory.push(process::memory(daemon.pid, "VmRSS")?);
        let passed = format!(
            "SELECT COUNT(DISTINCT target_id) AS a, 0 AS b FROM results WHERE due_at >= {from} AND verdict = 'PASS'"
        );
        let passed = daemon.database.pairs(&passed)?[0].0;
        let (missing, logins) = (not_passed(&mut daemon, 0)?, keystone.logins()?);
        let name = if own { "own" } else { "shared" };
        report.add_time(format!("{name}: from process start to all probed"), probed, "");
        report.add_time(format!("{name}: from the first login to the last"), granted.since(first), "");
        report.add(format!("{name}: logins that came to Keystone"), logins.came as f64, "", "one for each credential");
        report.add(format!("{name}: logins at once, most"), logins.at_once as f64, "", "at most 8");
        report.add(format!("{name}: results without a token in that time"), missing as f64, "", "");
        report.add(format!("{name}: targets that pass afterwards"), passed as f64, "", "1,000");
        daemon.stop()?;
    }
    report.add("resident memory, one credential", memory[0] as f64 / 1e6, "MB", "");
    report.add("resident memory, 1,000 credentials", memory[1] as f64 / 1e6, "MB", "");
    let each = memory[1].saturating_sub(memory[0]) as f64 / TARGETS as f64;
    report.add("resident memory for each credential", each, "bytes", "");
    report.note(process::load());
    Ok(report)
}

/// Waits until so many logins were granted: when the first was, and the last.
fn until_granted(keystone: &Keystone, wanted: usize, clock: &Clock) -> Outcome<(Mono, Mono)> {
    const LIMIT: Duration = Duration::from_secs(600);
    let (began, mut first) = (clock.now(), None);
    loop {
        let granted = keystone.logins()?.granted;
        if granted > 0 {
            first = first.or(Some(clock.now()));
        }
        if let Some(first) = first.filter(|_| granted >= wanted) {
            return Ok((first, clock.now()));
        }
        if clock.now().since(began) > LIMIT {
            return Err(format!("{granted} of {wanted} logins within {LIMIT:?}").into());
        }
        std::thread::sleep(Duration::from_millis(50));
    }
}
