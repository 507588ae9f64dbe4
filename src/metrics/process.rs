//! The process itself: its build, its memory beside its limits, its processor time. The kernel's figures are Linux's; elsewhere
//! their series stay at zero.

use std::{fs, sync::atomic::Ordering};

use prometheus_client::metrics::{family::Family, gauge::Gauge};

use super::{
    labels::Build,
    register::{Register, Seconds, SecondsTotal},
};

/// Ticks a second in which the kernel tells times to programs (`USER_HZ`): fixed on every architecture that we build for.
const USER_HZ: f64 = 100.0;

/// Figures of the process, under the names that every exporter uses where there are such.
#[derive(Clone, Debug)]
pub(super) struct Process {
    resident: Gauge,
    virtual_memory: Gauge,
    threads: Gauge,
    open_files: Gauge,
    files_max: Gauge,
    cpu: SecondsTotal,
    memory_limit: Gauge,
    batch_memory: Gauge,
    batch_memory_max: Gauge,
}

impl Process {
    pub(super) fn register(r: &mut Register) -> Self {
        let build = r.add("build_info", "Version of the program", Family::<Build, Gauge>::default());
        build.get_or_create(&Build { version: env!("CARGO_PKG_VERSION") }).set(1);
        let all = Self {
            resident: r.add(
                "process_resident_memory_bytes",
                "Memory of the process that is resident",
                Gauge::default(),
            ),
            virtual_memory: r.add("process_virtual_memory_bytes", "Address space of the process", Gauge::default()),
            threads: r.add("process_threads", "Threads of the process", Gauge::default()),
            open_files: r.add("process_open_fds", "Open files and sockets", Gauge::default()),
            files_max: r.add("process_max_fds", "Most files and sockets that may be open", Gauge::default()),
            cpu: r.add("process_cpu_seconds", "Processor time, user and system", SecondsTotal::default()),
            memory_limit: r.add(
                "memory_limit_bytes",
                "Memory that the process may take: the limit of its control group, else the machine's memory",
                Gauge::default(),
            ),
            batch_memory: r.add("batch_memory_bytes", "Memory of open and sealed batches", Gauge::default()),
            batch_memory_max: r.add(
                "batch_memory_max_bytes",
                "Most memory that batches may take (`limits.batch_memory`)",
                Gauge::default(),
            ),
        };
        let started = r.add("process_start_time_seconds", "When the process started", Seconds::default());
        // These do not change while the process runs.
        started.set(started_at().unwrap_or_default());
        all.files_max.set(files_max().unwrap_or_default());
        all
    }

    /// Sets the memory of batches and its bound, in bytes.
    pub(super) fn batches(&self, used: u64, max: u64) {
        self.batch_memory.set(i64::try_from(used).unwrap_or(i64::MAX));
        self.batch_memory_max.set(i64::try_from(max).unwrap_or(i64::MAX));
    }

    pub(super) fn batch_memory_bytes(&self) -> u64 {
        u64::try_from(self.batch_memory.get()).unwrap_or_default()
    }

    /// Brings the series up to date: five small reads of `/proc`.
    pub(super) fn show(&self) {
        let status = fs::read_to_string("/proc/self/status").unwrap_or_default();
        self.resident.set(kilobytes(&status, "VmRSS:").unwrap_or_default());
        self.virtual_memory.set(kilobytes(&status, "VmSize:").unwrap_or_default());
        self.threads.set(number(&status, "Threads:").unwrap_or_default());
        self.open_files.set(fs::read_dir("/proc/self/fd").map_or(0, |files| files.count() as i64));
        self.memory_limit.set(memory_limit().unwrap_or_default());
        if let Some(seconds) = cpu_seconds() {
            self.cpu.inner().store(seconds.to_bits(), Ordering::Relaxed);
        }
    }
}

/// The number behind a word at the beginning of a line.
fn number(text: &str, word: &str) -> Option<i64> {
    text.lines().find_map(|line| line.strip_prefix(word))?.split_whitespace().next()?.parse().ok()
}

/// The same in bytes, where the line has kilobytes.
fn kilobytes(text: &str, word: &str) -> Option<i64> {
    Some(number(text, word)?.saturating_mul(1024))
}

/// The fields of `/proc/self/stat` behind the program's name, which may have blanks: the first of them is field 3 of proc(5).
fn stat() -> Option<Vec<String>> {
    let text = fs::read_to_string("/proc/self/stat").ok()?;
    let (_, fields) = text.rsplit_once(')')?;
    Some(fields.split_whitespace().map(str::to_owned).collect())
}

fn cpu_seconds() -> Option<f64> {
    let fields = stat()?;
    let (user, system): (f64, f64) = (fields.get(11)?.parse().ok()?, fields.get(12)?.parse().ok()?);
    Some((user + system) / USER_HZ)
}

/// When the process started, seconds since the epoch.
fn started_at() -> Option<f64> {
    let since_boot: f64 = stat()?.get(19)?.parse().ok()?;
    let boot = number(&fs::read_to_string("/proc/stat").ok()?, "btime")?;
    Some(boot as f64 + since_boot / USER_HZ)
}

fn files_max() -> Option<i64> {
    let limits = fs::read_to_string("/proc/self/limits").ok()?;
    number(&limits, "Max open files")
}

/// The smallest of the limits that are set: those of the control group (version 2, then 1) and the machine's memory.
fn memory_limit() -> Option<i64> {
    let group = ["/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"];
    let group = group.iter().filter_map(|path| fs::read_to_string(path).ok()?.trim().parse().ok());
    let machine = fs::read_to_string("/proc/meminfo").ok().and_then(|text| kilobytes(&text, "MemTotal:"));
    group.chain(machine).min()
}

#[cfg(all(test, target_os = "linux"))]
mod tests {
    use super::*;
    use crate::metrics::register::Register;

    #[test]
    fn the_kernel_is_understood() {
        let process = Process::register(&mut Register::default());
        process.show();
        let (resident, limit) = (process.resident.get(), process.memory_limit.get());
        assert!(resident > 1 << 20 && resident < limit, "{resident} of {limit}");
        assert!(process.threads.get() >= 1 && process.open_files.get() >= 3);
        assert!(process.files_max.get() >= process.open_files.get());
        assert!(started_at().is_some_and(|at| at > 1.6e9) && cpu_seconds().is_some());
    }
}
