//! Secrets in clear on the command line: arguments are seen by every user of the machine and kept in the shell's history.

use url::Url;

use crate::model::auth::Auth;
use crate::model::credential::is_plain_param;
use crate::model::definition::is_secret_header;
use crate::model::params as parameters;
use crate::model::text::quoted;
use crate::secret::Secret;

const WHY: &str = "arguments can be read by every user of this machine";
/// Parameters that only a login at OpenStack has.
const LOGIN: [&str; 2] = ["auth_url", "osauthendpoint"];
/// A longer part of a URL, of letters and digits, is taken for a token.
const MAX_PLAIN: usize = 16;

fn is_reference(s: &Secret) -> bool {
    s.expose().starts_with("${")
}

pub(super) fn authn_parms(value: &str) -> Result<(), String> {
    let secret = Secret::new(value);
    let by_reference = is_reference(&secret)
        || matches!(Auth::parse("BASIC", Some(&secret)), Ok(Auth::Basic { password, .. }) if is_reference(&password))
        || matches!(Auth::parse("BEARER", Some(&secret)), Ok(Auth::Bearer { token }) if is_reference(&token));
    if by_reference || value.is_empty() {
        return Ok(());
    }
    if parameters::parse(value).is_ok_and(|all| all.iter().any(|(name, _)| LOGIN.contains(&name.as_str()))) {
        return login("authn_parms", value);
    }
    Err(format!(
        "authn_parms holds a secret, and {WHY}: write `--authn-parms -` and give it on standard input, or a \
         reference such as 'user=NAME,password=${{file:/path}}' or 'token=${{env:NAME}}'"
    ))
}

pub(super) fn headers(value: &str) -> Result<(), String> {
    let secret = value.lines().filter_map(|l| l.split_once(':')).find(|(name, _)| is_secret_header(name.trim()));
    match secret {
        Some((name, _)) => Err(format!(
            "headers: {} holds a secret, and {WHY}: write `--header -` and give all headers on standard input, \
             or use authn",
            quoted(name.trim())
        )),
        None => Ok(()),
    }
}

/// Parameters of a notifier.
pub(super) fn params(value: &str) -> Result<(), String> {
    if is_reference(&Secret::new(value)) { Ok(()) } else { named_secrets("params", value, |_| false) }
}

/// Parameters of a login at OpenStack.
pub(super) fn login(key: &str, value: &str) -> Result<(), String> {
    named_secrets(key, value, is_plain_param)
}

/// Parameters whose name says that they hold a secret, unless they are known not to.
fn named_secrets(key: &str, value: &str, plain: impl Fn(&str) -> bool) -> Result<(), String> {
    let flag = key.replace('_', "-");
    let how = format!(
        "write `--{flag} -` and give them on standard input, or a reference such as ${{file:/path}} or ${{env:NAME}}"
    );
    let Ok(all) = parameters::parse(value) else {
        return Err(format!("{key}: this is no list of name=value and may hold a secret, and {WHY}: {how}"));
    };
    let word = |name: &str| {
        let words = ["pass", "secret", "token", "key", "auth", "credential"];
        !plain(name) && words.iter().any(|w| name.contains(w))
    };
    match all.iter().find(|(name, value)| word(name) && !is_reference(value) && !value.expose().is_empty()) {
        Some((name, _)) => Err(format!("{key}: {} is a secret, and {WHY}: {how}", quoted(name))),
        None => Ok(()),
    }
}

/// The URL of a webhook that seems to hold a token.
pub(super) fn address(value: &str) -> Result<(), String> {
    let Ok(url) = Url::parse(value) else { return Ok(()) };
    let is_token =
        |part: &str| part.len() >= MAX_PLAIN && part.chars().all(|c| c.is_ascii_alphanumeric() || "-_".contains(c));
    let in_path = url.path_segments().is_some_and(|mut parts| parts.any(is_token));
    if value.contains("://") && (in_path || url.query().is_some() || url.password().is_some()) {
        return Err(format!(
            "address: the URL seems to hold a secret, and {WHY}: write `--address -` and give it on standard input, or a \
             reference such as ${{file:/path}} or ${{env:NAME}}"
        ));
    }
    Ok(())
}
