//! The closed list of reasons: one word each, used in the database, the API, the log and the tests.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

/// What a probe says of its target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Verdict {
    /// What was asked for came back.
    Pass,
    /// The target did not do what was asked of it.
    Fail,
    /// Inconclusive: the trouble is on our side, nothing can be said of the target.
    Unknown,
}

impl Verdict {
    /// The word for it, in capitals.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Verdict::Pass => "PASS",
            Verdict::Fail => "FAIL",
            Verdict::Unknown => "UNKNOWN",
        }
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Verdict {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        match s {
            "PASS" => Ok(Verdict::Pass),
            "FAIL" => Ok(Verdict::Fail),
            "UNKNOWN" => Ok(Verdict::Unknown),
            _ => Err(format!("`{s}` is no verdict (PASS, FAIL or UNKNOWN)")),
        }
    }
}

macro_rules! reasons {
    ($( $(#[$doc:meta])* $variant:ident = $word:literal, $verdict:ident, $usually:literal; )*) => {
        /// Why a probe did not pass.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
        pub enum Reason {
            $( $(#[$doc])* #[serde(rename = $word)] $variant, )*
        }

        impl Reason {
            /// Every reason there is.
            pub const ALL: &'static [Reason] = &[ $( Reason::$variant, )* ];

            /// The word for it, as the database and the API write it.
            #[must_use]
            pub fn as_str(self) -> &'static str {
                match self { $( Reason::$variant => $word, )* }
            }

            /// The verdict that this reason leads to: FAIL, or UNKNOWN when the trouble is ours.
            #[must_use]
            pub fn verdict(self) -> Verdict {
                match self { $( Reason::$variant => Verdict::$verdict, )* }
            }

            /// What that usually means, for people: ends the sentence of every FAIL.
            #[must_use]
            pub fn usually(self) -> &'static str {
                match self { $( Reason::$variant => $usually, )* }
            }
        }
    };
}

reasons! {
    /// An answered NXDOMAIN, NODATA, SERVFAIL or REFUSED.
    Dns = "dns", Fail, "the name is misspelt, was removed, or its zone is broken";
    /// RST to our SYN.
    ConnectRefused = "connect_refused", Fail, "nothing listens on that port: the service is stopped or starting";
    /// ICMP unreachable from the network.
    ConnectUnreachable = "connect_unreachable", Fail, "the host is off, or a router or firewall rejects the way to it";
    /// TLS alert, not TLS at all, or closed in the handshake.
    TlsHandshake = "tls_handshake", Fail, "server and client share no TLS version or cipher, or the port does not speak TLS";
    /// The certificate chain does not hold: expired, unknown issuer, other name.
    TlsCertificate = "tls_certificate", Fail, "the certificate was not renewed, its chain is incomplete, or it is for another name";
    /// The deadline passed while resolving.
    TimeoutResolve = "timeout_resolve", Fail, "the name's servers are slow or do not answer";
    /// The deadline passed while connecting.
    TimeoutConnect = "timeout_connect", Fail, "the host is down, a firewall drops packets, or its accept queue is full";
    /// The deadline passed in the TLS handshake.
    TimeoutTls = "timeout_tls", Fail, "the server is overloaded, or the port does not speak TLS";
    /// The deadline passed while a token was obtained.
    TimeoutAuth = "timeout_auth", Fail, "the identity service is slow";
    /// The deadline passed while sending.
    TimeoutSend = "timeout_send", Fail, "the server accepts connections but does not read from them";
    /// The deadline passed before the first byte of the answer.
    TimeoutFirstByte = "timeout_first_byte", Fail, "the service hangs or is overloaded, or something behind it does not answer";
    /// The deadline passed within the answer's head.
    TimeoutHead = "timeout_head", Fail, "the service stalls while answering";
    /// The deadline passed within the answer's body.
    TimeoutBody = "timeout_body", Fail, "the service stalls while sending its content, or sends it too slowly";
    /// The connection was reset.
    Reset = "reset", Fail, "the service crashed or was restarted, or a middlebox cut the connection";
    /// The connection ended before the answer was complete; truncated bodies too.
    ClosedEarly = "closed_early", Fail, "the service or a proxy before it closed the connection in the middle of its work";
    /// Not HTTP, or its framing is broken.
    Protocol = "protocol", Fail, "something other than a web server answers on that port, or the server is faulty";
    /// The body is longer than its check can read.
    BodyLimit = "body_limit", Fail, "the answer is far larger than expected";
    /// The status code is not in `pass_result`.
    Status = "status", Fail, "the service answers, but not as asked";
    /// An assertion about the answer does not hold.
    Assertion = "assertion", Fail, "the service answers with other content than asked";
    /// Too many redirects, a loop, or a location that cannot be followed.
    Redirect = "redirect", Fail, "the service redirects in a loop, or further than `redirects` allows";
    /// The service catalog does not hold the asked service.
    IdentityCatalog = "identity_catalog", Fail, "the service is not registered in that region or under that interface";
    /// The target's own authentication cannot be prepared: a reference that does not resolve.
    AuthConfig = "auth_config", Fail, "`authn_parms` refers to a secret that is missing or not allowed";
    /// The egress policy forbids that address.
    EgressDenied = "egress_denied", Fail, "the name or a redirect leads to an address that `[egress] deny` keeps skypunch from";
    /// Out of descriptors, ports or memory.
    LocalResources = "local_resources", Unknown, "this machine is short of file descriptors, ports or memory: raise the limit or watch fewer targets";
    /// No resolver answered, or no route for any address.
    LocalNetwork = "local_network", Unknown, "this machine has lost its network or its resolver";
    /// A panic of ours.
    Internal = "internal", Unknown, "this is a fault of skypunch: please report it with the log";
    /// The identity service did not answer.
    IdentityUnreachable = "identity_unreachable", Unknown, "the identity service is down";
    /// The identity service refused the credential.
    IdentityRejected = "identity_rejected", Unknown, "the credential is wrong, expired or locked";
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}

impl FromStr for Reason {
    type Err = String;
    fn from_str(s: &str) -> Result<Self, String> {
        Reason::ALL
            .iter()
            .copied()
            .find(|r| r.as_str() == s)
            .ok_or_else(|| format!("`{s}` is no reason that this version knows"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_reason_has_one_word_that_reads_back_and_serialises_alike() {
        for &reason in Reason::ALL {
            assert_eq!(reason.as_str().parse::<Reason>().unwrap(), reason);
            let json = serde_json::to_string(&reason).unwrap();
            assert_eq!(json, format!("\"{}\"", reason.as_str()));
            assert_ne!(reason.verdict(), Verdict::Pass);
        }
        let mut words: Vec<_> = Reason::ALL.iter().map(|r| r.as_str()).collect();
        words.sort_unstable();
        words.dedup();
        assert_eq!(words.len(), Reason::ALL.len());
    }

    #[test]
    fn our_own_trouble_is_never_a_fail() {
        for reason in ["local_resources", "local_network", "internal", "identity_unreachable", "identity_rejected"] {
            assert_eq!(reason.parse::<Reason>().unwrap().verdict(), Verdict::Unknown);
        }
    }
}
