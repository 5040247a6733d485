//! The embedded files: complete, without a mistake, and every request as its golden example says.
//!
//! `SKYPUNCH_WRITE_GOLDEN=1 cargo test --lib notify::catalogue` writes the examples anew; look at what changed.

use std::fmt::Write as _;
use std::path::PathBuf;

use super::*;
use crate::model::message::{Message, MessageKind};
use crate::model::notifier::EventKind;

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("etc/notifiers")
}

fn embedded() -> Catalogue {
    let (catalogue, problems) = Catalogue::load(None);
    assert!(problems.is_empty(), "{}", lines(&problems));
    catalogue
}

fn lines(problems: &[FileProblem]) -> String {
    problems.iter().map(|p| format!("\n{p}")).collect()
}

/// What is sent for a message with the file's `[golden]` values.
fn requests(provider: &Provider, message: &Message) -> Result<Vec<Request>, RenderError> {
    let secret = |(name, value): (&String, &String)| (name.clone(), Secret::new(value));
    let golden = &provider.golden;
    let params: Vec<(String, Secret)> = golden.params.iter().map(secret).collect();
    let told = !message.references.is_empty();
    let saved: Vec<(String, String)> = if told { golden.saved.clone().into_iter().collect() } else { Vec::new() };
    let address = Secret::new(golden.address.clone().expect("[golden] needs an address"));
    let input = Input { message, address: &address, params: &params, saved: &saved, templates: &[], now: samples::NOW };
    provider.requests(&input)
}

fn shown(request: &Request) -> String {
    let mut out = format!("{} {}\n", request.method, request.url.expose());
    for (name, value) in &request.headers {
        writeln!(out, "{name}: {}", value.expose()).unwrap();
    }
    write!(out, "\n{}\n", std::str::from_utf8(&request.body).unwrap()).unwrap();
    out
}

#[test]
fn every_file_is_built_in() {
    let mut files: Vec<String> = std::fs::read_dir(folder())
        .unwrap()
        .map(|e| e.unwrap().file_name().into_string().unwrap())
        .filter(|name| name.ends_with(".toml"))
        .collect();
    files.sort();
    assert_eq!(files, embedded::FILES.iter().map(|(name, _)| *name).collect::<Vec<_>>());
    assert_eq!(embedded().describe().len(), files.len(), "two files have one type");
}

#[test]
fn no_file_has_a_mistake() {
    for (name, text) in embedded::FILES {
        let provider = Provider::parse(name, text).unwrap_or_else(|p| panic!("{}", lines(&p)));
        assert_eq!(check::wrong_in_default(&provider), [], "{name}");
        let trial = provider.trial(true);
        let problems = provider.check(trial.address.expose(), &trial.params);
        assert!(problems.is_empty(), "{name}: {problems:?}");
        assert_eq!(name.trim_end_matches(".toml").to_uppercase(), provider.info.name);
    }
}

#[test]
fn requests_are_those_of_the_golden_examples() {
    let write = std::env::var_os("SKYPUNCH_WRITE_GOLDEN").is_some();
    for provider in embedded().providers.values() {
        let name = format!("{}.txt", provider.info.name.to_lowercase());
        let mut found = String::new();
        for message in samples::messages() {
            let requests = requests(provider, &message).unwrap_or_else(|e| panic!("{e}"));
            for request in &requests {
                writeln!(found, "=== {}\n{}", facts::event_of(message.kind), shown(request)).unwrap();
            }
            let again = self::requests(provider, &message).unwrap();
            let ids: Vec<&str> = requests.iter().map(|r| r.id.as_str()).collect();
            assert_eq!(ids, again.iter().map(|r| r.id.as_str()).collect::<Vec<_>>());
            let distinct: std::collections::BTreeSet<&&str> = ids.iter().collect();
            assert_eq!(distinct.len(), ids.len(), "{name}: {ids:?}");
        }
        let file = folder().join("golden").join(&name);
        if write {
            std::fs::write(&file, &found).unwrap();
        }
        let expected = std::fs::read_to_string(&file).unwrap_or_default();
        for (n, (found, expected)) in found.lines().zip(expected.lines()).enumerate() {
            assert_eq!(found, expected, "{name}, line {}", n + 1);
        }
        assert_eq!(found.len(), expected.len(), "{name}: one is longer");
    }
}

