//! A stop fetches no more, finishes what runs and gives back the rest at once; so does, as far as it can, each other end of a feed.

use std::process::Stdio;
use std::time::{Duration, Instant};

use actix_process::nats::{FeedEvent, FeedHandle, FeedReported};
use actix_process::pool::PoolHandle;
use async_nats::Client;
use futures::StreamExt;
use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::common::{example, in_time};
use crate::tools::jetstream::{consumer_info, count, messages, stream_info, under_way};
use crate::tools::server::{Server, connect};
use crate::tools::worker::{pool, workers};
use crate::tools::{
    LONG, Signs, feed, millis, on_server, result, stats, submit, submitter, until, until_is,
};

/// Longer than what is given back may take to come to another host.
const PATIENCE: Duration = Duration::from_secs(20);

/// Jobs of this ack wait come to another host when they are given back, and not by themselves.
async fn patient(client: &Client, pool: &PoolHandle) -> FeedHandle {
    let feed = feed(client.clone()).ack_wait(PATIENCE);
    feed.prefetch(2).start(pool).await.unwrap()
}

/// A feed with two jobs that run, and two that wait for a worker.
async fn busy(server: &Server, pool: &PoolHandle, signs: &Signs) -> FeedHandle {
    let client = server.client().await;
    let feed = patient(&client, pool).await;
    for _ in 0..4 {
        submit(&submitter(&client), signs.waits("run", "echo done")).await;
    }
    signs.logged(2).await;
    stats(&feed, "four jobs", |stats| stats.running == 4).await;
    feed
}

#[test]
fn a_stop_finishes_what_runs_and_gives_back_the_rest_at_once() {
    on_server(async |server| {
        let (signs, pool, other_pool) = (Signs::new(), workers(2), workers(2));
        let stopped = busy(server, &pool, &signs).await;
        let client = server.client().await;
        let stops = stopped.stop(LONG);
        let meanwhile = async {
            let other = patient(&client, &other_pool).await;
            // Those that were given back run elsewhere, and two still run here.
            signs.logged(4).await;
            assert_eq!(stopped.stats().running, 2);
            assert_eq!(under_way(&client).await, (4, 0));
            submit(&submitter(&client), signs.waits("run", "echo done")).await;
            stats(&other, "three jobs", |stats| stats.fetched == 3).await;
            signs.go();
            other
        };
        let (report, other) = in_time(futures::future::join(stops, meanwhile)).await;
        assert_eq!((report.finished, report.given_back), (2, 2));
        stats(&other, "the other results", |stats| stats.done == 3).await;
        let stats = stopped.stats();
        assert_eq!(
            (stats.fetched, stats.done, stats.running),
            (4, 2, 0),
            "{stats:?}"
        );
        for result in messages(&client, "JOBS_RESULTS").await {
            assert_eq!(result.header("Job-Attempts"), "1");
        }
    });
}

