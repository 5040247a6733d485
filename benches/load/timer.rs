//! The bare timer: what a machine's wake-ups alone cost in lateness, for the same due times as the daemon's.
//!
//! ```text
//!  for each step of the grid: sleep -> for each target that is due: now - due time -> a histogram
//! ```

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use skypunch::clock::Clock;
use skypunch::model::schedule::Schedule;
use skypunch::model::target::TargetId;
use skypunch::model::time::Mono;

use crate::Outcome;
use crate::roles::{Role, say, serve_stdin};

/// Width of a bucket in microseconds.
const BUCKET_US: u32 = 10;
/// Later than this counts as this: 200 ms.
const BUCKETS: usize = 20_000;

/// The role: `args` are how many targets, and their frequency in milliseconds. Each line asked is answered by the wake-ups
/// since the last, and their p50 and p99 in microseconds.
pub fn run(args: &[String]) -> Outcome<()> {
    let [targets, frequency_ms] = args else { return Err("timer TARGETS FREQUENCY_MS".into()) };
    let (targets, frequency_ms): (i64, u64) = (targets.parse()?, frequency_ms.parse()?);
    let late = Arc::new(Mutex::new(vec![0u64; BUCKETS]));
    let asked = Arc::clone(&late);
    serve_stdin(move |_| {
        let seen = std::mem::replace(&mut *asked.lock().unwrap_or_else(PoisonError::into_inner), vec![0u64; BUCKETS]);
        let all: u64 = seen.iter().sum();
        let below = |percent: u64| {
            let mut left = (all * percent).div_ceil(100);
            let found = seen.iter().position(|n| {
                left = left.saturating_sub(*n);
                left == 0
            });
            found.unwrap_or(0) as u64 * u64::from(BUCKET_US)
        };
        format!("{all} {} {}", below(50), below(99))
    });
    let clock = Clock::system();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(async move {
        let frequency = Duration::from_millis(frequency_ms);
        let now = clock.now();
        let first = |id| Schedule::new(TargetId(id), frequency, clock.wall_us_at_zero()).first_after(now);
        let mut due: Vec<Mono> = (1..=targets).map(first).collect();
        due.sort_unstable();
        say("ready");
        loop {
            for at in &mut due {
                let wait = at.since(clock.now());
                if !wait.is_zero() {
                    tokio::time::sleep(wait).await;
                }
                let us = clock.now().us_since(*at);
                let bucket = ((us / BUCKET_US) as usize).min(BUCKETS - 1);
                late.lock().unwrap_or_else(PoisonError::into_inner)[bucket] += 1;
                *at = *at + frequency;
            }
        }
    })
}

/// p50 and p99 of a bare timer's lateness in milliseconds, over one window.
pub fn measure(targets: usize, frequency: Duration, window: Duration, nice: Option<i32>) -> Outcome<(f64, f64)> {
    let mut role = Role::start("timer", &[targets.to_string(), frequency.as_millis().to_string()], nice)?;
    role.line()?;
    role.ask("begin")?;
    std::thread::sleep(window);
    let seen = role.numbers("end")?;
    let [_, p50, p99] = seen[..] else { return Err("the timer said something else".into()) };
    Ok((p50 as f64 / 1000.0, p99 as f64 / 1000.0))
}
