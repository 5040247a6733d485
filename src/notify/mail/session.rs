//! One SMTP session: connected, secured, logged in; and mails over it.
//!
//! ```text
//!  open:     resolve, dial -> [TLS] -> greeting, EHLO -> [STARTTLS, TLS, EHLO] -> [AUTH]
//!  deliver:  MAIL FROM -> RCPT TO (each its own answer) -> DATA -> mail -> final answer
//! ```
//!
//! One refused recipient does not keep the others from getting the mail: the transaction goes on with those that were
//! accepted.

use std::net::SocketAddr;

use lettre::Address;
use lettre::transport::smtp::Error;
use lettre::transport::smtp::authentication::{Credentials, Mechanism};
use lettre::transport::smtp::client::AsyncSmtpConnection;
use lettre::transport::smtp::commands::{Data, Mail, Rcpt, Rset, Starttls};
use lettre::transport::smtp::extension::{ClientId, Extension, MailBodyParameter, MailParameter};
use lettre::transport::smtp::response::Response;

use super::params::{Account, Login, Security};
use super::steps::Steps;
use super::wire::Wire;
use crate::model::egress::Caller;
use crate::model::target::TlsOptions;
use crate::net::{Connection, Endpoint, Net, NetError};

/// Why nothing was delivered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Failed {
    /// In words.
    pub why: String,
    /// The server said 5xx: never by trying again.
    pub permanent: bool,
    /// It said so to the mail itself, or to its size.
    pub content: bool,
    /// The connection ended before the server had accepted MAIL FROM: where it had been used before, that says nothing
    /// of this mail.
    pub early: bool,
}

impl Failed {
    /// Worth another try.
    pub fn transient(why: impl Into<String>) -> Failed {
        Failed { why: why.into(), permanent: false, content: false, early: false }
    }
}

/// What became of a transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Delivery {
    /// What the server said to the mail, and to whom it will go; `None` when no recipient was accepted.
    pub accepted: Option<(String, Vec<Address>)>,
    /// Those that the server refused, its words, and whether for ever.
    pub refused: Vec<(Address, String, bool)>,
}

/// An open session.
pub struct Session {
    smtp: AsyncSmtpConnection,
    /// Mails that it has carried.
    pub carried: u32,
    peer: Option<SocketAddr>,
}

impl std::fmt::Debug for Session {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Session").field("carried", &self.carried).finish_non_exhaustive()
    }
}

impl Session {
    /// Opens one. `login`: user and password.
    ///
    /// # Errors
    /// The step that failed.
    pub async fn open(
        account: &Account,
        login: Option<(&str, &str)>,
        hello: &ClientId,
        net: &Net,
        steps: &Steps<'_>,
    ) -> Result<Session, Failed> {
        let options = TlsOptions { ca: account.ca.clone(), skip_verify: !account.verifies(), server_name: None };
        let network = |e: NetError| Failed::transient(steps.safe(&in_our_words(&e)));
        let host = borrowed(&account.host);
        let tls = (account.security == Security::Tls).then_some(&options);
        steps.doing(format!("while connecting to {}:{}", account.host, account.port));
        let connection = net
            .connect(Endpoint { host, port: account.port, tls, caller: Caller::Shared, sends_at_once: false }, steps)
            .await
            .map_err(network)?;
        // Mails are written in several pieces: Nagle would hold each back for the server's delayed acknowledgement.
        drop(connection.tcp().set_nodelay(true));
        let peer = connection.tcp().peer_addr().ok();
        let (wire, slot) = Wire::new(connection, false);
        let mut smtp = greet(wire, hello, steps).await?;
        let mut encrypted = account.security == Security::Tls;
        let offered = smtp.server_info().supports_feature(Extension::StartTls);
        if matches!(account.security, Security::StartTls | Security::Opportunistic) && offered {
            steps.doing("while waiting for the answer to STARTTLS");
            let answer = smtp.command(Starttls).await.map_err(|e| refused("STARTTLS", &e, steps))?;
            steps.say(&format!("STARTTLS: {}", steps.answer(&answer)));
            let tcp = match slot.take() {
                Some(Connection::Plain(tcp)) => tcp,
                _ => return Err(Failed::transient("the connection was lost before STARTTLS")),
            };
            let trust = net.tls.trust(&options, steps).await.map_err(|e| network(e.into()))?;
            let host = borrowed(&account.host);
            let tls = net.tls.handshake(tcp, host, &options, trust, steps).await.map_err(|e| network(e.into()))?;
            encrypted = true;
            smtp = greet(Wire::new(Connection::Tls(Box::new(tls)), true).0, hello, steps).await?;
        } else if account.security == Security::StartTls {
            return Err(Failed::transient(
                "the server does not offer STARTTLS, so nothing was sent; where that is right write security=tls, \
                 opportunistic or none",
            ));
        }
        if let Some((user, password)) = login {
            if !encrypted && account.login == (Login::Auto { unasked: true }) {
                steps.say("not logging in: the connection is not encrypted, and `auth` does not ask for it");
            } else {
                authenticate(&mut smtp, account.login, user, password, steps).await?;
            }
        }
        Ok(Session { smtp, carried: 0, peer })
    }

