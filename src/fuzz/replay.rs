//! On stable, with every run of the tests: what was found stays mended, and nothing new is easy to find.

use std::collections::BTreeSet;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use super::{BODIES, Body};
use crate::clock::Clock;

/// So long each body is run with mutations.
const MILLIS: u64 = 2_000;

/// An input is no longer, and a body's corpus no larger: it is read by people.
const LONGEST: u64 = 64 * 1024;
const LARGEST: u64 = 200 * 1024;

fn corpus() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus")
}

/// The files of a body's corpus, by name.
fn files(body: &Body) -> Vec<(String, Vec<u8>)> {
    let folder = corpus().join(body.name);
    let entries = std::fs::read_dir(&folder).unwrap_or_else(|e| panic!("{}: {e}", folder.display()));
    let mut files: Vec<(String, Vec<u8>)> = entries
        .map(|entry| entry.unwrap())
        .map(|entry| (entry.file_name().into_string().unwrap(), std::fs::read(entry.path()).unwrap()))
        .collect();
    files.sort();
    files
}

/// Runs a body; a panic becomes a sentence that says which input it was.
fn run(body: &Body, name: &str, input: &[u8]) -> Result<(), String> {
    catch_unwind(AssertUnwindSafe(|| (body.run)(input))).map_err(|panic| {
        let kept = std::env::temp_dir().join(format!("skypunch-fuzz-{}-{:016x}", body.name, fnv(input)));
        let place = std::fs::write(&kept, input).map_or_else(|e| e.to_string(), |()| kept.display().to_string());
        let text = panic.downcast_ref::<&str>().map(|s| (*s).to_owned());
        let why = panic.downcast_ref::<String>().cloned().or(text).unwrap_or_default();
        format!("{}: {name} ({} bytes, kept as {place}): {why}", body.name, input.len())
    })
}

/// One line for each body that failed.
fn none_failed(results: impl IntoIterator<Item = Result<(), String>>) {
    let failed: Vec<String> = results.into_iter().filter_map(Result::err).collect();
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

fn fnv(bytes: &[u8]) -> u64 {
    bytes.iter().fold(0xcbf2_9ce4_8422_2325, |h, b| (h ^ u64::from(*b)).wrapping_mul(0x0100_0000_01b3))
}

#[test]
fn every_body_has_a_small_corpus_and_every_corpus_a_body() {
    let names: BTreeSet<String> = BODIES.iter().map(|b| b.name.to_owned()).collect();
    assert_eq!(names.len(), BODIES.len(), "two bodies have one name");
    let entries = std::fs::read_dir(corpus()).unwrap();
    let folders: BTreeSet<String> = entries.map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    assert_eq!(names, folders);
    for body in BODIES {
        let sizes: Vec<u64> = files(body).iter().map(|(_, bytes)| bytes.len() as u64).collect();
        assert!(sizes.len() >= 3, "{}: {} files", body.name, sizes.len());
        assert!(sizes.iter().all(|size| *size <= LONGEST), "{}: {sizes:?}", body.name);
        assert!(sizes.iter().sum::<u64>() <= LARGEST, "{}: {} bytes", body.name, sizes.iter().sum::<u64>());
    }
}

/// The fuzzer is built with `--locked`, by hand: a dependency that came meanwhile must not be what is found first.
#[test]
fn the_fuzzer_is_locked_to_the_dependencies_of_today() {
    let read = |name: &str| {
        let text = std::fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(name)).unwrap();
        toml::from_str::<toml::Table>(&text).unwrap()
    };
    let (manifest, lock) = (read("Cargo.toml"), read("tests/fuzz/Cargo.lock"));
    let packages = lock["package"].as_array().unwrap();
    let own = packages.iter().find(|p| p["name"].as_str() == Some("skypunch")).unwrap();
    assert_eq!(own["version"], manifest["package"]["version"]);
    let locked = own["dependencies"].as_array().unwrap().iter();
    // Where there are several versions of one, the version stands behind the name.
    let locked: BTreeSet<&str> = locked.filter_map(|d| d.as_str().unwrap().split(' ').next()).collect();
    let wanted: BTreeSet<&str> = manifest["dependencies"].as_table().unwrap().keys().map(String::as_str).collect();
    assert_eq!(locked, wanted, "run `cargo update --workspace --manifest-path tests/fuzz/Cargo.toml`");
}

#[test]
fn every_file_of_the_corpus_passes() {
    none_failed(BODIES.iter().flat_map(|body| {
        let files = files(body).into_iter().map(|(name, input)| run(body, &name, &input));
        [run(body, "no bytes", &[])].into_iter().chain(files).collect::<Vec<_>>()
    }));
}

/// xorshift64*: the same numbers on every machine.
struct Random(u64);

impl Random {
    fn next(&mut self, below: usize) -> usize {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        let high = self.0.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 33;
        usize::try_from(high).unwrap() % below.max(1)
    }

    /// Bytes that mean something somewhere.
    fn spice(&mut self) -> &'static [u8] {
        const SPICE: [&[u8]; 28] = [
            b"\r\n",
            b"\n",
            b"\0",
            b"\x1b[2J",
            b"\xff",
            b"\xc2\x9b",
            b"\xe2\x80\xae",
            b"~",
            b"\"",
            b"\\",
            b"{{",
            b"}}",
            b"{%",
            b"[",
            b"]",
            b"{",
            b"}",
            b",",
            b"=",
            b":",
            b"://",
            b"@",
            b"%",
            b"-1",
            b"99999999999999999999",
            b"null",
            b"${env:HOME}",
            b"<q>",
        ];
        SPICE[self.next(SPICE.len())]
    }
}

/// One change of an input: some bytes changed, dropped, doubled, or taken from another one.
fn mutate(input: &mut Vec<u8>, other: &[u8], random: &mut Random) {
    let at = random.next(input.len() + 1);
    let end = (at + random.next(16)).min(input.len());
    match random.next(6) {
        0 if at < input.len() => input[at] ^= 1 << random.next(8),
        1 => drop(input.drain(at..end)),
        2 => {
            let spice = random.spice();
            input.splice(at..at, spice.iter().copied());
        }
        3 => {
            let piece = input[at..end].to_vec();
            input.splice(at..at, piece);
        }
        4 if !other.is_empty() => {
            let from = random.next(other.len());
            let to = (from + 1 + random.next(64)).min(other.len());
            input.splice(at..end, other[from..to].iter().copied());
        }
        _ => {
            let spice = random.spice();
            input.splice(at..end, spice.iter().copied());
        }
    }
    input.truncate(usize::try_from(LONGEST).unwrap());
}

/// The seed is fixed; how far it comes within its time depends on the machine.
#[test]
fn mutations_of_the_corpus_pass() {
    let clock = Clock::system();
    none_failed(BODIES.iter().map(|body| {
        let corpus = files(body);
        let mut random = Random(0x5eed_0001);
        let started = clock.now();
        while clock.now().since(started).as_millis() < u128::from(MILLIS) {
            for _ in 0..16 {
                let mut input = corpus[random.next(corpus.len())].1.clone();
                for _ in 0..=random.next(4) {
                    let other = random.next(corpus.len());
                    mutate(&mut input, &corpus[other].1, &mut random);
                }
                run(body, "a mutation", &input)?;
            }
        }
        Ok(())
    }));
}
