//! Servers that give back whatever was sent to them, wherever they can: what a secret must survive.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

/// What servers were sent: who they are, the request's head or the command, and the body.
pub type Sent = Arc<Mutex<Vec<(String, String, String)>>>;

/// A server on a port of its own; its threads end with the test program.
pub fn start(serve: impl Fn(TcpStream) + Send + Sync + 'static) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = listener.local_addr().unwrap().port();
    let serve = Arc::new(serve);
    std::thread::spawn(move || {
        for tcp in listener.incoming().map_while(Result::ok) {
            let serve = Arc::clone(&serve);
            std::thread::spawn(move || serve(tcp));
        }
    });
    port
}

/// Head and body of a request.
fn request(tcp: &TcpStream) -> Option<(String, String)> {
    let mut input = BufReader::new(tcp.try_clone().ok()?);
    let mut head = String::new();
    while !head.ends_with("\r\n\r\n") {
        if input.read_line(&mut head).ok()? == 0 {
            return None;
        }
    }
    let length = head.to_lowercase().split("content-length: ").nth(1).and_then(|l| l.lines().next()?.parse().ok());
    let mut body = vec![0; length.unwrap_or(0)];
    input.read_exact(&mut body).ok()?;
    Some((head, String::from_utf8_lossy(&body).into_owned()))
}

fn header<'a>(head: &'a str, name: &str) -> &'a str {
    let lines = head.lines().filter_map(|l| l.split_once(": "));
    lines.filter(|(n, _)| n.eq_ignore_ascii_case(name)).map(|(_, v)| v).next().unwrap_or_default()
}

/// An origin that fails, and gives everything back: in its reason phrase, its headers, its location, its body.
pub fn echo(name: &'static str, sent: &Sent) -> u16 {
    let sent = Arc::clone(sent);
    start(move |mut tcp| {
        let Some((head, body)) = request(&tcp) else { return };
        sent.lock().unwrap().push((name.into(), head.clone(), body.clone()));
        let path = head.split(' ').nth(1).unwrap_or_default().to_owned();
        let lines: Vec<&str> = head.lines().skip(1).filter(|l| !l.is_empty()).collect();
        let all = format!("{head}{body}");
        let authorization = header(&head, "authorization");
        let said = match path.split('/').next_back().unwrap_or_default() {
            "reason" => format!("HTTP/1.1 500 {} {authorization}\r\nContent-Length: 0\r\n\r\n", lines.join(" ")),
            "headers" => {
                let back: String = lines.iter().map(|l| format!("X-Back-{l}\r\nX-Echo: {l}\r\n")).collect();
                format!("HTTP/1.1 500 no\r\n{back}Content-Length: 0\r\n\r\n")
            }
            "garbage" => all.clone(),
            "location" => {
                let to = format!("/next/{authorization}?{}", lines.join("&").replace(' ', "%20"));
                format!("HTTP/1.1 302 Found\r\nLocation: {to}\r\nContent-Length: 0\r\n\r\n")
            }
            "cookie" => format!(
                "HTTP/1.1 401 no\r\nSet-Cookie: {authorization}\r\nWWW-Authenticate: Basic realm=\"{authorization}\"\r\n\
                 Content-Length: {}\r\n\r\n{all}",
                all.len()
            ),
            "short" => format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{all}", all.len() + 10),
            _ => format!("HTTP/1.1 500 no\r\nContent-Type: text/plain\r\nContent-Length: {}\r\n\r\n{all}", all.len()),
        };
        // Who has read enough goes.
        let _gone = tcp.write_all(said.as_bytes());
    })
}

/// A receiver of messages that takes them, or refuses with everything that it was sent as JSON, as providers do.
pub fn receiver(name: &'static str, sent: &Sent, takes: bool) -> u16 {
    let sent = Arc::clone(sent);
    start(move |mut tcp| {
        let Some((head, body)) = request(&tcp) else { return };
        sent.lock().unwrap().push((name.into(), head.clone(), body.clone()));
        let all = serde_json::json!({"ok": false, "error": head, "errorDescription": body, "message": head,
            "description": head, "errors": [head, body]});
        let said = if takes { "{}".to_owned() } else { all.to_string() };
        let status =
            if takes { "200 OK".to_owned() } else { format!("500 {}", head.lines().next().unwrap_or_default()) };
        let _gone = write!(
            tcp,
            "HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\r\n{said}",
            said.len()
        );
    })
}

