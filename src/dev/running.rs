//! What both servers have in common: starting on free ports, being taken over, stopping.

use std::path::{Path, PathBuf};
use std::process::Command;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use super::error::Error;
use super::home::Home;
use super::log::Log;
use super::pins::Server;
use super::port;
use super::process::{LOOK, Process, serving};

/// Long enough for recovery after a crash and for loading the documents into memory.
const READY_WITHIN: Duration = Duration::from_secs(300);

/// A server that was left behind and hasn't answered by then is started anew.
const ADOPT_WITHIN: Duration = Duration::from_secs(30);

/// How often somebody is told that we still wait.
const TELL_EVERY: Duration = Duration::from_secs(10);

/// How often an obstacle that may pass is met before it counts as a failure.
const TRIES: usize = 30;

/// The pause before the next try.
const BEFORE_NEXT_TRY: Duration = Duration::from_millis(200);

/// One kind of server: how it is run and how it is asked whether it is ready.
pub(super) trait Engine {
    const SERVER: Server;
    /// The program's name in the process table.
    const PROGRAM: &'static str;
    /// How many ports it listens on.
    const PORTS: usize;
    /// The signals that stop it, each with the time that is waited for it to work.
    const STOP: &'static [(Signal, Duration)];
    /// What its log says where a port has been taken by another program.
    const PORT_TAKEN: &'static [&'static str];
    /// What its log says where an earlier process of its own hasn't quite gone yet.
    const NOT_YET_GONE: &'static str;

    fn home(&self) -> &Home;
    fn command(&self, ports: &[u16]) -> Command;
    /// All the variables it is to see besides those that every server gets.
    fn environment(&self) -> Vec<(&'static str, &str)> {
        Vec::new()
    }
    /// Whether the process, and no stranger on its port, answers with our own secret.
    fn is_ready(&self, pid: u32, ports: &[u16]) -> impl Future<Output = Result<bool, Error>> + Send;
    /// Whether a process that was left behind can go on serving this data.
    fn is_of_use(&self, _pid: u32) -> bool {
        true
    }
    /// The ports of a process that was left behind, once they can be known.
    fn ports_of(&self, pid: u32) -> Option<Vec<u16>>;

    fn log_path(&self) -> PathBuf {
        self.home().path.join(format!("{}.log", Self::PROGRAM))
    }
}

/// A server that runs, or did until it was stopped.
#[derive(Debug)]
pub(super) struct Running<E> {
    pub(super) engine: E,
    pub(super) ports: Vec<u16>,
    pub(super) process: Process,
}

impl<E: Engine> Running<E> {
    /// The server that was left behind with this data, or else a new one.
    pub(super) async fn adopt_or_launch(engine: E) -> Result<Self, Error> {
        if let Some((process, ports)) = adopt(&engine).await? {
            let pid = process.pid();
            tracing::info!(pid, "took over the {} left running", E::SERVER.name());
            return Ok(Self { engine, ports, process });
        }
        let remembered = engine.home().ports();
        let usable = remembered.len() == E::PORTS && remembered.iter().all(|p| port::is_free(*p));
        let (process, ports) = launch(&engine, usable.then_some(remembered), false).await?;
        engine.home().remember_ports(&ports)?;
        Ok(Self { engine, ports, process })
    }

    /// Starts a stopped server again where it was. One that runs is left alone.
    pub(super) async fn start_again(&mut self) -> Result<(), Error> {
        if !self.process.is_alive() {
            let (process, _) = launch(&self.engine, Some(self.ports.clone()), true).await?;
            self.process = process;
        }
        Ok(())
    }

    pub(super) async fn stop(&mut self) -> Result<(), Error> {
        stop::<E>(&mut self.process).await
    }

    pub(super) async fn kill(&mut self) -> Result<(), Error> {
        end::<E>(&mut self.process, &[(Signal::SIGKILL, Duration::from_secs(10))]).await
    }
}

/// Stops a server of this kind that nobody looks after; its process, if there was one.
pub(super) async fn stop_left_behind<E: Engine>(data: &Path) -> Result<Option<u32>, Error> {
    let mut stopped = None;
    for pid in serving(E::PROGRAM, data) {
        if let Some(mut process) = Process::adopt(pid, E::STOP[0].0) {
            stop::<E>(&mut process).await?;
            stopped = Some(pid);
        }
    }
    Ok(stopped)
}

