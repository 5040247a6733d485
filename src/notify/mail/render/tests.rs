//! Every kind of message, rendered.

use unicode_width::UnicodeWidthStr;

use super::super::samples;
use super::*;
use crate::model::message::MessageKind;
use crate::model::notifier::EventKind;

fn at(message: &Message, ms: i64) -> Rendered {
    let rendered = render(message, &[], UtcMs(message.at.0 + ms));
    assert_eq!(rendered.problem, None);
    rendered
}

fn sample(kind: MessageKind) -> Message {
    samples::all().into_iter().find(|m| m.kind == kind).unwrap()
}

#[test]
fn subjects_begin_as_those_of_skypunch_0_3_and_say_more() {
    let subject = |kind| at(&sample(kind), 10_800_000).subject;
    assert_eq!(subject(MessageKind::Fail), "Skypunch FAILURE detected for api-eu: connect_refused");
    assert_eq!(subject(MessageKind::Recovery), "Skypunch SUCCESS detected for api-eu: works again after 14 min 3 s");
    assert_eq!(
        subject(MessageKind::Both),
        "Skypunch SUCCESS detected for api-eu: it failed for 14 min 3 s (connect_refused)"
    );
    assert_eq!(subject(MessageKind::Reminder), "Skypunch FAILURE detected for api-eu: still connect_refused after 3 h");
    assert_eq!(subject(MessageKind::Flapping), "Skypunch FAILURE detected for api-eu: changes too often, 7 times");
    assert_eq!(subject(MessageKind::Settled), "Skypunch SUCCESS detected for api-eu: settled, PASS");
    assert_eq!(
        subject(MessageKind::Digest),
        "Skypunch FAILURE detected for 16 targets: 3 failing, 1 working again, 12 more (api-0, api-1, api-2, …)"
    );
    assert!(subject(MessageKind::Test).starts_with("[TEST] Skypunch FAILURE detected for api-eu"));
}

#[test]
fn targets_of_different_tenants_are_told_apart() {
    let mut fail = sample(MessageKind::Fail);
    fail.items[0].target.tenant = "acme".into();
    let rendered = at(&fail, 0);
    assert_eq!(rendered.subject, "Skypunch FAILURE detected for acme/api-eu: connect_refused");
    assert!(rendered.text.starts_with("acme/api-eu fails since"), "{}", rendered.text);
    let mut digest = sample(MessageKind::Digest);
    digest.items[1].target.tenant = "acme".into();
    let rendered = at(&digest, 0);
    assert!(rendered.subject.contains("(api-0, acme/api-1, "), "{}", rendered.subject);
    assert!(rendered.html.unwrap().contains("acme&#x2f;api-1 "));
}

#[test]
fn the_first_line_says_what_fails_since_when_and_why() {
    let rendered = at(&sample(MessageKind::Fail), 0);
    let text = rendered.text.replace('\n', " ");
    let first = "api-eu fails since 2026-11-22 03:12:09 UTC: connect_refused. Likely cause: nothing listens on that port: \
                 the service is stopped or starting.";
    assert!(text.starts_with(first), "{text}");
    let html = rendered.html.unwrap();
    let body = html.split("<body").nth(1).unwrap();
    assert!(body.split("</div>").next().unwrap().contains(first), "the preheader is the first text of the body");
}

#[test]
fn both_parts_hold_what_skypunch_0_3_sent() {
    let rendered = at(&sample(MessageKind::Fail), 0);
    let html = rendered.html.unwrap();
    for word in [
        "Name",
        "api-eu",
        "Target ID",
        "42 (enabled)",
        "Status",
        "FAIL",
        "Reason",
        "Last Updated",
        "URL",
        "https://api.example.com/health",
        "Method",
        "GET",
        "Authentication",
        "BASIC",
        "Frequency",
        "1m",
        "Timeout",
        "10s",
        "Required Result",
        "200-299",
        "Success",
        "10431",
        "Fail",
        "17",
        "2XX",
        "3XX",
        "4XX",
        "5XX",
        "Repeated Fails",
        "Network Fails",
        "Resolving api.example.com ....",
        "[FAIL] connection refused",
        "shop-eu",
        "192.0.2.4",
        "refused after 0.303 ms",
        "TLSv1.3",
        "skypunchctl incidents 7411",
    ] {
        assert!(rendered.text.contains(word), "{word} is not in the text:\n{}", rendered.text);
        // The HTML escapes slashes.
        assert!(html.replace("&#x2f;", "/").contains(word), "{word} is not in the HTML");
    }
}

