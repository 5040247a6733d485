//! `kill -9` at random moments while targets fail and recover: whatever was owed arrives, and nothing else.
//!
//! ```text
//!  rounds: start --> targets change, mails go out --> kill -9 at a random moment
//!  end:    all recover, everything settles --> incidents x notifiers  ==  what the mail server has
//! ```
//!
//! `SKYPUNCH_TEST_SEED=N` repeats the dice of a run that failed; the moments of the machine do not repeat.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use serde_json::json;
use skypunch::clock::Clock;
use skypunch::model::ids::splitmix64;

use super::harness::{Place, wait_until};
use super::origin::{Answer, Origin};
use super::smtp::{Fate, Mail, MailServer};
use super::telling::in_force;

on_both!(everything_owed_arrives_over_kills_at_random_moments);

/// On each database.
const KILLS: u64 = 50;
const TARGETS: usize = 6;
/// The second one waits for company, so it gets digests.
const NOTIFIERS: [(&str, u32); 2] = [("hasty", 0), ("gathers", 120)];
/// All of this must be over by then.
const LIMIT: Duration = Duration::from_secs(150);

/// Numbers that look like chance and can be repeated.
#[derive(Clone, Copy)]
pub(super) struct Dice(pub u64);

impl Dice {
    pub fn seeded() -> Dice {
        let given = std::env::var("SKYPUNCH_TEST_SEED").ok().and_then(|s| s.parse().ok());
        let seed = given.unwrap_or_else(|| {
            splitmix64(u64::from(std::process::id()) ^ (Clock::system().utc_now().0.unsigned_abs() << 20))
        });
        println!("SKYPUNCH_TEST_SEED={seed}");
        Dice(seed)
    }

    pub fn below(&mut self, n: u64) -> u64 {
        self.0 = self.0.wrapping_add(1);
        splitmix64(self.0) % n
    }

    pub fn ms_below(&mut self, n: u64) -> Duration {
        Duration::from_millis(self.below(n))
    }
}

fn path(i: usize) -> String {
    format!("/{i}")
}

/// Half of the targets are answered anew, as before or not.
fn change(origin: &Origin, dice: &mut Dice) {
    for i in 0..TARGETS {
        if dice.below(2) == 0 {
            origin.answer(&path(i), Answer::Status(if dice.below(2) == 0 { 200 } else { 500 }));
        }
    }
}

fn prepare(place: &Place, origin: &Origin, server: &MailServer) {
    let daemon = place.start();
    for (name, wait) in NOTIFIERS {
        // The text lists what the mail says, one word an item: `INCIDENT:EVENT`.
        let words = "text = \"{% for i in items %}{{ i.incident }}:{{ i.event }} {% endfor %}\"";
        place.db.sql(&format!(
            "INSERT INTO notifiers (name, type, address, params, group_wait_ms, group_window_ms, rate_per_minute, templates) \
             VALUES ('{name}', 'SMTP', '{name}@example.com', '{}', {wait}, 0, 1000, '{words}')",
            server.params()
        ));
    }
    for i in 0..TARGETS {
        place.db.add(&format!("t{i}"), &origin.url(&path(i)), 100);
    }
    in_force(&daemon, NOTIFIERS.len());
    for i in 0..TARGETS {
        daemon.wait_target(format!("t{i}"), "status", &json!("PASS"));
    }
}

