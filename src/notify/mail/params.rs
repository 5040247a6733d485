//! `address` and `params` of a notifier of type SMTP, checked.
//!
//! ```text
//!  address "a@b, Name <c@d>"  --\
//!  params  user, server, …    ----read--> Account, or every problem in one sentence each
//! ```
//!
//! `user=…,password=…,server=…` is the form of skypunch 0.3.0 and means what it meant: port 587, STARTTLS, login.

use std::time::Duration;

use lettre::message::Mailbox;

use super::address::{mailbox, mailboxes};
use crate::model::definition::Problem;
use crate::model::params::{shown, shown_value};
use crate::model::text::nearest;
use crate::notify::catalogue::ParamInfo;
use crate::secret::Secret;

/// All parameters of SMTP, as `notifiers types SMTP` shows them.
#[must_use]
pub fn params() -> Vec<ParamInfo> {
    let param = |name: &str, help: &str, default: Option<&str>| ParamInfo {
        name: name.to_owned(),
        default: default.map(str::to_owned),
        help: help.to_owned(),
        ..ParamInfo::default()
    };
    let required = |param| ParamInfo { required: true, ..param };
    let secret = |param| ParamInfo { secret: true, ..param };
    vec![
        required(param("server", "the mail server: host, host:port or [IPv6 address]:port", None)),
        param("port", "its port", Some("465 with tls, 25 with none, else 587")),
        param(
            "security",
            "starttls (required), opportunistic (STARTTLS where offered), tls (from the first byte) or none",
            Some("tls on port 465, else starttls"),
        ),
        param("user", "who logs in; may be a reference as ${env:NAME}", None),
        secret(param("password", "its password, better as ${file:/path} or ${cred:NAME}", None)),
        param(
            "auth",
            "plain, login, auto (what the server offers) or none",
            Some("auto with a user, none without one or with security=none"),
        ),
        param("from", "the sender: a@b or Name <a@b>", Some("the user where it is an address, else skypunch@HOST")),
        param("reply_to", "where answers go: a@b or Name <a@b>", None),
        param("ca", "path of a PEM file with the certificates to trust", Some("the system's authorities")),
        param("timeout", "the whole send, from the name's resolving to the server's last word: 1s to 10m", Some("30s")),
        param("hello", "the name that we give the server", Some("this machine's name")),
    ]
}

/// What `address` means for SMTP.
pub const ADDRESS_HELP: &str = "recipients, separated by commas: a@example.com, Name <b@example.com>";

/// How the connection is protected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Security {
    /// STARTTLS or nothing is sent.
    StartTls,
    /// STARTTLS where the server offers it. Without it, nobody logs in unless `auth` asks for it.
    Opportunistic,
    /// TLS from the first byte.
    Tls,
    /// Plain.
    None,
}

/// How to log in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Login {
    /// Not at all.
    None,
    /// By what the server offers, PLAIN before LOGIN. `unasked`: nobody wrote `auth`, so not over a plain connection.
    Auto {
        /// Nobody wrote it.
        unasked: bool,
    },
    /// AUTH PLAIN.
    Plain,
    /// AUTH LOGIN.
    Login,
}

/// A notifier's address and params, fit to be used. References are not resolved yet.
#[derive(Debug, Clone, PartialEq)]
pub struct Account {
    /// The server's name or literal address.
    pub host: url::Host,
    /// Its port.
    pub port: u16,
    /// How the connection is protected.
    pub security: Security,
    /// How to log in.
    pub login: Login,
    /// Who logs in.
    pub user: Option<Secret>,
    /// Its password.
    pub password: Option<Secret>,
    /// The sender, where one is written.
    pub from: Option<Mailbox>,
    /// Where answers go.
    pub reply_to: Option<Mailbox>,
    /// The file of certificates to trust.
    pub ca: Option<String>,
    /// The whole send.
    pub timeout: Duration,
    /// The name that we give the server.
    pub hello: Option<String>,
    /// Recipients; at least one, none twice.
    pub to: Vec<Mailbox>,
}

/// Default of `timeout`.
pub const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);

