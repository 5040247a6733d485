//! Keeps a notifier's secrets out of every text that a person may see.

use super::words;
use crate::model::text::{escape_controls, shorten};

/// Shorter ones would hide words of everyday.
const SHORTEST: usize = 4;
/// So many characters in a row of a long secret give it away.
const PART: usize = 8;
/// From this length on a part of a secret is looked for.
const LONG: usize = 16;

/// What must not be shown.
#[derive(Clone, Default)]
pub(super) struct Hide {
    /// Longest first.
    secrets: Vec<String>,
}

impl std::fmt::Debug for Hide {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Hide({})", self.secrets.len())
    }
}

impl Hide {
    pub(super) fn new(secrets: impl IntoIterator<Item = String>) -> Hide {
        let mut all: Vec<String> = Vec::new();
        for secret in secrets {
            // A URL's host is no secret, each part behind it is.
            if let Ok(url) = url::Url::parse(&secret)
                && url.has_host()
            {
                // As they stand, and as a server that decodes them knows them.
                let name = url.password().is_none().then(|| url.username());
                let parts = url.path_segments().into_iter().flatten().chain(url.password()).chain(name);
                all.extend(parts.flat_map(|part| [part.to_owned(), words::of_percent(part)]));
                all.extend(url.query_pairs().flat_map(|(k, v)| [k.into_owned(), v.into_owned()]));
            } else {
                all.push(words::percent(&secret));
            }
            all.push(on_one_line(&secret));
            all.push(secret);
        }
        Hide::sorted(all)
    }

    fn sorted(mut all: Vec<String>) -> Hide {
        all.retain(|s| s.len() >= SHORTEST);
        all.sort_by_key(|s| std::cmp::Reverse(s.len()));
        all.dedup();
        Hide { secrets: all }
    }

    /// What it hides, and what stands in these headers to log in with: there secrets stand encoded.
    pub(super) fn with_headers(&self, headers: &[(String, String)]) -> Hide {
        let mut all = self.secrets.clone();
        let login = headers.iter().filter(|(name, _)| name.eq_ignore_ascii_case("authorization"));
        all.extend(login.filter_map(|(_, value)| value.split_whitespace().last()).map(str::to_owned));
        Hide::sorted(all)
    }

    /// The text on one line, with `***` for secrets, at most `max` characters; nothing of it when even a part of a
    /// secret would remain.
    pub(super) fn clean(&self, text: &str, max: usize) -> String {
        let mut text = on_one_line(text);
        for secret in &self.secrets {
            if text.contains(secret.as_str()) {
                text = text.replace(secret.as_str(), "***");
            }
        }
        // As a text within JSON it may be written with escapes.
        let plain = if text.contains('\\') { without_escapes(&text) } else { String::new() };
        let repeats = |s: &String| repeats_part(&text, s) || plain.contains(s.as_str()) || repeats_part(&plain, s);
        if self.secrets.iter().any(repeats) {
            return "(not shown: it repeats a secret)".into();
        }
        shorten(&escape_controls(&text), max).into_owned()
    }
}

fn on_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// The text with the escapes of JSON (RFC 8259 section 7) undone; what is none stays as it is.
fn without_escapes(text: &str) -> String {
    let mut plain = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('\\') {
        plain.push_str(before);
        let code = after.strip_prefix('u').and_then(|hex| hex.get(..4));
        let of_code = code.and_then(|hex| u32::from_str_radix(hex, 16).ok()).and_then(char::from_u32);
        rest = match (of_code, after.chars().next()) {
            (Some(c), _) => {
                plain.push(c);
                &after[5..]
            }
            (None, Some(c @ ('"' | '\\' | '/'))) => {
                plain.push(c);
                &after[1..]
            }
            _ => {
                plain.push('\\');
                after
            }
        };
    }
    plain + rest
}

fn repeats_part(text: &str, secret: &str) -> bool {
    // The scheme and host of a URL may be told.
    let secret = secret.split_once("://").map_or(secret, |_| "").as_bytes();
    secret.len() >= LONG
        && secret.windows(PART).any(|w| text.as_bytes().windows(PART).any(|t| t.eq_ignore_ascii_case(w)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_and_their_parts_are_not_shown() {
        let hide = Hide::new([
            "https://hooks.example/services/T0AB/B1CD/kJ8mXw2qPz90LtRvYhNb".to_owned(),
            "s3cr3t token".to_owned(),
        ]);
        assert_eq!(hide.clean("no team T0AB at hooks.example", 99), "no team *** at hooks.example");
        assert_eq!(hide.clean("bad s3cr3t%20token\nor s3cr3t token\u{1b}", 99), "bad *** or ***\\u{1b}");
        assert!(hide.clean("it ends with 90LtRvYhNb", 99).starts_with("(not shown"));
        assert_eq!(hide.clean("503 Service Unavailable", 99), "503 Service Unavailable");
        assert_eq!(hide.clean("abcdef", 4), "abc…");
        assert!(!format!("{hide:?}").contains("T0AB"));
        let headers = [("authorization".to_owned(), "Basic b3BzOmh1bnRlcjI=".to_owned())];
        assert_eq!(hide.with_headers(&headers).clean("I got Basic b3BzOmh1bnRlcjI=", 99), "I got Basic ***");
        assert_eq!(hide.with_headers(&headers).clean("no team T0AB", 99), "no team ***");
    }

    #[test]
    fn secrets_are_known_however_a_server_writes_them() {
        let hide = Hide::new(["https://ops:p%40ss1234@hook.example/a%20token".to_owned(), "ab/cd\"ef".to_owned()]);
        assert_eq!(
            hide.clean("no user ops with p@ss1234, p%40ss1234 or a token", 99),
            "no user ops with ***, *** or ***"
        );
        assert_eq!(hide.clean(r#"{"error":"no ab\/cd\"ef"}"#, 99), "(not shown: it repeats a secret)");
        assert_eq!(hide.clean(r#"{"error":"no ab\u002Fcd\u0022ef"}"#, 99), "(not shown: it repeats a secret)");
        assert_eq!(hide.clean(r#"{"error":"a\\b \u00e9 \u12"}"#, 99), r#"{"error":"a\\b \u00e9 \u12"}"#);
        assert_eq!(Hide::new(["https://APIKEY@hook.example/".to_owned()]).clean("no key APIKEY", 99), "no key ***");
        assert_eq!(Hide::new(["two  blanks".to_owned()]).clean("two  blanks", 99), "***");
    }
}