fn everything_owed_arrives_over_kills_at_random_moments(place: &Place) {
    let mut dice = Dice::seeded();
    let (server, origin) = (MailServer::start(), Origin::start());
    prepare(place, &origin, &server);
    let mut fates = Dice(!dice.0);
    // Some answers come late, so that a kill meets mails that are accepted and not recorded; a few mails are put off.
    server.fate(move || match fates.below(20) {
        0 => Fate::Later,
        1..=10 => Fate::Accept(fates.ms_below(40)),
        _ => Fate::Accept(Duration::ZERO),
    });
    let setup = place.setup().extra("[notify]\nflap_changes = 0\n");
    for _ in 0..KILLS {
        let mut daemon = setup.launch();
        // One in five dies while it is starting.
        if dice.below(5) > 0 {
            daemon.wait_running();
        }
        for _ in 0..3 {
            change(&origin, &mut dice);
            // Chance is what is tested here: there is no condition to wait for.
            std::thread::sleep(dice.ms_below(100));
        }
        daemon.kill();
    }
    (0..TARGETS).for_each(|i| origin.answer(&path(i), Answer::Status(200)));
    server.fate(|| Fate::Accept(Duration::ZERO));
    let mut daemon = setup.start();
    for i in 0..TARGETS {
        daemon.wait_target(format!("t{i}"), "status", &json!("PASS"));
    }
    let (clock, begun) = (Clock::system(), Clock::system().now());
    // What is missing is told below.
    wait_until("an end", LIMIT * 2, || {
        Books::read(place, &server).missing().is_empty() || clock.now().since(begun) > LIMIT
    });
    daemon.terminate();
    let books = Books::read(place, &server);
    assert_eq!(books.missing(), [""; 0], "of what is owed");
    assert_eq!(books.wrong(), [""; 0]);
    books.count(&server);
}

/// What the database says was owed and told, and what the mail server has.
struct Books {
    /// All that there were; whether it has ended.
    incidents: BTreeMap<String, bool>,
    /// By incident and notifier: event, state, Message-ID.
    written: BTreeMap<(String, String), Vec<[String; 3]>>,
    /// By incident and notifier, in the order of arrival.
    arrived: BTreeMap<(String, String), Vec<Arrived>>,
    mails: Vec<Mail>,
}

struct Arrived {
    place: usize,
    event: String,
    message_id: String,
}

impl Books {
    fn read(place: &Place, server: &MailServer) -> Books {
        let mails = server.mails();
        let incidents = place.db.sql("SELECT id, ended_by = 'recovered' FROM incidents");
        let rows =
            place.db.sql("SELECT incident_id, notifier_name, event, state, message_id FROM notifications ORDER BY id");
        let mut books = Books {
            incidents: incidents.into_iter().map(|r| (r[0].clone(), r[1] == "1")).collect(),
            written: BTreeMap::new(),
            arrived: BTreeMap::new(),
            mails,
        };
        for row in rows {
            let [incident, notifier, rest @ ..] = <[String; 5]>::try_from(row).unwrap();
            books.written.entry((incident, notifier)).or_default().push(rest);
        }
        for (place, mail) in books.mails.iter().enumerate() {
            let notifier = mail.to.split('@').next().unwrap();
            for said in mail.text.split_whitespace() {
                let (incident, event) = said.split_once(':').unwrap();
                let (event, message_id) = (event.to_owned(), mail.message_id.clone());
                let all = books.arrived.entry((incident.to_owned(), notifier.to_owned())).or_default();
                all.push(Arrived { place, event, message_id });
            }
        }
        books
    }

    fn events(&self, key: &(String, String)) -> BTreeSet<&str> {
        self.arrived.get(key).into_iter().flatten().map(|a| a.event.as_str()).collect()
    }

    /// What time may still bring.
    fn missing(&self) -> Vec<String> {
        let mut missing = Vec::new();
        for (incident, ended) in &self.incidents {
            if !ended {
                missing.push(format!("the end of incident {incident}"));
            }
            for (notifier, _) in NOTIFIERS {
                let key = (incident.clone(), notifier.to_owned());
                let events = self.events(&key);
                if !events.contains("both") && !events.is_superset(&BTreeSet::from(["fail", "recovery"])) {
                    missing.push(format!(
                        "{incident} to {notifier}: arrived is {events:?}, written is {:?}",
                        self.written.get(&key)
                    ));
                }
                // What was told is written as sent, under the same Message-ID.
                for told in self.arrived.get(&key).into_iter().flatten() {
                    let event = if told.event == "both" { "fail" } else { &told.event };
                    let row = [event, "sent", &told.message_id];
                    if self.written.get(&key).is_none_or(|rows| rows.iter().all(|r| *r != row)) {
                        missing.push(format!("{incident} to {notifier}: no row says {row:?}"));
                    }
                }
            }
        }
        for ((incident, notifier), rows) in &self.written {
            let open = rows.iter().filter(|r| ["held", "owed", "sending"].contains(&r[1].as_str()));
            missing.extend(open.map(|r| format!("{incident} to {notifier}: still open: {r:?}")));
        }
        missing
    }

