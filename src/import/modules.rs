//! blackbox_exporter's `modules:`: what a probe of theirs sends and expects.

use std::collections::BTreeMap;

use serde_json::Value;

use super::draft::TargetDraft;
use super::fields::Fields;
use super::words::{Codes, duration_ms};
use crate::model::text::quoted;

/// A module of a modules file.
#[derive(Debug, Clone)]
pub enum Module {
    /// It speaks HTTP.
    Http(Box<HttpModule>),
    /// It speaks something else.
    Other(String),
}

/// A module that speaks HTTP: a target without name and URL, and its limit on time.
#[derive(Debug, Clone)]
pub struct HttpModule {
    /// What it sends and expects.
    pub template: TargetDraft,
    /// Its own limit, where it has one.
    pub timeout_ms: Option<i64>,
}

/// All modules of the files, by name, and what is to be said of the files.
///
/// # Errors
/// A sentence, when a file holds no modules.
pub fn read(file: Value, into: &mut BTreeMap<String, Module>, notes: &mut Vec<String>) -> Result<(), String> {
    let mut top = Fields::of(file, "");
    match top.take("modules") {
        Some(Value::Object(all)) => {
            for (name, module) in all {
                let read = one(&name, module);
                into.insert(name, read);
            }
        }
        _ => return Err("holds no `modules:`: name the file that blackbox_exporter is given as --config.file".into()),
    }
    top.finish();
    notes.append(&mut top.notes);
    Ok(())
}

/// What blackbox_exporter does for a module that nobody changed.
#[must_use]
pub fn plain() -> HttpModule {
    let mut template = TargetDraft::named("");
    template.definition.redirects = 10;
    HttpModule { template, timeout_ms: None }
}

fn one(name: &str, value: Value) -> Module {
    let mut m = Fields::of(value, "");
    let prober = m.word("prober").unwrap_or_default();
    if prober != "http" {
        return Module::Other(prober);
    }
    let mut module = plain();
    module.timeout_ms = m.word("timeout").and_then(|text| duration_ms(&text)).filter(|ms| *ms > 0);
    let t = &mut module.template;
    if let Some(mut h) = m.below("http") {
        http(&mut h, t);
        h.finish_into(&mut m);
    }
    m.skip(&["tcp", "icmp", "dns", "grpc", "unix"]); // of other probers
    m.finish();
    t.notes.extend(m.notes.drain(..).map(|n| format!("module {name}: {n}")));
    Module::Http(Box::new(module))
}

/// The keys of `http:`.
fn http(h: &mut Fields, t: &mut TargetDraft) {
    let codes: Vec<i64> = h.list("valid_status_codes").iter().filter_map(Value::as_i64).collect();
    if !codes.is_empty() {
        t.definition.pass_result = Codes::of(|code| codes.contains(&i64::from(code))).written();
    }
    if let Some(method) = h.word("method") {
        t.definition.method = method.to_ascii_uppercase();
    }
    for (name, value) in h.pairs("headers") {
        t.header(&name, &value);
    }
    if let Some(body) = h.text("body").filter(|b| !b.is_empty()) {
        t.definition.body = Some(body);
    }
    if h.flag("no_follow_redirects") == Some(true) {
        t.definition.redirects = 0;
    }
    if h.flag("fail_if_not_ssl") == Some(true) {
        h.note("fail_if_not_ssl has no counterpart: a URL of https:// is spoken to by TLS, but a redirect to http:// is followed");
    }
    h.skip(&["ip_protocol_fallback", "enable_http2", "enable_http3", "use_proxy_dns", "skip_resolve_phase_with_proxy"]);
    let stricter = h.no_counterpart(&[("fail_if_ssl", "an answer by TLS is as good")]);
    h.no_counterpart(&[
        ("fail_if_body_matches_regexp", "the content of an answer is not looked at"),
        ("fail_if_body_not_matches_regexp", "the content of an answer is not looked at"),
        ("fail_if_body_json_matches_cel", "the content of an answer is not looked at"),
        ("fail_if_body_json_not_matches_cel", "the content of an answer is not looked at"),
        ("fail_if_header_matches", "the headers of an answer are not looked at"),
        ("fail_if_header_not_matches", "the headers of an answer are not looked at"),
        ("valid_http_versions", "skypunch speaks HTTP/1.1"),
        ("preferred_ip_protocol", "every address is tried"),
        ("compression", "an answer is taken as it comes"),
        ("body_size_limit", "64 KiB of an answer are read: see probe.body_cap in skypunch.toml"),
    ]);
    if h.no_counterpart(&[
        ("body_file", "write its content as body"),
        ("source_ip_address", "the system chooses the address"),
    ]) || stricter
    {
        t.disable("it would send or accept something else than it did");
    }
    client(h, t);
}

