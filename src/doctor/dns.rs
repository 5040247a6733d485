//! Name servers: each that would be asked is asked once.

use std::fs;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use futures_util::future::join_all;

use super::Finding;
use crate::clock::Clock;
use crate::config::Settings;
use crate::net::{ResolveError, Resolver, ResolverSettings};

/// A name that the whole world knows. Where a server knows only its own, "no such name" is an answer too.
const KNOWN: &str = "a.root-servers.net";
const LIMIT: Duration = Duration::from_secs(4);
const SYSTEM: &str = "/etc/resolv.conf";

/// Asks all name servers at the same time.
pub async fn look(settings: &Settings, clock: &Clock) -> Vec<Finding> {
    let check = "dns";
    let (servers, from) = if settings.probe.name_servers.is_empty() {
        let text = match fs::read_to_string(SYSTEM) {
            Ok(text) => text,
            Err(e) => {
                let message = format!("{SYSTEM} cannot be read: {e}");
                return vec![Finding::fail(
                    check,
                    message,
                    "write a line `nameserver ADDRESS` there, or set probe.name_servers",
                )];
            }
        };
        (in_resolv_conf(&text), SYSTEM)
    } else {
        (settings.probe.name_servers.clone(), "probe.name_servers")
    };
    if servers.is_empty() {
        let message = format!("{from} names no name server");
        return vec![Finding::fail(
            check,
            message,
            "write a line `nameserver ADDRESS` there, or set probe.name_servers",
        )];
    }
    let answers = join_all(servers.iter().map(|server| ask(*server, clock))).await;
    let silent = answers.iter().filter(|a| a.is_err()).count();
    let each = servers.iter().zip(answers);
    each.map(|(server, answer)| match answer {
        Ok(Trouble::None) => Finding::ok(check, format!("the name server {server} answers")),
        Ok(Trouble::Refuses(why)) => Finding::warning(
            check,
            format!("the name server {server} answers, but not as it should: {why}"),
            format!("let it resolve names for this machine, or take it out of {from}"),
        ),
        Err(why) if silent < servers.len() => Finding::warning(
            check,
            format!("the name server {server} does not answer: {why}; others do"),
            format!("bring it back, or take it out of {from}: each name waits for it"),
        ),
        Err(why) => Finding::fail(
            check,
            format!("the name server {server} does not answer: {why}; targets with names become UNKNOWN"),
            format!("bring it back, or name another in {from}"),
        ),
    })
    .collect()
}

enum Trouble {
    None,
    Refuses(String),
}

async fn ask(server: SocketAddr, clock: &Clock) -> Result<Trouble, String> {
    let resolver =
        Resolver::new(ResolverSettings { name_servers: Some(vec![server]), ..Default::default() }, clock.clone());
    match tokio::time::timeout(LIMIT, resolver.resolve(KNOWN, &())).await {
        Err(_) => Err(format!("nothing within {}", humantime::format_duration(LIMIT))),
        Ok(Err(ResolveError::NoAnswer { detail, .. } | ResolveError::Resources { detail, .. })) => Err(detail),
        Ok(Err(ResolveError::Answered { answer, .. })) if answer.contains("NXDOMAIN") || answer.contains("NODATA") => {
            Ok(Trouble::None)
        }
        Ok(Err(ResolveError::Answered { answer, .. })) => Ok(Trouble::Refuses(answer)),
        Ok(Ok(_)) => Ok(Trouble::None),
    }
}

/// The addresses of the lines `nameserver …`, as resolv.conf(5) reads them.
fn in_resolv_conf(text: &str) -> Vec<SocketAddr> {
    let lines = text.lines().filter_map(|l| l.trim().strip_prefix("nameserver"));
    let addresses = lines.filter_map(|l| l.split_whitespace().next()?.split('%').next()?.parse::<IpAddr>().ok());
    addresses.map(|ip| SocketAddr::new(ip, 53)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resolv_conf_is_read_as_its_manual_says() {
        let text = "# x\nsearch a.example\nnameserver 192.0.2.1\n  nameserver\t2001:db8::1 # two\nnameserver fe80::1%eth0\n\
                    ;nameserver 192.0.2.9\nnameserver nonsense\n";
        let found: Vec<String> = in_resolv_conf(text).iter().map(ToString::to_string).collect();
        assert_eq!(found, ["192.0.2.1:53", "[2001:db8::1]:53", "[fe80::1]:53"]);
    }
}
