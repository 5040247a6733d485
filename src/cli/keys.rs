//! The keys of a target as flags of `add` and `edit`.
//!
//! ```text
//!  --frequency 10s  --set tags=web,prod  --unset host
//!        '------------- one map of keys ------------' --> checked by the model --> POST or PATCH
//! ```
//!
//! Secrets never come as arguments, which every user of the machine can read: they come by reference or from standard
//! input.

use std::io::Read;

use serde_json::{Map, Value};

use super::exit::CliError;
use crate::model::auth::Auth;
use crate::model::definition::{Definition, is_secret_header};
use crate::model::text::quoted;
use crate::secret::Secret;

/// Longer input is no key's value.
const MAX_INPUT_BYTES: u64 = 128 * 1024;

macro_rules! key_args {
    ($( $(#[$attr:meta])* $field:ident: $flag:literal $(or $alias:literal)?, $value:literal; )*) => {
        /// A flag for every key of a target.
        #[derive(Debug, Default, clap::Args)]
        pub struct KeyArgs {
            $(
                $(#[$attr])*
                #[arg(long = $flag $(, alias = $alias)?, value_name = $value, allow_hyphen_values = true)]
                $field: Option<String>,
            )*
            /// Request header; may be given more than once (`-`: lines from standard input)
            #[arg(long = "header", alias = "headers", value_name = "NAME: VALUE")]
            headers: Vec<String>,
            /// Any key by its name
            #[arg(long, value_name = "KEY=VALUE")]
            set: Vec<String>,
            /// Set a key to its default
            #[arg(long, value_name = "KEY")]
            unset: Vec<String>,
        }

        impl KeyArgs {
            /// Key and value of each flag that was given.
            fn flags(&self) -> Vec<(&'static str, &str)> {
                let all = [ $( (stringify!($field), self.$field.as_deref()) ),* ];
                all.into_iter().filter_map(|(key, value)| value.map(|v| (key, v))).collect()
            }
        }
    };
}

key_args! {
    /// Name, unique within the tenant
    name: "name", "NAME";
    /// Tenant that it belongs to
    tenantid: "tenantid" or "tenant", "TENANT";
    /// What to probe: http://… or https://…
    url: "url", "URL";
    /// GET, PUT, POST, DELETE, HEAD, PATCH or OPTIONS
    method: "method", "METHOD";
    /// Request body (`-`: standard input)
    body: "body", "TEXT";
    /// NONE, BASIC or BEARER
    authn: "authn", "KIND";
    /// `-`: from standard input, as user=…,password=… or token=…; or with references: user=a,password=${file:/path}
    authn_parms: "authn-parms" or "authn_parms", "-|REFERENCE";
    /// Name of a shared credential
    credential: "credential", "NAME";
    /// Status codes that are PASS: 200 or 200-299 or 200,204,301-303
    pass_result: "pass-result" or "pass_result", "CODES";
    /// Time between probes: 10s, 1m 30s
    frequency: "frequency", "DURATION";
    /// The same in milliseconds
    frequency_ms: "frequency-ms" or "frequency_ms", "MS";
    /// Time that a probe may take; at most the frequency
    timeout: "timeout", "DURATION";
    /// The same in milliseconds
    timeout_ms: "timeout-ms" or "timeout_ms", "MS";
    /// Failed probes in a row until the target is FAIL
    fail_after: "fail-after" or "fail_after", "N";
    /// Passed probes in a row until it is PASS again
    recover_after: "recover-after" or "recover_after", "N";
    /// Redirects to follow
    redirects: "redirects", "N";
    /// File of certificate authorities (PEM) to trust instead of the system's
    tls_ca: "tls-ca" or "tls_ca", "FILE";
    /// Whether the certificate is verified: true or false
    tls_verify: "tls-verify" or "tls_verify", "BOOL";
    /// Name to send and verify instead of the URL's host
    tls_server_name: "tls-server-name" or "tls_server_name", "NAME";
    /// Host header instead of the URL's
    host: "host", "HOST";
    /// Words for grouping, separated by commas
    tags: "tags", "TAG,…";
    /// Whether it is probed: true or false
    enabled: "enabled", "BOOL";
}

impl KeyArgs {
    /// All keys that were given, as the API takes them; `input` is standard input, for a value of `-`.
    ///
    /// # Errors
    /// A sentence for each value that is of the wrong type, given twice, or a secret.
    pub fn map(&self, input: impl Read) -> Result<Map<String, Value>, CliError> {
        let mut pairs: Vec<(String, String)> =
            self.flags().into_iter().map(|(k, v)| (k.to_owned(), v.to_owned())).collect();
        let mut problems: Vec<String> = Vec::new();
        for header in self.headers.iter().filter(|h| h.contains(['\r', '\n'])) {
            let name = header.split([':', '\r', '\n']).next().unwrap_or_default();
            problems.push(format!(
                "--header {} holds a line break: write one --header for each, or `--header -` and lines on standard input",
                quoted(name)
            ));
        }
        if !self.headers.is_empty() {
            pairs.push(("headers".into(), self.headers.join("\n")));
        }
        for text in &self.set {
            match text.split_once('=') {
                Some((key, value)) => pairs.push((key.trim().to_owned(), value.to_owned())),
                None => problems.push(format!("--set {} has no `=`: write --set KEY=VALUE", quoted(text))),
            }
        }
        let mut input = Some(input);
        let mut map = Map::new();
        for (key, value) in pairs {
            let value = if value == "-" && ["authn_parms", "headers", "body"].contains(&key.as_str()) {
                match input.take().ok_or_else(|| "standard input can hold one value only".into()).and_then(read_input) {
                    Ok(text) => Ok(Value::String(text)),
                    Err(e) => Err(format!("{key}: {e}")),
                }
            } else {
                refuse_secret(&key, &value).and_then(|()| typed(&key, value))
            };
            match value {
                Ok(value) => {
                    if map.insert(key.clone(), value).is_some() {
                        problems.push(format!("{key} is given twice: leave one out"));
                    }
                }
                Err(e) => problems.push(e),
            }
        }
        for key in &self.unset {
            if map.insert(key.clone(), Value::Null).is_some() {
                problems.push(format!("{} is both set and unset: leave one out", quoted(key)));
            }
        }
        // Unknown keys and wrong types are found here, with the nearest known word.
        if let Err(found) = Definition::default().set_all(&map) {
            problems.extend(found.iter().map(ToString::to_string));
        }
        if problems.is_empty() { Ok(map) } else { Err(CliError::Input(problems)) }
    }
}

/// The value of a key in the type that the key has.
fn typed(key: &str, text: String) -> Result<Value, String> {
    match key {
        "frequency_ms" | "timeout_ms" | "fail_after" | "recover_after" | "redirects" => text
            .trim()
            .parse::<i64>()
            .map(Value::from)
            .map_err(|_| format!("{key}: {} is not a whole number", quoted(&text))),
        "tls_verify" | "enabled" => match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err(format!("{key}: {} is neither true nor false", quoted(&text))),
        },
        _ => Ok(Value::String(text)),
    }
}

/// Refuses a secret in clear: arguments are seen by every user of the machine and kept in the shell's history.
fn refuse_secret(key: &str, value: &str) -> Result<(), String> {
    const WHY: &str = "arguments can be read by every user of this machine";
    let is_reference = |s: &Secret| s.expose().starts_with("${");
    match key {
        "authn_parms" => {
            let secret = Secret::new(value);
            let by_reference = is_reference(&secret)
                || matches!(Auth::parse("BASIC", Some(&secret)), Ok(Auth::Basic { password, .. }) if is_reference(&password))
                || matches!(Auth::parse("BEARER", Some(&secret)), Ok(Auth::Bearer { token }) if is_reference(&token));
            if by_reference || value.is_empty() {
                return Ok(());
            }
            Err(format!(
                "authn_parms holds a secret, and {WHY}: write `--authn-parms -` and give it on standard input, or a \
                 reference such as 'user=NAME,password=${{file:/path}}' or 'token=${{env:NAME}}'"
            ))
        }
        "headers" => {
            let secret =
                value.lines().filter_map(|l| l.split_once(':')).find(|(name, _)| is_secret_header(name.trim()));
            match secret {
                Some((name, _)) => Err(format!(
                    "headers: {} holds a secret, and {WHY}: write `--header -` and give all headers on standard input, \
                     or use authn",
                    quoted(name.trim())
                )),
                None => Ok(()),
            }
        }
        _ => Ok(()),
    }
}

fn read_input(input: impl Read) -> Result<String, String> {
    let mut bytes = Vec::new();
    input
        .take(MAX_INPUT_BYTES + 1)
        .read_to_end(&mut bytes)
        .map_err(|e| format!("standard input cannot be read: {e}"))?;
    if bytes.len() as u64 > MAX_INPUT_BYTES {
        return Err(format!("standard input is longer than {MAX_INPUT_BYTES} bytes"));
    }
    let text = String::from_utf8(bytes).map_err(|_| "standard input is not UTF-8 text".to_owned())?;
    let text = text.strip_suffix('\n').unwrap_or(&text);
    Ok(text.strip_suffix('\r').unwrap_or(text).to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::args::{AddKind, Args, Command};
    use crate::model::definition::KEYS;
    use clap::Parser;
    use serde_json::json;

    fn map(args: &[&str], input: &str) -> Result<Value, String> {
        let line = ["skypunchctl", "add", "target"].iter().chain(args);
        let args = Args::try_parse_from(line).map_err(|e| e.to_string())?;
        let Some(Command::Add { kind: AddKind::Target(keys) }) = args.command else { panic!("not add") };
        keys.map(input.as_bytes()).map(Value::Object).map_err(|e| e.to_string())
    }

    #[test]
    fn every_key_has_a_flag_and_a_set() {
        for key in KEYS {
            let value = match *key {
                "frequency_ms" | "timeout_ms" | "fail_after" | "recover_after" | "redirects" => "100",
                "frequency" | "timeout" => "10s",
                "tls_verify" | "enabled" => "false",
                "headers" => "A: b",
                "authn_parms" => "token=${env:T}",
                _ => "x",
            };
            let by_set = map(&["--set", &format!("{key}={value}")], "").unwrap();
            assert!(by_set.get(key).is_some());
            for flag in [format!("--{key}"), format!("--{}", key.replace('_', "-"))] {
                assert_eq!(map(&[&flag, value], "").unwrap(), by_set, "{flag}");
            }
        }
    }

    #[test]
    fn values_have_the_types_of_their_keys() {
        let args =
            ["--name", "shop", "--redirects", "3", "--tls-verify", "no", "--frequency", "10s", "--unset", "host"];
        assert_eq!(
            map(&args, "").unwrap(),
            json!({"name": "shop", "redirects": 3, "tls_verify": false, "frequency": "10s", "host": null})
        );
        assert_eq!(map(&["--header", "A: b", "--header", "C: d"], "").unwrap(), json!({"headers": "A: b\nC: d"}));
    }

    #[test]
    fn secrets_come_from_standard_input_or_by_reference() {
        let parms = map(&["--authn-parms", "-"], "user=a,password=hunter2\r\n").unwrap();
        assert_eq!(parms, json!({"authn_parms": "user=a,password=hunter2"}));
        assert!(map(&["--authn-parms", "user=a,password=${file:/run/p}"], "").is_ok());
        assert!(map(&["--authn-parms", "${file:/run/p}"], "").is_ok());
        for args in [
            ["--authn-parms", "user=a,password=hunter2"],
            ["--set", "authn_parms=token=hunter2"],
            ["--authn-parms", "hunter2"],
            ["--header", "Authorization: hunter2"],
            ["--set", "headers=X-Api-Key: hunter2"],
        ] {
            let error = map(&args, "").unwrap_err();
            assert!(error.contains("read by every user") && !error.contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn wrong_values_get_a_sentence_each() {
        for (args, part) in [
            (vec!["--redirects", "many"], "redirects: `many` is not a whole number"),
            (vec!["--redirects", "99999999999999999999"], "is not a whole number"),
            (vec!["--frequency-ms", "-x"], "frequency_ms: `-x` is not a whole number"),
            (vec!["--enabled", "maybe"], "enabled: `maybe` is neither true nor false"),
            (vec!["--frequency", "soon"], "frequency: `soon` is not a duration"),
            (vec!["--set", "frequncy=1s"], "frequncy: there is no such key; did you mean `frequency`?"),
            (vec!["--set", "name"], "--set `name` has no `=`"),
            (vec!["--name", "a", "--set", "name=b"], "name is given twice"),
            (vec!["--name", "a", "--unset", "name"], "both set and unset"),
            (vec!["--unset", "nmae"], "did you mean `name`?"),
            (vec!["--timeout", "1s", "--timeout-ms", "1000"], "given twice, as `timeout` and as `timeout_ms`"),
            (vec!["--body", "-", "--authn-parms", "-"], "one value only"),
            (vec!["--set", "na\u{1b}me=b"], "there is no such key"),
            (vec!["--header", "A: b\r\nC: d"], "--header `A` holds a line break"),
            (vec!["--header", "A: b", "--header", "C: d\n"], "--header `C` holds a line break"),
        ] {
            let error = map(&args, "").unwrap_err();
            assert!(error.contains(part), "{args:?}: {error}");
        }
        let keys = KeyArgs { body: Some("-".into()), ..KeyArgs::default() };
        assert!(keys.map(&b"\xff\xfe"[..]).unwrap_err().to_string().contains("not UTF-8"));
        assert!(keys.map(std::io::repeat(b'x')).unwrap_err().to_string().contains("longer than"));
    }
}
