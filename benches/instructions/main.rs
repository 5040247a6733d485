//! What a probe costs in user mode, counted in instructions: plain, with a request id in the answer, with a token.
//!
//! `cargo bench --bench instructions`; see benches/README.md. Instructions are counted by valgrind's callgrind, so that the
//! figures are the same on a busy machine. Each kind runs twice, with few probes and with many, as a process of its own;
//! the difference, by the probes between, is what one probe costs. Kernel time and the origin (another process) do not
//! count. It fails when a token at hand costs more than the goal.
//!
//! `cargo bench --profile count --bench instructions -- --check` holds the hottest paths against `baseline.txt` ([`hot`]).
#![expect(clippy::unwrap_used, reason = "a bench that cannot go on may panic")]

mod hot;
mod tokens;

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpListener;
use std::process::{Child, Command, ExitCode, Stdio};
use std::rc::Rc;

use skypunch::clock::Clock;
use skypunch::model::definition::Definition;
use skypunch::model::target::Target;
use skypunch::probe::{HttpProber, ProbeSettings};
use skypunch::secret::SecretPolicy;

/// The daemon's allocator.
#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

const FEW: u64 = 500;
const MANY: u64 = 2_500;

/// A token that is at hand may cost so many instructions more than no token.
const GOAL: u64 = 8_000;

/// A kind of probe.
struct Kind {
    name: &'static str,
    /// What it is compared with.
    than: &'static str,
    /// So many are in use; 0: no authentication.
    credentials: usize,
    /// The answer has `X-Openstack-Request-Id`.
    id: bool,
    /// The URL comes out of a catalog.
    catalog: bool,
}

const fn kind(name: &'static str, than: &'static str, credentials: usize, id: bool, catalog: bool) -> Kind {
    Kind { name, than, credentials, id, catalog }
}

const KINDS: [Kind; 7] = [
    kind("plain", "", 0, false, false),
    kind("plain-id", "plain", 0, true, false),
    kind("token", "plain", 1, false, false),
    kind("token-100", "plain", 100, false, false),
    kind("token-1000", "plain", 1000, false, false),
    kind("token-id", "plain-id", 1, true, false),
    kind("catalog-id", "plain-id", 1, true, true),
];

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).filter(|a| a != "--bench").collect();
    match &args.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["origin"] => origin(),
        ["probe", kind, times, origin] => probe(kind, times.parse().unwrap(), origin),
        ["path", name, times] => hot::run(name, times.parse().unwrap()),
        [] => drive(),
        ["--check"] => return if hot::check(&hottest()) { ExitCode::SUCCESS } else { ExitCode::FAILURE },
        ["--write"] => hot::write(&hottest()),
        other => panic!("unknown arguments {other:?}: this bench takes --check, --write or none"),
    }
    ExitCode::SUCCESS
}

/// The origin, and where it listens.
fn start_origin(me: &std::path::Path) -> (Child, String) {
    let mut child = Command::new(me).arg("origin").stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    (child, address.trim().to_owned())
}