#[test]
fn what_runs_at_the_deadline_of_a_stop_is_given_back_too() {
    on_server(async |server| {
        let (signs, pool, other_pool) = (Signs::new(), workers(2), workers(4));
        let stopped = busy(server, &pool, &signs).await;
        let begun = Instant::now();
        let report = in_time(stopped.stop(millis(300))).await;
        let took = begun.elapsed();
        assert!(
            took >= millis(300) && took < Duration::from_secs(10),
            "{took:?}"
        );
        assert_eq!((report.finished, report.given_back), (0, 4));
        let client = server.client().await;
        let _other = patient(&client, &other_pool).await;
        signs.logged(6).await;
        signs.go();
        until_is("four results", 4, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
    });
}

#[test]
fn an_earlier_deadline_counts_and_a_later_one_does_not() {
    on_server(async |server| {
        let (signs, pool) = (Signs::new(), workers(2));
        let stopped = busy(server, &pool, &signs).await;
        let (long, short) = (stopped.stop(LONG), stopped.stop(millis(100)));
        let (long, short) = in_time(futures::future::join(long, short)).await;
        assert_eq!(long, short);
        assert_eq!(in_time(stopped.stop(LONG)).await, long);
        assert_eq!(in_time(stopped.closed()).await, long);
        assert_eq!(long.given_back, 4);
    });
}

#[test]
fn the_drop_of_the_last_handle_gives_all_jobs_back() {
    on_server(async |server| {
        let (signs, pool, other_pool) = (Signs::new(), pool(2).soft(millis(50)), workers(4));
        let pool = pool.start().unwrap();
        let dropped = busy(server, &pool, &signs).await;
        let (clone, closed) = (dropped.clone(), dropped.closed());
        drop(dropped);
        assert_eq!(clone.stats().running, 4);
        drop(clone);
        let report = in_time(closed).await;
        assert_eq!((report.finished, report.given_back), (0, 4));
        let client = server.client().await;
        let other = patient(&client, &other_pool).await;
        stats(&other, "all four jobs", |stats| stats.running == 4).await;
        // The pool has no job of the feed any more.
        until_is("an idle pool", (0, 0), async || {
            let stats = pool.stats().await.unwrap();
            (stats.running, stats.waiting)
        })
        .await;
        signs.go();
        until_is("four results", 4, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
    });
}

#[test]
fn the_end_of_the_pool_ends_the_feed() {
    on_server(async |server| {
        let (signs, pool) = (Signs::new(), workers(2));
        let feed = busy(server, &pool, &signs).await;
        let mut events = feed.events();
        let drained = pool.drain(LONG);
        let meanwhile = async {
            let told = in_time(events.next()).await;
            assert_eq!(told, Some(FeedReported::Event(FeedEvent::StopBegan)));
            signs.go();
            feed.closed().await
        };
        let (_, report) = in_time(futures::future::join(drained, meanwhile)).await;
        // A drain does the jobs that the pool has.
        assert_eq!((report.finished, report.given_back), (4, 0));
        assert_eq!(in_time(events.next()).await, None);
    });
}

#[test]
fn a_pool_that_is_shut_down_gives_its_jobs_back() {
    on_server(async |server| {
        let (signs, pool) = (Signs::new(), workers(2));
        let feed = busy(server, &pool, &signs).await;
        in_time(pool.shutdown(millis(100))).await;
        let report = in_time(feed.closed()).await;
        assert_eq!((report.finished, report.given_back), (0, 4));
        let client = server.client().await;
        let other_pool = workers(4);
        let _other = patient(&client, &other_pool).await;
        signs.logged(6).await;
        signs.go();
        until_is("four results", 4, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
    });
}

#[test]
fn a_feed_whose_system_stops_has_ended_and_its_jobs_go_elsewhere() {
    on_server(async |server| {
        let client = server.client().await;
        let (signs, pool, other_pool) = (Signs::new(), workers(1), workers(1));
        let (url, pool_there) = (server.url(), pool.clone());
        let (tell, told) = futures::channel::oneshot::channel();
        let (end, ends) = futures::channel::oneshot::channel::<()>();
        let there = std::thread::spawn(move || {
            actix::System::new().block_on(async {
                let client = connect(&url).await;
                let feed = feed(client).start(&pool_there).await.unwrap();
                tell.send(feed).ok().unwrap();
                in_time(ends).await.unwrap();
            });
        });
        let stopped = in_time(told).await.unwrap();
        submit(&submitter(&client), signs.waits("run", "echo done")).await;
        signs.logged(1).await;
        end.send(()).unwrap();
        in_time(stopped.closed()).await;
        there.join().unwrap();
        let _other = feed(client.clone()).start(&other_pool).await.unwrap();
        signs.logged(2).await;
        signs.go();
        until_is("a result", 1, async || count(&client, "JOBS_RESULTS").await).await;
    });
}

#[test]
fn a_stop_without_a_server_ends_at_its_deadline() {
    on_server(async |server| {
        let (signs, pool) = (Signs::new(), workers(2));
        let stopped = busy(server, &pool, &signs).await;
        server.kill();
        signs.go();
        let begun = Instant::now();
        let report = in_time(stopped.stop(millis(500))).await;
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(report.finished, 0, "{report:?}");
    });
}

/// The example, and what it needs to be there.
fn node() -> std::path::PathBuf {
    let test = std::env::current_exe().unwrap();
    let profile = test.parent().and_then(|deps| deps.parent()).unwrap();
    let program = profile.join("examples/node");
    if !program.exists() {
        let built =
            std::process::Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()))
                .args([
                    "build",
                    "--quiet",
                    "--all-features",
                    "--example",
                    "node",
                    "--target-dir",
                ])
                .arg(profile.parent().unwrap())
                .current_dir(env!("CARGO_MANIFEST_DIR"))
                .status();
        assert!(built.unwrap().success(), "the example does not build");
    }
    program
}

#[test]
fn a_sigterm_to_the_example_stops_its_feed() {
    on_server(async |server| {
        let client = server.client().await;
        let worker = concat!(env!("CARGO_MANIFEST_DIR"), "/examples/workers/worker.py");
        let mut node = example::program(node())
            .args([
                "--server",
                &server.url(),
                "--workers",
                "2",
                "--",
                "python3",
                worker,
            ])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        until("the streams", async || {
            if let Some(status) = node.try_wait().unwrap() {
                panic!("the example has ended: {status}");
            }
            let info = stream_info(&client, "JOBS_ATTEMPTS").await;
            let consumer = consumer_info(&client).await;
            if consumer["error"].is_null() {
                Ok(())
            } else {
                Err(format!("{info} {consumer}"))
            }
        })
        .await;
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo done").await.body, "done");
        // Of two workers, with two jobs ahead: they run until they are cancelled.
        for _ in 0..4 {
            submit(&submitter, "print").await;
        }
        kill(Pid::from_raw(node.id().cast_signed()), Signal::SIGTERM).unwrap();
        let output = node.wait_with_output().unwrap();
        assert!(output.status.success(), "{output:?}");
        let info = consumer_info(&client).await;
        let done = count(&client, "JOBS_RESULTS").await;
        assert_eq!(done + count(&client, "JOBS").await, 5, "{info} {output:?}");
    });
}
