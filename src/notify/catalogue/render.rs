//! A message and a provider's file in, requests out. Pure: no network, no clock.
//!
//! ```text
//!  message --per item?--> events --as?--> sections --for_each?--> requests
//!                                                      context: facts, params, saved, texts
//!                                                      order: url, query, body, then headers (they may sign the body)
//! ```

use std::collections::BTreeMap;

use base64::Engine as _;
use minijinja::Value;
use minijinja::value::Serde;

use super::engine::Fault;
use super::facts;
use super::file::{Per, Send};
use super::hide::Hide;
use super::info::Check;
use super::place::Source;
use super::request::Request;
use super::text::{self, Wording};
use super::tree;
use super::{Provider, engine, words};
use crate::model::message::{Message, MessageKind};
use crate::model::text::clean;
use crate::model::time::UtcMs;
use crate::secret::Secret;

/// Everything that a request is made from.
#[derive(Debug, Clone, Copy)]
pub struct Input<'a> {
    /// What is told.
    pub message: &'a Message,
    /// The notifier's address, resolved.
    pub address: &'a Secret,
    /// Its parameters, resolved.
    pub params: &'a [(String, Secret)],
    /// What an earlier message of the same incident saved.
    pub saved: &'a [(String, String)],
    /// The notifier's own texts: event (or `all`) to template.
    pub templates: &'a [(String, String)],
    /// Now: for signatures.
    pub now: UtcMs,
}

/// Why there is no request. Never by trying again, and free of secrets.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}{field}: {message}", place(file, *line, event))]
pub struct RenderError {
    /// The file, or `templates` for a notifier's own text.
    pub file: String,
    /// From 1; 0 where there is none.
    pub line: usize,
    /// The section.
    pub event: String,
    /// The key, as `send.json.text`; `params` or `address`.
    pub field: String,
    /// What is wrong.
    pub message: String,
}

/// Where in a file it is; nothing for what stands in the notifier's row.
fn place(file: &str, line: usize, event: &str) -> String {
    if line == 0 { String::new() } else { format!("{file}, line {line}, event {event}: ") }
}

impl RenderError {
    /// It is about the notifier's own address or params: where these are references, they may be mended meanwhile.
    #[must_use]
    pub fn is_of_row(&self) -> bool {
        self.line == 0 && matches!(self.field.as_str(), "address" | "params")
    }
}

type Context = BTreeMap<String, Value>;

impl Provider {
    /// The requests of a message, in the order in which they must be sent. There may be none: some receivers have
    /// nothing to be told of some events.
    ///
    /// # Errors
    /// A parameter that is wrong, a template that does not render, a URL or header that cannot be sent.
    pub fn requests(&self, input: &Input<'_>) -> Result<Vec<Request>, RenderError> {
        let hide = self.hide(input);
        let renderer = Renderer { provider: self, input, hide: &hide };
        if let Some(problem) = self.info.check_address(input.address.expose()).into_iter().next() {
            let event = facts::event_of(input.message.kind);
            return Err(renderer.error(event, "address", 0, problem.message));
        }
        let mut requests = Vec::new();
        let single = input.message.kind != MessageKind::Digest && input.message.items.len() == 1;
        if self.per == Per::Item && !single {
            for (i, item) in input.message.items.iter().enumerate() {
                renderer.message(&facts::alone(input.message, item, i), &mut requests)?;
            }
        } else {
            renderer.message(input.message, &mut requests)?;
        }
        Ok(requests)
    }

    fn hide(&self, input: &Input<'_>) -> Hide {
        let is_secret = |name: &str| self.info.params.iter().any(|p| p.name == name && p.secret);
        let params = input.params.iter().filter(|(n, _)| is_secret(n)).map(|(_, v)| v.expose().to_owned());
        // A URL that is no secret by itself may still hold a user and a password.
        let hidden = self.info.address.secret || self.info.address.check == Check::Url;
        let address = hidden.then(|| input.address.expose().trim().to_owned());
        Hide::new(params.chain(address))
    }
}

struct Renderer<'a> {
    provider: &'a Provider,
    input: &'a Input<'a>,
    hide: &'a Hide,
}