    /// What no time can mend.
    fn wrong(&self) -> Vec<String> {
        let mut wrong = Vec::new();
        for (key, told) in &self.arrived {
            let what = format!("{} to {}", key.0, key.1);
            if !self.incidents.contains_key(&key.0) {
                wrong.push(format!("{what}: told of an incident that there is not"));
            }
            let events = self.events(key);
            if events != BTreeSet::from(["fail", "recovery"]) && events != BTreeSet::from(["both"]) {
                wrong.push(format!("{what}: told as {events:?}"));
            }
            for event in &events {
                let ids: BTreeSet<_> = told.iter().filter(|a| a.event == *event).map(|a| &a.message_id).collect();
                if ids.len() > 1 {
                    wrong.push(format!("{what}: {event} under several ids: {ids:?}"));
                }
            }
            let last_fail = told.iter().filter(|a| a.event == "fail").map(|a| a.place).max();
            let first_recovery = told.iter().find(|a| a.event == "recovery").map(|a| a.place);
            if first_recovery.is_some_and(|r| last_fail.is_none_or(|f| f > r)) {
                wrong.push(format!("{what}: a recovery came before its failure"));
            }
        }
        for (key, rows) in &self.written {
            let said: BTreeSet<_> = rows.iter().map(|r| (r[0].as_str(), r[1].as_str())).collect();
            let fine = [
                &[("fail", "sent"), ("recovery", "sent")][..],
                &[("fail", "sent"), ("recovery", "merged")],
                &[("fail", "sent")],
            ];
            if rows.len() != said.len() || !fine.iter().any(|f| said.iter().eq(f.iter())) {
                wrong.push(format!("{key:?}: written as {rows:?}"));
            }
            for row in rows.iter().filter(|r| r[1] == "sent") {
                if self.arrived.get(key).is_none_or(|told| told.iter().all(|a| a.message_id != row[2])) {
                    wrong.push(format!("{key:?}: {row:?} did not arrive"));
                }
            }
        }
        for (i, mail) in self.mails.iter().enumerate() {
            let first = self.mails.iter().find(|m| m.message_id == mail.message_id).unwrap();
            if (&first.text, &first.to, &first.references) != (&mail.text, &mail.to, &mail.references) {
                wrong.push(format!("mail {i} is another one than the first under {}", mail.message_id));
            }
            if let Some(incident) = &mail.incident
                && mail.text.trim() != format!("{incident}:{}", mail.event)
            {
                wrong.push(format!("mail {i}: its headers say {incident}:{}, its text {}", mail.event, mail.text));
            }
        }
        wrong
    }

    /// It was a test of something, and copies are no more than there were moments for them.
    fn count(&self, server: &MailServer) {
        let ids: BTreeSet<_> = self.mails.iter().map(|m| &m.message_id).collect();
        let copies = self.mails.len() - ids.len();
        println!(
            "{} incidents, {} messages, {copies} copies, {} put off",
            self.incidents.len(),
            ids.len(),
            server.put_off()
        );
        assert!(self.incidents.len() >= TARGETS && ids.len() >= 2 * TARGETS, "{} incidents", self.incidents.len());
        assert!(copies as u64 <= KILLS * NOTIFIERS.len() as u64, "{copies} copies");
    }
}