async fn adopt<E: Engine>(engine: &E) -> Result<Option<(Process, Vec<u16>)>, Error> {
    for pid in serving(E::PROGRAM, &engine.home().data()) {
        let Some(mut process) = Process::adopt(pid, E::STOP[0].0) else {
            continue;
        };
        let since = Instant::now();
        let useful = engine.is_of_use(pid);
        while useful && process.is_alive() && since.elapsed() < ADOPT_WITHIN {
            if let Some(ports) = engine.ports_of(pid)
                && engine.is_ready(pid, &ports).await?
            {
                return Ok(Some((process, ports)));
            }
            tokio::time::sleep(LOOK).await;
        }
        stop::<E>(&mut process).await?;
    }
    Ok(None)
}

/// Starts the server on the ports `wanted`. Where these have been taken it gets others, unless it
/// has to `keep` them.
async fn launch<E: Engine>(engine: &E, wanted: Option<Vec<u16>>, keep: bool) -> Result<(Process, Vec<u16>), Error> {
    let choose = || -> Result<Vec<u16>, Error> {
        let chosen: Result<_, _> = (0..E::PORTS).map(|_| port::choose()).collect();
        chosen.map_err(Error::io("find a free port below", Path::new("127.0.0.1")))
    };
    let mut ports = wanted.map_or_else(choose, Ok)?;
    let mut tries = 0;
    loop {
        tries += 1;
        let log = Log::open(&engine.log_path());
        let log = log.map_err(Error::io("rotate", &engine.log_path()))?;
        let mut command = engine.command(&ports);
        // Nothing of our own surroundings (PGPORT, TYPESENSE_…, LC_ALL) may change what is run.
        command.env_clear().env("LC_ALL", "C").env("TZ", "UTC").envs(engine.environment());
        if let Some(account) = engine.home().account {
            account.apply(&mut command);
        }
        let program = PathBuf::from(command.get_program());
        let mut process = Process::start(&mut command, &log, E::STOP[0].0).map_err(Error::io("run", &program))?;
        let error = match until_ready(engine, &mut process, &ports, &log).await {
            Ok(()) => return Ok((process, ports)),
            Err(error) => error,
        };
        let port_taken = E::PORT_TAKEN.iter().any(|words| log.said(words));
        if process.is_alive() || !(port_taken || log.said(E::NOT_YET_GONE)) {
            return Err(error);
        }
        match (tries == TRIES, port_taken) {
            (true, true) => {
                return Err(Error::PortTaken { server: E::SERVER, port: ports[0] });
            }
            (true, false) => return Err(error),
            (false, true) if !keep => ports = choose()?,
            (false, _) => tokio::time::sleep(BEFORE_NEXT_TRY).await,
        }
    }
}

async fn until_ready<E: Engine>(engine: &E, process: &mut Process, ports: &[u16], log: &Log) -> Result<(), Error> {
    let since = Instant::now();
    let mut tell_at = TELL_EVERY;
    while !engine.is_ready(process.pid(), ports).await? {
        if !process.is_alive() {
            return Err(Error::ended(E::SERVER, &log.path, log.tail()));
        }
        if since.elapsed() > READY_WITHIN {
            let seconds = READY_WITHIN.as_secs();
            return Err(Error::NotReady { server: E::SERVER, seconds, log: log.path.clone() });
        }
        if since.elapsed() > tell_at {
            tracing::info!(log = %log.path.display(), "{} is still starting", E::SERVER.name());
            tell_at += TELL_EVERY;
        }
        tokio::time::sleep(LOOK).await;
    }
    Ok(())
}

async fn stop<E: Engine>(process: &mut Process) -> Result<(), Error> {
    end::<E>(process, E::STOP).await
}

async fn end<E: Engine>(process: &mut Process, signals: &[(Signal, Duration)]) -> Result<(), Error> {
    for (signal, patience) in signals {
        if process.end(*signal, *patience).await {
            return Ok(());
        }
        tracing::warn!(%signal, pid = process.pid(), "{} has not stopped yet", E::SERVER.name());
    }
    Err(Error::Unstoppable { server: E::SERVER, pid: process.pid() })
}