#[test]
fn the_largest_messages_stay_within_the_limits() {
    let digest = samples::messages().into_iter().find(|m| m.kind == MessageKind::Digest).unwrap();
    let item = digest.items[0].clone();
    let mut long = item.clone();
    long.description = "<&*_`@everyone".repeat(700);
    long.children = (0..500).map(|i| format!("target-{i}")).collect();
    long.trace = vec![long.description.clone(); 10];
    let many = Message { items: vec![item; 500], ..digest.clone() };
    let one = Message { kind: MessageKind::Fail, items: vec![long], more: 0, ..digest };
    for provider in embedded().providers.values() {
        for message in [&many, &one] {
            if provider.info.name == "WEBHOOK" || (provider.keeps_incidents() && message.items.len() > 1) {
                continue;
            }
            let requests = requests(provider, message).unwrap();
            let sizes: Vec<usize> = requests.iter().map(|r| r.body.len()).collect();
            assert!(sizes.iter().all(|s| *s < 200_000), "{}: {sizes:?}", provider.info.name);
        }
    }
    let catalogue = embedded();
    let text = |kind: &str, pointer: &str| {
        let request = requests(catalogue.get(kind).unwrap(), &one).unwrap().remove(0);
        let json: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
        json.pointer(pointer).unwrap().as_str().unwrap().chars().count()
    };
    assert!(text("TELEGRAM", "/text") <= 4096);
    assert!(text("DISCORD", "/embeds/0/description") <= 4096);
    assert!(text("SLACK", "/attachments/0/blocks/0/text/text") <= 3000);
    let matrix = requests(catalogue.get("MATRIX").unwrap(), &one).unwrap().remove(0);
    assert!(matrix.body.len() < 64 * 1024, "{}", matrix.body.len());
    let ntfy = requests(catalogue.get("NTFY").unwrap(), &one).unwrap().remove(0);
    assert!(ntfy.body.len() <= 4096);
}

#[test]
fn incidents_open_and_close_one_by_one() {
    let catalogue = embedded();
    let provider = catalogue.get("pagerduty").unwrap();
    assert!(provider.keeps_incidents());
    let digest = samples::messages().into_iter().find(|m| m.kind == MessageKind::Digest).unwrap();
    let actions: Vec<String> = requests(provider, &digest)
        .unwrap()
        .iter()
        .map(|r| serde_json::from_slice::<serde_json::Value>(&r.body).unwrap()["event_action"].to_string())
        .collect();
    // A failure, a failure, a recovery, and one that was over before it was told.
    assert_eq!(actions, ["\"trigger\"", "\"trigger\"", "\"resolve\"", "\"trigger\"", "\"resolve\""]);
}

#[test]
fn what_servers_said_means_nothing_to_a_receiver() {
    for provider in embedded().providers.values() {
        for message in samples::messages() {
            for request in requests(provider, &message).unwrap() {
                let body = String::from_utf8(request.body.clone()).unwrap();
                let raw = match provider.info.name.as_str() {
                    "SLACK" | "SLACK_BOT" | "GOOGLECHAT" => "<!channel>",
                    "TELEGRAM" => "<Unavailable>",
                    "DISCORD" | "MATTERMOST" | "ROCKETCHAT" => "@everyone",
                    _ => continue,
                };
                assert!(!body.contains(raw), "{}: {body}", provider.info.name);
            }
        }
    }
}

