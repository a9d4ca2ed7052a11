//! The limits of a service that the kernel keeps for all of its processes together.

use std::fmt::Write;

/// What a service may use at most, all of its processes together. The kernel keeps these limits by the service's cgroup.
///
/// A limit needs its controller: `memory`, `pids` or `cpu`. A service with a limit that this host cannot set is refused before
/// anything is spawned. [`MonitorContainment`](super::MonitorContainment) tells which controllers there are.
///
/// ```
/// use actix_process::monitor::CgroupLimits;
///
/// let limits = CgroupLimits::new().memory_max(512 << 20).pids_max(100).cpu_max(1.5);
/// assert_ne!(limits, CgroupLimits::new());
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Default)]
#[must_use = "limits are changed by value: `limits = limits.memory_max(..)`"]
pub struct CgroupLimits {
    memory_max: Option<u64>,
    spare_on_oom: bool,
    pids_max: Option<u64>,
    cpu_max: Option<f64>,
}

/// A limit that cannot be meant, or that this host cannot set.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::monitor) struct LimitProblem {
    /// The method that set it.
    pub(in crate::monitor) field: &'static str,
    pub(in crate::monitor) problem: String,
}

/// What one limit means to the kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct LimitFile {
    pub(super) field: &'static str,
    pub(super) controller: &'static str,
    pub(super) file: &'static str,
    pub(super) text: String,
}

/// No page of any machine is larger, and less than a page is nothing.
const LEAST_MEMORY: u64 = 64 << 10;
/// The kernel's least quota is 1 ms, of a period of 100 ms.
const LEAST_CPUS: f64 = 0.01;
/// More than any machine has.
const MOST_CPUS: f64 = 100_000.0;
/// In microseconds: the kernel's default.
const PERIOD: f64 = 100_000.0;

impl CgroupLimits {
    /// None.
    pub fn new() -> Self {
        Self::default()
    }

    /// The memory of all processes of the service, in bytes: 64 KiB at least. What is in swap does not count.
    ///
    /// When it is used up and the kernel can reclaim nothing, the kernel kills all processes of the service at once (SIGKILL). The
    /// service has then ended by [`ExitKind::OutOfMemory`](crate::monitor::ExitKind::OutOfMemory), and its restart policy applies.
    /// [`oom_kills_all`](Self::oom_kills_all) changes that.
    pub fn memory_max(mut self, bytes: u64) -> Self {
        self.memory_max = Some(bytes);
        self
    }

    /// Whether the kernel kills all processes of the service when its memory is used up; true unless set. If false, the kernel
    /// kills one process that uses much, and the service goes on without that one: for a service that replaces its workers itself.
    /// Without [`memory_max`](Self::memory_max) this option does nothing.
    pub fn oom_kills_all(mut self, all: bool) -> Self {
        self.spare_on_oom = !all;
        self
    }

    /// The number of processes and threads of the service: 1 at least. A fork, or a new thread, above that fails there with
    /// EAGAIN.
    pub fn pids_max(mut self, tasks: u64) -> Self {
        self.pids_max = Some(tasks);
        self
    }

    /// The time of CPUs that the service gets, in CPUs: 1.5 is one and a half. 0.01 at least. Above that its processes wait, in
    /// periods of 100 ms.
    pub fn cpu_max(mut self, cpus: f64) -> Self {
        self.cpu_max = Some(cpus);
        self
    }

