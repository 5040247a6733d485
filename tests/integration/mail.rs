//! Mail over a real Postfix: what arrives, over which protection, for whom.

use std::cell::RefCell;
use std::sync::Arc;

use mail_parser::{HeaderForm, MessageParser, MimeHeaders};
use skypunch::clock::Clock;
use skypunch::model::message::{Message, MessageKind};
use skypunch::model::notifier::{EventKind, Filter, Notifier, NotifierId};
use skypunch::model::params::{parse, write};
use skypunch::net::{EgressSource, ResolverSettings};
use skypunch::notify::mail::{Mailer, samples};
use skypunch::notify::{Course, Dialogue, SendResult};
use skypunch::secret::{Secret, SecretPolicy};

use crate::postfix::{PASSWORD, Postfix, USER, ca};

/// Keeps what it is told.
#[derive(Default)]
pub struct Told(pub RefCell<Vec<String>>);

impl Dialogue for Told {
    fn step(&self, line: &str) {
        self.0.borrow_mut().push(line.to_owned());
    }
}

impl Told {
    pub fn text(&self) -> String {
        self.0.borrow().join("\n")
    }
}

pub fn mailer(policy: SecretPolicy) -> Mailer {
    Mailer::new(ResolverSettings::default(), EgressSource::default(), Arc::new(policy), Clock::system())
}

pub fn notifier(address: &str, params: &Secret) -> Notifier {
    Notifier {
        id: NotifierId(3),
        name: "on-call".into(),
        tenant: "0".into(),
        kind: "SMTP".into(),
        address: address.into(),
        params: parse(params.expose()).unwrap(),
        enabled: true,
        filter: Filter::default(),
        group_wait: std::time::Duration::ZERO,
        group_window: std::time::Duration::ZERO,
        rate_per_minute: 20,
        retry_for: std::time::Duration::from_secs(60),
        remind: None,
        templates: Vec::new(),
    }
}

/// Params with a login.
fn account(postfix: &Postfix, port: u16, more: &[(&str, &str)]) -> Secret {
    let (server, file) = (format!("localhost:{port}"), ca(postfix));
    let all = [("user", USER), ("password", PASSWORD), ("server", server.as_str()), ("ca", file.to_str().unwrap())];
    write(all.into_iter().chain(more.iter().copied()))
}

pub fn fail() -> Message {
    samples::message(MessageKind::Fail, vec![samples::item("api-eu", EventKind::Fail)])
}

fn answer(result: SendResult) -> String {
    match result {
        SendResult::Sent { answer, .. } => answer,
        other => panic!("{other:?}"),
    }
}

/// No form of the password is in the text.
pub fn holds_no_secret(text: &str) {
    use base64::Engine;
    let encode = |t: String| base64::engine::general_purpose::STANDARD.encode(t);
    for form in [PASSWORD.to_owned(), encode(PASSWORD.to_owned()), encode(format!("\0{USER}\0{PASSWORD}"))] {
        assert!(!text.contains(&form), "{text}");
    }
}

#[tokio::test]
async fn starttls_tls_and_plain_with_and_without_login() {
    let postfix = Postfix::start();
    let ways = [
        (account(&postfix, postfix.starttls, &[]), "STARTTLS: 220", "AUTH PLAIN as skypunch@mail.test: 235"),
        (account(&postfix, postfix.starttls, &[("auth", "login")]), "TLSv1", "AUTH LOGIN as skypunch@mail.test: 235"),
        (account(&postfix, postfix.starttls, &[("security", "opportunistic")]), "STARTTLS: 220", "AUTH PLAIN"),
        (account(&postfix, postfix.tls, &[("security", "tls")]), "TLSv1", "AUTH PLAIN"),
        (account(&postfix, postfix.plain, &[("security", "none")]), "EHLO mon1.example.com", "MAIL FROM"),
        (account(&postfix, postfix.plain, &[("security", "opportunistic")]), "not encrypted", "not logging in"),
    ];
    let mailer = mailer(SecretPolicy::default());
    for (i, (params, one, two)) in ways.iter().enumerate() {
        let told = Told::default();
        let result = mailer
            .send(&notifier("Night Shift <ops@example.com>", params), &fail(), &mut Course::default(), &told)
            .await;
        let text = told.text();
        assert!(answer(result).starts_with("250 2.0.0 Ok: queued as"), "{text}");
        assert!(text.contains(one) && text.contains(two), "way {i}: {text}");
        assert!(text.contains("RCPT TO:<ops@example.com>: 250") && text.contains("DATA: 354"), "{text}");
        holds_no_secret(&text);
    }
    for mail in postfix.wait(ways.len()) {
        holds_no_secret(&String::from_utf8_lossy(&mail));
    }
}