#[test]
fn a_webhook_is_signed_as_the_readme_says() {
    let catalogue = embedded();
    let fail = samples::of(MessageKind::Fail, EventKind::Fail);
    let request = requests(catalogue.get("WEBHOOK").unwrap(), &fail).unwrap().remove(0);
    let header = |name: &str| request.headers.iter().find(|(n, _)| n == name).unwrap().1.expose().to_owned();
    let signature = header("X-Skypunch-Signature");
    let (time, tag) = signature.strip_prefix("t=").unwrap().split_once(",v1=").unwrap();
    assert_eq!(time, (samples::NOW.0 / 1000).to_string());
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, b"correct horse");
    let signed = [time.as_bytes(), b".", &request.body].concat();
    assert_eq!(tag, engine::hex(ring::hmac::sign(&key, &signed).as_ref()));
    assert_eq!(header("Idempotency-Key"), fail.message_id);
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    assert_eq!(serde_json::from_value::<Message>(body["message"].clone()).unwrap(), fail);
}

#[test]
fn types_are_found_in_any_spelling_and_a_wrong_one_is_told() {
    let mut catalogue = embedded();
    for spelling in ["SPLUNK ONCALL", "splunk_oncall", "VictorOps", "Splunk-OnCall"] {
        assert_eq!(catalogue.known(spelling).unwrap().name, "SPLUNK_ONCALL");
    }
    let e = catalogue.known("SLAK").unwrap_err();
    assert!(e.message.contains("did you mean SLACK?") && e.message.contains("ALERTMANAGER, DISCORD"), "{e}");
    let wrong = catalogue.check("SLAK", "x", &[], &[]);
    assert_eq!(wrong[0].field, "type");
    let wrong = catalogue.check("SLACK", "x", &[], &[("fail".into(), "{{ nope }}".into())]);
    assert_eq!(wrong.iter().map(|p| p.field.as_str()).collect::<Vec<_>>(), ["address", "templates"]);
    let mut smtp = catalogue.get("TWILIO").unwrap().info().clone();
    smtp.name = "SMTP".into();
    catalogue.add_built_in(smtp);
    assert!(catalogue.known("smtp").is_ok() && catalogue.get("smtp").is_none());
    assert!(catalogue.describe().iter().any(|i| i.name == "SMTP"));
}

#[test]
fn address_and_params_are_checked_and_secrets_not_shown() {
    let catalogue = embedded();
    let said = |kind: &str, address: &str, params: &[(&str, &str)]| {
        let params: Vec<_> = params.iter().map(|(n, v)| ((*n).to_owned(), Secret::new(*v))).collect();
        let problems = catalogue.get(kind).unwrap().check(address, &params);
        problems.iter().map(ToString::to_string).collect::<Vec<_>>().join("\n")
    };
    assert_eq!(said("TELEGRAM", "@ops", &[("token", "${env:TOKEN}")]), "");
    assert!(said("TELEGRAM", "@ops", &[]).contains("`token` is missing: the bot's token"));
    assert!(said("TELEGRAM", "@ops", &[("tokn", "x"), ("token", "x")]).contains("did you mean `token`?"));
    assert!(said("NTFY", "https://ntfy.sh/x", &[("priority", "9")]).contains("`9` is not within 1 to 5"));
    assert!(said("PAGERDUTY", "k", &[("severity", "bad")]).contains("is not one of critical, error"));
    assert!(said("TWILIO", "+4917012345, 0170", &[]).contains("`0170` is not a phone number"));
    assert!(said("SLACK", "", &[]).contains("address: it is empty: the webhook's URL"));
    let secrets = said("SLACK", "htps://hooks.example/t0psecret", &[("x", "y")]);
    assert!(secrets.contains("it is not a URL") && secrets.contains("SLACK has no parameters"), "{secrets}");
    assert!(!secrets.contains("t0psecret"));
    assert!(!said("TELEGRAM", "@ops", &[("token", "t0p secret")]).contains("t0p"));
}

