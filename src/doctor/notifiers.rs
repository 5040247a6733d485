//! Mail servers and providers: whether each enabled notifier could be told. Nothing is sent, nobody logs in.

use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt;
use futures_util::stream;

use super::Finding;
use crate::clock::Clock;
use crate::config::Settings;
use crate::model::egress::is_told_in;
use crate::model::notifier::{Notifier, NotifierDefinition};
use crate::model::text::quoted;
use crate::net::{EgressSource, ResolverSettings};
use crate::notify::catalogue::Catalogue;
use crate::notify::channel::{self, Channels};

const CHECK: &str = "notifiers";
/// How long one may take.
const LIMIT: Duration = Duration::from_secs(5);
/// So many at the same time.
const AT_ONCE: usize = 8;
/// So many in all.
const MOST: usize = 200;

/// Looks at all of them; `rows` is `None` where the database cannot be read.
pub async fn look(settings: &Settings, clock: &Clock, rows: Option<Vec<NotifierDefinition>>) -> Vec<Finding> {
    let (catalogue, problems) = Catalogue::load(settings.notify.providers.as_deref());
    let catalogue = Arc::new(channel::with_mail(catalogue));
    let mut found: Vec<Finding> = (problems.iter())
        .map(|p| Finding::fail(CHECK, format!("a provider's file: {p}"), "mend the file in notify.providers"))
        .collect();
    let Some(rows) = rows else {
        let message = "not looked at: who is to be told stands in the database, which is empty or cannot be read";
        found.push(Finding::warning(
            CHECK,
            message,
            "look again when the daemon has made its tables, or the database is mended",
        ));
        return found;
    };
    let enabled: Vec<NotifierDefinition> = rows.into_iter().filter(|r| r.enabled).collect();
    if enabled.is_empty() {
        found.push(Finding::warning(
            CHECK,
            "nobody is told of anything: there is no enabled notifier",
            "skypunchctl add notifier",
        ));
        return found;
    }
    if enabled.len() > MOST {
        let message = format!("only {MOST} of {} are looked at", enabled.len());
        found.push(Finding::warning(CHECK, message, "skypunchctl notifiers NAME test for the others"));
    }
    let resolver = ResolverSettings {
        name_servers: (!settings.probe.name_servers.is_empty()).then(|| settings.probe.name_servers.clone()),
        ..ResolverSettings::default()
    };
    let (egress, secrets) = (EgressSource::fixed(settings.egress.clone()), Arc::new(settings.secrets.clone()));
    let channels = Channels::new(Arc::clone(&catalogue), resolver, egress, secrets, clock.clone());
    let host =
        settings.notify.host.clone().unwrap_or_else(|| rustix::system::uname().nodename().to_string_lossy().into());
    let looks = enabled.into_iter().take(MOST).map(|row| one(row, &catalogue, &channels, &host));
    let each: Vec<Finding> = stream::iter(looks).buffered(AT_ONCE).collect().await;
    found.extend(each);
    found
}

async fn one(row: NotifierDefinition, catalogue: &Arc<Catalogue>, channels: &Channels, host: &str) -> Finding {
    let name = quoted(&row.name);
    let catalogue = Arc::clone(catalogue);
    let types = move |n: &Notifier| channel::check(&catalogue, n);
    let notifier = match row.validate(&types) {
        Ok(notifier) => notifier,
        Err(problems) => {
            let problems: Vec<String> = problems.iter().map(ToString::to_string).collect();
            let message = format!("the row of {name} is wrong and not in force: {}", problems.join("; "));
            return Finding::fail(CHECK, message, format!("skypunchctl edit notifier {}", row.id));
        }
    };
    let reached = tokio::time::timeout(LIMIT * 2, channels.reach(&notifier, host, LIMIT)).await;
    match reached.unwrap_or_else(|_| Err(format!("no answer within {}", humantime::format_duration(LIMIT * 2)))) {
        Ok(who) => Finding::ok(CHECK, format!("{name}: {who}")),
        // What only the daemon may read, or has in its environment, says nothing of it.
        Err(why)
            if by_reference(&notifier)
                && ["is not set", "cannot be read", "is not allowed"].iter().any(|w| why.contains(w)) =>
        {
            Finding::warning(CHECK, format!("{name}: {why}"), "look as the daemon's user, with its environment")
        }
        Err(why) if is_told_in(&why) => {
            let mend = "allow it in [egress], or mend the notifier";
            Finding::fail(CHECK, format!("{name}: {why}"), mend)
        }
        Err(why) => {
            let mend =
                format!("bring that server back, or mend the notifier; then: skypunchctl notifiers {} test", row.id);
            Finding::fail(CHECK, format!("{name}: {why}"), mend)
        }
    }
}

fn by_reference(notifier: &Notifier) -> bool {
    notifier.address.contains("${") || notifier.params.iter().any(|(_, value)| value.expose().contains("${"))
}
