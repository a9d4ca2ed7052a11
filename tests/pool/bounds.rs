//! What a worker may send without end takes a bounded part of the pool's memory and time.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use actix_process::pool::{Job, JobError};
use actix_rt::Arbiter;

use crate::common::isolated::isolated;
use crate::common::{DEADLINE, amount, in_time, peak_memory, run};
use crate::told_worker::Folder;
use crate::workers::{answer, ended, error, stats, workers};

const MIB: usize = 1 << 20;

#[test]
fn an_answer_in_many_tiny_or_empty_parts_takes_little_more_than_its_bytes() {
    isolated(|| {
        run(async {
            let pool = workers().workers(1..=1).start().unwrap();
            answer(&pool, "pid").await;
            let count = amount(1_000_000, 1_000_000);
            for (size, most) in [(0, 16 * MIB), (1, 24 * MIB)] {
                let before = peak_memory();
                let job = Job::new(format!("dust {count} {size}"));
                let answer = in_time(pool.submit(job)).await.unwrap();
                assert_eq!(answer.len(), count * size);
                let grown = peak_memory() - before;
                assert!(grown < most, "{grown} bytes for parts of {size}");
            }
            ended(pool).await;
        });
    });
}

#[test]
fn parts_of_all_sizes_come_in_their_order() {
    run(async {
        let folder = Folder::new();
        let script = folder.path("worker.py");
        std::fs::write(&script, PARTS).unwrap();
        let command = actix_process::Command::new("python3").arg(&script);
        let pool = actix_process::pool::Pool::new(command)
            .workers(1..=1)
            .start()
            .unwrap();
        for sizes in [
            "",
            "5",
            "1 1",
            "5000",
            "5000 1",
            "1 5000",
            "3 0 5000 2 0 9000 9000 4 4",
        ] {
            let whole = in_time(pool.submit(Job::new(sizes))).await.unwrap();
            let parts = sizes.split(' ').filter(|size| !size.is_empty());
            let expected: String = parts
                .zip(0_u8..)
                .map(|(size, n)| {
                    char::from(b'a' + n)
                        .to_string()
                        .repeat(size.parse().unwrap())
                })
                .collect();
            assert!(whole == expected, "{sizes}: {} bytes", whole.len());
        }
        ended(pool).await;
    });
}

/// Answers parts of these sizes, each of another letter; the last one is the end.
const PARTS: &str = "
import os, struct
def send(kind, id, body): os.write(4, struct.pack('>IBQ', 9 + len(body), kind, id) + body)
def read(count):
    data = b''
    while len(data) < count:
        more = os.read(3, count - len(data))
        if not more: os._exit(0)
        data += more
    return data
send(6, 0, bytes([1]))
while True:
    length, kind, id = struct.unpack('>IBQ', read(13))
    sizes = read(length - 9).split()
    parts = [bytes([97 + n]) * int(size) for n, size in enumerate(sizes)] or [b'']
    for part in parts[:-1]: send(2, id, part)
    send(3, id, parts[-1])
";

#[test]
fn a_worker_that_sends_empty_pings_and_reads_nothing_is_replaced_at_once() {
    isolated(|| {
        run(async {
            let pool = workers().workers(1..=1).start().unwrap();
            answer(&pool, "pid").await;
            let before = peak_memory();
            match error(&pool, "pings").await {
                JobError::Protocol { what, .. } => assert!(what.contains("pings"), "{what}"),
                other => panic!("{other:?}"),
            }
            let grown = peak_memory() - before;
            assert!(grown < 8 * MIB, "{grown} bytes");
            assert_eq!(answer(&pool, "echo on").await, "on");
            ended(pool).await;
        });
    });
}

fn until_there(path: &Path) {
    let begun = Instant::now();
    while !path.exists() {
        assert!(begun.elapsed() < DEADLINE, "there is no {path:?}");
        std::thread::sleep(Duration::from_millis(1));
    }
}

#[test]
fn a_worker_that_says_much_at_once_lets_others_on_the_arbiter_have_their_turns() {
    run(async {
        let arbiter = Arbiter::new();
        let pool = workers().workers(1..=1).on(&arbiter).start().unwrap();
        answer(&pool, "pid").await;
        let folder = Folder::new();
        let path = folder.path("flood");
        let job = pool.submit(Job::new(format!("flood 9000 {}", path.display())));
        stats(&pool, "the job to run", |stats| stats.busy == 1).await;
        let (go, done) = (path.with_extension("go"), path.with_extension("done"));
        let turns = Arc::new(AtomicUsize::new(0));
        let (counter, count) = (Arc::clone(&turns), Arc::clone(&turns));
        let (tell, told) = futures::channel::oneshot::channel();
        arbiter.spawn(async move {
            // All of it is in the pipe before the pool reads.
            std::fs::write(go, "").unwrap();
            until_there(&done);
            let ticker = actix_rt::spawn(async move {
                loop {
                    counter.fetch_add(1, Ordering::Relaxed);
                    actix_rt::task::yield_now().await;
                }
            });
            let answer = job.await;
            let _ = tell.send((answer, count.load(Ordering::Relaxed)));
            ticker.abort();
        });
        let (answer, turns) = in_time(told).await.unwrap();
        assert_eq!(answer.unwrap(), "");
        assert!(turns >= 20, "{turns} turns");
        ended(pool).await;
        arbiter.stop();
        let _ = arbiter.join();
    });
}