impl Account {
    /// Reads `address` and `params`.
    ///
    /// # Errors
    /// Every problem, one sentence each; none shows a secret.
    pub fn read(address: &str, params: &[(String, Secret)]) -> Result<Account, Vec<Problem>> {
        let mut problems = Problems::default();
        let to = problems.of("address", mailboxes(address)).unwrap_or_default();
        let p = |message: String| Problem { field: "params".into(), message };
        for (i, (name, _)) in params.iter().enumerate() {
            if !self::params().iter().any(|known| known.name == *name) {
                problems.0.push(p(unknown(name, i + 1)));
            }
        }
        let get =
            |name: &str| params.iter().find(|(n, _)| n == name).map(|(_, v)| v).filter(|v| !v.expose().is_empty());
        let text = |name: &str| get(name).map(Secret::expose);
        let port = problems.of("params", text("port").map(read_port).transpose()).flatten();
        let server = match text("server") {
            None => Err("`server` is missing: write server=HOST or server=HOST:PORT".to_owned()),
            Some(server) => read_server(server),
        };
        let (host, own_port) = problems.of("params", server).unzip();
        if let (Some(a), Some(Some(b))) = (port, own_port)
            && a != b
        {
            problems.0.push(p(format!("`server` says port {b}, `port` says {a}: leave one out")));
        }
        let port = port.or(own_port.flatten());
        let security = problems.of("params", read_security(text("security"), port)).unwrap_or(Security::StartTls);
        let login = problems.of("params", read_login(text("auth"), get("user").is_some(), security));
        let login = login.unwrap_or(Login::None);
        let needs = login != Login::None;
        for (name, there) in [("user", get("user").is_some()), ("password", get("password").is_some())] {
            if needs && !there {
                problems
                    .0
                    .push(p(format!("`{name}` is missing: logging in needs it; write auth=none to send without")));
            }
        }
        let mut sender = |name: &str| {
            let wrong = |t: &str, why: String| match t.contains('=') {
                true => format!("`{name}` is {}: write one mail address", shown_value(t)),
                false => format!("`{name}`: {why}"),
            };
            let read = text(name).map(|t| mailbox(t).map_err(|why| wrong(t, why)));
            problems.of("params", read.transpose()).flatten()
        };
        let (from, reply_to) = (sender("from"), sender("reply_to"));
        let ca = problems.of("params", text("ca").map(read_ca).transpose()).flatten();
        let timeout = problems.of("params", text("timeout").map_or(Ok(DEFAULT_TIMEOUT), read_timeout));
        let hello = problems.of("params", text("hello").map(read_hello).transpose()).flatten();
        match (host, timeout) {
            (Some(host), Some(timeout)) if problems.0.is_empty() => Ok(Account {
                host,
                port: port.unwrap_or(match security {
                    Security::Tls => 465,
                    Security::None => 25,
                    Security::StartTls | Security::Opportunistic => 587,
                }),
                security,
                login,
                user: get("user").cloned(),
                password: get("password").cloned(),
                from,
                reply_to,
                ca,
                timeout,
                hello,
                to,
            }),
            _ => Err(problems.0),
        }
    }

    /// Whether the server's certificate must hold. With `opportunistic` only where something hangs on it: without a
    /// login, and without authorities that a person named, a plain connection would do as well.
    #[must_use]
    pub fn verifies(&self) -> bool {
        self.security != Security::Opportunistic || self.login != Login::None || self.ca.is_some()
    }
}

/// What is wrong with the address and params of a notifier of type SMTP; empty when nothing is.
#[must_use]
pub fn check(address: &str, params: &[(String, Secret)]) -> Vec<Problem> {
    Account::read(address, params).err().unwrap_or_default()
}

#[derive(Default)]
struct Problems(Vec<Problem>);

impl Problems {
    fn of<T>(&mut self, field: &str, result: Result<T, String>) -> Option<T> {
        result.map_err(|message| self.0.push(Problem { field: field.to_owned(), message })).ok()
    }
}

fn unknown(name: &str, part: usize) -> String {
    let all = params();
    let known = all.iter().map(|p| p.name.as_str());
    let hint = match nearest(name, known.clone()) {
        Some(near) => format!("did you mean `{near}`?"),
        None => format!("known are {}", known.collect::<Vec<_>>().join(", ")),
    };
    format!("{} is not known to SMTP: {hint}", shown(name, part))
}

fn read_port(text: &str) -> Result<u16, String> {
    text.parse().ok().filter(|p| *p > 0).ok_or_else(|| format!("`port` is {}: write 1 to 65535", shown_value(text)))
}

fn read_server(text: &str) -> Result<(url::Host, Option<u16>), String> {
    let wrong = || format!("`server` is {}: write HOST, HOST:PORT or [IPv6 address]:PORT", shown_value(text));
    let text = text.trim();
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !host.contains(':') || host.ends_with(']') => (host, Some(read_port(port)?)),
        _ => (text, None),
    };
    // A bare IPv6 address may stand without brackets where no port follows.
    let host = match host.parse::<std::net::Ipv6Addr>() {
        Ok(ip) => url::Host::Ipv6(ip),
        Err(_) => url::Host::parse(host).map_err(|_| wrong())?,
    };
    Ok((host, port))
}

fn read_security(text: Option<&str>, port: Option<u16>) -> Result<Security, String> {
    match text {
        None if port == Some(465) => Ok(Security::Tls),
        None | Some("starttls") => Ok(Security::StartTls),
        Some("opportunistic") => Ok(Security::Opportunistic),
        Some("tls") => Ok(Security::Tls),
        Some("none") => Ok(Security::None),
        Some(other) => Err(format!("`security` is {}: write starttls, opportunistic, tls or none", shown_value(other))),
    }
}

fn read_login(text: Option<&str>, has_user: bool, security: Security) -> Result<Login, String> {
    match text {
        None if !has_user || security == Security::None => Ok(Login::None),
        None => Ok(Login::Auto { unasked: true }),
        Some("none") => Ok(Login::None),
        Some("auto") => Ok(Login::Auto { unasked: false }),
        Some("plain") => Ok(Login::Plain),
        Some("login") => Ok(Login::Login),
        Some(other) => Err(format!("`auth` is {}: write plain, login, auto or none", shown_value(other))),
    }
}