#[test]
fn every_kind_wraps_at_76_and_is_html_without_anything_from_elsewhere() {
    for message in samples::all() {
        let rendered = at(&message, 60_000);
        for line in rendered.text.lines() {
            assert!(line.width() <= 76, "{:?}: {line}", message.kind);
        }
        assert!(!rendered.text.contains("\n\n\n"));
        let html = rendered.html.unwrap();
        for forbidden in ["<img", "<script", "<link", "src=", "url(", "@import", "href="] {
            assert!(!html.contains(forbidden), "{:?}: {forbidden}", message.kind);
        }
        assert!(html.contains("prefers-color-scheme: dark") && html.contains("max-width:600px"));
    }
}

#[test]
fn lateness_recovery_and_children_are_told() {
    let late = Message { late_ms: 7_380_000, ..sample(MessageKind::Fail) };
    let words = "This message is 2 h 3 min late: what it tells happened at 2026-11-22 03:12:09 UTC.";
    let rendered = at(&late, 7_380_000);
    assert!(rendered.text.replace('\n', " ").contains(words) && rendered.html.unwrap().contains(words));
    let both = at(&sample(MessageKind::Both), 0).text.replace('\n', " ");
    assert!(
        both.contains("api-eu failed at 2026-11-22 03:12:09 UTC") && both.contains("it lasted 14 min 3 s"),
        "{both}"
    );
    let recovery = at(&sample(MessageKind::Recovery), 0).text.replace('\n', " ");
    assert!(recovery.contains("works again since 2026-11-22 03:26:12 UTC. It had failed for 14 min 3 s"), "{recovery}");
}

#[test]
fn a_digest_lists_all_in_order_and_counts_the_rest() {
    let rendered = at(&samples::digest(40), 0);
    let places: Vec<usize> = (0..40).map(|i| rendered.text.find(&format!("api-{i} fails")).unwrap()).collect();
    assert!(places.is_sorted());
    assert!(rendered.text.contains("And 12 more") && rendered.html.unwrap().contains("And 12 more"));
}

/// A digest of `n` failures as they come from the outbox: 1,000 of them as items, of the others the name.
fn outage(n: usize) -> Message {
    let mut message = samples::digest(n.min(1_000));
    message.items.pop();
    message.items.iter_mut().enumerate().for_each(|(i, item)| item.target.name = format!("shop-{i:05}"));
    message.more = n - message.items.len();
    message.rest = (message.items.len()..n).map(|i| format!("shop-{i:05}")).collect();
    message
}

fn named(text: &str, n: usize) -> usize {
    (0..n).filter(|i| text.contains(&format!("shop-{i:05}"))).count()
}

#[test]
fn a_long_digest_names_all_and_is_shown_whole() {
    for n in [2, 60, 500, 1_000, 10_000] {
        let rendered = at(&outage(n), 0);
        assert_eq!(named(&rendered.text, n), n, "the text names all of {n}");
        let html = rendered.html.unwrap();
        assert!(html.len() <= 90_000, "{n}: {}", html.len());
        assert!(html.ends_with("</html>\n") || html.ends_with("</html>"), "{n}");
        let shown = named(&html, n);
        if n <= 1_000 {
            assert_eq!(shown, n, "so does the HTML");
        } else {
            assert!(shown > 5_000 && html.len() > 80_000, "{shown} names in {} bytes", html.len());
            assert!(html.contains(&format!("And {} more, named in the plain part", n - shown)), "{shown}");
        }
        assert!(html.contains("shop-00000 fails since"), "the worst is told in full");
    }
}

#[test]
fn names_of_markup_are_counted_as_long_as_they_become() {
    let mut message = outage(3_000);
    message.items.iter_mut().for_each(|item| item.target.name = "<'&'>".repeat(20));
    message.rest.iter_mut().for_each(|name| *name = "<'&'>".repeat(20));
    let html = at(&message, 0).html.unwrap();
    assert!(html.len() <= 90_000, "{}", html.len());
}

