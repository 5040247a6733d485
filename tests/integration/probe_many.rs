//! Many probes at once on one prober, and many broken answers one after the other.

use std::io::Write;
use std::rc::Rc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use futures_util::future::join_all;
use skypunch::clock::Clock;
use skypunch::model::ids::splitmix64;
use skypunch::model::reason::Reason;
use skypunch::model::target::Target;
use skypunch::probe::{HttpProber, ProbeSettings, Prober};
use skypunch::secret::SecretPolicy;

use crate::misbehaving as peer;
use crate::nginx::Nginx;
use crate::probing::{Found, definition, target};

fn prober(settings: ProbeSettings) -> Prober {
    Prober::Http(Rc::new(HttpProber::new(settings, SecretPolicy::default(), Clock::system()).unwrap()))
}

fn all_at_once(prober: &Prober, targets: &[Target]) -> Vec<Found> {
    actix_rt::System::new().block_on(async {
        let probes = targets.iter().map(async |target| {
            let permit = prober.admit().await;
            let (outcome, trace) = prober.probe(target, None).await;
            drop(permit);
            Found { outcome, trace }
        });
        join_all(probes).await
    })
}

#[test]
fn probes_that_run_at_once_do_not_mix() {
    let nginx = Nginx::start("location / { return 200 $request_uri; }", false, |_| ());
    let targets: Vec<Target> =
        (1..=200usize).map(|n| target(&definition(&nginx.url(&format!("/{}", "x".repeat(n)))))).collect();
    let found = all_at_once(&prober(ProbeSettings { young_limit: 16, ..ProbeSettings::default() }), &targets);
    for (n, found) in (1..=200u32).zip(&found) {
        assert_eq!(found.passes().outcome.body_bytes, n + 1);
    }
}

#[test]
fn hanging_targets_do_not_keep_others_out() {
    let silent = peer::says_and_stalls("");
    let good = peer::says("HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n");
    let mut targets = vec![target(&definition(&silent.url())); 8];
    for target in &mut targets {
        target.timeout = Duration::from_secs(2);
    }
    targets.push(target(&definition(&good.url())));
    let settings = ProbeSettings { young_limit: 4, young_for: Duration::from_millis(50), ..ProbeSettings::default() };
    let begin = Clock::system();
    let good_at = actix_rt::System::new().block_on(async {
        let prober = prober(settings);
        let hanging = targets[..8].iter().map(async |target| {
            let permit = prober.admit().await;
            let found = prober.probe(target, None).await;
            drop(permit);
            found
        });
        let last = async {
            let permit = prober.admit().await;
            let admitted = begin.now();
            let (outcome, trace) = prober.probe(&targets[8], None).await;
            drop(permit);
            Found { outcome, trace }.passes();
            admitted
        };
        let (hung, good_at) = futures_util::join!(join_all(hanging), last);
        for (outcome, trace) in hung {
            Found { outcome, trace }.fails(Reason::TimeoutFirstByte);
        }
        good_at
    });
    let waited = good_at.0 / 1000;
    assert!((95..1500).contains(&waited), "two ages of the gate, not the timeout of the hanging: {waited} ms");
}

#[test]
fn probes_that_are_cut_off_leave_no_connection() {
    let silent = peer::says_and_stalls("HTTP/1.1 200 OK\r\n");
    let mut targets = vec![target(&definition(&silent.url())); 100];
    for target in &mut targets {
        target.timeout = Duration::from_secs(1);
    }
    for found in all_at_once(&prober(ProbeSettings::default()), &targets) {
        assert!(
            matches!(found.outcome.reason, Some(Reason::TimeoutHead | Reason::TimeoutFirstByte)),
            "{}",
            found.text()
        );
        let (local, remote) = found.ends().unwrap();
        let left = peer::sockets(local, remote);
        assert!(left.is_empty(), "{left:?}");
    }
}

#[test]
fn whatever_a_server_sends_there_is_an_outcome() {
    const GOOD: [&[u8]; 4] = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nServer: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 302 Found\r\nLocation: /next?a=b\r\n\r\n",
        b"HTTP/1.0 200 OK\r\n\r\nhello",
    ];
    let number = AtomicU64::new(0);
    let server = peer::serve(move |mut caller| {
        caller.read_request();
        let mut seed = number.fetch_add(1, Ordering::SeqCst);
        let mut random = move || {
            seed = splitmix64(seed);
            usize::try_from(seed % 100_003).unwrap()
        };
        let mut bytes = GOOD[random() % GOOD.len()].to_vec();
        for _ in 0..=random() % 4 {
            let at = random() % bytes.len();
            match random() % 4 {
                0 => bytes[at] = u8::try_from(random() % 256).unwrap(),
                1 => bytes.truncate(at + 1),
                2 => drop(bytes.remove(at)),
                _ => bytes.insert(at, b"\r\n :;\0\x1b\xff0123456789"[random() % 18]),
            }
            if bytes.is_empty() {
                bytes.push(b'H');
            }
        }
        if caller.tcp.write_all(&bytes).is_ok() && caller.tcp.shutdown(std::net::Shutdown::Write).is_ok() {
            peer::hold(caller.tcp);
        }
    });
    let mut target = target(&definition(&server.url()));
    target.redirects = 3;
    let mut reasons = std::collections::BTreeSet::new();
    let prober = prober(ProbeSettings::default());
    for _ in 0..10 {
        for found in all_at_once(&prober, &vec![target.clone(); 50]) {
            match found.outcome.reason {
                None => drop(found.passes().text()),
                Some(reason) => {
                    found.fails(reason);
                    assert_ne!(reason, Reason::Internal, "{}", found.outcome.description);
                    reasons.insert(reason.as_str());
                }
            }
        }
    }
    for reason in ["protocol", "closed_early", "status"] {
        assert!(reasons.contains(reason), "{reasons:?}");
    }
}
