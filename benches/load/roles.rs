//! The processes of a run: re-executions of this binary with a hidden first argument, told what to do by lines on
//! their standard input. Its end is the end of the process, so none outlives the bench, however that ends.
//!
//! ```text
//!  bench --stdin/stdout--> origin
//!        --stdin/stdout--> floor ------connects------> origin
//!        --stdin/stdout--> guard --parent of--> skypunch --connects--> origin
//! ```

use std::io::{BufRead, BufReader, Write};
use std::path::Path;
use std::process::{Child, ChildStdin, ChildStdout, Command, ExitCode, Stdio};

use crate::Outcome;

/// A running role. Dropping it ends the process.
pub struct Role {
    child: Child,
    stdin: Option<ChildStdin>,
    stdout: BufReader<ChildStdout>,
}

impl Role {
    /// Starts this binary in a role; `nice` is the priority to ask for.
    pub fn start(role: &str, args: &[String], nice: Option<i32>) -> Outcome<Role> {
        let me = std::env::current_exe()?;
        let mut command = match nice {
            None => Command::new(me),
            Some(n) => {
                let mut command = Command::new("nice");
                command.arg("-n").arg(n.to_string()).arg(me);
                command
            }
        };
        let mut child = command.arg(role).args(args).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn()?;
        let stdin = child.stdin.take();
        let stdout = BufReader::new(child.stdout.take().ok_or("no standard output")?);
        Ok(Role { child, stdin, stdout })
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    /// The next line that the process writes.
    pub fn line(&mut self) -> Outcome<String> {
        let mut line = String::new();
        if self.stdout.read_line(&mut line)? == 0 {
            return Err("a process of the bench has ended too early".into());
        }
        Ok(line.trim_end().to_owned())
    }

    /// Sends a line and gives the answer.
    pub fn ask(&mut self, question: &str) -> Outcome<String> {
        let stdin = self.stdin.as_mut().ok_or("no standard input")?;
        writeln!(stdin, "{question}")?;
        stdin.flush()?;
        self.line()
    }

    /// The same, for an answer that is numbers.
    pub fn numbers(&mut self, question: &str) -> Outcome<Vec<u64>> {
        let answer = self.ask(question)?;
        Ok(answer.split_whitespace().map(str::parse).collect::<Result<_, _>>()?)
    }
}

impl Drop for Role {
    fn drop(&mut self) {
        self.stdin = None;
        // It ends by itself when its standard input does; what has ended already cannot be waited for.
        let _ended = self.child.wait();
    }
}

/// Answers each line of standard input; ends the process when that ends.
pub fn serve_stdin(mut answer: impl FnMut(&str) -> String + Send + 'static) {
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            say(&answer(line.trim()));
        }
        std::process::exit(0);
    });
}

/// Writes a line for the bench.
pub fn say(line: &str) {
    let mut out = std::io::stdout().lock();
    // An error means that the bench has gone; the end of standard input will tell.
    let _gone = writeln!(out, "{line}").and_then(|()| out.flush());
}

/// The role that starts the daemon and outlives the bench by the moment it takes to end it.
///
/// `folder`: removed with all that is in it when the bench has gone without stopping the daemon.
pub fn guard(folder: &Path, command: &[String]) -> Outcome<ExitCode> {
    let (program, args) = command.split_first().ok_or("no command")?;
    let log = std::fs::File::create(folder.join("daemon.log"))?;
    let mut child = Command::new(program).args(args).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log).spawn()?;
    say(&child.id().to_string());
    for line in std::io::stdin().lines().map_while(Result::ok) {
        if line.trim() == "stop" {
            let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).ok_or("no pid")?;
            // It may have ended by itself: its exit code tells.
            let _gone = rustix::process::kill_process(pid, rustix::process::Signal::TERM);
            let status = child.wait()?;
            say(&status.code().unwrap_or(-1).to_string());
            return Ok(ExitCode::SUCCESS);
        }
    }
    child.kill()?;
    child.wait()?;
    std::fs::remove_dir_all(folder)?;
    Ok(ExitCode::FAILURE)
}