#[test]
fn nothing_that_is_shown_of_a_request_holds_a_secret() {
    let catalogue = embedded();
    let fail = samples::of(MessageKind::Fail, EventKind::Fail);
    let request = requests(catalogue.get("TELEGRAM").unwrap(), &fail).unwrap().remove(0);
    assert!(request.url.expose().contains("123456:ABC-example"));
    assert_eq!(request.shown(), format!("POST https://api.telegram.org/***, {} bytes", request.body.len()));
    assert!(!format!("{request:?}").contains("ABC"));
    assert_eq!(request.clean("for url (https://x/bot123456:ABC-example/y)", 99), "for url (https://x/bot***/y)");
    match request.judge(429, None, br#"{"ok":false,"description":"Too Many","parameters":{"retry_after":7}}"#) {
        crate::notify::SendResult::Transient { why, after } => {
            assert_eq!((why.as_str(), after.unwrap().as_secs()), ("the server did not take it, HTTP 429: Too Many", 7));
        }
        other => panic!("{other:?}"),
    }
    // What a resolved secret brings along is found when it is used.
    let bad = [("token".to_owned(), Secret::new("t0p secret"))];
    let address = Secret::new("@ops");
    let input =
        Input { message: &fail, address: &address, params: &bad, saved: &[], templates: &[], now: samples::NOW };
    let e = catalogue.get("TELEGRAM").unwrap().requests(&input).unwrap_err().to_string();
    assert!(e.contains("`token`: holds a space") && !e.contains("t0p"), "{e}");
    let empty = Secret::new(" ");
    let input = Input { address: &empty, ..input };
    let e = catalogue.get("TWILIO").unwrap().requests(&input).unwrap_err().to_string();
    assert!(e.contains("address: it is empty: phone numbers"), "{e}");
}

#[test]
fn user_and_password_of_a_url_become_a_header() {
    let catalogue = embedded();
    let fail = samples::of(MessageKind::Fail, EventKind::Fail);
    let address = Secret::new("https://me:p%40ss+w0rd@alerts.example/am");
    let input = Input { message: &fail, address: &address, params: &[], saved: &[], templates: &[], now: samples::NOW };
    let request = catalogue.get("ALERTMANAGER").unwrap().requests(&input).unwrap().remove(0);
    assert_eq!(request.url.expose(), "https://alerts.example/am/api/v2/alerts");
    let basic = base64::Engine::encode(&base64::engine::general_purpose::STANDARD, "me:p@ss+w0rd");
    assert!(request.headers.iter().any(|(n, v)| n == "Authorization" && v.expose() == format!("Basic {basic}")));
    let wrong = Secret::new("ftp://me:p%40ss+w0rd@alerts.example/am");
    let e = catalogue.get("ALERTMANAGER").unwrap().requests(&Input { address: &wrong, ..input }).unwrap_err();
    assert!(!e.to_string().contains("w0rd"), "{e}");
}

/// Tags of Telegram's HTML that are left open or closed without being open; anything else that is a `<`.
fn broken_html(html: &str) -> bool {
    let mut open: Vec<&str> = Vec::new();
    let mut pieces = html.split('<');
    if pieces.next().is_some_and(|text| text.contains('>')) {
        return true;
    }
    for piece in pieces {
        let Some((tag, text)) = piece.split_once('>') else { return true };
        let name = tag.trim_start_matches('/').split(' ').next().unwrap_or_default();
        let known = ["b", "i", "a", "code", "pre"].contains(&name);
        let closes = tag.starts_with('/');
        if !known || text.contains('>') || (closes && open.pop() != Some(name)) {
            return true;
        }
        if !closes {
            open.push(name);
        }
    }
    !open.is_empty()
}