    /// The method that set a limit, if there is one.
    pub(in crate::monitor) fn first(&self) -> Option<&'static str> {
        self.files().first().map(|file| file.field)
    }

    /// Whether each limit can be meant. Whether this host can set it is another question.
    pub(in crate::monitor) fn check(&self) -> Result<(), LimitProblem> {
        let problem = |field, problem: String| Err(LimitProblem { field, problem });
        if let Some(bytes) = self.memory_max
            && bytes < LEAST_MEMORY
        {
            let text = format!("{bytes} bytes are too few: {LEAST_MEMORY} at least");
            return problem("memory_max", text);
        }
        if self.pids_max == Some(0) {
            return problem("pids_max", "0 processes are too few: 1 at least".into());
        }
        if let Some(cpus) = self.cpu_max
            && !(LEAST_CPUS..=MOST_CPUS).contains(&cpus)
        {
            let text = format!("{cpus} CPUs are not from {LEAST_CPUS} to {MOST_CPUS}");
            return problem("cpu_max", text);
        }
        Ok(())
    }

    /// What is to be written into the files of a cgroup.
    pub(super) fn files(&self) -> Vec<LimitFile> {
        let mut files = Vec::new();
        let mut add = |field, controller, file, text| {
            files.push(LimitFile {
                field,
                controller,
                file,
                text,
            });
        };
        if let Some(bytes) = self.memory_max {
            let all = if self.spare_on_oom { "0" } else { "1" };
            add("memory_max", "memory", "memory.oom.group", all.to_owned());
            add("memory_max", "memory", "memory.max", bytes.to_string());
        }
        if let Some(tasks) = self.pids_max {
            add("pids_max", "pids", "pids.max", tasks.to_string());
        }
        if let Some(cpus) = self.cpu_max {
            let mut text = String::new();
            let _ = write!(text, "{:.0} {PERIOD:.0}", cpus * PERIOD);
            add("cpu_max", "cpu", "cpu.max", text);
        }
        files
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(limits: CgroupLimits) -> Option<&'static str> {
        limits.check().err().map(|problem| problem.field)
    }

    #[test]
    fn limits_that_cannot_be_meant_are_problems() {
        let none = CgroupLimits::new();
        assert_eq!(field(none), None);
        assert_eq!(field(none.memory_max(0)), Some("memory_max"));
        assert_eq!(field(none.memory_max((64 << 10) - 1)), Some("memory_max"));
        assert_eq!(field(none.memory_max(64 << 10)), None);
        assert_eq!(field(none.memory_max(u64::MAX)), None);
        assert_eq!(field(none.pids_max(0)), Some("pids_max"));
        assert_eq!(field(none.pids_max(1)), None);
        let (infinite, no_number) = (f64::INFINITY, f64::NAN);
        for cpus in [0.0, -1.0, 0.009, 100_001.0, infinite, -infinite, no_number] {
            assert_eq!(field(none.cpu_max(cpus)), Some("cpu_max"), "{cpus}");
        }
        assert_eq!(field(none.cpu_max(0.01)), None);
        let problem = none.memory_max(5).check().unwrap_err().problem;
        assert_eq!(problem, "5 bytes are too few: 65536 at least");
    }

    #[test]
    fn each_limit_is_the_text_of_a_file_of_its_controller() {
        let texts = |limits: CgroupLimits| {
            let files = limits.files().into_iter();
            let texts = files.map(|file| format!("{} {}", file.file, file.text));
            texts.collect::<Vec<_>>()
        };
        assert_eq!(texts(CgroupLimits::new()), [] as [&str; 0]);
        let all = CgroupLimits::new().memory_max(1 << 30).pids_max(7);
        assert_eq!(
            texts(all.cpu_max(1.5)),
            [
                "memory.oom.group 1",
                "memory.max 1073741824",
                "pids.max 7",
                "cpu.max 150000 100000"
            ]
        );
        assert_eq!(
            texts(all.oom_kills_all(false)).first().unwrap(),
            "memory.oom.group 0"
        );
        for (cpus, text) in [
            (0.01, "cpu.max 1000 100000"),
            (0.333_333, "cpu.max 33333 100000"),
        ] {
            assert_eq!(texts(CgroupLimits::new().cpu_max(cpus)), [text]);
        }
        for file in all.cpu_max(1.0).files() {
            assert!(file.file.starts_with(file.controller), "{file:?}");
        }
    }
}
