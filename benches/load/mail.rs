//! Mail, sustained: over one pool of sessions, and through the whole daemon.
//!
//! ```text
//!  the channel alone:  N senders --one Mailer, one pool--> sink | --smtp HOST:PORT
//!  the daemon:         targets that change at each probe -> outbox -> 20 notifiers, one pool -> sink | --smtp
//! ```

use std::cell::Cell;
use std::sync::Arc;
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::message::{Message, MessageKind};
use skypunch::model::notifier::{EventKind, Filter, Notifier, NotifierId};
use skypunch::net::{EgressSource, ResolverSettings};
use skypunch::notify::mail::{Mailer, samples};
use skypunch::notify::{Course, SendResult};
use skypunch::secret::{Secret, SecretPolicy};

use crate::daemon::Place;
use crate::origin::Origin;
use crate::process;
use crate::report::{Report, quantile};
use crate::sink::Sink;
use crate::window::{SETTLE, WRITTEN_AFTER};
use crate::{Options, Outcome};

/// Each takes at most 1,000 messages a minute.
const NOTIFIERS: usize = 20;
/// Changes a second, each to be told to all notifiers: 200 and 320 mails a second.
const CHANGES: [usize; 2] = [10, 16];
/// Senders at once: one after the other, some, as many as there are sessions in a pool.
const SENDERS: [usize; 3] = [1, 4, 10];

/// The scenario.
pub fn run(options: &Options) -> Outcome<Report> {
    let mut sink = Sink::start(options.nice)?;
    let own = format!("127.0.0.1:{}", sink.port());
    let server = options.smtp.as_deref().unwrap_or(&own);
    let counting = options.smtp.is_none().then_some(&mut sink);
    let name = if options.smtp.is_some() { server } else { "the bench's own sink" };
    let mut report = Report::new(format!("mail, sustained, to {name}"));
    for senders in SENDERS {
        channel(options, &mut report, server, senders)?;
    }
    if let Some(sink) = counting {
        let (mails, connections, bytes) = sink.counts()?;
        report.add("  mails for each connection", mails as f64 / connections as f64, "", "");
        report.add("  bytes of a mail", bytes as f64 / mails as f64, "", "");
    }
    for changes in CHANGES {
        daemon(options, &mut report, server, changes)?;
    }
    report.note(process::load());
    Ok(report)
}

fn notifier(server: &str) -> Notifier {
    Notifier {
        id: NotifierId(1),
        name: "bench".into(),
        tenant: "0".into(),
        kind: "SMTP".into(),
        address: "ops@example.com".into(),
        params: [("server", server), ("security", "none"), ("from", "skypunch@example.com")]
            .map(|(name, value)| (name.to_owned(), Secret::new(value.to_owned())))
            .to_vec(),
        enabled: true,
        filter: Filter::default(),
        group_wait: Duration::ZERO,
        group_window: Duration::ZERO,
        rate_per_minute: 1000,
        retry_for: Duration::from_secs(60),
        remind: None,
        templates: Vec::new(),
    }
}

/// Failures one by one, each sender the next one when the server has taken the last one.
fn channel(options: &Options, report: &mut Report, server: &str, senders: usize) -> Outcome<()> {
    let clock = Clock::system();
    let (notifier, plain) = (notifier(server), samples::item("api-eu", EventKind::Fail));
    let mailer = Mailer::new(
        ResolverSettings::default(),
        EgressSource::default(),
        Arc::new(SecretPolicy::default()),
        clock.clone(),
    );
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    let (sent, started, cpu) = (Cell::new(0u64), clock.now(), process::own_thread_us()?);
    let until = started + options.window();
    let result: Result<Vec<()>, String> = tokio::task::LocalSet::new().block_on(&runtime, async {
        let one = |n: usize| {
            let (mailer, notifier, plain, sent, clock) = (&mailer, &notifier, &plain, &sent, &clock);
            async move {
                let mut message = samples::message(MessageKind::Fail, vec![plain.clone()]);
                while clock.now() < until {
                    message = Message { message_id: format!("{n}.{}@bench.example", sent.get()), ..message };
                    match mailer.send(notifier, &message, &mut Course::default(), &()).await {
                        SendResult::Sent { .. } => sent.set(sent.get() + 1),
                        SendResult::Transient { why, .. } | SendResult::Permanent { why, .. } => return Err(why),
                    }
                }
                Ok(())
            }
        };
        let all = futures_util::future::try_join_all((0..senders).map(one)).await;
        mailer.close().await;
        all
    });
    result?;
    let seconds = clock.now().since(started).as_secs_f64();
    let (cpu, sent) = (process::own_thread_us()? - cpu, sent.get() as f64);
    let goal = if senders == 1 { "" } else { "200 or more" };
    report.add(format!("channel, {senders} at once"), sent / seconds, "mails/s", goal);
    report.add(format!("channel, {senders} at once: CPU"), cpu / sent, "us/mail", "");
    Ok(())
}

