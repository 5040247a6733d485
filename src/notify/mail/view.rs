//! What the templates of a mail see: a message with its sentences made.

use serde::Serialize;
use std::time::Duration;

use crate::model::message::{Difference, Item, Message, MessageKind};
use crate::model::notifier::EventKind;
use crate::model::subject::SubjectKind;
use crate::model::text::{escape_controls, utc_seconds};
use crate::model::time::UtcMs;

/// A message is called late from here on.
const LATE_MS: i64 = 60_000;

/// So many lines of a trace, and so many children, are shown.
const MOST_LINES: usize = 120;

/// So many items of a digest are told in full.
const MOST_TOLD: usize = 50;

/// The whole message.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// `fail`, `recovery`, …, `digest`, `test`.
    pub kind: String,
    /// `FAILURE` or `SUCCESS`.
    pub verdict: &'static str,
    /// The subject's sentence behind the marks.
    pub subject: String,
    /// A sample that somebody asked for.
    pub test: bool,
    /// What happened, in a sentence: the first thing that is read.
    pub first: String,
    /// How late it is; empty when it is not.
    pub late: String,
    /// The notifier's name.
    pub notifier: String,
    /// The machine that watches.
    pub host: String,
    /// When this was written.
    pub written_at: String,
    /// The message's id.
    pub message_id: String,
    /// What it is about, the worst first.
    pub items: Vec<ItemView>,
    /// How many more there are.
    pub more: usize,
    /// Names of those; not of all where there are very many.
    pub rest: Vec<String>,
    /// Items of a digest that the text tells in full; of the others one line.
    pub told: usize,
    /// What the HTML part has room for.
    pub html: Room,
    /// Colour: `bad`, `good` or `warn`.
    pub tone: &'static str,
}

/// How a digest is shared out in the HTML part: some items in full, of the others the names, as far as they fit.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Room {
    /// Items in full.
    pub items: usize,
    /// Names of the others.
    pub names: Vec<String>,
    /// How many are not named.
    pub unnamed: usize,
}

impl View {
    /// The HTML part with so many items in full, and of the others names of at most `bytes`.
    pub fn share(&mut self, items: usize, bytes: usize) {
        let items = items.min(self.items.len());
        let others = self.items[items..].iter().map(|i| &i.name).chain(&self.rest);
        let mut left = bytes;
        let fits = |name: &&String| {
            // A sign that HTML escapes takes up to six bytes; a comma and a blank stand between two.
            let long = name.bytes().map(|b| if b"<>&\"'/".contains(&b) { 6 } else { 1 }).sum::<usize>() + 2;
            let fits = long <= left;
            left = left.saturating_sub(long);
            fits
        };
        let names: Vec<String> = others.take_while(fits).cloned().collect();
        let unnamed = (self.items.len() + self.more).saturating_sub(items + names.len());
        self.html = Room { items, names, unnamed };
    }
}