#[test]
fn nothing_from_outside_becomes_markup_a_header_or_a_control_sequence() {
    let mut item = samples::item("<b>x</b>\r\nBcc: a@b.c\u{1b}[31m", EventKind::Fail);
    item.description = "said <script>alert(1)</script> & \"more\"".into();
    item.trace = vec!["     1.000 ms  {{ 7 * 7 }} </div><img src=x>\u{202e}".into()];
    let rendered = at(&samples::message(MessageKind::Fail, vec![item]), 0);
    let html = rendered.html.unwrap();
    assert!(!rendered.subject.contains(['\r', '\n', '\u{1b}']), "{}", rendered.subject);
    assert!(!html.contains("<b>x") && !html.contains("<script>alert") && !html.contains("<img"));
    assert!(html.contains("{{ 7 * 7 }}"));
    assert!(!rendered.text.contains(['\u{1b}', '\u{202e}', '\r']));
}

#[test]
fn what_own_templates_print_is_on_one_line_too() {
    let mut item = samples::item("api", EventKind::Fail);
    item.target.parent = Some("gate\u{2029}way\n\u{200b}".into());
    let message = samples::message(MessageKind::Fail, vec![item]);
    let own = [("fail".to_owned(), "by {{ item.target.parent }}\n{{ message.items[0].target.parent }}".to_owned())];
    let line = "gate\\u{2029}way\\n\\u{200b}";
    assert_eq!(render(&message, &own, message.at).text, format!("by {line}\n{line}\n"));
}

#[test]
fn own_templates_stand_in_and_broken_ones_stop_no_message() {
    let own = |name: &str, source: &str| vec![(name.to_owned(), source.to_owned())];
    let fail = sample(MessageKind::Fail);
    let now = fail.at;
    assert_eq!(render(&fail, &own("subject", "{{ items[0].name }}\n!"), now).subject, "api-eu !");
    let brief = render(&fail, &own("fail", "{{ first }}"), now);
    assert!(brief.html.is_none() && brief.text.starts_with("api-eu fails since"));
    assert!(render(&sample(MessageKind::Recovery), &own("fail", "x"), now).html.is_some());
    let html = render(&fail, &own("html", "<i>{{ '<' }}</i>"), now);
    assert_eq!(html.html.as_deref(), Some("<i>&lt;</i>"));

    let broken = render(&fail, &own("text", "a\n{{ nobody.knows }}"), now);
    assert!(broken.text.contains("api-eu fails since") && broken.html.is_some());
    let problem = broken.problem.unwrap();
    assert!(problem.starts_with("body.txt, line 2: undefined"), "{problem}");
    let endless = render(
        &fail,
        &own("text", "{% for i in range(10000) %}{% for j in range(10000) %}x{% endfor %}{% endfor %}"),
        now,
    );
    assert!(endless.problem.unwrap().contains("fuel"));
}

#[test]
fn own_templates_see_the_names_that_those_of_every_type_see() {
    let source = "{{ title }}, {{ item.target.name }} since {{ item.since }}, {{ at | utc }}; {{ count }} {{ event }}";
    let own = |name: &str| vec![(name.to_owned(), source.to_owned())];
    for message in samples::all() {
        let rendered = render(&message, &own("all"), message.at);
        assert_eq!((rendered.problem, rendered.html), (None, None), "{:?}", message.kind);
    }
    let fail = sample(MessageKind::Fail);
    let text = render(&fail, &own("fail"), fail.at).text;
    let end = "api-eu since 2026-11-22 03:12:09 UTC, 2026-11-22 03:12:09 UTC; 1 fail\n";
    assert_eq!(text, format!("api-eu is down (connect refused) (+2 behind it), {end}"));
    let both = [own("all"), vec![("fail".to_owned(), "mine: {{ text }}".to_owned())]].concat();
    assert!(render(&fail, &both, fail.at).text.starts_with("mine: api-eu fails since"), "that of the kind wins");
    assert_eq!(check_templates(&own("recovery")), []);
    assert_eq!(check_templates(&own("all")), []);
}

#[test]
fn templates_are_checked_before_they_are_needed() {
    let of = |name: &str, source: &str| {
        let found = check_templates(&[(name.to_owned(), source.to_owned())]);
        found.first().map(ToString::to_string)
    };
    assert_eq!(of("subject", "{{ items[0].name }}"), None);
    assert!(of("subjcet", "x").unwrap().contains("did you mean `subject`?"));
    assert!(of("text", "{% if %}").unwrap().contains("body.txt, line 1"));
    assert!(of("fail", "{{ itmes }}").unwrap().contains("undefined"));
}
