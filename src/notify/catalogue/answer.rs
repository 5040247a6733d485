//! What a server's answer means: sent, try again, or never.
//!
//! The general rule: 2xx is success; 408, 425, 429 and 5xx pass; any other 4xx and every redirect does not; of these 400,
//! 413 and 422 are about what the message holds, so that less of it may be taken. A provider's
//! file may say otherwise (`[answer]`), look into the body, and keep values of it for the recovery message.

use std::time::Duration;

use serde::Deserialize;
use serde_json::Value;

use super::hide::Hide;
use crate::notify::SendResult;

/// At most so much of an answer is kept.
const SHOWN: usize = 300;
/// No server may ask for a longer rest; the outbox has its own patience.
const LONGEST_REST: Duration = Duration::from_secs(3600);

/// `[answer]` of a file.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(super) struct Rules {
    /// Statuses that are success instead of all of 200-299, as `202` or `200-299`.
    pub(super) success: Vec<String>,
    /// Statuses that pass.
    pub(super) transient: Vec<String>,
    /// Statuses that do not pass.
    pub(super) permanent: Vec<String>,
    /// What the body of a success must hold.
    pub(super) ok: Option<Expected>,
    /// Where the body says why not.
    pub(super) why: Option<String>,
    /// Values of `why` that pass.
    pub(super) transient_when: Vec<String>,
    /// Where the body says how many seconds to wait.
    pub(super) retry_after: Option<String>,
    /// Name of a saved value to where it stands in the body.
    pub(super) save: std::collections::BTreeMap<String, String>,
}

/// A value in the body.
#[derive(Debug, Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Expected {
    /// A JSON pointer (RFC 6901); empty for the whole body.
    pub(super) pointer: String,
    /// What stands there.
    pub(super) is: Value,
}

enum Class {
    Success,
    Transient,
    Permanent,
}

impl Rules {
    /// Statuses and pointers that cannot be right, as (field, message).
    pub(super) fn problems(&self) -> Vec<(String, String)> {
        let mut problems = Vec::new();
        for (field, list) in
            [("success", &self.success), ("transient", &self.transient), ("permanent", &self.permanent)]
        {
            for (i, text) in list.iter().enumerate().filter(|(_, text)| range(text).is_none()) {
                let message = format!("`{text}` is no status: write \"200\" or \"200-299\"");
                problems.push((format!("answer.{field}[{i}]"), message));
            }
        }
        let ok = self.ok.as_ref().map(|ok| ("ok.pointer".to_owned(), ok.pointer.as_str()));
        let why = self.why.as_deref().map(|p| ("why".to_owned(), p));
        let rest = self.retry_after.as_deref().map(|p| ("retry_after".to_owned(), p));
        let save = self.save.iter().map(|(name, p)| (format!("save.{name}"), p.as_str()));
        for (field, pointer) in ok.into_iter().chain(why).chain(rest).chain(save) {
            if !pointer.is_empty() && !pointer.starts_with('/') {
                problems.push((format!("answer.{field}"), format!("`{pointer}` is no JSON pointer: write \"/name\"")));
            }
        }
        problems
    }

    fn class(&self, status: u16) -> Class {
        let among = |list: &[String]| list.iter().filter_map(|t| range(t)).any(|(a, b)| (a..=b).contains(&status));
        match status {
            _ if among(&self.permanent) => Class::Permanent,
            _ if among(&self.transient) => Class::Transient,
            _ if among(&self.success) => Class::Success,
            200..=299 if self.success.is_empty() => Class::Success,
            // A login that was changed or has expired is mended by a person, and nothing owed is lost until then.
            401 | 403 | 407 => Class::Transient,
            408 | 425 | 429 | 500..=599 => Class::Transient,
            _ => Class::Permanent,
        }
    }

    pub(super) fn judge(&self, status: u16, retry_after: Option<Duration>, body: &[u8], hide: &Hide) -> SendResult {
        let text = String::from_utf8_lossy(body);
        let json: Option<Value> = serde_json::from_str(text.trim()).ok();
        let at = |pointer: &str| json.as_ref().and_then(|v| v.pointer(pointer)).and_then(words_of);
        let why = self.why.as_deref().and_then(&at);
        let said =
            why.clone().unwrap_or_else(|| if text.trim_start().starts_with('<') { "".into() } else { text.into() });
        let answer = if said.trim().is_empty() { format!("HTTP {status}") } else { format!("HTTP {status}: {said}") };
        let answer = hide.clean(&answer, SHOWN);
        let passes = why.is_some_and(|w| self.transient_when.contains(&w));
        let rest = || {
            let of_body = self.retry_after.as_deref().and_then(&at).and_then(|s| s.parse::<f64>().ok());
            let of_body = of_body.filter(|s| *s > 0.0).map(|s| Duration::try_from_secs_f64(s).unwrap_or(LONGEST_REST));
            retry_after.max(of_body).map(|d| d.min(LONGEST_REST))
        };
        let not = |hint: &str| format!("the server did not take it, {answer}{hint}");
        match self.class(status) {
            Class::Success if !self.body_is_ok(json.as_ref(), body) => {
                if passes {
                    SendResult::Transient { why: not(""), after: rest() }
                } else {
                    SendResult::permanent(not(""))
                }
            }
            Class::Success => {
                let saved = self.save.iter().filter_map(|(name, p)| Some((name.clone(), at(p)?))).collect();
                SendResult::Sent { answer, saved }
            }
            Class::Transient => SendResult::Transient { why: not(hint(status)), after: rest() },
            Class::Permanent if passes => SendResult::Transient { why: not(""), after: rest() },
            Class::Permanent => {
                SendResult::Permanent { why: not(hint(status)), content: matches!(status, 400 | 413 | 422) }
            }
        }
    }

