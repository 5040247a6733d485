//! The prober against a real nginx.

use skypunch::model::definition::Definition;
use skypunch::model::reason::Reason;
use skypunch::model::trace::Event;
use skypunch::secret::Secret;

use crate::certificates::Authority;
use crate::nginx::Nginx;
use crate::probing::{definition, probe};

fn plain(server: &str) -> Nginx {
    Nginx::start(server, false, |dir| std::fs::write(dir.join("html/index.txt"), "good page\n").unwrap())
}

#[test]
fn a_good_page() {
    let nginx = plain("");
    let found = probe(&definition(&nginx.url("/index.txt")));
    found.passes();
    assert_eq!(found.outcome.description, "OK");
    assert_eq!((found.outcome.status_code, found.outcome.body_bytes), (Some(200), 10));
    assert_eq!(found.body(), Some((10, "length", false)));
    let phases = found.outcome.phases;
    let parts = [phases.connect_us, phases.first_byte_us, phases.body_us].map(Option::unwrap);
    assert!(parts.iter().sum::<u32>() <= found.outcome.latency_us, "{phases:?}");
    assert_eq!((phases.resolve_us, phases.tls_us, phases.auth_us), (None, None, None));
    let offsets: Vec<u32> = found.trace.steps.iter().map(|s| s.at_us).collect();
    assert!(offsets.is_sorted());
    assert_eq!(found.trace.steps.len(), 8, "{}", found.text());
    probe(&definition(&nginx.url("/missing"))).fails(Reason::Status).saying("404 Not Found");
}

#[test]
fn every_method_arrives_with_query_headers_and_body() {
    let nginx = plain(
        "location / { return 200 '$request_method|$args|$http_x_first|$http_x_second|$http_accept|$http_connection|$content_length|$content_type|$http_user_agent'; }",
    );
    for (method, body, length) in [
        ("GET", None, ""),
        ("HEAD", None, ""),
        ("DELETE", None, ""),
        ("OPTIONS", None, ""),
        ("POST", None, "0"),
        ("POST", Some("a=b&c=d"), "7"),
        ("PUT", Some("{\"ü\":1}"), "8"),
        ("PATCH", Some("x"), "1"),
    ] {
        let found = probe(&Definition {
            method: method.into(),
            headers: Some("X-First: one\nX-Second: two, three\nContent-Type: text/x-test".into()),
            body: body.map(str::to_owned),
            ..definition(&nginx.url("/path?q=1&x=a%20b"))
        });
        found.passes();
        let echo = format!(
            "{method}|q=1&x=a%20b|one|two, three|*/*|close|{length}|text/x-test|skypunch/{}",
            env!("CARGO_PKG_VERSION")
        );
        // The length of the echo tells whether all of it arrived; nginx's log tells the rest.
        let expected = if method == "HEAD" { 0 } else { u32::try_from(echo.len()).unwrap() };
        assert_eq!(found.outcome.body_bytes, expected, "{echo}");
        assert!(nginx.logged(&format!("{method} /path?q=1&x=a%20b ")).contains(&nginx.address.to_string()));
    }
}

#[test]
fn a_query_without_a_path_and_a_host_of_its_own() {
    let nginx = plain("location / { return 200 ok; }");
    probe(&Definition { host: Some("virtual.test:81".into()), ..definition(&nginx.url("?only=query")) }).passes();
    assert!(nginx.logged("GET /?only=query ").contains("host=virtual.test:81 "));
}

#[test]
fn basic_authentication() {
    let nginx = Nginx::start("location / { auth_basic x; auth_basic_user_file {dir}/users; }", false, |dir| {
        std::fs::write(dir.join("html/index.txt"), "secret page").unwrap();
        std::fs::write(dir.join("users"), "me:{PLAIN}pass,word \"quoted\"\n").unwrap();
    });
    let with = |parms: &str| {
        probe(&Definition {
            authn: "BASIC".into(),
            authn_parms: Some(Secret::new(parms)),
            ..definition(&nginx.url("/index.txt"))
        })
    };
    let found = with(r#"user=me,password="pass,word \"quoted\"""#);
    found.passes();
    assert!(found.has(|e| matches!(e, Event::Auth { kind } if kind == "BASIC")));
    assert!(!found.everything().contains("pass,word"));
    with("user=me,password=wrong").fails(Reason::Status).saying("401 Unauthorized");
    probe(&definition(&nginx.url("/index.txt"))).fails(Reason::Status);
}

#[test]
fn head_no_content_and_not_modified() {
    let nginx = plain("location /204 { return 204; } location /304 { return 304; }");
    let found = probe(&Definition { method: "HEAD".into(), ..definition(&nginx.url("/index.txt")) });
    assert_eq!(found.passes().body(), Some((0, "none", false)));
    for status in ["204", "304"] {
        let url = nginx.url(&format!("/{status}"));
        let found = probe(&Definition { pass_result: "200,204-304".into(), ..definition(&url) });
        assert_eq!(found.passes().outcome.status_code, status.parse().ok());
    }
}

#[test]
fn redirects_of_every_kind() {
    let nginx = plain(
        "location = /301 { return 301 /index.txt; } location = /302 { return 302 /index.txt; }
         location = /303 { return 303 /index.txt; } location = /307 { return 307 /index.txt; }
         location = /308 { return 308 /index.txt; } location /index.txt { }",
    );
    for status in [301, 302, 303, 307, 308] {
        let url = nginx.url(&format!("/{status}"));
        let found = probe(&Definition { redirects: 1, ..definition(&url) });
        assert_eq!(found.passes().outcome.body_bytes, 10);
        let found = probe(&Definition { pass_result: status.to_string(), ..definition(&url) });
        assert_eq!(found.passes().outcome.status_code, Some(status), "not followed unless asked");
    }
}

#[test]
fn tls_with_an_authority_of_our_own_and_a_redirect_to_it() {
    let ca = Authority::new("the test's authority");
    let identity = ca.sign(&["127.0.0.1", "good.test"], 2060);
    let nginx = Nginx::start("ssl_certificate {dir}/cert.pem; ssl_certificate_key {dir}/key.pem;", true, |dir| {
        std::fs::write(dir.join("cert.pem"), identity.certificate.pem()).unwrap();
        std::fs::write(dir.join("key.pem"), identity.key.serialize_pem()).unwrap();
        std::fs::write(dir.join("html/index.txt"), "over TLS").unwrap();
    });
    let url = format!("https://{}/index.txt", nginx.address);
    let with_ca = |url: &str| Definition { tls_ca: Some(ca.file().display().to_string()), ..definition(url) };
    let found = probe(&with_ca(&url));
    found.passes();
    assert_eq!(found.outcome.body_bytes, 8);
    assert_eq!(found.outcome.certificate_expires_at.unwrap().0, 2_840_140_800_000);
    probe(&definition(&url)).fails(Reason::TlsCertificate);
    probe(&Definition { tls_server_name: Some("other.test".into()), ..with_ca(&url) }).fails(Reason::TlsCertificate);
    // Plain HTTP on the TLS port, and a redirect from plain to TLS.
    probe(&definition(&nginx.url("/"))).fails(Reason::Status).saying("400 Bad Request");
    let front = plain(&format!("location / {{ return 301 {url}; }}"));
    let found = probe(&Definition { redirects: 1, ..with_ca(&front.url("/")) });
    assert_eq!(found.passes().outcome.body_bytes, 8);
}