/// A Keystone that gives this token at `/good/v3`, and elsewhere refuses with everything that it was sent.
pub fn keystone(token: &str, sent: &Sent) -> u16 {
    let (sent, token) = (Arc::clone(sent), token.to_owned());
    start(move |mut tcp| {
        let Some((head, body)) = request(&tcp) else { return };
        sent.lock().unwrap().push(("keystone".into(), head.clone(), body.clone()));
        let path = head.split(' ').nth(1).unwrap_or_default();
        let (status, extra, said) = if path.starts_with("/good/") && head.starts_with("POST") {
            let said = serde_json::json!({"token": {"methods": ["password"], "expires_at": "2099-01-01T00:00:00.000000Z",
                "issued_at": "2026-01-01T00:00:00.000000Z", "user": {"id": "u", "name": "probe", "domain": {"id": "d", "name": "D"}},
                "roles": [], "catalog": []}});
            ("201 CREATED".to_owned(), format!("X-Subject-Token: {token}\r\n"), said.to_string())
        } else {
            let message = format!("I do not know {body} {head} {token}");
            let said = serde_json::json!({"error": {"code": 401, "title": message, "message": message}});
            (format!("401 {}", body.replace(['\r', '\n'], " ")), format!("X-Echo: {body}\r\n"), said.to_string())
        };
        let _gone = write!(
            tcp,
            "HTTP/1.1 {status}\r\n{extra}Content-Type: application/json\r\nContent-Length: {}\r\n\r\n{said}",
            said.len()
        );
    })
}

/// A mail server. One that does not let anybody in gives back what it was sent to log in, as it came and in clear.
pub fn mail(name: &'static str, sent: &Sent, lets_in: bool) -> u16 {
    let sent = Arc::clone(sent);
    start(move |tcp| drop(mail_session(tcp, name, &sent, lets_in)))
}

fn mail_session(tcp: TcpStream, name: &str, sent: &Sent, lets_in: bool) -> std::io::Result<()> {
    let mut input = BufReader::new(tcp.try_clone()?);
    let mut out = tcp;
    let mut line = String::new();
    let keep = |what: &str, text: &str| sent.lock().unwrap().push((name.into(), what.into(), text.into()));
    write!(out, "220 tests ESMTP\r\n")?;
    loop {
        line.clear();
        if input.read_line(&mut line)? == 0 {
            return Ok(());
        }
        let command = line.trim_end().to_owned();
        match command.split(' ').next().unwrap_or_default().to_ascii_uppercase().as_str() {
            "EHLO" => write!(out, "250-tests\r\n250-AUTH PLAIN LOGIN\r\n250 8BITMIME\r\n")?,
            "AUTH" if lets_in => write!(out, "235 2.7.0 welcome\r\n")?,
            "AUTH" => {
                keep("AUTH", &command);
                let given = command.rsplit(' ').next().unwrap_or_default();
                let clear = super::canary_search::unbase64(given).replace(['\0', '\r', '\n'], " ");
                write!(out, "535-5.7.8 {command}\r\n535 5.7.8 no such user and password: {given} {clear}\r\n")?;
            }
            "DATA" => {
                write!(out, "354 go on\r\n")?;
                let mut mail = String::new();
                while !mail.ends_with("\r\n.\r\n") {
                    if input.read_line(&mut mail)? == 0 {
                        return Ok(());
                    }
                }
                keep("DATA", &mail);
                write!(out, "250 2.0.0 taken\r\n")?;
            }
            "QUIT" => return write!(out, "221 bye\r\n"),
            _ => write!(out, "250 2.1.0 ok\r\n")?,
        }
    }
}