#[tokio::test]
async fn what_arrives_is_what_was_meant() {
    let postfix = Postfix::start();
    let mailer = mailer(SecretPolicy::default());
    let params = account(
        &postfix,
        postfix.starttls,
        &[("reply_to", "Jörg <desk@example.com>"), ("from", "Skypunch <sky@mail.test>")],
    );
    let mut item = samples::item("Zürich 語 api", EventKind::Recovery);
    item.description = format!("long {} line", "x".repeat(2000));
    let mut message = samples::message(MessageKind::Recovery, vec![item]);
    message.references = (0..30).map(|i| format!("{i}.3@mon1.example.com")).collect();
    answer(
        mailer.send(&notifier("Jörg Müller <joerg@example.com>", &params), &message, &mut Course::default(), &()).await,
    );
    let raw = postfix.wait(1).remove(0);
    assert!(raw.is_ascii() && raw.split(|b| *b == b'\n').all(|l| l.len() <= 998));
    let mail = MessageParser::default().parse(&raw).unwrap();
    assert_eq!(mail.message_id(), Some("7412.3.recovery@mon1.example.com"));
    assert_eq!(mail.in_reply_to().as_text(), Some("29.3@mon1.example.com"));
    let references = mail.references().as_text_list().unwrap();
    assert_eq!(references.first().map(AsRef::as_ref), Some("0.3@mon1.example.com"));
    assert_eq!(references.last().map(AsRef::as_ref), Some("29.3@mon1.example.com"));
    assert_eq!(mail.subject(), Some("Skypunch SUCCESS detected for Zürich 語 api: works again after 14 min 3 s"));
    let to = mail.to().unwrap().first().unwrap();
    assert_eq!((to.name(), to.address()), (Some("Jörg Müller"), Some("joerg@example.com")));
    let from = mail.from().unwrap().first().unwrap();
    assert_eq!((from.name(), from.address()), (Some("Skypunch"), Some("sky@mail.test")));
    assert_eq!(mail.reply_to().unwrap().first().unwrap().name(), Some("Jörg"));
    assert!(mail.date().is_some());
    let header = |name: &'static str| {
        let found = mail.header_as(name, HeaderForm::Text);
        found.first().and_then(|h| h.as_text().map(str::to_owned))
    };
    assert_eq!(header("Auto-Submitted").as_deref(), Some("auto-generated"));
    assert_eq!(header("X-Skypunch-Event").as_deref(), Some("recovery"));
    assert_eq!(header("X-Skypunch-Target").as_deref(), Some("Zürich 語 api"));
    assert_eq!(header("X-Priority"), None);
    assert_eq!(mail.content_type().unwrap().subtype(), Some("alternative"));
    assert!(mail.body_text(0).unwrap().starts_with("Zürich 語 api works again since"));
    assert!(mail.body_html(0).unwrap().contains("Zürich 語 api works again since"));
    assert_eq!((mail.text_body_count(), mail.html_body_count()), (1, 1));
}

#[tokio::test]
async fn one_bad_recipient_keeps_the_mail_from_nobody_else() {
    let postfix = Postfix::start();
    let mailer = mailer(SecretPolicy::default());
    let params = account(&postfix, postfix.plain, &[("security", "none")]);
    let to = |address: &str| notifier(address, &params);
    let message = |id: &str| Message { message_id: format!("{id}@mon1"), ..fail() };

    let both =
        mailer.send(&to("reject@example.com, good@example.com"), &message("1"), &mut Course::default(), &()).await;
    let said = answer(both);
    assert!(said.starts_with("250 2.0.0") && said.contains("not for reject@example.com: 550 5.1.1"), "{said}");
    postfix.wait(1);

    let SendResult::Permanent { why, .. } =
        mailer.send(&to("reject@example.com"), &message("2"), &mut Course::default(), &()).await
    else {
        panic!()
    };
    assert!(why.contains("reject@example.com: 550 5.1.1") && why.contains("nobody of that name here"), "{why}");

    // Greylisted: the next attempt goes only to whom it is still owed.
    let grey = to("good@example.com, grey@example.com, reject@example.com");
    let mut course = Course::default();
    let first = mailer.send(&grey, &message("3"), &mut course, &()).await;
    let SendResult::Transient { why, .. } = first else { panic!("{first:?}") };
    assert!(why.contains("grey@example.com: 451 4.7.1") && why.contains("delivered to good@example.com"), "{why}");
    postfix.wait(2);
    assert_eq!(course.progress.has, ["good@example.com"]);
    // As after a restart: by another sender, that knows what was stored.
    let said = answer(self::mailer(SecretPolicy::default()).send(&grey, &message("3"), &mut course, &()).await);
    assert!(said.starts_with("250") && said.contains("not for reject@example.com"), "{said}");
    let mails = postfix.wait(3);
    let to_good = mails.iter().filter(|m| String::from_utf8_lossy(m).contains("Delivered-To: good@example.com"));
    assert_eq!(to_good.count(), 2, "one of the first message, one of the third");

    // A recovery goes only to whom it may.
    let mut some = Course { only: vec!["grey@example.com".into(), "gone@example.com".into()], ..Course::default() };
    answer(mailer.send(&grey, &message("5"), &mut some, &()).await);
    assert_eq!(some.progress.has, ["grey@example.com"]);
    let mails = postfix.wait(4);
    let mails = mails.iter().map(|m| String::from_utf8_lossy(m));
    let fifth: Vec<_> = mails.filter(|m| m.contains("<5@mon1>")).collect();
    assert!(fifth.len() == 1 && fifth[0].contains("Delivered-To: grey@example.com"), "{fifth:?}");
    let mut none = Course { only: vec!["gone@example.com".into()], ..Course::default() };
    let said = answer(mailer.send(&grey, &message("6"), &mut none, &()).await);
    assert!(said.contains("none of those who were told"), "{said}");

    let SendResult::Transient { why, .. } =
        mailer.send(&to("defer@example.com"), &message("4"), &mut Course::default(), &()).await
    else {
        panic!()
    };
    assert!(why.contains("450 4.2.1"), "{why}");
}

