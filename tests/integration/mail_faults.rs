//! Mail to servers that misbehave: hang, close, answer slowly or nonsense, repeat the password.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::message::Message;
use skypunch::model::params::write;
use skypunch::notify::mail::Mailer;
use skypunch::notify::{Course, SendResult};
use skypunch::secret::{Secret, SecretPolicy};

use crate::mail::{Told, fail, holds_no_secret, mailer, notifier};
use crate::postfix::{PASSWORD, USER};

/// What the server does instead of what it should.
#[derive(Clone)]
enum Act {
    /// Says this, with its line break.
    Say(Vec<u8>),
    /// Says nothing and waits until the client goes.
    Hang,
    /// Says what it should, then hangs.
    Stall,
    /// Closes.
    Close,
    /// Goes on as it should after so long.
    Wait(Duration),
    /// Says bytes without end.
    Flood,
    /// Says lines of one answer without end.
    Lines,
}

fn say(text: &str) -> Act {
    Act::Say(format!("{text}\r\n").into_bytes())
}

/// Which connection (from 0), and the command's first word: `greeting`, `EHLO`, `AUTH`, `MAIL`, `RCPT`, `DATA`, `.`, ….
type Script = Arc<dyn Fn(usize, &str) -> Option<Act> + Send + Sync>;

/// A server that follows a script.
struct Faulty {
    address: SocketAddr,
    /// Every line that it got, the lines of mails too.
    got: Arc<Mutex<Vec<String>>>,
}

impl Faulty {
    fn start(script: impl Fn(usize, &str) -> Option<Act> + Send + Sync + 'static) -> Faulty {
        let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let (script, got): (Script, _) = (Arc::new(script), Arc::new(Mutex::new(Vec::new())));
        let kept = Arc::clone(&got);
        std::thread::spawn(move || {
            for (n, connection) in listener.incoming().map_while(Result::ok).enumerate() {
                let (script, got) = (Arc::clone(&script), Arc::clone(&kept));
                std::thread::spawn(move || serve(connection, n, &script, &got));
            }
        });
        Faulty { address, got }
    }

    fn params(&self, more: &[(&str, &str)]) -> Secret {
        let server = self.address.to_string();
        let all = [("server", server.as_str()), ("security", "none"), ("timeout", "1s")];
        let kept = all.into_iter().filter(|(name, _)| !more.iter().any(|(other, _)| name == other));
        write(kept.chain(more.iter().copied()))
    }

    fn count(&self, begin: &str) -> usize {
        self.got.lock().unwrap().iter().filter(|l| l.starts_with(begin)).count()
    }
}

fn serve(mut out: TcpStream, n: usize, script: &Script, got: &Mutex<Vec<String>>) -> Option<()> {
    let mut input = BufReader::new(out.try_clone().ok()?);
    act(&mut out, &mut input, script(n, "greeting"), "220 faulty ESMTP")?;
    let mut in_mail = false;
    loop {
        let mut line = String::new();
        if input.read_line(&mut line).ok()? == 0 {
            return None;
        }
        let line = line.trim_end().to_owned();
        got.lock().unwrap().push(line.clone());
        let word = if in_mail { line.as_str() } else { line.split([' ', ':']).next().unwrap_or_default() };
        let good = match word {
            _ if in_mail && word != "." => continue,
            "." => "250 2.0.0 accepted",
            "EHLO" => "250-faulty\r\n250-AUTH PLAIN LOGIN\r\n250-STARTTLS\r\n250 8BITMIME",
            "AUTH" => "235 2.7.0 welcome",
            "DATA" => "354 go on",
            "STARTTLS" => "220 go on",
            "QUIT" => "221 bye",
            _ => "250 2.1.0 ok",
        };
        in_mail = word == "DATA";
        act(&mut out, &mut input, script(n, word), good)?;
    }
}

fn act(out: &mut TcpStream, input: &mut BufReader<TcpStream>, act: Option<Act>, good: &str) -> Option<()> {
    let mut put = |bytes: &[u8]| out.write_all(bytes).ok();
    match act {
        None => put(format!("{good}\r\n").as_bytes()),
        Some(Act::Say(bytes)) => put(&bytes),
        Some(Act::Close) => None,
        Some(act @ (Act::Hang | Act::Stall)) => {
            if matches!(act, Act::Stall) {
                put(format!("{good}\r\n").as_bytes())?;
            }
            input.read_to_end(&mut Vec::new()).ok();
            None
        }
        Some(Act::Wait(time)) => {
            std::thread::sleep(time);
            put(format!("{good}\r\n").as_bytes())
        }
        Some(Act::Flood) => loop {
            put(&[b'2'; 8192])?;
        },
        Some(Act::Lines) => loop {
            put("250-and \u{1b}[31mmore\r\n".repeat(400).as_bytes())?;
        },
    }
}

