//! What a person writes to mean a target, a notifier or a credential.

use std::fmt;
use std::str::FromStr;

use crate::model::credential::CredentialId;
use crate::model::notifier::NotifierId;
use crate::model::target::TargetId;

/// The id of something that a reference may mean.
pub trait ReferenceId: fmt::Display + Copy + PartialEq + From<i64> {
    /// What it is the id of.
    const WHAT: &'static str;
}

impl ReferenceId for TargetId {
    const WHAT: &'static str = "target";
}

impl ReferenceId for NotifierId {
    const WHAT: &'static str = "notifier";
}

impl ReferenceId for CredentialId {
    const WHAT: &'static str = "credential";
}

impl From<i64> for TargetId {
    fn from(id: i64) -> TargetId {
        TargetId(id)
    }
}

impl From<i64> for NotifierId {
    fn from(id: i64) -> NotifierId {
        NotifierId(id)
    }
}

impl From<i64> for CredentialId {
    fn from(id: i64) -> CredentialId {
        CredentialId(id)
    }
}

/// A reference to a target.
pub type TargetRef = Reference<TargetId>;
/// A reference to a notifier.
pub type NotifierRef = Reference<NotifierId>;
/// A reference to a credential's row; what a target writes is a [`CredentialRef`](super::credential::CredentialRef).
pub type CredentialReference = Reference<CredentialId>;

/// A reference: digits are an id, `name:123` is a name, `tenant/name` a name within a tenant.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reference<I> {
    /// By id.
    Id(I),
    /// By name, whatever characters it holds.
    Name(String),
    /// `a/b`: the one named `b` of tenant `a`, or one whose name is `a/b`.
    Slashed(String),
}

impl<I: ReferenceId> FromStr for Reference<I> {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        if let Some(name) = s.strip_prefix("name:") {
            return if name.is_empty() {
                Err("`name:` has no name behind it: write name:NAME".into())
            } else {
                Ok(Reference::Name(name.into()))
            };
        }
        if s.is_empty() {
            return Err(format!("the {} is empty: write its id, its name or tenant/name", I::WHAT));
        }
        if s.bytes().all(|b| b.is_ascii_digit()) {
            let id: i64 = s.parse().map_err(|_| {
                format!("{} is too large for an id; a name of digits is written name:…", crate::model::text::quoted(s))
            })?;
            return Ok(Reference::Id(I::from(id)));
        }
        Ok(if s.contains('/') { Reference::Slashed(s.into()) } else { Reference::Name(s.into()) })
    }
}

impl<I: ReferenceId> fmt::Display for Reference<I> {
    /// As a person writes it; reads back as the same reference.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Reference::Id(id) => write!(f, "{id}"),
            Reference::Slashed(s) => f.write_str(s),
            Reference::Name(s) => match s.parse::<Reference<I>>() {
                Ok(Reference::Name(plain)) if plain == *s => f.write_str(s),
                _ => write!(f, "name:{s}"),
            },
        }
    }
}

impl<I: ReferenceId> Reference<I> {
    /// Whether this may mean that one. More than one match is an ambiguous reference.
    #[must_use]
    pub fn matches(&self, id: I, tenantid: &str, name: &str) -> bool {
        match self {
            Reference::Id(wanted) => *wanted == id,
            Reference::Name(wanted) => wanted == name,
            Reference::Slashed(wanted) => {
                wanted == name
                    || wanted.strip_prefix(tenantid).and_then(|rest| rest.strip_prefix('/')).is_some_and(|n| n == name)
            }
        }
    }

    /// As a segment of a path: `/v1/targets/{segment}`.
    #[must_use]
    pub fn segment(&self) -> String {
        encode_segment(&self.to_string())
    }
}

/// Percent-encodes everything but RFC 3986's unreserved characters, so that any text is one segment of a path.
///
/// A segment of dots only is encoded too: `..` would mean the folder above.
#[must_use]
pub fn encode_segment(s: &str) -> String {
    use fmt::Write;
    let dots = s.bytes().all(|b| b == b'.');
    s.bytes().fold(String::with_capacity(s.len()), |mut out, b| {
        if b.is_ascii_alphanumeric() || b"-_~".contains(&b) || (b == b'.' && !dots) {
            out.push(char::from(b));
        } else {
            let _never_fails = write!(out, "%{b:02X}");
        }
        out
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn parsed(s: &str) -> TargetRef {
        s.parse().unwrap()
    }

    #[test]
    fn digits_are_an_id_and_everything_else_a_name() {
        assert_eq!(parsed("12"), TargetRef::Id(TargetId(12)));
        assert_eq!(parsed("name:12"), TargetRef::Name("12".into()));
        assert_eq!(parsed("Google Dot COM"), TargetRef::Name("Google Dot COM".into()));
        assert_eq!(parsed("acme/shop"), TargetRef::Slashed("acme/shop".into()));
        assert!("99999999999999999999".parse::<TargetRef>().unwrap_err().contains("too large"));
        assert!("".parse::<TargetRef>().is_err());
        assert!("name:".parse::<TargetRef>().is_err());
    }

    #[test]
    fn a_slash_separates_the_tenant_or_is_part_of_the_name() {
        let r = parsed("acme/shop");
        assert!(r.matches(TargetId(1), "acme", "shop"));
        assert!(r.matches(TargetId(2), "0", "acme/shop"));
        assert!(!r.matches(TargetId(3), "0", "shop"));
        assert!(!parsed("name:acme/shop").matches(TargetId(1), "acme", "shop"));
        assert!(parsed("a/b/c").matches(TargetId(1), "a/b", "c"));
        assert!(!parsed("5").matches(TargetId(1), "0", "5"));
    }

    #[test]
    fn any_name_is_one_segment() {
        assert_eq!(parsed("a/b c?ü").segment(), "a%2Fb%20c%3F%C3%BC");
        assert_eq!(parsed("..").segment(), "%2E%2E");
        assert_eq!(parsed("www.example.org").segment(), "www.example.org");
    }

    proptest! {
        #[test]
        fn what_is_shown_reads_back(name in "\\PC{1,20}") {
            let r = TargetRef::Name(name);
            prop_assert_eq!(r.to_string().parse::<TargetRef>().unwrap(), r);
        }
    }
}
