//! The keys of a target, of a notifier and of a credential, as flags of `add` and `edit`.
//!
//! ```text
//!  --frequency 10s  --set tags=web,prod  --unset host
//!        '------------- one map of keys ------------' --> checked by the model --> POST or PATCH
//! ```
//!
//! Secrets never come as arguments, which every user of the machine can read: they come by reference or from standard
//! input.

mod flags;

use std::io::Read;

use serde_json::{Map, Value};

pub use self::flags::{CredentialKeyArgs, KeyArgs, NotifierKeyArgs};
use super::exit::CliError;
use super::refuse;
use crate::model::credential::CredentialDefinition;
use crate::model::defined::Defined;
use crate::model::definition::Definition;
use crate::model::notifier::NotifierDefinition;
use crate::model::text::quoted;

/// Longer input is no key's value.
const MAX_INPUT_BYTES: u64 = 128 * 1024;

/// The flags of a command.
struct Given<'a> {
    flags: Vec<(&'static str, &'a str)>,
    /// Key, flag and values of those that may be given more than once.
    lines: Vec<(&'static str, &'static str, &'a [String])>,
    set: &'a [String],
    unset: &'a [String],
}

/// How the keys of a definition are read from the command line.
trait Keys: Defined {
    /// Keys whose value may be `-`: standard input.
    const INPUT: &'static [&'static str];
    /// Keys that are whole numbers.
    const NUMBERS: &'static [&'static str];
    /// Keys that are true or false.
    const FLAGS: &'static [&'static str];

    /// Says why a value must not be an argument.
    fn refuse_secret(key: &str, value: &str) -> Result<(), String>;
}

impl Keys for Definition {
    const INPUT: &'static [&'static str] = &["authn_parms", "headers", "body"];
    const NUMBERS: &'static [&'static str] =
        &["frequency_ms", "timeout_ms", "fail_after", "recover_after", "redirects", "keep_alive"];
    const FLAGS: &'static [&'static str] = &["tls_verify", "enabled"];

    fn refuse_secret(key: &str, value: &str) -> Result<(), String> {
        match key {
            "authn_parms" => refuse::authn_parms(value),
            "headers" => refuse::headers(value),
            _ => Ok(()),
        }
    }
}

impl Keys for NotifierDefinition {
    const INPUT: &'static [&'static str] = &["address", "params", "templates"];
    const NUMBERS: &'static [&'static str] =
        &["group_wait_ms", "group_window_ms", "rate_per_minute", "retry_for_ms", "remind_ms"];
    const FLAGS: &'static [&'static str] = &["enabled"];

    fn refuse_secret(key: &str, value: &str) -> Result<(), String> {
        match key {
            "address" => refuse::address(value),
            "params" => refuse::params(value),
            _ => Ok(()),
        }
    }
}

impl Keys for CredentialDefinition {
    const INPUT: &'static [&'static str] = &["params"];
    const NUMBERS: &'static [&'static str] = &[];
    const FLAGS: &'static [&'static str] = &["enabled"];

    fn refuse_secret(key: &str, value: &str) -> Result<(), String> {
        if key == "params" { refuse::login("params", value) } else { Ok(()) }
    }
}

impl CredentialKeyArgs {
    /// All keys that were given, as the API takes them; `input` is standard input, for a value of `-`.
    ///
    /// # Errors
    /// A sentence for each value that is of the wrong type, given twice, or a secret.
    pub fn map(&self, input: impl Read) -> Result<Map<String, Value>, CliError> {
        self.given().map::<CredentialDefinition>(input)
    }
}

impl NotifierKeyArgs {
    /// All keys that were given, as the API takes them; `input` is standard input, for a value of `-`.
    ///
    /// # Errors
    /// A sentence for each value that is of the wrong type, given twice, or a secret.
    pub fn map(&self, input: impl Read) -> Result<Map<String, Value>, CliError> {
        self.given().map::<NotifierDefinition>(input)
    }
}

impl KeyArgs {
    /// All keys that were given, as the API takes them; `input` is standard input, for a value of `-`.
    ///
    /// # Errors
    /// A sentence for each value that is of the wrong type, given twice, or a secret.
    pub fn map(&self, input: impl Read) -> Result<Map<String, Value>, CliError> {
        self.given().map::<Definition>(input)
    }
}