async fn send(mailer: &Mailer, params: &Secret, message: &Message) -> (SendResult, String) {
    send_on(mailer, params, message, &mut Course::default()).await
}

/// A further attempt.
async fn send_on(mailer: &Mailer, params: &Secret, message: &Message, course: &mut Course) -> (SendResult, String) {
    let told = Told::default();
    let result = mailer.send(&notifier("a@example.com, b@example.com", params), message, course, &told).await;
    let text = format!("{result:?}\n{}", told.text());
    holds_no_secret(&text);
    assert!(!text.contains(['\u{1b}', '\u{7}']), "{text:?}");
    (result, text)
}

fn transient(result: SendResult) -> String {
    match result {
        SendResult::Transient { why, .. } => why,
        other => panic!("{other:?}"),
    }
}

#[tokio::test]
async fn a_server_that_hangs_at_any_point_costs_no_more_than_the_deadline() {
    let stages = ["greeting", "EHLO", "AUTH", "MAIL", "RCPT", "DATA", ".", "STARTTLS", "handshake"];
    let login = [("user", USER), ("password", PASSWORD), ("auth", "plain")];
    let runs = stages.map(async |stage| {
        let server = Faulty::start(move |_, word| match (stage, word) {
            ("handshake", "STARTTLS") => Some(Act::Stall),
            _ => (word == stage).then_some(Act::Hang),
        });
        let secure = if matches!(stage, "STARTTLS" | "handshake") { "starttls" } else { "none" };
        let address = server.address.to_string();
        let all = [("server", address.as_str()), ("security", secure), ("timeout", "1s")];
        let params = write(all.into_iter().chain(login));
        let (clock, mailer) = (Clock::system(), mailer(SecretPolicy::default()));
        let begin = clock.now();
        let mut course = Course::default();
        let (result, _) = send_on(&mailer, &params, &fail(), &mut course).await;
        let took = clock.now().since(begin);
        assert_eq!(course.progress.unanswered, stage == ".", "{stage}");
        assert!(took < Duration::from_secs(4), "{stage}: {took:?}");
        let why = transient(result);
        assert!(why.contains("timed out after 1s"), "{stage}: {why}");
        let names = match stage {
            "greeting" | "EHLO" => "EHLO",
            "." => "it may have arrived",
            "handshake" => "TLS handshake",
            other => other,
        };
        assert!(why.contains(names), "{stage}: {why}");
    });
    futures_util::future::join_all(runs).await;
}

#[tokio::test]
async fn codes_decide_whether_it_is_tried_again() {
    for (stage, words, permanent) in [
        ("greeting", "554 5.3.2 go away", true),
        ("greeting", "421 4.3.2 later", false),
        ("AUTH", "535 5.7.8 no", false),
        ("AUTH", "454 4.7.0 later", false),
        ("MAIL", "550 5.7.1 not you", true),
        ("MAIL", "451 4.3.0 later", false),
        ("RCPT", "421 4.3.2 closing", false),
        ("DATA", "554 5.5.1 no", true),
        ("DATA", "250 what", false),
        (".", "552 5.3.4 too large", true),
        (".", "452 4.3.1 full", false),
    ] {
        let server = Faulty::start(move |_, word| (word == stage).then(|| say(words)));
        let params = server.params(&[("user", USER), ("password", PASSWORD), ("auth", "plain")]);
        let mut course = Course::default();
        let (result, text) = send_on(&mailer(SecretPolicy::default()), &params, &fail(), &mut course).await;
        assert!(!course.progress.unanswered, "{stage}: it said {words}");
        let (why, for_ever) = match result {
            SendResult::Permanent { why, content } => {
                assert_eq!(content, words.starts_with("552"), "{stage} {words}: about the mail itself");
                (why, true)
            }
            SendResult::Transient { why, .. } => (why, false),
            SendResult::Sent { .. } => panic!("{stage}: {text}"),
        };
        assert_eq!(for_ever, permanent, "{stage} {words}: {why}");
        assert!(why.contains(words), "{stage}: {why}");
    }
}

