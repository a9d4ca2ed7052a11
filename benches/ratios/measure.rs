//! What the benches measure: wall and CPU time, the gaps of a timer, the heap.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::rc::Rc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use nix::sched::{CpuSet, sched_setaffinity};
use nix::sys::resource::{UsageWho, getrusage};
use nix::unistd::Pid;

/// How long something took, and how much CPU time of this process.
#[derive(Clone, Copy, Default)]
pub(crate) struct Cost {
    pub(crate) wall: f64,
    pub(crate) cpu: f64,
}

/// Both in seconds.
pub(crate) fn cost(work: impl FnOnce()) -> Cost {
    let cpu = cpu_time();
    let begun = Instant::now();
    work();
    Cost {
        wall: begun.elapsed().as_secs_f64(),
        cpu: cpu_time() - cpu,
    }
}

/// CPU time of all threads of this process so far, in seconds: user and system.
pub(crate) fn cpu_time() -> f64 {
    let usage = getrusage(UsageWho::RUSAGE_SELF).expect("a process may ask about itself");
    let seconds =
        |time: nix::sys::time::TimeVal| time.tv_sec() as f64 + time.tv_usec() as f64 / 1e6;
    seconds(usage.user_time()) + seconds(usage.system_time())
}

/// CPU time of each thread of this process so far, in seconds, by its number and name.
pub(crate) fn thread_times() -> BTreeMap<(i32, String), f64> {
    let tasks = std::fs::read_dir("/proc/self/task").into_iter().flatten();
    let of = |task: std::io::Result<std::fs::DirEntry>| {
        let task = task.ok()?;
        let number = task.file_name().to_str()?.parse().ok()?;
        let read = |file| std::fs::read_to_string(task.path().join(file)).ok();
        let name = read("comm")?.trim_end().to_owned();
        let nanoseconds: f64 = read("schedstat")?.split(' ').next()?.parse().ok()?;
        Some(((number, name), nanoseconds / 1e9))
    };
    tasks.filter_map(of).collect()
}

/// Waits until what was there before is freed: the end of a child is told before the last of its memory goes.
pub(crate) async fn settle() {
    tokio::time::sleep(Duration::from_millis(200)).await;
}

/// Puts this thread, what it starts and what it spawns on one CPU.
pub(crate) fn pin(cpu: usize) {
    let mut set = CpuSet::new();
    set.set(cpu).expect("a small number");
    sched_setaffinity(Pid::from_raw(0), &set).expect("this CPU exists");
}

/// Keeps this thread busy, without the CPU's pause instruction: a virtual machine may lose its CPU over that.
pub(crate) fn work_for(time: Duration) {
    let begun = Instant::now();
    while begun.elapsed() < time {}
}

/// A timer of one millisecond on the current thread, that writes down its gaps.
pub(crate) struct Ticker {
    gaps: Rc<RefCell<Vec<f64>>>,
    stop: Rc<Cell<bool>>,
}

impl Ticker {
    /// What ticks must be spawned on the thread that is looked at.
    pub(crate) fn new() -> (Self, impl Future<Output = ()> + 'static) {
        let ticker = Self {
            gaps: Rc::default(),
            stop: Rc::default(),
        };
        let (gaps, stop) = (Rc::clone(&ticker.gaps), Rc::clone(&ticker.stop));
        let tick = async move {
            while !stop.get() {
                let begun = Instant::now();
                tokio::time::sleep(Duration::from_millis(1)).await;
                gaps.borrow_mut().push(begun.elapsed().as_secs_f64() * 1e3);
            }
        };
        (ticker, tick)
    }

    /// The gaps so far, in milliseconds.
    pub(crate) fn stop(self) -> Vec<f64> {
        self.stop.set(true);
        self.gaps.take()
    }
}

/// The system's allocator, counting what is in use while it is told to.
pub(crate) struct Counting;

static ON: AtomicBool = AtomicBool::new(false);
static LIVE: AtomicUsize = AtomicUsize::new(0);
static PEAK: AtomicUsize = AtomicUsize::new(0);
static ALLOCATIONS: AtomicUsize = AtomicUsize::new(0);

impl Counting {
    /// Counts from now on. What was there before is not known, so only differences mean anything.
    pub(crate) fn start() {
        LIVE.store(1 << 40, Ordering::SeqCst);
        PEAK.store(1 << 40, Ordering::SeqCst);
        ALLOCATIONS.store(0, Ordering::SeqCst);
        ON.store(true, Ordering::SeqCst);
    }

    /// Bytes in use, against the start.
    pub(crate) fn live() -> f64 {
        LIVE.load(Ordering::SeqCst) as f64 - (1_u64 << 40) as f64
    }

    /// What was the most in use so far no longer counts.
    pub(crate) fn forget_peak() {
        PEAK.store(LIVE.load(Ordering::SeqCst), Ordering::SeqCst);
    }

    /// The most that was in use since the start or that, against the start.
    pub(crate) fn peak() -> f64 {
        PEAK.load(Ordering::SeqCst) as f64 - (1_u64 << 40) as f64
    }

    /// How often memory was asked for since the start.
    pub(crate) fn allocations() -> usize {
        ALLOCATIONS.load(Ordering::SeqCst)
    }

    fn add(bytes: usize) {
        if ON.load(Ordering::Relaxed) {
            ALLOCATIONS.fetch_add(1, Ordering::Relaxed);
            let live = LIVE.fetch_add(bytes, Ordering::Relaxed) + bytes;
            PEAK.fetch_max(live, Ordering::Relaxed);
        }
    }

    fn subtract(bytes: usize) {
        if ON.load(Ordering::Relaxed) {
            LIVE.fetch_sub(bytes, Ordering::Relaxed);
        }
    }
}

// SAFETY: passes every call on to the system's allocator unchanged, and only counts besides.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc(layout) }
    }

    unsafe fn alloc_zeroed(&self, layout: Layout) -> *mut u8 {
        Self::add(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.alloc_zeroed(layout) }
    }

    unsafe fn dealloc(&self, ptr: *mut u8, layout: Layout) {
        Self::subtract(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.dealloc(ptr, layout) }
    }

    unsafe fn realloc(&self, ptr: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        Self::add(size);
        Self::subtract(layout.size());
        // SAFETY: the caller's promises are passed on.
        unsafe { System.realloc(ptr, layout, size) }
    }
}