proptest::proptest! {
    #![proptest_config(proptest::prelude::ProptestConfig::with_cases(24))]

    /// Whatever a target is called and whatever its server said: every provider has requests, in whole markup and
    /// within the limits.
    #[test]
    fn anything_can_be_told(
        name in "[^\\p{Cc}]{1,128}",
        said in "(?s).{0,300}",
        times in 1_usize..60,
        event in 0_usize..5,
    ) {
        static CATALOGUE: std::sync::LazyLock<Catalogue> = std::sync::LazyLock::new(embedded);
        let mut message = samples::of(MessageKind::Fail, EventKind::ALL[event]);
        message.kind = facts::alone(&message, &message.items[0], 0).kind;
        message.items[0].target.name = name;
        message.items[0].description = said.repeat(times);
        message.items[0].trace = vec![said; times];
        for provider in CATALOGUE.providers.values() {
            let kind = provider.info.name.as_str();
            for request in requests(provider, &message).unwrap_or_else(|e| panic!("{e}")) {
                let json: serde_json::Value = serde_json::from_slice(&request.body).unwrap_or_default();
                let text = |pointer: &str| json.pointer(pointer).and_then(|v| v.as_str()).unwrap().to_owned();
                match kind {
                    "TELEGRAM" => {
                        let html = text("/text");
                        assert!(!broken_html(&html) && html.chars().count() <= 4096, "{html}");
                    }
                    "SLACK" => {
                        let text = text("/attachments/0/blocks/0/text/text");
                        assert!(text.chars().count() <= 3000 && !text.contains("<!") && !text.contains("<@"), "{text}");
                    }
                    "DISCORD" => {
                        assert!(text("/embeds/0/description").chars().count() <= 4096);
                        assert!(text("/embeds/0/title").chars().count() <= 256);
                    }
                    "MATRIX" => assert!(!broken_html(&text("/formatted_body").replace("<br>", ""))),
                    "TEAMS" => assert!(request.body.len() < 28 * 1024, "{}", request.body.len()),
                    _ => {}
                }
            }
        }
    }
}

#[test]
fn a_notifier_s_own_text_takes_the_place_of_the_provider_s_and_is_checked() {
    let catalogue = embedded();
    let provider = catalogue.get("TELEGRAM").unwrap();
    let own = |event: &str, text: &str| vec![(event.to_owned(), text.to_owned())];
    assert_eq!(provider.check_templates(&own("fail", "{{ item.name }} <i>!</i>")), []);
    let said = |event: &str, text: &str| provider.check_templates(&own(event, text))[0].to_string();
    assert_eq!(
        said("recovery", "a\n{{ item.nmae }}"),
        "templates: recovery, line 2: `item.nmae` is undefined: did you mean `name`?"
    );
    assert!(said("fial", "x").contains("did you mean `fail`?"));
    assert!(said("all", "{% if %}").contains("this is no template"));
    assert!(said("fail", "{% if false %}{{ nope }}{% endif %}").contains("`nope` is undefined"));
    let fail = samples::of(MessageKind::Fail, EventKind::Fail);
    let address = Secret::new("@ops");
    let params = [("token".to_owned(), Secret::new("t"))];
    let templates = own("fail", "{{ item.description }} <i>!</i>");
    let input = Input {
        message: &fail,
        address: &address,
        params: &params,
        saved: &[],
        templates: &templates,
        now: samples::NOW,
    };
    let request = provider.requests(&input).unwrap().remove(0);
    let body: serde_json::Value = serde_json::from_slice(&request.body).unwrap();
    let text = body["text"].as_str().unwrap();
    assert!(
        text.starts_with("GET https") && text.contains("&lt;Unavailable&gt;") && text.ends_with("<i>!</i>"),
        "{text}"
    );
}

/// The example of the README, to the letter.
fn example() -> String {
    let readme = std::fs::read_to_string(folder().join("README.md")).unwrap();
    let (_, rest) = readme.split_once("```toml\n").expect("an example");
    rest.split_once("```").unwrap().0.to_owned()
}