#[tokio::test]
async fn what_is_lost_after_the_final_dot_is_tried_again_as_the_same_message_and_not_at_once() {
    let server = Faulty::start(|n, word| (n == 0 && word == ".").then_some(Act::Close));
    let mailer = mailer(SecretPolicy::default());
    let mut course = Course::default();
    let (result, _) = send_on(&mailer, &server.params(&[]), &fail(), &mut course).await;
    let why = transient(result);
    assert!(why.contains("closed the connection") && why.contains("may have arrived"), "{why}");
    assert!(course.progress.unanswered);
    assert_eq!(server.count("Message-ID: <7412.3.fail@mon1.example.com>"), 1, "no repeat by ourselves");
    let (result, _) = send(&mailer, &server.params(&[]), &fail()).await;
    assert!(matches!(result, SendResult::Sent { .. }));
    assert_eq!(server.count("Message-ID: <7412.3.fail@mon1.example.com>"), 2);
}

#[tokio::test]
async fn a_waiting_connection_that_died_is_replaced_once_before_the_mail() {
    // The first connection ends when it is used for the second time, in three ways.
    for end in [Act::Close, say("421 4.4.2 idle for too long"), Act::Say(b"garbage\r\n".to_vec())] {
        let used = Arc::new(Mutex::new(0));
        let script = {
            let end = end.clone();
            move |n: usize, word: &str| {
                let mut used = used.lock().unwrap();
                *used += usize::from(n == 0 && word == "MAIL");
                (n == 0 && word == "MAIL" && *used == 2).then(|| end.clone())
            }
        };
        let server = Faulty::start(script);
        let mailer = mailer(SecretPolicy::default());
        let params = server.params(&[]);
        assert!(matches!(send(&mailer, &params, &fail()).await.0, SendResult::Sent { .. }));
        let (result, text) = send(&mailer, &params, &fail()).await;
        assert!(matches!(result, SendResult::Sent { .. }), "{text}");
        assert!(text.contains("it is dead") && text.contains("opening another"), "{text}");
        assert_eq!(server.count("DATA"), 2);
    }
    // A fresh one that does the same is not replaced.
    let server = Faulty::start(|_, word| (word == "MAIL").then_some(Act::Close));
    let (result, _) = send(&mailer(SecretPolicy::default()), &server.params(&[]), &fail()).await;
    assert!(transient(result).contains("MAIL FROM: the server closed the connection"));
    assert_eq!(server.count("EHLO"), 1);
}

#[tokio::test]
async fn who_has_the_mail_is_known_when_the_rest_is_refused_for_ever_later() {
    // b@ is deferred at first; then the server refuses the whole mail.
    let script = |n: usize, word: &str, rcpts: &Mutex<usize>| match word {
        "RCPT" => {
            let mut rcpts = rcpts.lock().unwrap();
            *rcpts += 1;
            (*rcpts == 2).then(|| say("451 4.7.1 later"))
        }
        "MAIL" if n == 0 && *rcpts.lock().unwrap() == 2 => Some(say("554 5.7.1 not any more")),
        _ => None,
    };
    let rcpts = Mutex::new(0);
    let server = Faulty::start(move |n, word| script(n, word, &rcpts));
    let (mailer, params) = (mailer(SecretPolicy::default()), server.params(&[("timeout", "20s")]));
    let mut course = Course::default();
    let why = transient(send_on(&mailer, &params, &fail(), &mut course).await.0);
    assert!(why.contains("b@example.com: 451 4.7.1") && why.contains("delivered to a@example.com"), "{why}");
    let (result, _) = send_on(&mailer, &params, &fail(), &mut course).await;
    let SendResult::Permanent { why, .. } = result else { panic!("{result:?}") };
    assert!(why.contains("554 5.7.1 not any more"), "{why}");
    assert_eq!(course.progress.has, ["a@example.com"]);
    assert!(course.progress.answer.contains("250 2.0.0 accepted"), "{course:?}");
}