impl Renderer<'_> {
    fn message(&self, message: &Message, out: &mut Vec<Request>) -> Result<(), RenderError> {
        let event = facts::event_of(message.kind);
        let context = self.context(message, event)?;
        let Some(send) = self.provider.sends.get(event) else { return Ok(()) };
        let Some(instead) = &send.instead else { return self.section(event, send, context, out) };
        for (i, other) in instead.iter().enumerate() {
            let failed = |fault: Fault| self.leaf_error(event, &format!("as[{i}]"), &fault);
            let other = engine::raw(other, &Value::from(context.clone())).map_err(failed)?;
            let send = self.provider.sends.get(other.as_str()).filter(|send| send.instead.is_none());
            let Some(send) = send else {
                return Err(failed(Fault { line: 0, message: format!("`{other}` is no event with its own requests") }));
            };
            let mut context = context.clone();
            context.insert("event".into(), Value::from(other.as_str()));
            match other.as_str() {
                "fail" => context.insert("open".into(), Value::from(true)),
                "recovery" => context.insert("open".into(), Value::from(false)),
                _ => None,
            };
            if instead.len() > 1 {
                context.insert("id".into(), Value::from(format!("{other}.{}", message.message_id)));
            }
            self.section(&other, send, context, out)?;
        }
        Ok(())
    }

    /// What all requests of a message share.
    fn context(&self, message: &Message, event: &str) -> Result<Context, RenderError> {
        let (provider, input) = (self.provider, self.input);
        let mut context: Context =
            facts::facts(message).into_iter().map(|(name, value)| (name, Value::from(Serde(value)))).collect();
        let addresses = provider.info.addresses(input.address.expose());
        let params = provider.info.values(input.params).map_err(|m| self.error(event, "params", 0, m))?;
        let saved = provider.answer.save.keys().map(|name| {
            let found = input.saved.iter().find(|(n, _)| n == name);
            (name.clone(), found.map_or(Value::from(()), |(_, v)| Value::from(v.as_str())))
        });
        let mut add = |name: &str, value: Value| context.insert(name.to_owned(), value);
        add("event", Value::from(event));
        add("address", Value::from(input.address.expose().trim()));
        add("recipients", Value::from(addresses));
        add("params", Value::from(params.into_iter().collect::<BTreeMap<_, _>>()));
        add("saved", Value::from(saved.collect::<BTreeMap<_, _>>()));
        add("now", Value::from(input.now.0));
        self.add_text(&mut context, event)?;
        Ok(context)
    }

    fn add_text(&self, context: &mut Context, event: &str) -> Result<(), RenderError> {
        let rules = &self.provider.text;
        let own = |key: &str| self.input.templates.iter().find(|(name, _)| name == key);
        if let Some((key, template)) = own(event).or_else(|| own("all")) {
            return text::add(context, &Wording { template, whole: true }, rules).map_err(|fault| {
                let message = self.hide.clean(&fault.message, 300);
                RenderError {
                    file: "templates".into(),
                    line: fault.line + 1,
                    event: event.into(),
                    field: key.clone(),
                    message,
                }
            });
        }
        let (template, path) = rules.of(event).unwrap_or((text::DEFAULT, String::new()));
        text::add(context, &Wording { template, whole: false }, rules).map_err(|fault| {
            if path.is_empty() {
                let source = Source::new(text::DEFAULT_FILE, "");
                RenderError { file: source.name, line: fault.line + 1, ..self.error(event, "text", 0, fault.message) }
            } else {
                let line = self.provider.source.line(&path).unwrap_or(0) + fault.line;
                self.error(event, &path, line, fault.message)
            }
        })
    }

    fn section(
        &self,
        event: &str,
        send: &Send,
        mut context: Context,
        out: &mut Vec<Request>,
    ) -> Result<(), RenderError> {
        let Some(list) = &send.for_each else {
            out.push(self.request(event, send, &context, None)?);
            return Ok(());
        };
        let all = match list.strip_prefix("params.") {
            None => context.get("recipients").cloned(),
            Some(param) => context.get("params").and_then(|p| p.get_attr(param).ok()),
        };
        let id = context.get("id").map(Value::to_string).unwrap_or_default();
        for (i, each) in all.iter().flat_map(|v| v.try_iter().into_iter().flatten()).enumerate() {
            let digest = ring::digest::digest(&ring::digest::SHA256, each.to_string().as_bytes());
            let recipient = engine::hex(&digest.as_ref()[..8]);
            context.insert("recipient".into(), each);
            if i > 0 {
                context.insert("id".into(), Value::from(format!("{i}.{id}")));
            }
            out.push(self.request(event, send, &context, Some(recipient))?);
        }
        Ok(())
    }

    fn request(
        &self,
        event: &str,
        send: &Send,
        context: &Context,
        recipient: Option<String>,
    ) -> Result<Request, RenderError> {
        let failed = |(path, fault): (String, Fault)| self.leaf_error(event, &path, &fault);
        let value = Value::from(context.clone());
        let url = engine::raw(&send.url, &value).map_err(|f| failed(("url".into(), f)))?;
        let url = url::Url::parse(url.trim()).ok().filter(|u| matches!(u.scheme(), "http" | "https") && u.has_host());
        let Some(mut url) = url else {
            let message = "this gives no http or https URL: is the address right?".to_owned();
            return Err(failed(("url".into(), Fault { line: 0, message })));
        };
        let query = tree::pairs(&send.query, "query", &value).map_err(failed)?;
        if !query.is_empty() {
            url.query_pairs_mut().extend_pairs(query);
        }
        let id = context.get("id").map(Value::to_string).unwrap_or_default();
        let (kind, body) = self.body(send, &value, &id).map_err(failed)?;
        let mut with_body = context.clone();
        with_body.insert("body".into(), Value::from(String::from_utf8_lossy(&body).into_owned()));
        let mut headers = tree::pairs(&send.headers, "headers", &Value::from(with_body)).map_err(failed)?;
        if let Some((name, _)) = headers.iter().find(|(name, value)| !fits_header(name, value)) {
            let message = "a header cannot hold this: letters, digits and signs of ASCII only".to_owned();
            return Err(failed((format!("headers.{name}"), Fault { line: 0, message })));
        }
        if let Some(authorization) = take_userinfo(&mut url)
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("authorization"))
        {
            headers.push(("Authorization".into(), authorization));
        }
        if let Some(kind) = kind
            && !headers.iter().any(|(name, _)| name.eq_ignore_ascii_case("content-type"))
        {
            headers.insert(0, ("Content-Type".into(), kind));
        }
        let hide = self.hide.with_headers(&headers);
        Ok(Request {
            id,
            recipient,
            method: send.method.clone(),
            url: Secret::new(url.to_string()),
            headers: headers.into_iter().map(|(name, value)| (name, Secret::new(value))).collect(),
            body,
            hide,
            rules: self.provider.answer.clone(),
        })
    }

    /// The body and what it is.
    fn body(&self, send: &Send, context: &Value, id: &str) -> Result<(Option<String>, Vec<u8>), tree::LeafFault> {
        if let Some(json) = &send.json {
            let json = tree::render(json, "json", context)?.unwrap_or_default();
            return Ok((Some("application/json".into()), json.to_string().into_bytes()));
        }
        if let Some(form) = &send.form {
            let pairs = tree::pairs(form, "form", context)?;
            let body = url::form_urlencoded::Serializer::new(String::new()).extend_pairs(pairs).finish();
            return Ok((Some("application/x-www-form-urlencoded".into()), body.into_bytes()));
        }
        if let Some(parts) = &send.multipart {
            let digest = ring::digest::digest(&ring::digest::SHA256, id.as_bytes());
            let boundary = format!("skypunch-{}", engine::hex(&digest.as_ref()[..16]));
            let mut body = String::new();
            for (name, value) in tree::pairs(parts, "multipart", context)? {
                let name = words::percent(&name);
                body.push_str(&format!(
                    "--{boundary}\r\nContent-Disposition: form-data; name=\"{name}\"\r\n\r\n{value}\r\n"
                ));
            }
            body.push_str(&format!("--{boundary}--\r\n"));
            return Ok((Some(format!("multipart/form-data; boundary={boundary}")), body.into_bytes()));
        }
        match &send.body {
            None => Ok((None, Vec::new())),
            Some(text) => {
                let text = engine::raw(text, context).map_err(|fault| ("body".to_owned(), fault))?;
                Ok((Some("text/plain; charset=utf-8".into()), text.into_bytes()))
            }
        }
    }

    fn leaf_error(&self, event: &str, leaf: &str, fault: &Fault) -> RenderError {
        let path = self.provider.path(event, leaf);
        let line = self.provider.source.line(&path).map_or(0, |first| first + fault.line);
        self.error(event, &path, line, fault.message.clone())
    }

    fn error(&self, event: &str, field: &str, line: usize, message: String) -> RenderError {
        let message = self.hide.clean(&message, 300);
        RenderError {
            file: self.provider.source.name.clone(),
            line,
            event: event.into(),
            field: clean(field, 200),
            message,
        }
    }
}

/// `https://user:password@host` as a header; the URL has none of it any more.
fn take_userinfo(url: &mut url::Url) -> Option<String> {
    if url.username().is_empty() && url.password().is_none() {
        return None;
    }
    let decoded = words::of_percent;
    let pair = format!("{}:{}", decoded(url.username()), decoded(url.password().unwrap_or_default()));
    // Neither fails for an http URL.
    let _cleared = (url.set_username(""), url.set_password(None));
    Some(format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(pair)))
}

fn fits_header(name: &str, value: &str) -> bool {
    let token = |b: u8| b.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&b);
    let reserved = ["host", "content-length", "transfer-encoding", "connection"];
    !name.is_empty()
        && name.bytes().all(token)
        && !reserved.contains(&name.to_ascii_lowercase().as_str())
        && value.bytes().all(|b| (b' '..=b'~').contains(&b))
}
