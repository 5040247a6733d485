//! When the daemon is well: the rule behind `skypunchctl status`, its exit code, and the metric `skypunch_healthy`.
//!
//! It is about skypunch's own work alone: whether all that is due is probed, kept, and told. That a target fails, or a
//! credential is refused, is what skypunch is there to find; it does not make skypunch itself unwell.

use serde::{Deserialize, Serialize};

/// A p99 of lateness from which probes count as late, in microseconds.
pub const LATE_US: u64 = 1_000_000;
/// So many due times must have been missed lately to say anything: a single one is missed whenever a target is changed
/// while it is being probed.
pub const MISSED: u64 = 10;
/// One missed due time in so many is too much.
pub const MISSED_SHARE: u64 = 100;
/// A queue is nearly full from this share on, in hundredths.
pub const NEARLY_FULL: u64 = 80;

/// What the rule looks at.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Vitals {
    /// It probes: neither starting nor stopping.
    pub running: bool,
    /// What it does instead.
    pub state: String,
    /// 99 of 100 probes of the last minutes started no later than this after their due time, in microseconds.
    pub late_p99_us: u64,
    /// So many probes of each thread may be in their first moments.
    pub young_limit: u64,
    /// Probes started in the last minutes, and due times missed.
    pub lately: (u64, u64),
    /// Results in memory, and how many may be.
    pub queue: (u64, u64),
    /// Bytes of the spool, and how many may be.
    pub spool: (u64, u64),
    /// What the monitor itself suffers from, when its incident is open.
    pub trouble: Option<String>,
    /// Why the main database is away.
    pub database: Option<String>,
    /// Why the definitions cannot be read.
    pub definitions: Option<String>,
    /// Why state.db cannot be written.
    pub state_db: Option<String>,
    /// Open file descriptors, and the limit; `None` where the system does not say.
    pub descriptors: Option<(u64, u64)>,
    /// Notifiers whose last attempt failed and that have something to tell: name, messages on their way, why.
    pub notifiers: Vec<(String, u64, String)>,
}

/// Something that makes the daemon unwell.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Complaint {
    /// What it is about: the name of the object or field of `GET /v1/status` that shows it.
    pub about: String,
    /// What is wrong and what to do, for people.
    pub why: String,
}

impl Complaint {
    fn new(about: &str, why: String) -> Complaint {
        Complaint { about: about.to_owned(), why }
    }
}

