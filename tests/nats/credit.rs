//! A feed fetches no more than its pool can take: the rest waits in the stream, for other hosts.

use std::time::Duration;

use actix_process::nats::Feed;
use actix_process::pool::Job;
use async_nats::Client;

use crate::common::in_time;
use crate::tools::jetstream::{consumer_info, count, under_way};
use crate::tools::worker::{pool, workers};
use crate::tools::{LONG, Signs, feed, on_server, stats, submit, submitter, until_is};

/// On a busy machine a host may be late to say that its jobs are in progress. Here none is to come again for that.
fn patient(client: Client) -> Feed {
    feed(client).ack_wait(Duration::from_secs(10))
}

#[test]
fn what_the_pool_cannot_take_waits_in_the_stream_for_another_host() {
    on_server(async |server| {
        let client = server.client().await;
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let (pool, other_pool) = (workers(2), workers(2));
        let one = patient(client.clone())
            .prefetch(3)
            .start(&pool)
            .await
            .unwrap();
        for _ in 0..20 {
            submit(&submitter, signs.waits("run", "")).await;
        }
        until_is("2 to run and 3 ahead", (5, 15), async || {
            under_way(&client).await
        })
        .await;
        signs.logged(2).await;
        assert_eq!(one.stats().running, 5);
        let other = patient(server.client().await).prefetch(0);
        let other = other.start(&other_pool).await.unwrap();
        until_is("2 more to run", (7, 13), async || under_way(&client).await).await;
        signs.logged(4).await;
        assert_eq!((one.stats().fetched, other.stats().fetched), (5, 2));
        signs.go();
        signs.logged(20).await;
        until_is("20 results", 20, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        let (one, other) = (one.stats(), other.stats());
        assert_eq!(one.done + other.done, 20, "{one:?} {other:?}");
        assert!(other.done > 2, "{one:?} {other:?}");
    });
}

#[test]
fn no_more_is_ahead_than_workers_unless_it_is_said() {
    on_server(async |server| {
        let client = server.client().await;
        let (signs, submitter, pool) = (Signs::new(), submitter(&client), workers(3));
        let feed = patient(client.clone()).start(&pool).await.unwrap();
        for _ in 0..20 {
            submit(&submitter, signs.waits("run", "")).await;
        }
        until_is("3 to run and 3 ahead", (6, 14), async || {
            under_way(&client).await
        })
        .await;
        signs.go();
        until_is("20 results", 20, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        assert_eq!(feed.stats().fetched, 20);
    });
}

#[test]
fn the_number_of_jobs_on_a_host_stays_below_its_bound_while_they_pass() {
    on_server(async |server| {
        let client = server.client().await;
        let (submitter, pool) = (submitter(&client), workers(2));
        let feed = patient(client.clone())
            .prefetch(2)
            .start(&pool)
            .await
            .unwrap();
        let jobs = (0..400).map(|number| submitter.submit(Job::new(format!("echo {number}"))));
        let submitted = futures::future::join_all(jobs);
        let mut most = 0;
        let passed = until_is("400 results", 400, async || {
            // Of the 4, and those whose results are on their way to the server.
            let (held, _) = under_way(&client).await;
            assert!(held <= 2 * 4 + 16, "{held} are held");
            assert!(feed.stats().running <= 4, "{:?}", feed.stats());
            most = most.max(held);
            feed.stats().done
        });
        let (submitted, ()) = in_time(futures::future::join(submitted, passed)).await;
        assert!(submitted.iter().all(Result::is_ok), "{submitted:?}");
        assert!(most > 0, "none was seen");
        let outcomes = pool.stats().await.unwrap().outcomes;
        assert_eq!(
            (outcomes.answered, outcomes.queue_full),
            (400, 0),
            "{outcomes:?}"
        );
    });
}

#[test]
fn a_short_queue_of_the_pool_is_a_bound_as_well() {
    on_server(async |server| {
        let client = server.client().await;
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let pool = pool(2).queue(1).start().unwrap();
        let feed = patient(client.clone())
            .prefetch(10)
            .start(&pool)
            .await
            .unwrap();
        for _ in 0..10 {
            submit(&submitter, signs.waits("run", "")).await;
        }
        until_is("3 to be held", (3, 7), async || under_way(&client).await).await;
        signs.go();
        stats(&feed, "10 results", |stats| stats.done == 10).await;
        assert_eq!(feed.stats().given_back, 0);
        let outcomes = pool.stats().await.unwrap().outcomes;
        assert_eq!(
            (outcomes.answered, outcomes.queue_full),
            (10, 0),
            "{outcomes:?}"
        );
    });
}

#[test]
fn a_host_without_room_fetches_when_somebody_else_leaves_the_pool() {
    on_server(async |server| {
        let client = server.client().await;
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let pool = pool(1).queue(0).start().unwrap();
        let others = pool.submit(Job::new(signs.waits("other", "")));
        signs.logged(1).await;
        let feed = patient(client.clone()).start(&pool).await.unwrap();
        submit(&submitter, "echo done").await;
        // The job that the pool has no place for waits where others see it.
        let info = consumer_info(&client).await;
        assert_eq!(
            (&info["num_pending"], &info["num_waiting"]),
            (&1.into(), &0.into()),
            "{info}"
        );
        signs.go();
        in_time(others).await.unwrap();
        stats(&feed, "the result", |stats| stats.done == 1).await;
        assert_eq!(feed.stats().given_back, 0);
        in_time(feed.stop(LONG)).await;
    });
}
