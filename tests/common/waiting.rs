//! Running a test, and waiting within a deadline.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

/// How long anything may take. Reached only when something is wrong.
pub const DEADLINE: Duration = Duration::from_secs(60);

/// A test. Each is of a type of its own, and a runtime that takes it is compiled for each: of a box it is compiled once.
type Test<'a, T> = Pin<Box<dyn Future<Output = T> + 'a>>;

/// Runs `test` in a System of its own, on this thread.
pub fn run<T>(test: impl Future<Output = T>) -> T {
    run_boxed(Box::pin(test))
}

fn run_boxed<T>(test: Test<'_, T>) -> T {
    let _ = env_logger::builder().is_test(true).try_init();
    actix::System::new().block_on(async {
        actix_rt::time::timeout(2 * DEADLINE, test)
            .await
            .expect("the test did not end in time")
    })
}

/// Runs `test` under tokio alone, with as many workers; without any on this thread.
pub fn on_tokio<T>(workers: usize, test: impl Future<Output = T>) -> T {
    on_tokio_boxed(workers, Box::pin(test))
}

fn on_tokio_boxed<T>(workers: usize, test: Test<'_, T>) -> T {
    let mut builder = match workers {
        0 => tokio::runtime::Builder::new_current_thread(),
        _ => tokio::runtime::Builder::new_multi_thread(),
    };
    let builder = builder.worker_threads(workers.max(1)).enable_all();
    let runtime = builder.build().unwrap();
    runtime.block_on(async {
        let timed = tokio::time::timeout(2 * DEADLINE, test).await;
        timed.expect("the test did not end in time")
    })
}

/// Waits for `future`, as long as anything may take.
pub async fn in_time<T>(future: impl Future<Output = T>) -> T {
    actix_rt::time::timeout(DEADLINE, future)
        .await
        .expect("nothing came in time")
}

/// What `future` gives before the deadline. One that is ready by then, but that nobody woke, is late.
pub async fn soon<T>(what: &str, future: impl Future<Output = T>) -> T {
    let deadline = std::pin::pin!(actix_rt::time::sleep(DEADLINE));
    match futures::future::select(deadline, std::pin::pin!(future)).await {
        futures::future::Either::Left(_) => panic!("{what} does not resolve"),
        futures::future::Either::Right((value, _)) => value,
    }
}

/// Waits until `condition` gives something; fails with `what` and what `seen` says if it never
/// does. For what can only be looked at, like /proc.
pub async fn eventually<T>(
    what: &str,
    mut condition: impl FnMut() -> Option<T>,
    seen: impl Fn() -> String,
) -> T {
    let begun = std::time::Instant::now();
    loop {
        if let Some(value) = condition() {
            return value;
        }
        assert!(
            begun.elapsed() < DEADLINE,
            "waited for {what}; saw {}",
            seen()
        );
        actix_rt::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Waits for `future` on this thread without any runtime.
pub fn block_on_thread<T>(future: impl Future<Output = T>) -> T {
    struct Unpark(std::thread::Thread);
    impl std::task::Wake for Unpark {
        fn wake(self: std::sync::Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = std::sync::Arc::new(Unpark(std::thread::current())).into();
    let mut context = std::task::Context::from_waker(&waker);
    let mut future = std::pin::pin!(future);
    let begun = std::time::Instant::now();
    loop {
        if let std::task::Poll::Ready(value) = future.as_mut().poll(&mut context) {
            return value;
        }
        let left = DEADLINE.checked_sub(begun.elapsed());
        std::thread::park_timeout(left.expect("the future did not resolve in time"));
    }
}
