//! Processes of their own on a core of their own: this binary, started again with a hidden argument.

use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::thread;

use rustix::thread::{CpuSet, sched_getaffinity, sched_setaffinity};
use tokio::runtime::{self, Runtime};

use super::workload::Subject;
use super::{bound, mock, server};
use crate::tally::Fault;

const ARGUMENT: &str = "--gateway-process";
/// Ticks of the scheduler in a second, as `/proc` shows them on all architectures of Linux.
const TICKS: f64 = 100.0;

/// A process that ends with this value, or with this process.
pub(super) struct Process {
    child: Child,
    /// The address that it listens on.
    pub(super) address: SocketAddr,
}

impl Process {
    /// Starts the bound or the gateway on the other core, in front of the service at this address.
    pub(super) fn start(subject: Subject, service: SocketAddr, core: usize) -> Result<Self, Fault> {
        let name = if subject == Subject::Bound { "bound" } else { "gateway" };
        let mut child = Command::new(std::env::current_exe()?)
            .args([ARGUMENT, name, &service.to_string(), &core.to_string()])
            // No proxies or profiles of the user.
            .env_clear()
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()?;
        let mut line = String::new();
        let stdout = child.stdout.take().ok_or("no output")?;
        BufReader::new(stdout).read_line(&mut line)?;
        let address = line.trim().parse().map_err(|_| format!("the {name} does not start: {line}"));
        address.map(|address| Self { child, address }).map_err(Fault::from)
    }

    /// CPU time so far, in seconds, including the kernel's work.
    pub(super) fn cpu(&self) -> f64 {
        cpu(&self.child.id().to_string())
    }

    /// Present and largest memory, in MiB.
    pub(super) fn memory(&self) -> (f64, f64) {
        let status = fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap_or_default();
        let mib = |name: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(name));
            let kib = line.and_then(|line| line.split_whitespace().next()?.parse::<f64>().ok());
            kib.unwrap_or(f64::NAN) / 1024.0
        };
        (mib("VmRSS:"), mib("VmHWM:"))
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// CPU time of a process so far, in seconds. The scheduler counts threads that run now in nanoseconds.
pub(super) fn cpu(process: &str) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{process}/task")).into_iter().flatten().flatten();
    let nanoseconds = tasks.filter_map(|task| {
        let text = fs::read_to_string(task.path().join("schedstat")).ok()?;
        text.split(' ').next()?.parse::<f64>().ok()
    });
    nanoseconds.sum::<f64>() / 1e9
}

/// CPU time of the whole machine so far, in seconds, stolen time included.
pub(super) fn machine_cpu() -> f64 {
    let text = fs::read_to_string("/proc/stat").unwrap_or_default();
    let fields = text.lines().next().unwrap_or_default().split_whitespace().skip(1);
    let fields: Vec<f64> = fields.filter_map(|field| field.parse().ok()).collect();
    // user, nice, system, irq, softirq, steal; not idle and iowait.
    [0, 1, 2, 5, 6, 7].iter().filter_map(|index| fields.get(*index)).sum::<f64>() / TICKS
}

/// The first two cores that this process may use.
pub(super) fn cores() -> Result<[usize; 2], Fault> {
    let set = sched_getaffinity(None)?;
    let mut cores = (0..CpuSet::MAX_CPU).filter(|core| set.is_set(*core));
    match (cores.next(), cores.next()) {
        (Some(client), Some(gateway)) => Ok([client, gateway]),
        _ => Err("two cores are needed".into()),
    }
}

/// Binds this thread, and those that it starts from now on, to a core.
pub(super) fn bind_to(core: usize) -> io::Result<()> {
    let mut set = CpuSet::new();
    set.set(core);
    Ok(sched_setaffinity(None, &set)?)
}

pub(super) fn runtime() -> io::Result<Runtime> {
    runtime::Builder::new_current_thread().enable_all().build()
}

/// Runs this process as the bound or the gateway, if its arguments say so. It does not return then.
///
/// # Errors
///
/// Those of the network.
pub fn child(mut arguments: impl Iterator<Item = String>) -> Result<(), Fault> {
    if arguments.next().as_deref() != Some(ARGUMENT) {
        return Ok(());
    }
    let mut next = || arguments.next().ok_or("an argument is missing");
    let (name, service, core) = (next()?, next()?.parse()?, next()?.parse()?);
    // The process that started this one keeps the pipe open.
    thread::spawn(|| {
        let _ = io::stdin().read_to_end(&mut Vec::new());
        std::process::exit(0);
    });
    bind_to(core)?;
    runtime()?.block_on(async {
        if name == "gateway" {
            return server::serve(service).await;
        }
        let (listener, address) = mock::bind().await?;
        writeln!(io::stdout(), "{address}")?;
        bound::serve(listener, service).await;
        Ok(())
    })?;
    std::process::exit(0);
}