    fn body_is_ok(&self, json: Option<&Value>, body: &[u8]) -> bool {
        let Some(ok) = &self.ok else { return true };
        let found = json.and_then(|v| v.pointer(&ok.pointer));
        // A body that is no JSON is compared as text.
        let is_text = ok.pointer.is_empty()
            && ok.is.as_str().is_some_and(|wanted| String::from_utf8_lossy(body).trim() == wanted);
        found == Some(&ok.is) || is_text
    }
}

fn hint(status: u16) -> &'static str {
    match status {
        300..=399 => " (a redirect is not followed: write the address that it leads to)",
        401 | 403 => " (is the token or password right, and may it do this?)",
        404 | 410 => " (is the address right?)",
        413 => " (the message is too large for it)",
        _ => "",
    }
}

fn words_of(value: &Value) -> Option<String> {
    match value {
        Value::Null => None,
        Value::String(s) => Some(s.clone()),
        other => Some(other.to_string()),
    }
}

fn range(text: &str) -> Option<(u16, u16)> {
    let (from, to) = text.split_once('-').unwrap_or((text, text));
    let (from, to) = (from.trim().parse().ok()?, to.trim().parse().ok()?);
    (100 <= from && from <= to && to <= 599).then_some((from, to))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(rules: &Rules, status: u16, body: &str) -> SendResult {
        rules.judge(status, None, body.as_bytes(), &Hide::new(["t0ken-0123".to_owned()]))
    }

    fn class(result: &SendResult) -> &'static str {
        match result {
            SendResult::Sent { .. } => "sent",
            SendResult::Transient { .. } => "transient",
            SendResult::Permanent { .. } => "permanent",
        }
    }

    #[test]
    fn the_general_rule() {
        let rules = Rules::default();
        for (status, expected) in [
            (200, "sent"),
            (204, "sent"),
            (301, "permanent"),
            (400, "permanent"),
            (401, "transient"),
            (403, "transient"),
            (404, "permanent"),
            (408, "transient"),
            (425, "transient"),
            (429, "transient"),
            (500, "transient"),
            (503, "transient"),
            (100, "permanent"),
        ] {
            assert_eq!(class(&judge(&rules, status, "")), expected, "{status}");
        }
        let SendResult::Permanent { why, .. } = judge(&rules, 302, "") else { panic!() };
        assert!(why.contains("redirect is not followed"), "{why}");
        for (status, of_content) in [(400, true), (413, true), (422, true), (404, false), (410, false)] {
            let SendResult::Permanent { content, .. } = judge(&rules, status, "") else { panic!() };
            assert_eq!(content, of_content, "{status}");
        }
    }

    #[test]
    fn a_file_may_say_otherwise() {
        let rules: Rules = toml::from_str("success = ['202']\ntransient = ['400-403']\npermanent = ['500']").unwrap();
        for (status, expected) in [
            (202, "sent"),
            (200, "permanent"),
            (401, "transient"),
            (404, "permanent"),
            (500, "permanent"),
            (502, "transient"),
        ] {
            assert_eq!(class(&judge(&rules, status, "")), expected, "{status}");
        }
    }

    #[test]
    fn a_body_may_say_otherwise() {
        let rules: Rules = toml::from_str(
            "ok = { pointer = '/ok', is = true }\nwhy = '/error'\ntransient_when = ['ratelimited']\nsave = { ts = '/ts' }",
        )
        .unwrap();
        assert_eq!(
            judge(&rules, 200, r#"{"ok":true,"ts":"12.5"}"#),
            SendResult::Sent {
                answer: "HTTP 200: {\"ok\":true,\"ts\":\"12.5\"}".into(),
                saved: vec![("ts".into(), "12.5".into())]
            }
        );
        assert_eq!(class(&judge(&rules, 200, r#"{"ok":false,"error":"ratelimited"}"#)), "transient");
        let SendResult::Permanent { why, .. } = judge(&rules, 200, r#"{"ok":false,"error":"no t0ken-0123"}"#) else {
            panic!()
        };
        assert_eq!(why, "the server did not take it, HTTP 200: no ***");
        assert_eq!(class(&judge(&rules, 200, "garbage")), "permanent");
        let text: Rules = toml::from_str("ok = { pointer = '', is = 'ok' }").unwrap();
        assert_eq!(class(&judge(&text, 200, "ok\n")), "sent");
        assert_eq!(class(&judge(&text, 200, "no_service")), "permanent");
    }

    #[test]
    fn how_long_to_rest_is_taken_from_header_and_body_and_has_an_end() {
        let rules: Rules = toml::from_str("retry_after = '/parameters/retry_after'").unwrap();
        let rest = |header: Option<u64>, body: &str| match rules.judge(
            429,
            header.map(Duration::from_secs),
            body.as_bytes(),
            &Hide::default(),
        ) {
            SendResult::Transient { after, .. } => after.map(|d| d.as_secs()),
            _ => panic!(),
        };
        assert_eq!(rest(None, ""), None);
        assert_eq!(rest(Some(7), ""), Some(7));
        assert_eq!(rest(None, r#"{"parameters":{"retry_after":35}}"#), Some(35));
        assert_eq!(rest(Some(9), r#"{"parameters":{"retry_after":1e30}}"#), Some(3600));
    }

    #[test]
    fn statuses_and_pointers_are_checked() {
        let rules: Rules = toml::from_str("success = ['2xx', '200-299', '700']\nwhy = 'error'").unwrap();
        let fields: Vec<String> = rules.problems().into_iter().map(|(f, _)| f).collect();
        assert_eq!(fields, ["answer.success[0]", "answer.success[2]", "answer.why"]);
    }
}
