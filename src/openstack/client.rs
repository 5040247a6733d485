//! A login over the network: discovery where it is needed, then one `POST`, every step recorded.
//!
//! ```text
//!  login --secrets resolved--> [GET auth_url --discovery--> …/v3] --POST …/auth/tokens--> answer --> token
//!     \______________________ one deadline over all of it ______________________________/
//! ```

use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use url::Url;

use super::answer;
use super::discovery::{self, Start};
use super::error::{Answer, IdentityError};
use super::login;
use crate::model::credential::Login;
use crate::model::egress::Caller;
use crate::model::reason::{Reason, Verdict};
use crate::model::target::Method;
use crate::model::text::escape_controls;
use crate::model::token::Token;
use crate::net::secrets;
use crate::probe::HttpProber;
use crate::probe::fetch::{Fetch, Fetched};
use crate::probe::recorder::Recorder;
use crate::probe::verdict::Failure;
use crate::secret::{Secret, SecretPolicy};

/// A catalog of thousands of endpoints is a few hundred kilobytes.
const TOKEN_CAP: usize = 4 * 1024 * 1024;
/// A list of versions is one or two kilobytes.
const VERSIONS_CAP: usize = 256 * 1024;

/// What logins are made with.
#[derive(Debug)]
pub struct IdentityClient<'a> {
    /// Its connections, its resolver, its trust.
    pub prober: &'a HttpProber,
    /// From where references resolve.
    pub secrets: &'a Arc<SecretPolicy>,
    /// Deadline over discovery and login together.
    pub timeout: Duration,
    /// Whose login it is: a target's own, with its `egress_allow`, or one that targets share.
    pub caller: Caller<'a>,
}

/// What is to be asked for.
#[derive(Debug, Clone, Copy)]
pub struct Wanted<'a> {
    /// The serial of the token to be.
    pub serial: u64,
    /// Whether the catalog is to come with it.
    pub catalog: bool,
    /// Where v3 was the last time ([`LoggedIn::base`]): spares the discovery. Forget it after a login that failed.
    pub base: Option<&'a Url>,
}

/// A login that succeeded.
#[derive(Debug, Clone)]
pub struct LoggedIn {
    /// The token.
    pub token: Token,
    /// Where the API was found.
    pub base: Url,
}

impl IdentityClient<'_> {
    /// Logs in. The time counts from when `recorder` was made. Needs a tokio `LocalSet`, as every arbiter has.
    ///
    /// # Errors
    /// Why there is no token. Whatever keeps the service from answering is `identity_unreachable`, unless the trouble is
    /// this machine's; a reference that does not resolve is `auth_config`, an address that may not be connected to
    /// `egress_denied`.
    pub async fn log_in(
        &self,
        login: &Login,
        wanted: Wanted<'_>,
        recorder: &Rc<Recorder>,
    ) -> Result<LoggedIn, IdentityError> {
        let secret = self.secret(login, recorder).await?;
        let base = match (wanted.base, discovery::start(login)) {
            (Some(base), _) => base.clone(),
            (None, Start::At(base)) => base,
            (None, Start::Ask(url)) => self.discover(login, &url, &secret, recorder).await?,
        };
        let request = login::request(login, &base, &secret, wanted.catalog);
        let headers = [("accept", "application/json"), ("content-type", "application/json")];
        let fetch = Fetch {
            url: &request.url,
            method: Method::Post,
            headers: &headers,
            body: Some(&request.body),
            secrets: &[&secret],
            tls: &login.tls,
            caller: self.caller,
            timeout: self.left(recorder),
            body_cap: TOKEN_CAP,
        };
        let doing = || format!("logging in at {}", request.url);
        let fetched = self.prober.fetch(&fetch, recorder).await.map_err(|f| unreachable(doing(), &f, recorder))?;
        let leaks = |text: &str| fetch.leaks(text);
        let token = answer::judge(login.api, &answer(&request.url, &fetched, &leaks), wanted.serial, wanted.catalog)?;
        Ok(LoggedIn { token, base })
    }

    async fn discover(
        &self,
        login: &Login,
        url: &Url,
        secret: &Secret,
        recorder: &Rc<Recorder>,
    ) -> Result<Url, IdentityError> {
        let fetch = Fetch {
            url,
            method: Method::Get,
            headers: &[("accept", "application/json")],
            body: None,
            secrets: &[secret],
            tls: &login.tls,
            caller: self.caller,
            timeout: self.left(recorder),
            body_cap: VERSIONS_CAP,
        };
        let doing = || format!("asking {url} for its versions");
        let fetched = self.prober.fetch(&fetch, recorder).await.map_err(|f| unreachable(doing(), &f, recorder))?;
        let leaks = |text: &str| fetch.leaks(text);
        discovery::base(&answer(url, &fetched, &leaks))
    }

    /// The login's secret, its reference resolved.
    async fn secret(&self, login: &Login, recorder: &Recorder) -> Result<Secret, IdentityError> {
        let written = login::secret(login);
        let doing = |why: &str| {
            let text = format!("preparing the login at {}: its secret: {why}", login.auth_url);
            escape_controls(&text).into_owned()
        };
        let waited = tokio::time::timeout(self.left(recorder), secrets::resolve(self.secrets, written)).await;
        let read = waited.map_err(|_| {
            let why = format!("{} cannot be read: its disk does not answer", written.file().unwrap_or_default());
            IdentityError::new(Reason::LocalResources, doing(&why))
        })?;
        let resolved = read.map_err(|e| IdentityError::new(Reason::LocalResources, doing(&e.to_string())))?;
        resolved.map_err(|why| IdentityError::new(Reason::AuthConfig, doing(&why)))
    }

    fn left(&self, recorder: &Recorder) -> Duration {
        self.timeout.saturating_sub(elapsed(recorder))
    }
}

fn answer<'a>(url: &'a Url, fetched: &'a Fetched, leaks: &'a dyn Fn(&str) -> bool) -> Answer<'a> {
    Answer { url, status: fetched.status, headers: &fetched.headers, body: &fetched.body, leaks }
}

fn elapsed(recorder: &Recorder) -> Duration {
    Duration::from_micros(recorder.elapsed_us().into())
}

/// No answer.
fn unreachable(doing: String, failure: &Failure, recorder: &Recorder) -> IdentityError {
    let reason = match failure.reason {
        // A file of authorities that is not there is a setting of the credential's own; where it may not go is one of ours.
        Reason::AuthConfig | Reason::EgressDenied => failure.reason,
        reason if reason.verdict() == Verdict::Unknown => reason,
        _ => Reason::IdentityUnreachable,
    };
    IdentityError::new(reason, format!("{doing}: {}", failure.sentence(elapsed(recorder))))
}