/// One thing of it.
#[derive(Debug, Clone, Serialize)]
pub struct ItemView {
    /// `fail`, `recovery`, `both`, `reminder`, `flapping`, `settled`.
    pub event: &'static str,
    /// One word for it, in capitals.
    pub badge: &'static str,
    /// Colour: `bad`, `good` or `warn`.
    pub tone: &'static str,
    /// The target's name, with its tenant unless it is the default one.
    pub name: String,
    /// What happened, in a sentence.
    pub first: String,
    /// The sentence of the failure without its cause; empty when there is none.
    pub description: String,
    /// What that usually means; empty where `first` says it.
    pub cause: String,
    /// The target's URL.
    pub url: String,
    /// Where it stands.
    pub status: String,
    /// The reason's word; empty when there is none.
    pub reason: String,
    /// The incident's id.
    pub incident: String,
    /// Label and value: what skypunch 0.3.0 told.
    pub facts: Vec<(&'static str, String)>,
    /// Label and value.
    pub counters: Vec<(&'static str, String)>,
    /// The probe that failed first.
    pub trace: Vec<TraceLine>,
    /// The last one that had passed.
    pub last_good: Vec<TraceLine>,
    /// What differs between them.
    pub changed: Vec<Difference>,
    /// What the children are.
    pub children_title: &'static str,
    /// Targets that fail because of this one, or that need it.
    pub children: Vec<String>,
    /// Children beyond those.
    pub more_children: usize,
}

/// One step of a trace.
#[derive(Debug, Clone, Serialize)]
pub struct TraceLine {
    /// Its time; empty when the line has none.
    pub at: String,
    /// What happened.
    pub text: String,
    /// It failed.
    pub failed: bool,
}

/// What the templates see of `message`, as of `now`.
#[must_use]
pub fn view(message: &Message, now: UtcMs) -> View {
    let items: Vec<ItemView> = message.items.iter().map(|i| item_view(i, now)).collect();
    let tone = ["bad", "warn"].into_iter().find(|t| items.iter().any(|i| i.tone == *t)).unwrap_or("good");
    let failing = message.items.iter().any(is_failing);
    let (subject, first) = match (message.items.as_slice(), items.as_slice()) {
        ([item], [shown]) if message.more == 0 => (subject_of(item, now), shown.first.clone()),
        _ => digest(message, &items),
    };
    let test = message.kind == MessageKind::Test;
    let late = if message.late_ms < LATE_MS {
        String::new()
    } else {
        format!("This message is {} late: what it tells happened at {}.", lasted(message.late_ms), time(message.at))
    };
    let mut view = View {
        kind: format!("{:?}", message.kind).to_lowercase(),
        verdict: if failing { "FAILURE" } else { "SUCCESS" },
        subject,
        test,
        first,
        late,
        notifier: clean(&message.notifier),
        host: clean(&message.host),
        written_at: time(now),
        message_id: clean(&message.message_id),
        items,
        more: message.more,
        rest: message.rest.iter().map(|name| clean(name)).collect(),
        told: MOST_TOLD,
        html: Room::default(),
        tone,
    };
    view.share(MOST_TOLD, usize::MAX);
    view
}

fn is_failing(item: &Item) -> bool {
    match item.event {
        EventKind::Fail => !item.recovered_unseen,
        EventKind::Reminder | EventKind::Flapping => true,
        EventKind::Recovery => false,
        EventKind::Settled => item.status != "PASS",
    }
}

/// What stands behind `detected for` in the subject.
fn subject_of(item: &Item, now: UtcMs) -> String {
    let name = clean(&item.target.called());
    let since = |end: Option<UtcMs>| lasted(end.unwrap_or(now).0.saturating_sub(item.started_at.0));
    let reason = clean(&item.reason);
    match item.event {
        _ if item.recovered_unseen => format!("{name}: it failed for {} ({reason})", since(item.ended_at)),
        EventKind::Fail => format!("{name}: {reason}"),
        EventKind::Recovery => format!("{name}: works again after {}", since(item.ended_at)),
        EventKind::Reminder => format!("{name}: still {reason} after {}", since(None)),
        EventKind::Flapping => format!("{name}: changes too often, {} times", item.changes),
        EventKind::Settled => format!("{name}: settled, {}", clean(&item.status)),
    }
}

fn first_of(item: &Item, now: UtcMs) -> String {
    let name = clean(&item.target.called());
    let (began, ended) = (time(item.started_at), time(item.ended_at.unwrap_or(now)));
    let length = |end: Option<UtcMs>| lasted(end.unwrap_or(now).0.saturating_sub(item.started_at.0));
    let reason = clean(&item.reason);
    let cause = sentence(&clean(&item.cause)).map_or(String::new(), |c| format!(" Likely cause: {c}"));
    match item.event {
        _ if item.recovered_unseen => format!(
            "{name} failed at {began} ({reason}) and works again since {ended}: it lasted {}.{cause}",
            length(item.ended_at)
        ),
        EventKind::Fail => format!("{name} fails since {began}: {reason}.{cause}"),
        EventKind::Recovery => {
            format!("{name} works again since {ended}. It had failed for {} ({reason}).", length(item.ended_at))
        }
        EventKind::Reminder => format!("{name} still fails, for {} since {began}: {reason}.{cause}", length(None)),
        EventKind::Flapping => format!(
            "{name} changes too often: {} times of late. The next message comes when it has settled.",
            item.changes
        ),
        EventKind::Settled => format!("{name} has settled: it is {}.", clean(&item.status)),
    }
}

/// Subject and first sentence of a digest.
fn digest(message: &Message, items: &[ItemView]) -> (String, String) {
    let total = items.len() + message.more;
    let count = |f: &dyn Fn(&ItemView) -> bool| items.iter().filter(|i| f(i)).count();
    let counts: Vec<String> = [
        (count(&|i| matches!(i.event, "fail" | "reminder")), "failing"),
        (count(&|i| i.event == "flapping"), "flapping"),
        (count(&|i| i.event == "recovery"), "working again"),
        (count(&|i| i.event == "both"), "failed and working again"),
        (count(&|i| i.event == "settled"), "settled"),
        (message.more, "more"),
    ]
    .into_iter()
    .filter(|(n, _)| *n > 0)
    .map(|(n, word)| format!("{n} {word}"))
    .collect();
    let counts = counts.join(", ");
    let names: Vec<&str> = items.iter().take(3).map(|i| i.name.as_str()).collect();
    let dots = if total > names.len() { ", …" } else { "" };
    let subject = format!("{total} targets: {counts} ({}{dots})", names.join(", "));
    let worst = items.first().map_or(String::new(), |i| format!(" The worst: {}", i.first));
    (subject, format!("{counts}.{worst}"))
}

fn item_view(item: &Item, now: UtcMs) -> ItemView {
    let (event, badge, tone) = match item.event {
        _ if item.recovered_unseen => ("both", "FAILED, WORKS AGAIN", "good"),
        EventKind::Fail => ("fail", "FAILS", "bad"),
        EventKind::Recovery => ("recovery", "WORKS AGAIN", "good"),
        EventKind::Reminder => ("reminder", "STILL FAILS", "bad"),
        EventKind::Flapping => ("flapping", "FLAPPING", "warn"),
        EventKind::Settled if item.status == "PASS" => ("settled", "SETTLED", "good"),
        EventKind::Settled => ("settled", "SETTLED", "bad"),
    };
    // The sentence of a failure ends with what it usually means: said once, by the first sentence where that has it.
    let cause = clean(&item.cause);
    let description = clean(&item.description);
    let bare = description.trim_end_matches('.').strip_suffix(cause.trim_end_matches('.'));
    let bare = bare.map(|d| d.trim_end().trim_end_matches("usually").trim_end_matches([' ', ';']));
    let description = match bare {
        Some(bare) if !cause.is_empty() => bare.to_owned(),
        _ => description,
    };
    let first = first_of(item, now);
    let t = &item.target;
    let ms = |ms: i64| humantime::format_duration(Duration::from_millis(ms.max(0).unsigned_abs())).to_string();
    let of_target = t.kind() == SubjectKind::Target;
    let state = if t.enabled { "enabled" } else { "disabled" };
    let mut facts = vec![
        ("Name", clean(&t.name)),
        ("Target ID", if of_target { format!("{} ({state})", t.id) } else { String::new() }),
        ("Status", clean(&item.status)),
        ("Reason", clean(&item.reason)),
        ("Last Updated", t.last_updated.map_or_else(|| "never".into(), time)),
        ("URL", clean(&t.url)),
        ("Method", clean(&t.method)),
        ("Authentication", clean(&t.authentication)),
        ("Frequency", if of_target { ms(t.frequency_ms) } else { String::new() }),
        ("Timeout", if of_target { ms(t.timeout_ms) } else { String::new() }),
        ("Required Result", clean(&t.expected)),
        ("Began", time(item.started_at)),
    ];
    if let Some(ended) = item.ended_at {
        facts.push(("Ended", time(ended)));
        facts.push(("Lasted", lasted(ended.0.saturating_sub(item.started_at.0))));
    }
    if item.event == EventKind::Reminder {
        facts.push(("Reminder", item.number.to_string()));
    }
    if !t.tenant.is_empty() && t.tenant != "0" {
        facts.push(("Tenant", clean(&t.tenant)));
    }
    if !t.tags.is_empty() {
        facts.push(("Tags", clean(&t.tags.join(", "))));
    }
    let c = &t.counters;
    let counters = [
        ("Success", c.pass_count),
        ("Fail", c.fail_count),
        ("2XX", c.count200),
        ("3XX", c.count300),
        ("4XX", c.count400),
        ("5XX", c.count500),
        ("Repeated Fails", i64::from(t.repeated_fails)),
        ("Network Fails", c.network_fails),
        ("Unknown", c.unknown_count),
        ("Missed", c.missed_count),
    ];
    let changed = item.changed.iter();
    ItemView {
        event,
        badge,
        tone,
        name: clean(&t.called()),
        cause: if first.contains(cause.trim_end_matches('.')) { String::new() } else { cause },
        first,
        description,
        url: clean(&t.url),
        status: clean(&item.status),
        reason: clean(&item.reason),
        incident: clean(&item.incident_id),
        facts: facts.into_iter().filter(|(_, value)| !value.is_empty()).collect(),
        counters: counters.map(|(label, n)| (label, n.to_string())).to_vec(),
        trace: trace(&item.trace),
        last_good: trace(&item.last_good_trace),
        changed: changed
            .map(|d| Difference { what: clean(&d.what), before: clean(&d.before), after: clean(&d.after) })
            .collect(),
        children_title: if of_target { "Fails because of it" } else { "Cannot be judged without it" },
        children: item.children.iter().take(MOST_LINES).map(|c| clean(c)).collect(),
        more_children: item.children.len().saturating_sub(MOST_LINES),
    }
}

fn trace(lines: &[String]) -> Vec<TraceLine> {
    let shown = lines.iter().take(MOST_LINES).map(|line| {
        let (at, text) = match line.split_once(" ms  ") {
            Some((at, text)) if at.trim().parse::<f64>().is_ok() => (format!("{} ms", at.trim()), text),
            _ => (String::new(), line.trim()),
        };
        TraceLine { at: clean(&at), text: clean(text), failed: text.contains("[FAIL]") }
    });
    let mut shown: Vec<TraceLine> = shown.collect();
    if lines.len() > MOST_LINES {
        let text = format!("… and {} more lines", lines.len() - MOST_LINES);
        shown.push(TraceLine { at: String::new(), text, failed: false });
    }
    shown
}

/// Text from outside, on one line.
fn clean(text: &str) -> String {
    escape_controls(text).into_owned()
}

/// With its full stop.
fn sentence(text: &str) -> Option<String> {
    let text = text.trim().trim_end_matches('.');
    (!text.is_empty()).then(|| format!("{text}."))
}

fn time(at: UtcMs) -> String {
    format!("{} UTC", utc_seconds(at.0))
}

/// `45 s`, `14 min 3 s`, `2 h 3 min`, `3 d 4 h`: the two largest units.
#[must_use]
pub fn lasted(ms: i64) -> String {
    let s = ms.max(0) / 1000;
    let units = [(s / 86_400, "d"), (s / 3600 % 24, "h"), (s / 60 % 60, "min"), (s % 60, "s")];
    let begin = units.iter().position(|(n, _)| *n > 0);
    match begin {
        None => "less than a second".into(),
        Some(begin) => {
            let shown = units[begin..].iter().take(2).filter(|(n, _)| *n > 0);
            shown.map(|(n, unit)| format!("{n} {unit}")).collect::<Vec<_>>().join(" ")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths_of_time_have_at_most_two_units() {
        for (ms, words) in [
            (-5, "less than a second"),
            (45_900, "45 s"),
            (843_000, "14 min 3 s"),
            (3_600_000, "1 h"),
            (7_380_000, "2 h 3 min"),
            (273_600_000, "3 d 4 h"),
        ] {
            assert_eq!(lasted(ms), words);
        }
    }
}