    /// Whether the egress policy still lets it be used.
    #[must_use]
    pub fn is_allowed(&self, net: &Net) -> bool {
        self.peer.is_none_or(|peer| net.guard.check(peer.ip(), Caller::Shared).is_ok())
    }

    /// Sends one mail. After an error the session is of no more use.
    ///
    /// # Errors
    /// When the server took the mail for nobody for another reason than that it refused each recipient.
    pub async fn deliver(
        &mut self,
        from: &Address,
        to: &[Address],
        mail: &[u8],
        steps: &Steps<'_>,
    ) -> Result<Delivery, Failed> {
        let begin = self.parameters(from, to, mail)?;
        steps.doing("while waiting for the answer to MAIL FROM");
        let answer = self.smtp.command(Mail::new(Some(from.clone()), begin)).await;
        let answer = answer.and_then_positive(steps).map_err(|mut failed| {
            failed.early = !failed.by_code() || failed.why.starts_with("421");
            failed.content = failed.why.starts_with("552");
            failed.named("MAIL FROM")
        })?;
        steps.say(&format!("MAIL FROM:<{from}>: {answer}"));
        let (mut accepted, mut refusals) = (Vec::new(), Vec::new());
        for address in to {
            steps.doing(format!("while waiting for the answer to RCPT TO:<{address}>"));
            match self.smtp.command(Rcpt::new(address.clone(), Vec::new())).await {
                Err(e) if e.status().is_some_and(|code| u16::from(code) != 421) => {
                    let words = steps.trouble(&e);
                    steps.say(&format!("RCPT TO:<{address}>: {words}"));
                    refusals.push((address.clone(), words, e.is_permanent()));
                }
                other => {
                    let what = format!("RCPT TO:<{address}>");
                    let answer = other.and_then_positive(steps).map_err(|failed| failed.named(&what))?;
                    steps.say(&format!("{what}: {answer}"));
                    accepted.push(address.clone());
                }
            }
        }
        if accepted.is_empty() {
            steps.doing("while waiting for the answer to RSET");
            self.smtp.command(Rset).await.map_err(|e| refused("RSET", &e, steps))?;
            return Ok(Delivery { accepted: None, refused: refusals });
        }
        steps.doing("while waiting for the answer to DATA");
        let answer = self.smtp.command(Data).await.map_err(|e| refused("DATA", &e, steps))?;
        steps.say(&format!("DATA: {}", steps.answer(&answer)));
        if !answer.has_code(354) {
            return Err(Failed::transient(format!("DATA: {} instead of 354", steps.answer(&answer))));
        }
        steps
            .doing("while waiting for the answer to the mail: it may have arrived, the repeat has the same Message-ID");
        steps.unanswered(true);
        let answer = self.smtp.message(mail).await;
        let answer = answer.and_then_positive(steps);
        steps.unanswered(answer.as_ref().is_err_and(|failed| !failed.by_code()));
        let answer = answer.map_err(|mut failed| {
            if !failed.by_code() {
                failed
                    .why
                    .push_str(" before it had answered: the mail may have arrived, the repeat has the same Message-ID");
            }
            failed.content = failed.permanent;
            failed.named("the mail")
        })?;
        steps.say(&format!("mail of {} bytes: {answer}", mail.len()));
        self.carried += 1;
        Ok(Delivery { accepted: Some((answer, accepted)), refused: refusals })
    }

    /// Says goodbye.
    pub async fn quit(mut self) {
        // Whether it answers or not, the connection ends here.
        drop(self.smtp.quit().await);
    }

    fn parameters(&self, from: &Address, to: &[Address], mail: &[u8]) -> Result<Vec<MailParameter>, Failed> {
        let mut parameters = Vec::new();
        let international = std::iter::once(from).chain(to).find(|a| !AsRef::<str>::as_ref(a).is_ascii());
        if let Some(address) = international {
            if !self.smtp.server_info().supports_feature(Extension::SmtpUtfEight) {
                let why = format!("the server does not take {address}: it does not offer SMTPUTF8");
                return Err(Failed { why, permanent: true, content: false, early: false });
            }
            parameters.push(MailParameter::SmtpUtfEight);
        }
        if !mail.is_ascii() && self.smtp.server_info().supports_feature(Extension::EightBitMime) {
            parameters.push(MailParameter::Body(MailBodyParameter::EightBitMime));
        }
        Ok(parameters)
    }
}