fn read_ca(text: &str) -> Result<String, String> {
    if text.starts_with('/') {
        Ok(text.to_owned())
    } else {
        Err(format!("`ca` is {}: write the absolute path of a PEM file", shown_value(text)))
    }
}

fn read_timeout(text: &str) -> Result<Duration, String> {
    humantime::parse_duration(text)
        .ok()
        .filter(|d| (Duration::from_secs(1)..=Duration::from_secs(600)).contains(d))
        .ok_or_else(|| format!("`timeout` is {}: write 1s to 10m", shown_value(text)))
}

fn read_hello(text: &str) -> Result<String, String> {
    if super::address::is_host_name(text) {
        Ok(text.to_owned())
    } else {
        Err(format!("`hello` is {}: write a host name", shown_value(text)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::params::parse;

    fn read(params: &str) -> Account {
        Account::read("ops@example.com", &parse(params).unwrap()).unwrap()
    }

    fn problem(address: &str, params: &str) -> String {
        let found = check(address, &parse(params).unwrap());
        assert_eq!(found.len(), 1, "{params}: {found:?}");
        found[0].to_string()
    }

    #[test]
    fn the_form_of_skypunch_0_3_means_port_587_starttls_and_login() {
        let a = read("user=me@example.com,password=hunter2,server=smtp.example.com");
        assert_eq!((a.port, a.security, a.login), (587, Security::StartTls, Login::Auto { unasked: true }));
        assert_eq!(a.host.to_string(), "smtp.example.com");
        assert_eq!(a.timeout, DEFAULT_TIMEOUT);
        assert!(a.verifies());
        assert!(!format!("{a:?}").contains("hunter2"));
    }

    #[test]
    fn a_forgotten_comma_before_a_password_shows_none() {
        for params in [
            "server=h password=hunter2",
            "server=h:25;password=hunter2",
            "server=h,port=25 password=hunter2",
            "server=h,from=me password=hunter2",
            "server=h,security=tls;password=hunter2",
            "server=h,timeout=5s password=hunter2",
        ] {
            let said = problem("ops@example.com", params);
            assert!(said.contains("password=…") && !said.contains("hunter2"), "{params}: {said}");
        }
    }

    #[test]
    fn port_security_and_login_follow_from_one_another() {
        let of = |params: &str| {
            let a = read(params);
            (a.port, a.security, a.login)
        };
        assert_eq!(of("server=a:465"), (465, Security::Tls, Login::None));
        assert_eq!(of("server=a,security=tls"), (465, Security::Tls, Login::None));
        assert_eq!(of("server=a,port=2525"), (2525, Security::StartTls, Login::None));
        assert_eq!(of("server=a,security=none,user=u,password=p"), (25, Security::None, Login::None));
        assert_eq!(of("server=a,security=none,user=u,password=p,auth=plain"), (25, Security::None, Login::Plain));
        assert_eq!(of("server=[::1]:26,security=opportunistic").0, 26);
        assert_eq!(read("server=::1").host.to_string(), "[::1]");
        assert!(!read("server=a,security=opportunistic").verifies());
        assert!(read("server=a,security=opportunistic,user=u,password=p").verifies());
    }

    #[test]
    fn each_problem_is_one_sentence_that_says_what_to_write_and_shows_no_secret() {
        let ok = "server=a";
        for (address, params, words) in [
            ("a@b.c", "user=u,password=hunter2", "`server` is missing"),
            ("a@b.c", "server=a,pasword=hunter2", "did you mean `password`?"),
            ("a@b.c", "server=a,colour=hunter2", "known are server, port"),
            ("a@b.c", "server=a,user=u", "`password` is missing"),
            ("a@b.c", "server=a,auth=plain,user=u", "`password` is missing"),
            ("a@b.c", "server=a:x", "`port` is `x`"),
            ("a@b.c", "server=a b", "`server` is `a b`"),
            ("a@b.c", "server=a:25,port=26", "leave one out"),
            ("a@b.c", "server=a,security=ssl", "write starttls, opportunistic, tls or none"),
            ("a@b.c", "server=a,auth=cram", "write plain, login, auto or none"),
            ("a@b.c", "server=a,timeout=0s", "write 1s to 10m"),
            ("a@b.c", "server=a,ca=x.pem", "absolute path"),
            ("a@b.c", "server=a,from=nobody", "`from`"),
            ("a@b.c", "server=a,hello=a b", "host name"),
            ("", ok, "address: "),
            ("a@b.c, nobody", ok, "`nobody`"),
        ] {
            let said = problem(address, params);
            assert!(said.contains(words), "{address} {params}: {said}");
            assert!(!said.contains("hunter2"), "{said}");
        }
        assert_eq!(check("nobody", &parse("port=0,security=x").unwrap()).len(), 4);
    }
}
