//! A feed that gets nothing though jobs wait, or that hears nothing, notices that, mends it and counts it.

use std::time::Duration;

use actix_process::nats::FeedEvent;
use serde_json::Value;

use crate::common::in_time;
use crate::tools::jetstream::{count, done, messages, under_way};
use crate::tools::proxy::Proxy;
use crate::tools::server::connect;
use crate::tools::worker::workers;
use crate::tools::{Signs, event, feed, on_server, result, stats, submit, submitter, until_is};

#[test]
fn a_request_that_the_server_never_got_is_a_stall_that_is_mended() {
    on_server(async |server| {
        let proxy = Proxy::start(server.port());
        let pool = workers(1);
        let through = feed(connect(&proxy.url()).await)
            .start(&pool)
            .await
            .unwrap();
        let client = server.client().await;
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        let mut events = through.events();
        proxy.lose(Some("CONSUMER.MSG.NEXT"));
        // The request that was open brings one more.
        submit(&submitter, "echo second").await;
        submit(&submitter, "echo third").await;
        submit(&submitter, "echo fourth").await;
        event(&mut events, |event| matches!(event, FeedEvent::Silent)).await;
        event(
            &mut events,
            |event| matches!(event, FeedEvent::Stalled { pending, .. } if *pending > 0),
        )
        .await;
        assert!(proxy.lost() > 0);
        proxy.lose(None);
        let stats = stats(&through, "the other results", |stats| stats.done == 4).await;
        assert!(stats.stalls > 0, "{stats:?}");
        assert_eq!(stats.duplicates, 0, "{stats:?}");
    });
}

#[test]
fn a_network_that_stands_still_is_noticed_and_its_end_too() {
    on_server(async |server| {
        let proxy = Proxy::start(server.port());
        let pool = workers(1);
        let through = feed(connect(&proxy.url()).await)
            .start(&pool)
            .await
            .unwrap();
        let client = server.client().await;
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        // The first job does not come again.
        until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
        let mut events = through.events();
        proxy.stand_still(true);
        event(&mut events, |event| matches!(event, FeedEvent::Silent)).await;
        submit(&submitter, "echo second").await;
        proxy.stand_still(false);
        let begun = std::time::Instant::now();
        event(&mut events, |event| matches!(event, FeedEvent::Heard)).await;
        stats(&through, "the second result", |stats| stats.done > 1).await;
        assert!(
            begun.elapsed() < Duration::from_secs(5),
            "{:?}",
            begun.elapsed()
        );
        assert_eq!(count(&client, "JOBS_RESULTS").await, 2);
    });
}

#[test]
fn a_consumer_that_was_removed_is_made_anew() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
        let mut events = feed.events();
        done(&client, "CONSUMER.DELETE.JOBS.convert", &Value::Null).await;
        event(&mut events, |event| matches!(event, FeedEvent::MadeAnew)).await;
        assert_eq!(result(&submitter, "echo second").await.body, "second");
        assert_eq!(feed.stats().done, 2);
    });
}

/// The job's acknowledgement goes to a consumer that has never delivered it.
#[test]
fn a_job_of_a_consumer_that_was_removed_has_one_result_and_goes() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let mut events = feed.events();
        let signs = Signs::new();
        submit(&submitter(&client), signs.waits("run", "echo done")).await;
        signs.logged(1).await;
        done(&client, "CONSUMER.DELETE.JOBS.convert", &Value::Null).await;
        event(&mut events, |event| matches!(event, FeedEvent::MadeAnew)).await;
        signs.go();
        until_is("a result", 1, async || count(&client, "JOBS_RESULTS").await).await;
        until_is("no job", (0, 0), async || under_way(&client).await).await;
        until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
        assert_eq!(messages(&client, "JOBS_RESULTS").await[0].body, "done");
    });
}

#[test]
fn streams_that_were_removed_are_made_anew() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        let mut events = feed.events();
        for stream in ["JOBS_RESULTS", "JOBS_DEAD", "JOBS_ATTEMPTS", "JOBS"] {
            done(&client, &format!("STREAM.DELETE.{stream}"), &Value::Null).await;
        }
        event(&mut events, |event| matches!(event, FeedEvent::MadeAnew)).await;
        assert_eq!(result(&submitter, "echo second").await.body, "second");
        in_time(feed.stop(crate::tools::LONG)).await;
    });
}

/// A consumer that may have no more jobs under way gives none, and that is no stall.
#[test]
fn a_host_that_waits_for_the_jobs_of_others_does_not_stall() {
    on_server(async |server| {
        let client = server.client().await;
        let (pool, other_pool) = (workers(2), workers(1));
        let limited = || {
            feed(client.clone())
                .max_ack_pending(2)
                .pull_expires(Duration::from_secs(1))
        };
        let one = limited().start(&pool).await.unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        for _ in 0..4 {
            submit(&submitter, signs.waits("run", "")).await;
        }
        signs.logged(2).await;
        let other = limited().start(&other_pool).await.unwrap();
        // Three of its requests, each for a second.
        actix_rt::time::sleep(Duration::from_millis(3300)).await;
        let idle = other.stats();
        assert_eq!(
            (idle.fetched, idle.stalls, idle.silences),
            (0, 0, 0),
            "{idle:?}"
        );
        signs.go();
        until_is("four results", 4, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        in_time(one.stop(crate::tools::LONG)).await;
    });
}
