//! From a rendered message to the bytes of a mail: headers and the two parts.

use std::time::{Duration, UNIX_EPOCH};

use lettre::Message as Mail;
use lettre::message::header::{ContentType, HeaderName, HeaderValue};
use lettre::message::{Mailbox, MultiPart, SinglePart};

use super::address::{is_host_name, mailbox};
use super::params::Account;
use super::render::Rendered;
use crate::model::message::{Message, MessageKind};
use crate::model::notifier::EventKind;
use crate::model::text::is_hidden;
use crate::model::time::UtcMs;

/// So many earlier messages are named in References: the first, which began the thread, and the last ones.
const MOST_REFERENCES: usize = 20;

/// The end of the year 9999: a date of a mail has four digits for the year.
const LAST_DATE: i64 = 253_402_300_799_000;

/// The sender: as written, else the user who logs in, else `skypunch@HOST`.
///
/// # Errors
/// When none of these is a mail address.
pub fn sender(account: &Account, user: Option<&str>, host: &str) -> Result<Mailbox, String> {
    if let Some(from) = &account.from {
        return Ok(from.clone());
    }
    if let Some(address) = user.filter(|u| u.contains('@')).and_then(|u| mailbox(u).ok()) {
        return Ok(Mailbox::new(Some("Skypunch".into()), address.email));
    }
    let host = if is_host_name(host) { host } else { "localhost" };
    let address = mailbox(&format!("skypunch@{host}"))
        .map_err(|_| "there is no sender: write from=a@example.com into params".to_owned())?;
    Ok(Mailbox::new(Some("Skypunch".into()), address.email))
}

/// The mail: ASCII only, ready to be sent.
///
/// # Errors
/// When it cannot be built.
pub fn compose(
    account: &Account,
    from: &Mailbox,
    message: &Message,
    rendered: &Rendered,
    now: UtcMs,
) -> Result<Vec<u8>, String> {
    let date = UNIX_EPOCH + Duration::from_millis(now.0.clamp(0, LAST_DATE).unsigned_abs());
    let mut mail = Mail::builder().date(date).from(from.clone()).subject(rendered.subject.as_str());
    for to in &account.to {
        mail = mail.to(to.clone());
    }
    if let Some(reply_to) = &account.reply_to {
        mail = mail.reply_to(reply_to.clone());
    }
    mail = mail.message_id(Some(bracketed(&message.message_id)));
    if let Some(last) = message.references.last() {
        let skipped = message.references.len().saturating_sub(MOST_REFERENCES);
        let kept = message.references.iter().enumerate().filter(|(i, _)| *i == 0 || *i > skipped);
        let all: Vec<String> = kept.map(|(_, id)| bracketed(id)).collect();
        mail = mail.in_reply_to(bracketed(last)).references(all.join(" "));
    }
    for (name, value) in headers(message) {
        let name = HeaderName::new_from_ascii(name.to_owned()).map_err(|e| e.to_string())?;
        mail = mail.raw_header(HeaderValue::new(name, value));
    }
    let text = SinglePart::builder().header(ContentType::TEXT_PLAIN).body(rendered.text.clone());
    let mail = match &rendered.html {
        None => mail.singlepart(text),
        Some(html) => {
            let html = SinglePart::builder().header(ContentType::TEXT_HTML).body(html.clone());
            mail.multipart(MultiPart::alternative().singlepart(text).singlepart(html))
        }
    };
    mail.map(|m| m.formatted()).map_err(|e| e.to_string())
}

/// What programs sort and filter by.
fn headers(message: &Message) -> Vec<(&'static str, String)> {
    let mut headers = vec![
        ("Auto-Submitted", "auto-generated".to_owned()),
        ("X-Auto-Response-Suppress", "All".to_owned()),
        ("X-Skypunch-Event", format!("{:?}", message.kind).to_lowercase()),
        ("X-Skypunch-Notifier", message.notifier.clone()),
    ];
    if let [item] = message.items.as_slice() {
        headers.push(("X-Skypunch-Target", item.target.name.clone()));
        headers.push(("X-Skypunch-Incident", item.incident_id.clone()));
    }
    let urgent = |event| matches!(event, EventKind::Fail | EventKind::Reminder);
    let fails = message.items.iter().any(|i| urgent(i.event) && !i.recovered_unseen);
    if message.kind != MessageKind::Test && fails {
        headers.push(("X-Priority", "1 (Highest)".to_owned()));
        headers.push(("Importance", "high".to_owned()));
    }
    headers.into_iter().map(|(name, value)| (name, value.chars().filter(|c| !is_hidden(*c)).collect())).collect()
}

fn bracketed(id: &str) -> String {
    let clean: String = id.chars().filter(|c| c.is_ascii_graphic() && !matches!(c, '<' | '>')).collect();
    format!("<{clean}>")
}
