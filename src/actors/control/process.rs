//! What the system knows of this process: memory, processor time, file descriptors.

use std::fs;

use rustix::process::{Resource, getrlimit};

/// Ticks of `/proc/PID/stat` a second: what the kernel shows to programs is the same on every machine that Rust runs on.
const TICKS: f64 = 100.0;

/// What the system knows of this process; 0 and `None` where it does not say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Process {
    /// Memory in use, in bytes.
    pub resident_bytes: u64,
    /// Address space, in bytes.
    pub virtual_bytes: u64,
    /// Processor time since the start, in seconds.
    pub cpu_seconds: f64,
    /// Open file descriptors, and how many may be open.
    pub descriptors: Option<(u64, u64)>,
}

impl Process {
    /// Looks now.
    #[must_use]
    pub fn look() -> Process {
        let text = |name: &str| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
        let status = text("status");
        Process {
            resident_bytes: kib(&status, "VmRSS:") * 1024,
            virtual_bytes: kib(&status, "VmSize:") * 1024,
            cpu_seconds: cpu_seconds(&text("stat")).unwrap_or_default(),
            descriptors: descriptors(),
        }
    }
}

/// A line of `/proc/PID/status`, in KiB.
fn kib(status: &str, name: &str) -> u64 {
    let value = status.lines().find_map(|l| l.strip_prefix(name)).and_then(|l| l.split_whitespace().next());
    value.and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Reads `PID (name) STATE …`; the numbers of the fields are those of proc(5).
#[expect(clippy::cast_precision_loss, reason = "a processor time")]
fn cpu_seconds(stat: &str) -> Option<f64> {
    let fields: Vec<&str> = stat.rsplit_once(") ")?.1.split_whitespace().collect();
    let field = |number: usize| fields.get(number - 3)?.parse::<u64>().ok();
    Some((field(14)? + field(15)?) as f64 / TICKS)
}

fn descriptors() -> Option<(u64, u64)> {
    // The one through which is counted is not meant.
    let open = fs::read_dir("/proc/self/fd").ok()?.count().saturating_sub(1) as u64;
    Some((open, getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_with_brackets_moves_no_field() {
        let stat = "7 (sky) punch) S 1 7 7 0 -1 4194560 9 0 0 0 250 50 0 0 20 0 9 0 100 4096000 10 1844674407370955 1";
        assert_eq!(cpu_seconds(stat), Some(3.0));
        assert_eq!(cpu_seconds("nonsense"), None);
        assert_eq!(kib("Name:\tx\nVmRSS:\t  12 kB\n", "VmRSS:"), 12);
    }

    #[test]
    fn this_process_has_memory_and_descriptors() {
        let process = Process::look();
        let (open, limit) = process.descriptors.unwrap();
        assert!(process.resident_bytes > 100_000 && open >= 3 && limit >= open, "{process:?}");
    }
}