impl Given<'_> {
    fn map<D: Keys>(&self, input: impl Read) -> Result<Map<String, Value>, CliError> {
        let mut pairs: Vec<(String, String)> =
            self.flags.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        let mut problems: Vec<String> = Vec::new();
        for (key, flag, lines) in &self.lines {
            for line in lines.iter().filter(|l| l.contains(['\r', '\n'])) {
                let name = line.split([':', '\r', '\n']).next().unwrap_or_default();
                problems.push(format!(
                    "--{flag} {} holds a line break: write one --{flag} for each, or `--{flag} -` and lines on standard \
                     input",
                    quoted(name)
                ));
            }
            if !lines.is_empty() {
                pairs.push(((*key).to_owned(), lines.join("\n")));
            }
        }
        for text in self.set {
            match text.split_once('=') {
                Some((key, value)) => pairs.push((key.trim().to_owned(), value.to_owned())),
                None => problems.push(format!("--set {} has no `=`: write --set KEY=VALUE", quoted(text))),
            }
        }
        let mut input = Some(input);
        let mut map = Map::new();
        for (key, value) in pairs {
            let value = if value == "-" && D::INPUT.contains(&key.as_str()) {
                match input.take().ok_or_else(|| "standard input can hold one value only".into()).and_then(read_input) {
                    Ok(text) => Ok(Value::String(text)),
                    Err(e) => Err(format!("{key}: {e}")),
                }
            } else {
                D::refuse_secret(&key, &value).and_then(|()| typed::<D>(&key, value))
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
        for key in self.unset {
            if map.insert(key.clone(), Value::Null).is_some() {
                problems.push(format!("{} is both set and unset: leave one out", quoted(key)));
            }
        }
        // Unknown keys and wrong types are found here, with the nearest known word.
        if let Err(found) = D::default().set_all(&map) {
            problems.extend(found.iter().map(ToString::to_string));
        }
        if problems.is_empty() { Ok(map) } else { Err(CliError::Input(problems)) }
    }
}

/// The value of a key in the type that the key has.
fn typed<D: Keys>(key: &str, text: String) -> Result<Value, String> {
    if D::NUMBERS.contains(&key) {
        let number = text.trim().parse::<i64>().map(Value::from);
        return number.map_err(|_| format!("{key}: {} is not a whole number", quoted(&text)));
    }
    if D::FLAGS.contains(&key) {
        return match text.trim().to_ascii_lowercase().as_str() {
            "true" | "yes" => Ok(Value::Bool(true)),
            "false" | "no" => Ok(Value::Bool(false)),
            _ => Err(format!("{key}: {} is neither true nor false", quoted(&text))),
        };
    }
    Ok(Value::String(text))
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
                "frequency_ms" | "timeout_ms" | "fail_after" | "recover_after" | "redirects" | "keep_alive" => "100",
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

    fn notifier(args: &[&str], input: &str) -> Result<Value, String> {
        let line = ["skypunchctl", "add", "notifier"].iter().chain(args);
        let args = Args::try_parse_from(line).map_err(|e| e.to_string())?;
        let Some(Command::Add { kind: AddKind::Notifier(keys) }) = args.command else { panic!("not add") };
        keys.map(input.as_bytes()).map(Value::Object).map_err(|e| e.to_string())
    }

    #[test]
    fn every_key_of_a_notifier_has_a_flag_and_a_set() {
        for key in NotifierDefinition::KEYS {
            let value = match *key {
                "enabled" => "false",
                "params" => "token=${env:T}",
                k if NotifierDefinition::NUMBERS.contains(&k) => "100",
                "group_wait" | "group_window" | "retry_for" | "remind" => "10s",
                _ => "x",
            };
            let by_set = notifier(&["--set", &format!("{key}={value}")], "").unwrap();
            assert!(by_set.get(key).is_some());
            for flag in [format!("--{key}"), format!("--{}", key.replace('_', "-"))] {
                assert_eq!(notifier(&[&flag, value], "").unwrap(), by_set, "{flag}");
            }
        }
    }

    #[test]
    fn secrets_of_notifiers_come_from_standard_input_or_by_reference() {
        let params = notifier(&["--params", "-"], "user=a,password=hunter2\n").unwrap();
        assert_eq!(params, json!({"params": "user=a,password=hunter2"}));
        let address = notifier(&["--address", "-"], "https://hooks.example/services/T0/B0/hunter2\n").unwrap();
        assert_eq!(address, json!({"address": "https://hooks.example/services/T0/B0/hunter2"}));
        for args in [
            ["--params", "user=me@example.com,password=${file:/run/p},server=smtp.example.com"],
            ["--params", "priority=high,channel=#ops"],
            ["--address", "ops@example.com,me@example.com"],
            ["--address", "http://127.0.0.1:8080/hook"],
            ["--address", "${env:SLACK}"],
        ] {
            assert!(notifier(&args, "").is_ok(), "{args:?}");
        }
        for args in [
            ["--params", "user=a,password=hunter2"],
            ["--params", "user=a,api_key=hunter2"],
            ["--set", "params=routing_key=hunter2"],
            ["--params", "hunter2"],
            ["--address", "https://hooks.example/services/T00000000/B00000000/hunter2hunter2hunter2"],
            ["--address", "https://u:hunter2@ntfy.example/x"],
            ["--set", "address=https://chat.example/v1?key=hunter2"],
        ] {
            let error = notifier(&args, "").unwrap_err();
            assert!(error.contains("read by every user") && !error.contains("hunter2"), "{args:?}: {error}");
        }
        assert!(notifier(&["--rate-per-minute", "many"], "").unwrap_err().contains("not a whole number"));
        assert!(notifier(&["--set", "tpye=SMTP"], "").unwrap_err().contains("did you mean `type`?"));
    }

    fn credential(args: &[&str], input: &str) -> Result<Value, String> {
        let line = ["skypunchctl", "add", "credential"].iter().chain(args);
        let args = Args::try_parse_from(line).map_err(|e| e.to_string())?;
        let Some(Command::Add { kind: AddKind::Credential(keys) }) = args.command else { panic!("not add") };
        keys.map(input.as_bytes()).map(Value::Object).map_err(|e| e.to_string())
    }

    #[test]
    fn every_key_of_a_credential_has_a_flag_and_a_set() {
        for key in CredentialDefinition::KEYS {
            let value = match *key {
                "enabled" => "false",
                "params" => "password=${env:P}",
                _ => "x",
            };
            let by_set = credential(&["--set", &format!("{key}={value}")], "").unwrap();
            assert!(by_set.get(key).is_some());
            assert_eq!(credential(&[&format!("--{key}"), value], "").unwrap(), by_set, "{key}");
        }
        assert_eq!(credential(&["--tenant", "7"], "").unwrap(), json!({"tenantid": "7"}));
    }

    #[test]
    fn secrets_of_logins_come_from_standard_input_or_by_reference() {
        let params = credential(&["--params", "-"], "auth_url=http://k,user_id=u,password=hunter2\n").unwrap();
        assert_eq!(params, json!({"params": "auth_url=http://k,user_id=u,password=hunter2"}));
        for good in [
            "auth_url=http://k,username=u,user_domain_name=D,password=${file:/run/p},project_id=p",
            "auth_url=http://k,application_credential_id=i,application_credential_secret=${env:S}",
            "projct_name=p", // what is wrong with it is said by the model
        ] {
            assert!(credential(&["--params", good], "").is_ok(), "{good}");
            assert!(good.starts_with("proj") || map(&["--authn-parms", good], "").is_ok(), "{good}");
        }
        for bad in [
            "auth_url=http://k,user_id=u,password=hunter2",
            "auth_url=http://k,application_credential_id=i,application_credential_secret=hunter2",
            "auth_url=http://k,user_id=u,passwrd=hunter2",
            "user=u,password=hunter2,osauthendpoint=http://k,tenantid=t",
            "hunter2",
        ] {
            for error in [credential(&["--params", bad], ""), map(&["--authn-parms", bad], "")] {
                let error = error.unwrap_err();
                assert!(error.contains("read by every user") && !error.contains("hunter2"), "{bad}: {error}");
            }
        }
    }
}
