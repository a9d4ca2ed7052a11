//! A long body through a filter: memory flat, no thread and no timer for each piece, whoever is slow.

use crate::common;

use std::time::{Duration, Instant};

use actix_process::Command;
use common::census::{is_spawner, threads};
use common::helper::pattern;
use common::isolated::isolated;
use common::streams::next;
use common::{amount, peak_memory, run, start_all_threads};
use futures::stream;

const MEGABYTE: usize = 1_000_000;
const WINDOW: usize = 1 << 20;

/// Sends so many megabytes through `cat` to a reader of 20 MB/s, and gives the most threads that there were.
async fn through_cat(megabytes: usize) -> usize {
    let sample = pattern(MEGABYTE);
    let of = sample.clone();
    // Each with memory of its own.
    let pieces = (0..megabytes * 50).map(move |number| {
        let piece = of.chunks(MEGABYTE / 50).nth(number % 50).unwrap();
        Ok::<_, std::io::Error>(piece.to_vec())
    });
    let cat = Command::new("cat").stream().input(stream::iter(pieces));
    let cat = cat.idle_timeout(Duration::from_secs(60));
    let mut output = cat.start().await.unwrap();
    let begun = Instant::now();
    let (mut seen, mut most) = (0, 0);
    while let Some(data) = next(&mut output).await {
        let data = data.unwrap();
        for part in data.chunks(MEGABYTE) {
            let begin = seen % MEGABYTE;
            let (first, second) = part.split_at(part.len().min(MEGABYTE - begin));
            assert!(sample[begin..].starts_with(first) && sample.starts_with(second));
            seen += part.len();
        }
        drop(data);
        // When another spawner starts depends on the load.
        let others = threads().iter().filter(|name| !is_spawner(name)).count();
        most = most.max(others);
        let due = Duration::from_secs_f64(seen as f64 / (20 * MEGABYTE) as f64);
        actix_rt::time::sleep(due.saturating_sub(begun.elapsed())).await;
    }
    assert_eq!(seen, megabytes * MEGABYTE);
    most
}

#[test]
fn memory_is_a_window_each_way_and_no_thread_is_made_for_a_long_body() {
    isolated(|| {
        run(async {
            start_all_threads().await;
            let before = through_cat(2).await;
            let peak = peak_memory();
            let most = through_cat(amount(100, 40)).await;
            assert_eq!(most, before, "{:?}", threads());
            let grown = peak_memory().saturating_sub(peak);
            assert!(grown <= 2 * WINDOW, "{grown} bytes more than for 2 MB");
        });
    });
}