/// Everything that makes the daemon unwell; empty: it is well.
#[must_use]
pub fn complaints(v: &Vitals) -> Vec<Complaint> {
    let mut found = Vec::new();
    if !v.running {
        found.push(Complaint::new("state", format!("it is {}: nothing is probed", v.state)));
    }
    if v.late_p99_us >= LATE_US {
        let ms = v.late_p99_us / 1000;
        let why = format!(
            "1 in 100 probes starts {ms} ms late or later: the machine is overloaded; watch fewer targets, or more rarely, \
             or give it more processors; at most {} probes of a thread begin at once (probe.young_limit)",
            v.young_limit
        );
        found.push(Complaint::new("probes.lateness_us", why));
    }
    let (started, missed) = v.lately;
    if missed >= MISSED && missed.saturating_mul(MISSED_SHARE) > started + missed {
        let why = format!(
            "{missed} of the last {} due times were missed: the machine was overloaded or asleep",
            started + missed
        );
        found.push(Complaint::new("probes.missed", why));
    }
    if let Some(why) = &v.trouble {
        found.push(Complaint::new("trouble", why.clone()));
    }
    if let Some(error) = &v.database {
        let why = format!("{error}; probing goes on, results are kept in state.db");
        found.push(Complaint::new("database", why));
    }
    if let Some(error) = v.definitions.as_ref().filter(|e| v.database.as_ref() != Some(*e)) {
        found.push(Complaint::new("definitions", format!("they cannot be read, the last known go on: {error}")));
    }
    if let Some(error) = &v.state_db {
        let why = format!("state.db cannot be written, so nobody is told of anything new: {error}");
        found.push(Complaint::new("state_db", why));
    }
    let nearly_full =
        |(used, bound): (u64, u64)| bound > 0 && used.saturating_mul(100) >= bound.saturating_mul(NEARLY_FULL);
    if nearly_full(v.queue) {
        let (used, bound) = v.queue;
        let why = format!(
            "{used} of {bound} results (persistence.queue_size) wait in memory: beyond, rows of passes are left out (they \
                 are counted)"
        );
        found.push(Complaint::new("persistence.queued", why));
    }
    if nearly_full(v.spool) {
        let (used, bound) = v.spool;
        let why = format!(
            "{used} of {bound} bytes (state.max_size) are taken: beyond, rows of passes are left out (they are counted); bring \
             the database back, or raise that"
        );
        found.push(Complaint::new("persistence.spooled_bytes", why));
    }
    if let Some((open, limit)) = v.descriptors.filter(|d| nearly_full(*d)) {
        let why = format!(
            "{open} of {limit} file descriptors are taken: probes become UNKNOWN (local_resources); raise the limit \
             (LimitNOFILE= of the unit, ulimit -n)"
        );
        found.push(Complaint::new("descriptors", why));
    }
    for (name, waiting, error) in &v.notifiers {
        let why = format!("{name} has {waiting} on the way, and the last try failed: {error}");
        found.push(Complaint::new("notifications", why));
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    fn well() -> Vitals {
        Vitals { running: true, state: "running".into(), queue: (799, 1000), spool: (0, 1000), ..Vitals::default() }
    }

    fn about(v: &Vitals) -> Vec<String> {
        complaints(v).into_iter().map(|c| c.about).collect()
    }

    #[test]
    fn what_is_well_has_no_complaint() {
        assert_eq!(about(&well()), [""; 0]);
        let busy = Vitals { lately: (1_000, 10), late_p99_us: LATE_US - 1, descriptors: Some((799, 1000)), ..well() };
        assert_eq!(about(&busy), [""; 0]);
        // A target that was changed in the middle of a probe.
        assert_eq!(about(&Vitals { lately: (3, 9), ..well() }), [""; 0]);
        assert_eq!(about(&Vitals { queue: (0, 0), ..well() }), [""; 0], "a bound of 0 is none");
    }

    #[test]
    fn each_trouble_is_told_by_itself_and_says_what_it_is_about() {
        let cases = [
            (Vitals { running: false, state: "starting".into(), ..well() }, "state", "it is starting"),
            (Vitals { late_p99_us: 1_500_000, ..well() }, "probes.lateness_us", "starts 1500 ms late"),
            (Vitals { lately: (980, 20), ..well() }, "probes.missed", "20 of the last 1000 due times"),
            (Vitals { trouble: Some("no network".into()), ..well() }, "trouble", "no network"),
            (Vitals { database: Some("refused".into()), ..well() }, "database", "refused; probing goes on"),
            (Vitals { definitions: Some("no table".into()), ..well() }, "definitions", "no table"),
            (Vitals { state_db: Some("disk full".into()), ..well() }, "state_db", "disk full"),
            (Vitals { queue: (800, 1000), ..well() }, "persistence.queued", "800 of 1000"),
            (Vitals { spool: (900, 1000), ..well() }, "persistence.spooled_bytes", "state.max_size"),
            (Vitals { descriptors: Some((60_000, 65_536)), ..well() }, "descriptors", "LimitNOFILE"),
            (Vitals { notifiers: vec![("ops".into(), 3, "no".into())], ..well() }, "notifications", "ops has 3"),
        ];
        for (vitals, subject, part) in cases {
            let found = complaints(&vitals);
            assert_eq!(found.len(), 1, "{found:?}");
            assert_eq!(found[0].about, subject);
            assert!(found[0].why.contains(part), "{found:?}");
        }
    }

    #[test]
    fn a_database_that_is_away_is_told_once() {
        let away = Some("refused".to_owned());
        let vitals = Vitals { database: away.clone(), definitions: away, ..well() };
        assert_eq!(about(&vitals), ["database"]);
        let other = Vitals { definitions: Some("no table".into()), ..vitals };
        assert_eq!(about(&other), ["database", "definitions"]);
    }
}
