//! Whatever is sent to the control socket: a sentence with the place and the mend, and nothing is lost or disturbed.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;

use serde_json::{Value, json};

use super::api;
use super::harness::{Place, SOON, wait_until};
use super::origin::Origin;

on_both!(bad_requests_are_told_what_to_write, ambiguous_names_list_the_candidates);

fn bad_requests_are_told_what_to_write(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.add("shop", &origin.url("/"), 200);
    let before = daemon.wait_target("shop", "status", &json!("PASS"));
    let url = origin.url("/x");
    let long = "x".repeat(70_000);

    // Wrong content: 422 with every problem by its key.
    let target = |key: &str, value: Value| {
        let mut keys = json!({"name": "n", "url": url});
        keys[key] = value;
        keys
    };
    let wrong: &[(Value, &str, &str)] = &[
        (json!({"url": url}), "name", "empty"),
        (json!({"name": "n"}), "url", "empty"),
        (target("name", json!(" ")), "name", "1 to 128"),
        (target("name", json!("a\u{1b}[31mb")), "name", "control character"),
        (target("name", json!(5)), "name", "text"),
        (target("name", json!("n ")), "name", "write `n`"),
        (target("url", json!("ftp://h/")), "url", "write http"),
        (target("frequncy", json!("10s")), "frequncy", "frequency"),
        (target("frequency", json!("0s")), "frequency_ms", "write 100"),
        (target("frequency", json!("10 parsecs")), "frequency", "not a duration"),
        (target("frequency", json!(10)), "frequency", "unit"),
        (target("frequency_ms", json!("10")), "frequency_ms", "whole number"),
        (target("frequency_ms", json!(1.5)), "frequency_ms", "whole number"),
        (target("frequency_ms", json!(18_446_744_073_709_551_615_u64)), "frequency_ms", "whole number"),
        (target("timeout", json!("2m")), "timeout_ms", "longer than"),
        (target("method", json!("GETT")), "method", "did you mean GET"),
        (target("enabled", json!("yes")), "enabled", "true or false"),
        (target("headers", json!(["Bad\r\nInjected: 1"])), "headers", "line break"),
        (target("body", json!(long)), "body", "65536"),
        (target("tags", json!({"a": 1})), "tags", ""),
        (target("authn", json!("BASIC")), "authn_parms", "user"),
    ];
    for (body, field, mend) in wrong {
        let problem = daemon.request("POST", "/v1/targets", Some(body)).problem(422);
        let told = problem["problems"].as_array().unwrap();
        assert_eq!(told.len(), 1, "{field}: {problem:#}");
        assert_eq!(told[0]["field"], json!(field), "{problem:#}");
        assert!(told[0]["message"].as_str().unwrap().contains(mend), "{field}: {problem:#}");
    }
    let several = daemon.request("PATCH", "/v1/targets/shop", Some(&json!({"url": "x", "method": "x"}))).problem(422);
    assert_eq!(several["problems"].as_array().map(Vec::len), Some(2), "{several:#}");
    let list = json!({"targets": [{"name": "good", "url": url}, {"name": "bad", "url": url, "redirects": "many"}]});
    let problem = daemon.request("POST", "/v1/apply", Some(&list)).problem(422);
    let field = problem["problems"][0]["field"].as_str().unwrap();
    assert!(field.contains('2') && field.contains("bad") && field.contains("redirects"), "{problem:#}");

    // Wrong form.
    let twice = json!({"name": "shop", "url": url});
    assert!(
        daemon.request("POST", "/v1/targets", Some(&twice)).problem(409)["detail"].as_str().unwrap().contains("shop")
    );
    let post = |path: &str, body: &[u8]| api::request(&daemon.socket, "POST", path, Some(body)).unwrap();
    for body in [&b"not json"[..], b"[1]", b"", b"{\"name\": \"\xff\xfe\"}", b"{\"name\"", b"null"] {
        post("/v1/targets", body).problem(400);
    }
    post("/v1/apply", br#"{"targets": [], "purge": true}"#).problem(400);
    for (method, path, status) in [
        ("GET", "/v1/targets/shp", 404),
        ("GET", "/v1/targets/99", 404),
        ("GET", "/v1/targets/99999999999999999999", 400),
        ("GET", "/v1/targets/name:", 400),
        ("PATCH", "/v1/targets/shop", 400),
        ("DELETE", "/v1/targets/99", 404),
        ("POST", "/v1/targets/99/enable", 404),
        ("POST", "/v1/targets/99/test", 404),
        ("GET", "/v1/targets/shop/history?limit=0", 400),
        ("GET", "/v1/targets/shop/history?limit=-1", 400),
        ("GET", "/v1/targets/shop/history?limit=100000000", 400),
        ("GET", "/v1/targets/shop/history?since=yesterday", 400),
        ("GET", "/v1/targets?status=GOOD", 400),
        ("GET", "/v1/targets?colour=red", 400),
        ("GET", "/v1/incidents/7", 404),
        ("GET", "/v1/incidents/seven", 404),
        ("GET", "/v1/incidents?target=nobody", 404),
        ("GET", "/v1/watch?target=nobody", 404),
        ("GET", "/v2/targets", 404),
        ("GET", "/", 404),
    ] {
        daemon.request(method, path, None).problem(status);
    }
    for (path, field, told) in [
        ("/v1/targets/shop/history?limit=-1", "limit", "write a whole number"),
        ("/v1/targets/shop/history?since_ms=yesterday", "since_ms", "`yesterday`"),
        ("/v1/targets?status=GOOD", "status", "`GOOD`"),
        ("/v1/incidents?open=perhaps", "open", "write true or false"),
        ("/v1/watch?colour=red", "colour", "unknown field"),
    ] {
        let problem = daemon.request("GET", path, None).problem(400);
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&format!("`{field}`")) && detail.contains(told), "{path}: {problem:#}");
        assert!(!detail.contains("eserialize"), "{path}: {problem:#}");
        assert_eq!(problem["problems"][0]["field"], json!(field), "{path}: {problem:#}");
    }
    for (method, path) in
        [("POST", "/v1/status"), ("GET", "/v1/stop"), ("PUT", "/v1/targets"), ("DELETE", "/v1/targets")]
    {
        let answer = daemon.request(method, path, None);
        answer.problem(405);
    }
    let near = daemon.request("GET", "/v1/targets/shp", None).problem(404);
    assert!(near["detail"].as_str().unwrap().contains("did you mean `shop`"), "{near:#}");

    // No HTTP at all, an endless head, more than is taken.
    for bytes in [&b"\x16\x03\x01\x02\x00garbage\r\n\r\n"[..], &[b'A'; 200_000], b"GET /v1/status HTTP/9.9\r\n\r\n"] {
        let mut stream = UnixStream::connect(&daemon.socket).unwrap();
        stream.set_read_timeout(Some(SOON)).unwrap();
        // It may be closed before all is written, or reset before all is read.
        let _written = stream.write_all(bytes);
        let mut answer = Vec::new();
        let _read = stream.take(4096).read_to_end(&mut answer);
        assert!(!answer.starts_with(b"HTTP/1.1 2"), "{}", String::from_utf8_lossy(&answer));
    }
    let mut stream = UnixStream::connect(&daemon.socket).unwrap();
    stream.set_read_timeout(Some(SOON)).unwrap();
    let head =
        "POST /v1/apply HTTP/1.1\r\nHost: s\r\nContent-Type: application/json\r\nContent-Length: 99999999999\r\n\r\n[";
    stream.write_all(head.as_bytes()).unwrap();
    let mut answer = [0; 12];
    stream.read_exact(&mut answer).unwrap();
    assert_eq!(String::from_utf8_lossy(&answer), "HTTP/1.1 413");

    // Nothing has changed, nothing is disturbed.
    assert_eq!(place.db.sql("SELECT name, url FROM targets"), [["shop", &origin.url("/")]]);
    let asked = origin.count("/");
    wait_until("probing goes on", SOON, || origin.count("/") >= asked + 2);
    let after = daemon.target("shop");
    assert_eq!((&after["status"], &after["fail_count"], &after["id"]), (&json!("PASS"), &json!(0), &before["id"]));
    assert_eq!(daemon.log_lines(&["panicked"]), Vec::<String>::new());
}

fn ambiguous_names_list_the_candidates(place: &Place) {
    let origin = Origin::start();
    let daemon = place.start();
    place.db.sql(&format!(
        "INSERT INTO targets (name, tenantid, url) VALUES ('shop', 'a', '{0}'), ('shop', 'b', '{0}')",
        origin.url("/")
    ));
    wait_until("both are known", SOON, || daemon.get("/v1/targets").as_array().is_some_and(|l| l.len() == 2));
    for (method, path) in [
        ("GET", "/v1/targets/shop"),
        ("DELETE", "/v1/targets/shop"),
        ("POST", "/v1/targets/shop/disable"),
        ("POST", "/v1/targets/shop/test"),
        ("GET", "/v1/targets/shop/history"),
        ("GET", "/v1/watch?target=shop"),
    ] {
        let problem = daemon.request(method, path, None).problem(409);
        assert_eq!(problem["candidates"], json!(["1 (a/shop)", "2 (b/shop)"]), "{method} {path}: {problem:#}");
    }
    assert_eq!(daemon.target("b%2Fshop")["id"], json!(2));
    assert_eq!(place.db.number("SELECT COUNT(*) FROM targets WHERE enabled"), 2);
}