/// What the hottest paths cost each time.
fn hottest() -> Vec<(&'static str, u64)> {
    need_valgrind();
    let me = std::env::current_exe().unwrap();
    let (mut child, address) = start_origin(&me);
    let each = |few: u64, many: u64, args: &dyn Fn(u64) -> Vec<String>| {
        (count(&me, &args(many)) - count(&me, &args(few))) / (many - few)
    };
    let mut counted = vec![("probe", each(FEW, MANY, &|times| probes("plain", times, &address)))];
    for (name, few, many) in hot::PATHS {
        counted.push((name, each(few, many, &|times| vec!["path".into(), name.into(), times.to_string()])));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    counted
}

fn probes(kind: &str, times: u64, address: &str) -> Vec<String> {
    vec!["probe".into(), kind.into(), times.to_string(), address.into()]
}

/// Counts all kinds and prints them.
fn drive() {
    need_valgrind();
    let me = std::env::current_exe().unwrap();
    let (mut child, address) = start_origin(&me);
    let mut counted: Vec<(&str, u64)> = Vec::new();
    println!("instructions a probe, user mode; {FEW} and {MANY} probes of each kind");
    for Kind { name, than, credentials, id, catalog } in KINDS {
        let counts = |times| count(&me, &probes(name, times, &address));
        let (few, many) = (counts(FEW), counts(MANY));
        let each = (many - few) / (MANY - FEW);
        let base = counted.iter().find(|(k, _)| *k == than).map(|(_, n)| *n);
        let more = base.map_or(String::new(), |base| format!("{:+} to {than}", i128::from(each) - i128::from(base)));
        let said = |so: bool, what: &'static str| if so { what } else { "" };
        let (catalog, id) = (said(catalog, ", URL out of a catalog of 100"), said(id, ", X-Openstack-Request-Id"));
        println!("{name:<11} {each:>8}  {more:<22} credentials: {credentials}{catalog}{id}");
        counted.push((name, each));
    }
    child.kill().unwrap();
    child.wait().unwrap();
    let of = |kind: &str| counted.iter().find(|(k, _)| *k == kind).unwrap().1;
    for kind in ["token", "token-100", "token-1000"] {
        let more = of(kind).saturating_sub(of("plain"));
        assert!(more < GOAL, "{kind}: a token at hand costs {more} instructions, and should cost under {GOAL}");
    }
}

/// Installs valgrind where it is missing and we may.
fn need_valgrind() {
    let there = || Command::new("valgrind").arg("--version").stdout(Stdio::null()).status().is_ok_and(|s| s.success());
    if there() {
        return;
    }
    eprintln!("valgrind is missing: trying apt-get install valgrind");
    let apt = |args: &[&str]| Command::new("apt-get").args(args).stdout(Stdio::null()).status();
    // The list of packages of a new machine may be empty; what is wrong with it the installing says.
    drop(apt(&["update"]));
    let install = apt(&["install", "--yes", "--no-install-recommends", "valgrind"]);
    assert!(there(), "instructions cannot be counted: valgrind is missing and could not be installed ({install:?})");
}

/// Instructions of this program with these arguments.
fn count(me: &std::path::Path, args: &[String]) -> u64 {
    let output = Command::new("valgrind")
        .args(["--tool=callgrind", "--callgrind-out-file=/dev/null"])
        .arg(me)
        .args(args)
        .output()
        .unwrap();
    let said = String::from_utf8_lossy(&output.stderr).into_owned();
    assert!(output.status.success(), "{said}");
    let line = said.lines().find_map(|l| l.split_once("Collected : ")).unwrap_or_else(|| panic!("no count in: {said}"));
    line.1.trim().parse().unwrap()
}

/// Answers every request with what its path asks for; ends with who started it.
fn origin() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    println!("{}", listener.local_addr().unwrap());
    std::thread::spawn(|| {
        std::io::stdin().read_to_end(&mut Vec::new()).unwrap();
        std::process::exit(0);
    });
    for mut tcp in listener.incoming().map(Result::unwrap) {
        let mut buffer = [0; 4096];
        let Ok(n @ 1..) = tcp.read(&mut buffer) else { continue };
        let request = String::from_utf8_lossy(&buffer[..n]);
        let id = match request.contains("/id/") {
            true => "X-Openstack-Request-Id: req-59dfb4ea-9c45-4d5a-93f0-8d5e6c1c2b3a\r\n",
            false => "",
        };
        let status = match request.contains("/token/") && !request.contains("\r\nx-auth-token: gAAAA") {
            true => "401 UNAUTHORIZED",
            false => "200 OK",
        };
        let answer = format!(
            "HTTP/1.1 {status}\r\nContent-Type: text/plain\r\nDate: Sun, 22 Nov 2026 22:26:59 GMT\r\nServer: bench\r\n{id}\
             Content-Length: 2\r\n\r\nOK"
        );
        // A prober that has gone is no concern of an origin.
        drop(tcp.write_all(answer.as_bytes()));
    }
}

/// Makes so many probes, one after another, of each target in turn.
fn probe(name: &str, times: usize, address: &str) {
    let kind = KINDS.iter().find(|k| k.name == name).unwrap();
    // As long as the others, so that no kind sends more than what it is about.
    let need = if kind.credentials == 0 { "plain" } else { "token" };
    let path = format!("{need}/{}/images", if kind.id { "id" } else { "no" });
    let url = match kind.catalog {
        true => format!("openstack://image/public?path=/{path}"),
        false => format!("http://{address}/{path}"),
    };
    let written = |n| Definition {
        id: i64::try_from(n).unwrap() + 1,
        name: "t".into(),
        url: url.clone(),
        credential: (kind.credentials > 0).then(|| tokens::name(n)),
        ..Definition::default()
    };
    let targets: Vec<Target> = (0..kind.credentials.max(1)).map(|n| written(n).validate().unwrap()).collect();
    actix_rt::System::new().block_on(async {
        let clock = Clock::system();
        let mut prober = HttpProber::new(ProbeSettings::default(), SecretPolicy::default(), clock.clone()).unwrap();
        if kind.credentials > 0 {
            let tokens = tokens::local_tokens(kind.credentials, &targets, &clock, kind.catalog.then_some(address));
            prober = prober.with_tokens(Rc::new(tokens));
        }
        for target in targets.iter().cycle().take(times) {
            let (outcome, _trace) = prober.probe(target, None).await;
            assert_eq!(outcome.reason, None, "{}", outcome.description);
        }
    });
}
