//! What a server of version 2.9 and the client do that a feed has to live with.

use std::time::{Duration, Instant};

use actix_process::pool::Job;

use crate::common::{amount, in_time};
use crate::tools::jetstream::{consumer_info, count, stream_info, under_way};
use crate::tools::worker::workers;
use crate::tools::{
    LONG, Signs, feed, millis, on_server, result, stats, submit, submitter, until_is,
};

/// The server drops some requests that expire when a message comes, without a word.
#[test]
fn jobs_that_come_when_a_request_expires_are_done_soon() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let expires = Duration::from_secs(1);
        let feed = feed(client.clone())
            .pull_expires(expires)
            .start(&pool)
            .await
            .unwrap();
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        for number in 0..amount(20, 5) {
            // The last result made room for a request that is as old as this.
            let offset = millis(number as u64 % 5);
            actix_rt::time::sleep(expires - millis(2) + offset).await;
            let begun = Instant::now();
            result(&submitter, "echo again").await;
            assert!(
                begun.elapsed() < Duration::from_secs(3),
                "{number}: {:?}",
                begun.elapsed()
            );
        }
        in_time(feed.stop(LONG)).await;
    });
}

/// The client's own heartbeats hold up the messages of a batch.
#[test]
fn a_job_that_comes_while_a_request_waits_is_done_at_once() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        // Two heartbeats.
        actix_rt::time::sleep(millis(2200)).await;
        let begun = Instant::now();
        assert_eq!(result(&submitter, "echo second").await.body, "second");
        assert!(
            begun.elapsed() < Duration::from_secs(1),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(feed.stats().silences, 0);
    });
}

/// Of one context of the client, 5,001 unresolved acknowledgements hang.
#[test]
fn thousands_of_jobs_may_be_submitted_at_a_time() {
    on_server(async |server| {
        let client = server.client().await;
        let first = feed(client.clone()).start(&workers(1)).await.unwrap();
        in_time(first.stop(LONG)).await;
        let submitter = submitter(&client);
        let submitted = (0..6000).map(|_| submitter.submit(Job::new("echo")));
        let submitted = in_time(futures::future::join_all(submitted)).await;
        let failed = submitted.iter().find(|submitted| submitted.is_err());
        assert!(failed.is_none(), "{failed:?}");
        assert_eq!(count(&client, "JOBS").await, 6000);
    });
}

/// A request without a time, or one that the client leaves to the server, never ends when the consumer may have no more jobs under way.
#[test]
fn a_host_gets_jobs_that_another_one_held_up() {
    on_server(async |server| {
        let client = server.client().await;
        let (pool, other_pool) = (workers(2), workers(1));
        let limited = || feed(client.clone()).max_ack_pending(2);
        let one = limited().start(&pool).await.unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        for _ in 0..3 {
            submit(&submitter, signs.waits("run", "echo done")).await;
        }
        signs.logged(2).await;
        let other = limited().start(&other_pool).await.unwrap();
        until_is("the other's request", 1, async || {
            consumer_info(&client).await["num_waiting"]
                .as_u64()
                .unwrap()
        })
        .await;
        let begun = Instant::now();
        in_time(one.stop(millis(0))).await;
        stats(&other, "a job", |stats| stats.fetched > 0).await;
        assert!(
            begun.elapsed() < Duration::from_secs(3),
            "{:?}",
            begun.elapsed()
        );
        signs.go();
        until_is("three results", 3, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
    });
}

/// A message that has used its deliveries up stays in a work queue, and nobody ever gets it.
#[test]
fn the_server_never_stops_to_deliver_a_job() {
    on_server(async |server| {
        let client = server.client().await;
        let _feed = feed(client.clone())
            .max_deliver(2)
            .start(&workers(1))
            .await
            .unwrap();
        let config = consumer_info(&client).await["config"].clone();
        assert_eq!(config["max_deliver"], -1, "{config}");
        let config = stream_info(&client, "JOBS").await["config"].clone();
        assert_eq!(config["max_age"], 0, "{config}");
    });
}

/// A purge of a subject, by which a stream could be swept, makes the server forget what consumers have under way.
#[test]
fn a_sweep_leaves_the_jobs_that_are_under_way() {
    on_server(async |server| {
        let client = server.client().await;
        let (pool, other_pool) = (workers(1), workers(1));
        let swept = feed(client.clone()).start(&pool).await.unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        // There is something below the jobs that are under way.
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        submit(&submitter, signs.waits("run", "echo second")).await;
        signs.logged(1).await;
        // It is a second after its start that a feed sweeps first, and at each heartbeat that it looks whether it is to.
        actix_rt::time::sleep(millis(3200)).await;
        assert_eq!(under_way(&client).await, (1, 0));
        in_time(swept.stop(millis(0))).await;
        let other = feed(client.clone()).start(&other_pool).await.unwrap();
        signs.logged(2).await;
        signs.go();
        stats(&other, "the result", |stats| stats.done == 1).await;
        until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
    });
}