/// Targets that change at each probe: each change is a mail to each notifier.
fn daemon(options: &Options, report: &mut Report, server: &str, changes: usize) -> Outcome<()> {
    let clock = Clock::system();
    let origin = Origin::start(options.nice)?;
    let port = origin.port();
    let mut place = Place::new(options)?;
    place.add_settings("[notify]\nflap_changes = 0\n");
    place.database.insert(changes, 1000, |id| format!("http://127.0.0.1:{port}/flip/{id}"))?;
    for n in 1..=NOTIFIERS {
        place.database.execute(&format!(
            "INSERT INTO notifiers (name, type, address, params, group_wait_ms, group_window_ms, rate_per_minute) VALUES \
            ('n{n}', 'SMTP', 'ops{n}@example.com', 'server={server},security=none,from=skypunch@example.com', 0, 0, 1000)"
        ))?;
    }
    let mut daemon = place.start(options, &clock)?;
    daemon.until_running(changes)?;
    std::thread::sleep(SETTLE);
    let (from, cpu, threads) = (clock.utc_now().0, process::cpu_us(daemon.pid)?, process::threads(daemon.pid)?);
    std::thread::sleep(options.window());
    let (to, cpu_after) = (clock.utc_now().0, process::cpu_us(daemon.pid)?);
    let threads = process::ran_us(&threads, &process::threads(daemon.pid)?);
    std::thread::sleep(WRITTEN_AFTER);
    let rows = daemon.database.pairs(&format!(
        "SELECT created_at AS a, COALESCE(sent_at, 0) AS b FROM notifications WHERE created_at >= {from} AND created_at < {to}"
    ))?;
    let mails = daemon.database.pairs(&format!(
        "SELECT COUNT(DISTINCT message_id) AS a, COUNT(*) AS b FROM notifications WHERE sent_at >= {from} AND sent_at < {to}"
    ))?[0];
    let mut took: Vec<i64> = rows.iter().filter(|r| r.1 > 0).map(|r| r.1 - r.0).collect();
    took.sort_unstable();
    let seconds = (to - from) as f64 / 1000.0;
    let name = format!("daemon, {} notices/s", changes * NOTIFIERS);
    report.add(format!("{name}: owed"), rows.len() as f64 / seconds, "/s", "");
    report.add(format!("{name}: sent"), mails.1 as f64 / seconds, "/s", "as owed");
    report.add(format!("{name}: in mails"), mails.0 as f64 / seconds, "/s", "200 or more");
    report.add(format!("{name}: owed until noted as sent, p50"), quantile(&took, 0.5) as f64, "ms", "");
    report.add(format!("{name}: owed until noted as sent, p99"), quantile(&took, 0.99) as f64, "ms", "");
    report.add(format!("{name}: CPU"), (cpu_after - cpu) as f64 / mails.0 as f64, "us/mail", "");
    for (n, (thread, us)) in threads.iter().enumerate() {
        if us / mails.0 as f64 >= 20.0 {
            report.add(format!("  thread {n} {thread}"), us / mails.0 as f64, "us/mail", "");
        }
    }
    daemon.stop()?;
    Ok(())
}