impl Failed {
    fn named(mut self, what: &str) -> Failed {
        self.why = format!("{what}: {}", self.why);
        self
    }

    /// Whether the words begin with the server's code.
    fn by_code(&self) -> bool {
        self.why.bytes().take(3).all(|b| b.is_ascii_digit())
    }
}

trait Answered {
    /// The words of a 2xx; anything else has failed.
    fn and_then_positive(self, steps: &Steps<'_>) -> Result<String, Failed>;
}

impl Answered for Result<Response, Error> {
    fn and_then_positive(self, steps: &Steps<'_>) -> Result<String, Failed> {
        match self {
            Ok(answer) if (200..300).contains(&u16::from(answer.code())) => Ok(steps.answer(&answer)),
            Ok(answer) => Err(Failed::transient(format!("{}, which makes no sense here", steps.answer(&answer)))),
            Err(e) => Err(Failed { why: steps.trouble(&e), permanent: e.is_permanent(), content: false, early: false }),
        }
    }
}

fn refused(what: &str, error: &Error, steps: &Steps<'_>) -> Failed {
    Failed {
        why: format!("{what}: {}", steps.trouble(error)),
        permanent: error.is_permanent(),
        content: false,
        early: false,
    }
}

/// Greeting and EHLO.
async fn greet(wire: Wire, hello: &ClientId, steps: &Steps<'_>) -> Result<AsyncSmtpConnection, Failed> {
    steps.doing("while waiting for the server's greeting or its answer to EHLO");
    let smtp = AsyncSmtpConnection::connect_with_transport(Box::new(wire), hello).await;
    let smtp = smtp.map_err(|e| refused("greeting", &e, steps))?;
    let info = smtp.server_info();
    let mut offers: Vec<String> = [Extension::StartTls, Extension::EightBitMime, Extension::SmtpUtfEight]
        .into_iter()
        .chain([Mechanism::Plain, Mechanism::Login].map(Extension::Authentication))
        .filter(|e| info.supports_feature(*e))
        .map(|e| e.to_string())
        .collect();
    if offers.is_empty() {
        offers.push("nothing that is used here".into());
    }
    steps.say(&format!("EHLO {hello}: {} offers {}", info.name(), offers.join(", ")));
    Ok(smtp)
}

async fn authenticate(
    smtp: &mut AsyncSmtpConnection,
    login: Login,
    user: &str,
    password: &str,
    steps: &Steps<'_>,
) -> Result<(), Failed> {
    let wanted: &[Mechanism] = match login {
        Login::None => return Ok(()),
        Login::Auto { .. } => &[Mechanism::Plain, Mechanism::Login],
        Login::Plain => &[Mechanism::Plain],
        Login::Login => &[Mechanism::Login],
    };
    let Some(mechanism) = smtp.server_info().get_auth_mechanism(wanted) else {
        let names: Vec<String> = wanted.iter().map(ToString::to_string).collect();
        return Err(Failed::transient(format!("the server does not offer AUTH {}", names.join(" or "))));
    };
    let what = format!("AUTH {mechanism} as {user}");
    steps.doing(format!("while waiting for the answer to {what}"));
    let credentials = Credentials::new(user.to_owned(), password.to_owned());
    match smtp.auth(&[mechanism], &credentials).await.and_then_positive(steps) {
        Ok(answer) => {
            steps.say(&format!("{what}: {answer}"));
            Ok(())
        }
        Err(failed) => {
            steps.say(&format!("{what}: {}", failed.why));
            // A password that was changed or has expired is mended by a person: nothing owed is lost until then.
            Err(Failed { why: steps.safe(&format!("{what}: {}", failed.why)), permanent: false, ..failed })
        }
    }
}

/// The words of `net` name the column of a target.
fn in_our_words(error: &NetError) -> String {
    let text = error.to_string().replace("tls_ca", "ca");
    match std::error::Error::source(error) {
        Some(source) => format!("{text}: {source}"),
        None => text,
    }
}

fn borrowed(host: &url::Host) -> url::Host<&str> {
    match host {
        url::Host::Domain(name) => url::Host::Domain(name),
        url::Host::Ipv4(ip) => url::Host::Ipv4(*ip),
        url::Host::Ipv6(ip) => url::Host::Ipv6(*ip),
    }
}
