//! What /proc says of a process.

use crate::Outcome;

/// `USER_HZ`, which is 100 on every Linux of today.
const TICK_US: u64 = 10_000;

/// User and system time of all threads, also of those that have ended, in microseconds.
pub fn cpu_us(pid: u32) -> Outcome<u64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"))?;
    // The second field is a name in brackets and may hold anything.
    let after = stat.rsplit_once(')').ok_or("no name in stat")?.1;
    let fields: Vec<&str> = after.split_whitespace().collect();
    let ticks: u64 = fields[11].parse::<u64>()? + fields[12].parse::<u64>()?;
    Ok(ticks * TICK_US)
}

/// A value of /proc/PID/status in bytes, such as `VmRSS`.
pub fn memory(pid: u32, key: &str) -> Outcome<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let line = status.lines().find_map(|l| l.strip_prefix(key)?.strip_prefix(':')).ok_or("no such key in status")?;
    Ok(line.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// One thread: its id, its name, and the nanoseconds that it has run.
pub type Thread = (u32, String, u64);

/// The threads that run now, in the order of their making.
pub fn threads(pid: u32) -> Outcome<Vec<Thread>> {
    let mut threads = Vec::new();
    for entry in std::fs::read_dir(format!("/proc/{pid}/task"))? {
        let folder = entry?.path();
        let read = |name: &str| std::fs::read_to_string(folder.join(name));
        // A thread may end between two looks.
        let (Ok(name), Ok(schedstat)) = (read("comm"), read("schedstat")) else { continue };
        let id = folder.file_name().and_then(|n| n.to_str()).unwrap_or_default().parse()?;
        let ran = schedstat.split_whitespace().next().unwrap_or("0").parse()?;
        threads.push((id, name.trim().to_owned(), ran));
    }
    threads.sort_unstable();
    Ok(threads)
}

/// What the calling thread has run, in microseconds.
pub fn own_thread_us() -> Outcome<f64> {
    let schedstat = std::fs::read_to_string("/proc/thread-self/schedstat")?;
    Ok(schedstat.split_whitespace().next().unwrap_or("0").parse::<f64>()? / 1000.0)
}

/// What each thread ran between two looks, in microseconds.
pub fn ran_us(before: &[Thread], after: &[Thread]) -> Vec<(String, f64)> {
    let at = |id: u32| before.iter().find(|t| t.0 == id).map_or(0, |t| t.2);
    after.iter().map(|(id, name, ran)| (name.clone(), (ran - at(*id)) as f64 / 1000.0)).collect()
}

/// The load of the machine over the last minute, and how many processors it has.
pub fn load() -> String {
    let load = std::fs::read_to_string("/proc/loadavg").unwrap_or_default();
    let cores = std::thread::available_parallelism().map_or(1, std::num::NonZero::get);
    format!("load {} on {cores} processors", load.split_whitespace().next().unwrap_or("?"))
}

/// Holds a process on one processor.
pub fn pin(pid: u32, processor: usize) -> Outcome<()> {
    let status = std::process::Command::new("taskset")
        .args(["-apc", &processor.to_string(), &pid.to_string()])
        .stdout(std::process::Stdio::null())
        .status()?;
    if status.success() { Ok(()) } else { Err(format!("taskset ended with {status}").into()) }
}
