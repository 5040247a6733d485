//! What a ready connection costs: a plain one, one by name, one with a full TLS handshake.
//!
//! `cargo bench --bench connector`; see benches/README.md. Beside each stands the bare socket that does the same: the
//! difference is resolving from the cache, egress policy, trace and deadlines. Wall time, one after another, against a
//! listener in a thread of this process.
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

use std::hint::black_box;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use criterion::{Criterion, criterion_group, criterion_main};
use skypunch::clock::Clock;
use skypunch::model::egress::{Caller, EgressPolicy};
use skypunch::model::target::TlsOptions;
use skypunch::net::{EgressSource, Endpoint, Net, ResolverSettings};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{PrivateKeyDer, PrivatePkcs8KeyDer};

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// Takes connections and drops them when the other side does, with or without TLS.
fn listener(tls: bool) -> SocketAddr {
    let (told, address) = std::sync::mpsc::channel();
    std::thread::spawn(move || {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
        runtime.block_on(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
            told.send(listener.local_addr().unwrap()).unwrap();
            let acceptor = tls.then(acceptor);
            loop {
                let (tcp, _) = listener.accept().await.unwrap();
                let acceptor = acceptor.clone();
                tokio::spawn(async move {
                    match acceptor {
                        None => drop(tcp.readable().await),
                        Some(acceptor) => {
                            if let Ok(tls) = acceptor.accept(tcp).await {
                                drop(tls.get_ref().0.readable().await);
                            }
                        }
                    }
                });
            }
        });
    });
    address.recv().unwrap()
}

fn acceptor() -> TlsAcceptor {
    let rcgen::CertifiedKey { cert, signing_key } = rcgen::generate_simple_self_signed(["localhost".into()]).unwrap();
    let key = PrivateKeyDer::Pkcs8(PrivatePkcs8KeyDer::from(signing_key.serialize_der()));
    let config = ServerConfig::builder().with_no_client_auth().with_single_cert(vec![cert.der().clone()], key).unwrap();
    TlsAcceptor::from(Arc::new(config))
}

fn connections(c: &mut Criterion) {
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap();
    let (plain, tls) = (listener(false), listener(true));
    let egress = EgressSource::fixed(EgressPolicy::default());
    let net = Net::new(ResolverSettings::default(), egress, Clock::system());
    let unverified = TlsOptions { skip_verify: true, ..TlsOptions::default() };
    let connect = |to: SocketAddr, tls: Option<&TlsOptions>, name: bool| {
        runtime.block_on(async {
            let host = match (name, to) {
                (true, _) => url::Host::Domain("localhost"),
                (false, SocketAddr::V4(v4)) => url::Host::Ipv4(*v4.ip()),
                (false, SocketAddr::V6(v6)) => url::Host::Ipv6(*v6.ip()),
            };
            let endpoint = Endpoint { host, port: to.port(), tls, caller: Caller::Shared, sends_at_once: false };
            let connection = net.connect(endpoint, &()).await.unwrap();
            connection.forget_on_close();
        });
    };
    let mut group = c.benchmark_group("connection");
    group.bench_function("bare socket", |b| {
        b.iter(|| {
            runtime.block_on(async {
                let tcp = TcpStream::connect(black_box(plain)).await.unwrap();
                tcp.set_zero_linger().unwrap();
            });
        });
    });
    group.bench_function("plain", |b| b.iter(|| connect(plain, None, false)));
    group.bench_function("plain, by name", |b| b.iter(|| connect(plain, None, true)));
    group.bench_function("TLS, full handshake", |b| b.iter(|| connect(tls, Some(&unverified), false)));
    group.finish();
}

criterion_group! {
    name = benches;
    config = Criterion::default().warm_up_time(Duration::from_millis(500)).measurement_time(Duration::from_secs(3));
    targets = connections
}
criterion_main!(benches);
