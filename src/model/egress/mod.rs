//! The egress policy: to which addresses skypunch connects. Pure.
//!
//! ```text
//!  address --and what it leads to (forms)--> in `deny`? --no--> allowed
//!                in `allow`, or in the target's `egress_allow` as far as `target_allow` lets it? <--yes--'
//!                      '--yes--> allowed                 '--no--> Denied: by which entry, and the mend
//! ```
//!
//! It is asked about each address just before that is connected to ([`crate::net`]), never about names: a name may lead
//! elsewhere the next time it is resolved.

mod forms;
mod list;
mod preset;

use std::fmt;
use std::net::IpAddr;

use ipnet::IpNet;

pub use self::list::{AddressList, Entry};
pub use self::preset::Preset;

/// What `[egress]` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EgressPolicy {
    /// Addresses that are not connected to.
    pub deny: AddressList,
    /// Exceptions from that, for everybody.
    pub allow: AddressList,
    /// What a target's own `egress_allow` may except.
    pub target_allow: AddressList,
}

impl Default for EgressPolicy {
    /// Link-local and metadata addresses are denied, and targets may have exceptions.
    fn default() -> Self {
        EgressPolicy {
            deny: AddressList::of([Preset::LinkLocal, Preset::Metadata]),
            allow: AddressList::default(),
            target_allow: AddressList::of([Preset::All]),
        }
    }
}

/// On whose behalf something is connected to.
#[derive(Debug, Clone, Copy)]
pub enum Caller<'a> {
    /// A target's, with its own `egress_allow`.
    Target(Option<&'a AddressList>),
    /// A notifier's, or that of a credential that targets share: the settings alone count.
    Shared,
}

impl EgressPolicy {
    /// Whether `address` may be connected to. Costs a search of a few compares, and allocates only where it says no.
    ///
    /// # Errors
    /// By which entry it is denied.
    pub fn check(&self, address: IpAddr, caller: Caller<'_>) -> Result<(), Box<Denied>> {
        if self.deny.is_empty() {
            return Ok(());
        }
        // Each form that is denied needs its exception: NAT64 must not become a way round.
        let denied = forms::any(address, |form| self.deny.contains(form) && !self.excepted(form, caller));
        match denied {
            None => Ok(()),
            Some(form) => Err(Box::new(self.denied(address, form, caller))),
        }
    }

    fn excepted(&self, form: IpAddr, caller: Caller<'_>) -> bool {
        self.allow.contains(form) || wanted(form, caller) && self.target_allow.contains(form)
    }

    fn denied(&self, address: IpAddr, form: IpAddr, caller: Caller<'_>) -> Denied {
        let (entry, net) = match self.deny.entry_of(form) {
            Some((entry, net)) => (entry.to_string(), net),
            None => (form.to_string(), form.into()),
        };
        let mend = match caller {
            Caller::Shared => Mend::Settings,
            Caller::Target(_) if self.target_allow.contains(form) => Mend::Target,
            Caller::Target(_) => Mend::NotTarget { wanted: wanted(form, caller) },
        };
        Denied { address, form, entry, net, mend }
    }
}

/// The target's own list has it.
fn wanted(form: IpAddr, caller: Caller<'_>) -> bool {
    matches!(caller, Caller::Target(Some(own)) if own.contains(form))
}

/// What may be done about it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mend {
    /// The target's `egress_allow`, or `[egress] allow`.
    Target,
    /// `[egress] allow` only, though there is a target.
    NotTarget {
        /// Its `egress_allow` has the address.
        wanted: bool,
    },
    /// `[egress] allow`.
    Settings,
}

/// An address that is not connected to, and why.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Denied {
    /// The address.
    pub address: IpAddr,
    /// What of it is denied: the address itself, or that which it leads to.
    pub form: IpAddr,
    /// The entry of `[egress] deny`, as it may be written.
    pub entry: String,
    /// What of that entry covers the address.
    pub net: IpNet,
    mend: Mend,
}

/// What every sentence about a denied address holds.
const SAID: &str = " in [egress] deny";

/// Whether a sentence, which may be an old one, says that an address is denied.
#[must_use]
pub fn is_told_in(sentence: &str) -> bool {
    sentence.contains(SAID)
}

/// `denied by metadata (169.254.169.254) in [egress] deny`.
impl fmt::Display for Denied {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "denied by {}", self.entry)?;
        let net = list::written(self.net);
        if net != self.entry {
            write!(f, " ({net})")?;
        }
        f.write_str(SAID)?;
        if self.form == self.address { Ok(()) } else { write!(f, ", since it leads to {}", self.form) }
    }
}

impl Denied {
    /// What to do about it, as the end of a sentence.
    #[must_use]
    pub fn mend(&self) -> String {
        let meant = format!("if that is meant, write {} into", self.form);
        match self.mend {
            Mend::Target => format!("{meant} the target's egress_allow or [egress] allow"),
            Mend::NotTarget { wanted: true } => format!(
                "the target's egress_allow has it, but [egress] target_allow does not let targets have it: {meant} \
                 [egress] target_allow or allow"
            ),
            Mend::NotTarget { wanted: false } => {
                format!("{meant} [egress] allow ([egress] target_allow does not let the target have it)")
            }
            Mend::Settings => format!("{meant} [egress] allow"),
        }
    }
}

#[cfg(test)]
mod tests;
