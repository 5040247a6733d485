//! Mail addresses as people write them, and names of machines.

use lettre::Address;
use lettre::message::Mailbox;

use crate::model::text::{is_hidden, quoted};

/// Recipients separated by commas, each `a@b` or `Name <a@b>`; none twice.
///
/// # Errors
/// The first that is none.
pub fn mailboxes(text: &str) -> Result<Vec<Mailbox>, String> {
    let mut found: Vec<Mailbox> = Vec::new();
    for part in split(text) {
        let one = mailbox(part)?;
        if !found.iter().any(|known| known.email == one.email) {
            found.push(one);
        }
    }
    if found.is_empty() {
        return Err("nobody is named: write a@example.com, or several separated by commas".into());
    }
    Ok(found)
}

/// One `a@b` or `Name <a@b>`; the name may be in double quotes.
///
/// # Errors
/// What is wrong.
pub fn mailbox(text: &str) -> Result<Mailbox, String> {
    let text = text.trim();
    let wrong = || format!("{} is no mail address: write a@example.com or Name <a@example.com>", quoted(text));
    if text.chars().any(is_hidden) {
        return Err(wrong());
    }
    let (name, address) = match text.strip_suffix('>').and_then(|t| t.rsplit_once('<')) {
        Some((name, address)) => (Some(unquoted(name.trim())).filter(|n| !n.is_empty()), address.trim()),
        None => (None, text),
    };
    let (user, domain) = address.rsplit_once('@').ok_or_else(wrong)?;
    // On the wire a domain is in ASCII (IDNA), which every server takes.
    let domain = match domain.starts_with('[') || domain.is_ascii() {
        true => domain.to_owned(),
        false => url::Host::parse(domain).map_err(|_| wrong())?.to_string(),
    };
    Ok(Mailbox::new(name, Address::new(user, domain).map_err(|_| wrong())?))
}

/// Whether it may stand behind EHLO and behind the `@` of an address.
#[must_use]
pub fn is_host_name(text: &str) -> bool {
    (1..=253).contains(&text.len())
        && text.split('.').all(|label| {
            (1..=63).contains(&label.len())
                && label.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_')
                && !label.starts_with('-')
                && !label.ends_with('-')
        })
}

/// At commas that stand neither in quotes nor in angle brackets; empty parts are left out.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut begin) = (Vec::new(), 0);
    let (mut in_quotes, mut escaped, mut in_brackets) = (false, false, false);
    for (i, c) in text.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if in_quotes => escaped = true,
            '"' => in_quotes = !in_quotes,
            '<' if !in_quotes => in_brackets = true,
            '>' if !in_quotes => in_brackets = false,
            ',' if !in_quotes && !in_brackets => {
                parts.push(&text[begin..i]);
                begin = i + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[begin..]);
    parts.into_iter().map(str::trim).filter(|p| !p.is_empty()).collect()
}

fn unquoted(name: &str) -> String {
    match name.strip_prefix('"').and_then(|n| n.strip_suffix('"')) {
        Some(inner) => {
            let mut out = String::new();
            let mut chars = inner.chars();
            while let Some(c) = chars.next() {
                out.push(if c == '\\' { chars.next().unwrap_or(c) } else { c });
            }
            out
        }
        None => name.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn shown(text: &str) -> Vec<(Option<String>, String)> {
        mailboxes(text).unwrap().into_iter().map(|m| (m.name, m.email.to_string())).collect()
    }

    #[test]
    fn recipients_with_and_without_names() {
        let some = |s: &str| Some(s.to_owned());
        assert_eq!(
            shown("a@b.c, Jörg Müller <j@b.c>,\"Night, On \\\"Call\\\"\" <n@b.c>, a@b.c,"),
            [
                (None, "a@b.c".to_owned()),
                (some("Jörg Müller"), "j@b.c".to_owned()),
                (some("Night, On \"Call\""), "n@b.c".to_owned())
            ]
        );
        assert_eq!(shown("ops@bücher.example")[0].1, "ops@xn--bcher-kva.example");
    }

    #[test]
    fn what_is_no_address_is_named() {
        for text in ["nobody", "a@b@", "a@b.c\r\nBcc: x@y.z", "<>", "a b@c.d", "Name <a@b.c", "@b.c", "a@"] {
            let said = mailboxes(text).unwrap_err();
            assert!(said.contains("no mail address") && !said.contains('\n'), "{text:?}: {said}");
        }
        assert!(mailboxes(" , ").unwrap_err().contains("nobody is named"));
    }

    #[test]
    fn host_names() {
        assert!(is_host_name("mon-1.example.com") && is_host_name("localhost"));
        for text in ["", "a b", "a..b", "-a", "a\r\nb", "ö"] {
            assert!(!is_host_name(text), "{text:?}");
        }
    }

    proptest! {
        #[test]
        fn never_panics_and_lets_no_line_break_through(text in "\\PC*|[a-z@<>\",\\\\\r\n ]*") {
            for m in mailboxes(&text).unwrap_or_default() {
                prop_assert!(!m.to_string().contains(['\r', '\n']));
            }
        }
    }
}