/// The keys that Prometheus and its exporters share for clients of HTTP.
pub(super) fn client(h: &mut Fields, t: &mut TargetDraft) {
    if let Some(mut b) = h.below("basic_auth") {
        let user = b.word("username").or_else(|| b.word("username_file").map(|path| reference(&path, &mut b)));
        let password = b.text("password").or_else(|| b.word("password_file").map(|path| reference(&path, &mut b)));
        t.basic(&user.unwrap_or_default(), &password.unwrap_or_default());
        b.finish_into(h);
    }
    if let Some(mut a) = h.below("authorization") {
        let scheme = a.word("type").unwrap_or_else(|| "Bearer".into());
        let text = a.text("credentials").or_else(|| a.word("credentials_file").map(|path| reference(&path, &mut a)));
        if scheme.eq_ignore_ascii_case("bearer") {
            t.bearer(&text.unwrap_or_default());
        } else {
            t.header("Authorization", &format!("{scheme} {}", text.unwrap_or_default()));
        }
        a.finish_into(h);
    }
    let token = h.text("bearer_token").or_else(|| h.word("bearer_token_file").map(|path| reference(&path, h)));
    if let Some(token) = token.filter(|t| !t.is_empty()) {
        t.bearer(&token);
    }
    if h.flag("follow_redirects") == Some(false) {
        t.definition.redirects = 0;
    }
    if let Some(mut tls) = h.below("tls_config") {
        t.definition.tls_ca = tls.word("ca_file");
        t.definition.tls_server_name = tls.word("server_name");
        t.definition.tls_verify = !tls.flag("insecure_skip_verify").unwrap_or(false);
        tls.no_counterpart(&[
            ("min_version", "TLS 1.2 and 1.3 are spoken"),
            ("max_version", "TLS 1.2 and 1.3 are spoken"),
        ]);
        let own = [("ca", "save it as a file and write tls_ca"), ("ca_ref", "write tls_ca")];
        let mutual = ["cert", "key", "cert_file", "key_file", "cert_ref", "key_ref"]
            .map(|k| (k, "skypunch sends no client certificate"));
        if tls.no_counterpart(&own) | tls.no_counterpart(&mutual) {
            t.disable("it would not be let in, or not trust the certificate");
        }
        tls.finish_into(h);
    }
    if let Some(Value::Object(all)) = h.take("http_headers") {
        for (name, value) in all {
            let mut one = Fields::of(value, &format!("http_headers.{name}."));
            one.texts("values").iter().chain(&one.texts("secrets")).for_each(|v| t.header(&name, v));
            one.finish_into(h);
        }
    }
    h.skip(&["proxy_connect_header", "no_proxy"]);
    let missing = h.no_counterpart(&[
        ("oauth2", "BASIC, BEARER and OPENSTACK are what skypunch speaks"),
        ("proxy_url", "there are no proxies"),
        ("proxy_from_environment", "there are no proxies"),
    ]);
    if missing {
        t.disable("it would not reach or not enter what it did before");
    }
}

fn reference(path: &str, f: &mut Fields) -> String {
    f.note(format!(
        "reads {}: its folder must be named in [secrets] folders of skypunch.toml, with its whole path",
        quoted(path)
    ));
    format!("${{file:{path}}}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn module(value: Value) -> HttpModule {
        match one("m", value) {
            Module::Http(module) => *module,
            Module::Other(prober) => panic!("{prober}"),
        }
    }

    #[test]
    fn what_a_module_says_of_http() {
        let m = module(json!({"prober": "http", "timeout": "5s", "http": {
            "valid_status_codes": [200, 204], "method": "post", "headers": {"Host": "h", "X": "1"}, "body": "{}",
            "basic_auth": {"username": "u", "password_file": "/s/p"}, "follow_redirects": false,
            "tls_config": {"ca_file": "/ca.pem", "server_name": "n", "insecure_skip_verify": true, "min_version": "TLS13"},
            "fail_if_body_not_matches_regexp": ["ok"], "new_word": 1}}));
        let d = &m.template.definition;
        assert_eq!(
            (d.pass_result.as_str(), d.method.as_str(), d.redirects, m.timeout_ms),
            ("200,204", "POST", 0, Some(5000))
        );
        assert_eq!(d.authn_parms.as_ref().unwrap().expose(), "user=u,password=${file:/s/p}");
        assert_eq!(
            (d.tls_ca.as_deref(), d.tls_server_name.as_deref(), d.tls_verify, d.host.as_deref()),
            (Some("/ca.pem"), Some("n"), false, Some("h"))
        );
        let told = m.template.notes.join("\n");
        for part in [
            "fail_if_body_not_matches_regexp",
            "http.tls_config.min_version",
            "module m: http.new_word = `1` has no counterpart",
            "/s/p",
        ] {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(d.enabled);
        assert!(!module(json!({"prober": "http", "http": {"oauth2": {"client_id": "x"}}})).template.definition.enabled);
        assert_eq!(module(json!({"prober": "http"})).template.definition.redirects, 10);
        assert!(matches!(one("i", json!({"prober": "icmp"})), Module::Other(p) if p == "icmp"));
    }

    #[test]
    fn a_file_without_modules_is_refused() {
        assert!(
            read(json!({"scrape_configs": []}), &mut BTreeMap::new(), &mut Vec::new())
                .unwrap_err()
                .contains("no `modules:`")
        );
    }
}
