//! Messages about targets whose servers say whatever they like: the subject, both parts and the mail itself.

use std::sync::LazyLock;

use super::input::Fields;
use super::judge;
use crate::model::message::{Difference, Item, Message};
use crate::model::text::is_hidden;
use crate::model::time::UtcMs;
use crate::notify::mail::{composed, render, samples};

static SAMPLES: LazyLock<Vec<Message>> = LazyLock::new(samples::all);

/// A message that says what `fields` say.
pub fn message(fields: &mut Fields<'_>, samples: &[Message], mark: &str) -> Message {
    let n = fields.number().unsigned_abs() as usize;
    let mut message = samples[n % samples.len()].clone();
    let mut text = || fields.text() + mark;
    message.notifier = text();
    message.host = text();
    for item in message.items.iter_mut().take(2) {
        hostile(item, &mut text);
    }
    message.rest = vec![text(), text()];
    message.more = message.more.max(2);
    message
}

fn hostile(item: &mut Item, text: &mut impl FnMut() -> String) {
    item.description = text();
    item.cause = text();
    item.reason = text();
    item.target.name = text();
    item.target.tenant = text();
    item.target.url = text();
    item.target.tags = vec![text(), text()];
    item.trace = vec![text(), text()];
    item.last_good_trace = vec![text()];
    item.changed = vec![Difference { what: text(), before: text(), after: text() }];
    item.children = vec![text()];
    item.target.parent = Some(text());
}

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let now = UtcMs(fields.number());
    // No part of a mark can come through where markup is escaped.
    let message = message(&mut fields, &SAMPLES, "<q>");
    let own: Vec<(String, String)> = fields.option().map(|t| ("text".to_owned(), t)).into_iter().collect();
    let rendered = render(&message, &own, now);
    judge::line(&rendered.subject);
    assert!(rendered.subject.chars().count() <= 180, "{}", rendered.subject);
    for part in [Some(&rendered.text), rendered.html.as_ref()].into_iter().flatten() {
        // What an operator's own template says, in escapes perhaps, is said as it stands.
        let in_template = |c: char| own.iter().any(|(_, template)| template.contains([c, '\\']));
        let bad = part.chars().find(|c| is_hidden(*c) && !matches!(c, '\n' | '\t') && !in_template(*c));
        assert!(bad.is_none(), "{bad:?} in {part:?}");
    }
    if let Some(html) = &rendered.html {
        assert!(!html.contains("<q"), "{html}");
    }
    if let Some(problem) = &rendered.problem {
        judge::sentence(problem, judge::MOST);
    }
    match composed(&message, &rendered, now) {
        Ok(bytes) => one_mail(&bytes),
        Err(why) => panic!("no mail: {why}"),
    }
}

/// Headers that a mail of ours may have.
const HEADERS: [&str; 17] = [
    "date",
    "from",
    "to",
    "subject",
    "message-id",
    "in-reply-to",
    "references",
    "mime-version",
    "content-type",
    "content-transfer-encoding",
    "auto-submitted",
    "x-auto-response-suppress",
    "x-skypunch-event",
    "x-skypunch-notifier",
    "x-skypunch-target",
    "x-skypunch-incident",
    "x-priority",
];

/// ASCII lines that any server takes, and no header but ours.
fn one_mail(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { panic!("a mail that is no ASCII") };
    assert!(text.is_ascii());
    let mut in_head = true;
    for line in text.split("\r\n") {
        assert!(line.len() <= 998, "a line of {} bytes", line.len());
        assert!(line.bytes().all(|b| (b' '..=b'~').contains(&b) || b == b'\t'), "{line:?}");
        if line.is_empty() {
            in_head = false;
        }
        if in_head && !line.starts_with([' ', '\t']) {
            let name = line.split_once(':').map_or(line, |(name, _)| name).to_ascii_lowercase();
            assert!(HEADERS.contains(&name.as_str()) || name == "importance", "header {line:?}");
        }
    }
}
