//! Every provider: requests that tell of hostile targets, and what a hostile server answers.

use std::sync::LazyLock;
use std::time::Duration;

use super::input::Fields;
use super::judge;
use super::notifier::CATALOGUE;
use crate::model::message::Message;
use crate::model::time::UtcMs;
use crate::notify::SendResult;
use crate::notify::catalogue::{Input, Provider, Request, samples};

/// A value of an answer that is kept is an id: longer than this it is not kept.
const MOST_SAVED: usize = 4_096;

static SAMPLES: LazyLock<Vec<Message>> = LazyLock::new(samples::messages);

/// All providers, by name.
static PROVIDERS: LazyLock<Vec<&Provider>> =
    LazyLock::new(|| CATALOGUE.describe().iter().filter_map(|i| CATALOGUE.get(&i.name)).collect());

/// A message of the usual kind.
pub fn sample() -> &'static Message {
    &SAMPLES[0]
}

pub fn run(data: &[u8]) {
    let mut fields = Fields::of(data);
    let n = fields.number().unsigned_abs() as usize;
    let provider = PROVIDERS[n % PROVIDERS.len()];
    let (address, params, _, mut secrets) = provider.tried();
    // What is short or a usual word is no secret that can be told from other text.
    secrets.retain(|s| s.len() >= 12);
    let echoed = secrets.first().map_or("~", String::as_str);
    let (status, after, body) = (fields.number(), fields.number(), fields.text().replace('~', echoed));
    let message = super::mail::message(&mut fields, &SAMPLES, "");
    let mut saved = Vec::new();
    // The second time, if need be, with what the server's answer to the first left behind.
    for _ in 0..2 {
        let (address, params, now) = (&address, params.as_slice(), UtcMs(1_795_316_832_000));
        let input = Input { message: &message, address, params, saved: &saved, templates: &[], now };
        let requests = match provider.requests(&input) {
            Ok(requests) => requests,
            Err(why) if saved.is_empty() && why.is_of_row() => panic!("{}: {why}", provider.info().name),
            Err(why) => return judge::sentence(&why.to_string(), judge::MOST),
        };
        for request in &requests {
            one_request(request);
            let rest = u64::try_from(after).ok().map(Duration::from_secs);
            let result = request.judge(u16::try_from(status).unwrap_or(200), rest, body.as_bytes());
            answered(&result, &secrets);
            if let SendResult::Sent { saved: more, .. } = result {
                saved = more;
            }
        }
        if saved.is_empty() {
            return;
        }
    }
}

/// One line for people, whatever the server said; nothing of what was sent in confidence.
fn answered(result: &SendResult, secrets: &[String]) {
    let said = match result {
        SendResult::Sent { answer, saved } => {
            assert!(saved.iter().all(|(_, value)| value.len() <= MOST_SAVED), "{saved:?}");
            judge::line(answer);
            assert!(answer.chars().count() <= 300, "{answer}");
            answer
        }
        SendResult::Transient { why, after } => {
            assert!(after.is_none_or(|a| a <= Duration::from_secs(86_400)), "{after:?}");
            judge::sentence(why, 700);
            why
        }
        SendResult::Permanent { why, .. } => {
            judge::sentence(why, 700);
            why
        }
    };
    assert!(secrets.iter().all(|secret| !said.contains(secret)), "a secret is shown: {said}");
}

/// What is sent is one request to where it should go.
pub fn one_request(request: &Request) {
    judge::line(&request.shown());
    assert!(request.method.bytes().all(|b| b.is_ascii_uppercase()), "{}", request.method);
    assert!(url::Url::parse(request.url.expose()).is_ok_and(|u| u.has_host() && u.scheme().starts_with("http")));
    for (name, value) in &request.headers {
        assert!(!name.is_empty() && name.bytes().all(|b| b.is_ascii_graphic() && b != b':'), "{name:?}");
        assert!(!value.expose().bytes().any(|b| b < b' ' && b != b'\t' || b == 0x7f), "{name}: {:?}", value.expose());
    }
}