#[tokio::test]
async fn at_most_ten_connections_are_open_to_one_server() {
    let open = Arc::new(Mutex::new((0usize, 0usize)));
    let counted = Arc::clone(&open);
    let server = Faulty::start(move |_, word| {
        let mut open = counted.lock().unwrap();
        match word {
            "MAIL" => *open = (open.0 + 1, open.1.max(open.0 + 1)),
            "." => open.0 -= 1,
            _ => {}
        }
        (word == "DATA").then_some(Act::Wait(Duration::from_millis(20)))
    });
    let (mailer, params) = (mailer(SecretPolicy::default()), server.params(&[("timeout", "30s")]));
    let all = (0..40).map(async |i| {
        let message = Message { message_id: format!("{i}@mon1"), ..fail() };
        assert!(matches!(send(&mailer, &params, &message).await.0, SendResult::Sent { .. }));
    });
    futures_util::future::join_all(all).await;
    let most = open.lock().unwrap().1;
    assert!((2..=10).contains(&most), "{most} at once");
    assert!(server.count("EHLO") <= 10, "{}", server.count("EHLO"));
    assert_eq!(server.count("DATA"), 40);
}

#[tokio::test]
async fn slow_answers_are_waited_for_and_nonsense_is_named() {
    let slow = Faulty::start(|_, word| (word == "RCPT").then_some(Act::Wait(Duration::from_millis(150))));
    let (result, text) = send(&mailer(SecretPolicy::default()), &slow.params(&[("timeout", "20s")]), &fail()).await;
    assert!(matches!(result, SendResult::Sent { .. }), "{text}");
    for (garbage, words) in [
        (b"\x1b[31mHTTP/1.1 400 Bad Request\r\n\r\n".to_vec(), "not SMTP"),
        (b"\xff\xfe\x00\x07\r\n".to_vec(), "not SMTP"),
        (b"250 no greeting of mail \xe4\x1b[31m\r\n".to_vec(), ""),
    ] {
        let server = Faulty::start(move |_, word| (word == "EHLO").then(|| Act::Say(garbage.clone())));
        let (result, text) = send(&mailer(SecretPolicy::default()), &server.params(&[]), &fail()).await;
        match words {
            "" => assert!(matches!(result, SendResult::Sent { .. }), "{text}"),
            _ => assert!(transient(result).contains(words), "{text}"),
        }
    }
    let latin = Faulty::start(|_, word| (word == "MAIL").then(|| Act::Say(b"550 f\xfcr Sie nicht\r\n".to_vec())));
    let (result, _) = send(&mailer(SecretPolicy::default()), &latin.params(&[]), &fail()).await;
    let SendResult::Permanent { why, .. } = result else { panic!("{result:?}") };
    assert!(why.contains("550 f?r Sie nicht"), "{why}");
    let flood = Faulty::start(|_, word| (word == "EHLO").then_some(Act::Flood));
    let (result, _) = send(&mailer(SecretPolicy::default()), &flood.params(&[("timeout", "20s")]), &fail()).await;
    assert!(transient(result).contains("does not end"));
    for stage in ["greeting", "EHLO", "MAIL", "DATA", "."] {
        let lines = Faulty::start(move |_, word| (word == stage).then_some(Act::Lines));
        let (result, _) = send(&mailer(SecretPolicy::default()), &lines.params(&[("timeout", "20s")]), &fail()).await;
        assert!(transient(result).contains("does not end"), "{stage}");
    }
}

#[tokio::test]
async fn a_server_that_repeats_the_password_is_not_quoted() {
    use base64::Engine;
    let plain = base64::engine::general_purpose::STANDARD.encode(format!("\0{USER}\0{PASSWORD}"));
    for words in [format!("535 {PASSWORD} is wrong"), format!("535 what is AUTH PLAIN {plain}")] {
        let said = words.clone();
        let server = Faulty::start(move |_, word| (word == "AUTH").then(|| say(&said)));
        let params = server.params(&[("user", USER), ("password", PASSWORD), ("auth", "plain")]);
        let (result, text) = send(&mailer(SecretPolicy::default()), &params, &fail()).await;
        let SendResult::Transient { why, .. } = result else { panic!("{result:?}") };
        assert!(why.contains("not shown") && why.contains("535"), "{why}\n{text}");
        assert!(!text.contains(&words), "{text}");
    }
}

#[tokio::test]
async fn what_a_server_says_before_starttls_does_not_count_after_it() {
    // Injected behind the answer to STARTTLS, as CVE-2011-0411 has it: the client must not read it as an answer.
    let server =
        Faulty::start(|_, word| (word == "STARTTLS").then(|| Act::Say(b"220 go\r\n250 injected\r\n".to_vec())));
    let params = server.params(&[("security", "starttls")]);
    let (result, text) = send(&mailer(SecretPolicy::default()), &params, &fail()).await;
    assert!(matches!(result, SendResult::Transient { .. }));
    assert!(!text.contains("injected"), "{text}");
    assert_eq!(server.count("MAIL"), 0);
}