#[tokio::test]
async fn trouble_with_login_and_certificate_is_told_without_the_password() {
    let postfix = Postfix::start();
    let other = crate::certificates::Authority::new("another CA");
    let mailer = mailer(SecretPolicy::default());
    let server = format!("localhost:{}", postfix.starttls);
    let file = ca(&postfix);
    let with = |password: &str, ca: &str| {
        write([("user", USER), ("password", password), ("server", &server), ("ca", ca), ("timeout", "10s")])
    };
    let send = async |params: Secret| {
        let told = Told::default();
        let result = mailer.send(&notifier("ops@example.com", &params), &fail(), &mut Course::default(), &told).await;
        assert!(!told.text().contains("wrong-Secret"), "{}", told.text());
        result
    };
    let good = file.to_str().unwrap();
    let SendResult::Transient { why, .. } = send(with("wrong-Secret", good)).await else { panic!() };
    assert!(why.contains("AUTH PLAIN as skypunch@mail.test: 535 5.7.8"), "{why}");

    let stranger = other.file();
    let SendResult::Transient { why, .. } = send(with(PASSWORD, stranger.to_str().unwrap())).await else { panic!() };
    assert!(why.contains("TLS handshake with localhost"), "{why}");
    let SendResult::Transient { why, .. } = send(with(PASSWORD, "/nowhere/ca.pem")).await else { panic!() };
    assert!(why.contains("/nowhere/ca.pem") && !why.contains("tls_ca"), "{why}");

    // STARTTLS is required, and the plain port has none.
    let params = write([("server", format!("localhost:{}", postfix.plain).as_str())]);
    let SendResult::Transient { why, .. } = send(params).await else { panic!() };
    assert!(why.contains("does not offer STARTTLS"), "{why}");
    let SendResult::Transient { why, .. } = send(with("${env:NOT_LISTED}", good)).await else { panic!() };
    assert!(why.contains("`password` cannot be had") && why.contains("secrets.environment"), "{why}");
    assert!(postfix.mails().is_empty());
}

#[tokio::test]
async fn a_password_from_a_file_and_a_burst_over_one_connection() {
    let postfix = Postfix::start();
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("password"), format!("{PASSWORD}\n")).unwrap();
    let mailer = mailer(SecretPolicy { folders: vec![dir.path().to_owned()], ..SecretPolicy::default() });
    let (server, file) = (format!("localhost:{}", postfix.starttls), ca(&postfix));
    let reference = format!("${{file:{}/password}}", dir.path().display());
    let params = write([("user", USER), ("password", &reference), ("server", &server), ("ca", file.to_str().unwrap())]);
    let notifier = notifier("ops@example.com", &params);
    let told = Told::default();
    for i in 0..50 {
        let message = Message { message_id: format!("{i}@mon1"), ..fail() };
        answer(mailer.send(&notifier, &message, &mut Course::default(), &told).await);
    }
    postfix.wait(50);
    assert_eq!(told.text().matches("AUTH PLAIN as").count(), 1, "one login for all");
    assert_eq!(told.text().matches("using the open connection").count(), 49);
    holds_no_secret(&told.text());
    mailer.close().await;
}