#[test]
fn a_new_provider_needs_no_rust() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("pager.toml"), example()).unwrap();
    std::fs::write(dir.path().join("README.md"), "not a provider").unwrap();
    std::fs::write(dir.path().join("broken.toml"), "type = \"X\"\ntitel = 1").unwrap();
    let slack = std::fs::read_to_string(folder().join("slack.toml")).unwrap();
    std::fs::write(dir.path().join("my-slack.toml"), slack.replace("{{ heading }}", "mine: {{ heading }}")).unwrap();
    let (catalogue, problems) = Catalogue::load(Some(dir.path()));
    assert_eq!(problems.len(), 1, "{}", lines(&problems));
    assert!(problems[0].to_string().starts_with("broken.toml, line 2: unknown field `titel`"), "{}", problems[0]);
    let provider = catalogue.get("PAGER").unwrap();
    let fail = samples::of(MessageKind::Fail, EventKind::Fail);
    let sent = requests(provider, &fail).unwrap();
    assert_eq!(sent.len(), 2, "one for each recipient");
    assert!(sent[0].headers.iter().any(|(n, v)| n == "Authorization" && v.expose().starts_with("Basic ")));
    let body: serde_json::Value = serde_json::from_slice(&sent[1].body).unwrap();
    assert_eq!((&body["to"], &body["level"]), (&"ops-b".into(), &9.into()));
    assert!(catalogue.describe().iter().any(|i| i.name == "PAGER"));
    let slack = requests(catalogue.get("SLACK").unwrap(), &fail).unwrap().remove(0);
    assert!(
        String::from_utf8(slack.body).unwrap().contains("mine: "),
        "the folder takes the place of what is embedded"
    );
    let (catalogue, problems) = Catalogue::load(Some(&dir.path().join("missing")));
    assert!(problems[0].to_string().contains("cannot be read") && catalogue.get("SLACK").is_some());
}

#[test]
fn mistakes_of_a_file_are_named_with_their_line() {
    let said = |from: &str, to: &str| {
        let text = example().replacen(from, to, 1);
        assert_ne!(text, example(), "`{from}` is not in the example");
        lines(&Provider::parse("pager.toml", &text).expect_err(to))
    };
    let line = |what: &str| example().lines().position(|l| l.contains(what)).unwrap() + 1;
    let at = |what: &str, message: &str| format!("pager.toml, line {}: {message}", line(what));
    let e = said("{{ params.level", "{{ params.lvel");
    let expected = at("level = \"", "send.json.level: `params.lvel` is undefined: did you mean `level`?");
    assert!(e.contains(&expected), "{e}\n{expected}");
    let e = said("{{ item.cause }}", "{{ item.cuase }}");
    assert!(e.contains("`item.cuase` is undefined: did you mean `cause`?") && e.contains("text.fail"), "{e}");
    for (from, to, expected) in [
        ("method = \"POST\"", "method = \"FETCH\"", "`FETCH` is not GET, POST"),
        ("for_each = \"recipient\"", "for_each = \"params.level\"", "is no list"),
        ("success = [\"202\"]", "success = [\"2xx\"]", "`2xx` is no status"),
        ("[event.recovery]", "[event.recovered]", "`recovered` is no event"),
        ("type = \"PAGER\"", "type = \"pager\"", "`pager` is no type"),
        ("Pager of the house", "Pager\\tof the house", "title: holds a control character"),
        ("default = \"9\"", "default = \"nine\"", "`nine` is not a whole number"),
        ("| base64", "| base65", "base65"),
        ("[send.json]", "[send.jsn]", "unknown field `jsn`"),
        ("{{ params.server | trim('/') }}/messages", "no-url", "no http or https URL"),
    ] {
        let e = said(from, to);
        assert!(e.contains(expected), "{to}: {e}");
        assert!(e.contains("pager.toml, line "), "{to}: {e}");
    }
}
