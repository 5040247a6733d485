//! `pass_result`: which status codes count as PASS.

use std::borrow::Cow;
use std::fmt;

/// A set of HTTP status codes, written `200`, `200-299` or `200,204,301-303`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct StatusSet {
    /// The first of the inclusive ranges as written: mostly the only one, and so without memory of its own.
    first: (u16, u16),
    /// The others.
    more: Vec<(u16, u16)>,
}

impl StatusSet {
    /// Reads the text form; codes are 100 to 599 (RFC 9110 section 15).
    ///
    /// # Errors
    /// A sentence that says what is wrong and what to write instead.
    pub fn parse(text: &str) -> Result<StatusSet, String> {
        let range = |part: &str| {
            let part = part.trim();
            let (from, to) = match part.split_once('-') {
                Some((from, to)) => (code(from.trim())?, code(to.trim())?),
                None => {
                    let one = code(part)?;
                    (one, one)
                }
            };
            if from > to {
                return Err(format!("the range {from}-{to} is upside down: write {to}-{from}"));
            }
            Ok((from, to))
        };
        let (first, more) = text.split_once(',').map_or((text, None), |(first, more)| (first, Some(more)));
        let first = range(first)?;
        let more = more.map_or(Ok(Vec::new()), |more| more.split(',').map(range).collect())?;
        Ok(StatusSet { first, more })
    }

    fn ranges(&self) -> impl Iterator<Item = (u16, u16)> {
        std::iter::once(self.first).chain(self.more.iter().copied())
    }

    /// Whether `status` is in the set.
    #[must_use]
    pub fn contains(&self, status: u16) -> bool {
        self.ranges().any(|(from, to)| (from..=to).contains(&status))
    }

    /// The text form; the usual one costs no memory.
    #[must_use]
    pub fn text(&self) -> Cow<'static, str> {
        if self.first == (200, 200) && self.more.is_empty() {
            Cow::Borrowed("200")
        } else {
            Cow::Owned(self.to_string())
        }
    }
}

fn code(text: &str) -> Result<u16, String> {
    match text.parse::<u16>() {
        Ok(n @ 100..=599) if text.len() == 3 => Ok(n),
        _ => Err(format!(
            "{} is not a status code from 100 to 599: write for example 200, 200-299 or 200,204,301-303",
            super::text::quoted(text)
        )),
    }
}

impl fmt::Display for StatusSet {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, (from, to)) in self.ranges().enumerate() {
            if i > 0 {
                f.write_str(",")?;
            }
            if from == to {
                write!(f, "{from}")?;
            } else {
                write!(f, "{from}-{to}")?;
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn the_three_forms() {
        assert!(StatusSet::parse("200").unwrap().contains(200));
        assert!(!StatusSet::parse("200").unwrap().contains(201));
        let set = StatusSet::parse("200, 204,301-303").unwrap();
        for (status, inside) in [(200, true), (204, true), (205, false), (302, true), (304, false)] {
            assert_eq!(set.contains(status), inside, "{status}");
        }
        assert_eq!(set.to_string(), "200,204,301-303");
    }

    #[test]
    fn errors_name_the_part() {
        for (text, part) in [
            ("", "``"),
            ("2xx", "`2xx`"),
            ("200,", "``"),
            ("99", "`99`"),
            ("600", "`600`"),
            ("+200", "`+200`"),
            ("0200", "`0200`"),
        ] {
            let error = StatusSet::parse(text).unwrap_err();
            assert!(error.contains(part), "{text}: {error}");
        }
        assert!(StatusSet::parse("299-200").unwrap_err().contains("200-299"));
    }

    proptest! {
        #[test]
        fn never_panics_and_reads_back(text in "[0-9,\\- ]{0,30}|\\PC*") {
            if let Ok(set) = StatusSet::parse(&text) {
                prop_assert_eq!(StatusSet::parse(&set.to_string()).unwrap(), set);
            }
        }
    }
}
