//! `tidewell` processes, as users run them.

use std::{
    collections::VecDeque,
    io::{BufRead, BufReader, Write},
    path::Path,
    process::{Child, Command, Output, Stdio},
    sync::{Arc, Mutex, mpsc},
    time::Duration,
};

use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

/// A `tidewell` command with nothing of this machine's settings in its environment.
pub fn tidewell(arguments: &[&str], settings: &[(String, String)]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_tidewell"));
    command
        .args(arguments)
        .env_clear()
        .envs(["PATH", "HOME"].into_iter().filter_map(|name| Some((name, std::env::var_os(name)?))))
        .envs(settings.iter().map(|(name, value)| (name, value)))
        .current_dir(env!("CARGO_TARGET_TMPDIR"))
        .stdin(Stdio::null());
    command
}

/// Runs a command to its end.
pub fn run(arguments: &[&str], settings: &[(String, String)]) -> Output {
    tidewell(arguments, settings).output().expect("tidewell runs")
}

/// Runs a command to its end, with something on its stdin.
pub fn run_with_stdin(arguments: &[&str], settings: &[(String, String)], stdin: &str) -> Output {
    let mut command = tidewell(arguments, settings);
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().expect("tidewell starts");
    // One that does not read it may be gone already.
    let _ = child.stdin.take().expect("piped").write_all(stdin.as_bytes());
    child.wait_with_output().expect("its end")
}

/// A process that stays; killed when it is dropped.
pub struct Process {
    child: Child,
    log: Arc<Mutex<VecDeque<String>>>,
    lines: mpsc::Receiver<String>,
}

impl Process {
    pub fn start(arguments: &[&str], settings: &[(String, String)]) -> Self {
        Self::spawn(tidewell(arguments, settings))
    }

    /// In a folder of its own.
    pub fn start_in(folder: &Path, arguments: &[&str], settings: &[(String, String)]) -> Self {
        let mut command = tidewell(arguments, settings);
        command.current_dir(folder);
        Self::spawn(command)
    }

    fn spawn(mut command: Command) -> Self {
        let child = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut child = child.expect("tidewell starts");
        let stderr = BufReader::new(child.stderr.take().expect("piped"));
        let log = Arc::new(Mutex::new(VecDeque::new()));
        let (send, lines) = mpsc::channel();
        let keep = log.clone();
        std::thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                let mut log = keep.lock().expect("the log");
                log.push_back(line.clone());
                if log.len() > 2000 {
                    log.pop_front();
                }
                let _ = send.send(line);
            }
        });
        Self { child, log, lines }
    }

    /// The first value of a field in the process's JSON log lines with this message.
    pub fn logged(&self, message: &str, field: &str) -> String {
        loop {
            let line = self.lines.recv_timeout(Duration::from_secs(60));
            let Ok(line) = line else { panic!("{message:?} was not logged:\n{}", self.log()) };
            let Ok(entry) = serde_json::from_str::<serde_json::Value>(&line) else { continue };
            if entry["message"] == message {
                return entry[field].as_str().map_or_else(|| entry[field].to_string(), str::to_owned);
            }
        }
    }

    /// The last lines of the log.
    pub fn log(&self) -> String {
        let log = self.log.lock().expect("the log");
        log.iter().cloned().collect::<Vec<_>>().join("\n")
    }

    pub fn pid(&self) -> i32 {
        self.child.id().try_into().expect("a pid")
    }

    /// kill -9, and its end.
    pub fn kill(mut self) {
        self.end();
    }

    fn end(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }

    /// SIGTERM, and its orderly end.
    pub fn stop(self) {
        kill(Pid::from_raw(self.pid()), Signal::SIGTERM).expect("a signal");
        self.ended();
    }

    /// Waits for its end with a failure, and gives its last words.
    pub fn failed(mut self) -> String {
        let status = self.child.wait().expect("its end");
        let words: Vec<String> = self.lines.iter().collect();
        assert!(!status.success(), "it ended with {status}");
        words.join("\n")
    }

    /// Waits for its orderly end.
    pub fn ended(mut self) {
        let status = self.child.wait().expect("its end");
        assert!(status.success(), "it ended with {status}:\n{}", self.log());
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.end();
        if std::thread::panicking() {
            eprintln!("--- the last lines of process {} ---\n{}", self.pid(), self.log());
        }
    }
}
