//! A job is acknowledged when its result is stored, and not before; a job that ran twice has one result.

use actix_process::nats::{FeedEvent, FeedReported, JobStatus};
use async_nats::connection::State;
use futures::StreamExt;
use serde_json::json;

use crate::common::in_time;
use crate::tools::jetstream::{count, done, make_stream, messages, publish, under_way};
use crate::tools::proxy::Proxy;
use crate::tools::server::{Server, connect};
use crate::tools::worker::workers;
use crate::tools::{
    ACK_WAIT, LONG, Signs, feed, millis, on_server, result, stats, submit, submitter, until_is,
};

/// Waits until no job waits or is under way, and the stream of jobs is empty.
async fn all_is_acknowledged(server: &Server) {
    let client = server.client().await;
    until_is("no job", (0, 0), async || under_way(&client).await).await;
    until_is("an empty stream", 0, async || count(&client, "JOBS").await).await;
}

#[test]
fn a_job_whose_result_is_not_stored_is_not_acknowledged() {
    on_server(async |server| {
        let client = server.client().await;
        let config = |most: i64| {
            json!({
                "name": "RESULTS", "subjects": ["results.convert"], "storage": "file", "discard": "new",
                "max_msgs": most, "duplicate_window": 120_000_000_000_u64,
            })
        };
        make_stream(&client, config(1)).await;
        in_time(client.request("results.convert", "the one that there is room for".into()))
            .await
            .unwrap();
        let signs = Signs::new();
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let mut events = feed.events();
        submit(
            &submitter(&client),
            format!("{} echo done", signs.logs("run")),
        )
        .await;
        let told = in_time(events.next()).await.unwrap();
        assert!(
            matches!(&told, FeedReported::Event(FeedEvent::NotStored { .. })),
            "{told:?}"
        );
        // Longer than the server waits for a word.
        actix_rt::time::sleep(ACK_WAIT * 2).await;
        assert_eq!(under_way(&client).await, (1, 0));
        assert_eq!(count(&client, "JOBS").await, 1);
        assert_eq!(feed.stats().done, 0);
        done(&client, "STREAM.UPDATE.RESULTS", &config(-1)).await;
        all_is_acknowledged(server).await;
        let results = messages(&client, "RESULTS").await;
        assert_eq!(results.last().unwrap().body, "done");
        assert_eq!((results.len(), signs.log().len()), (2, 1));
    });
}

#[test]
fn a_result_that_a_killed_server_did_not_store_is_stored_by_the_next_one() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let mut events = feed.events();
        let signs = Signs::new();
        submit(&submitter(&client), signs.waits("run", "echo done")).await;
        signs.logged(1).await;
        server.kill();
        signs.go();
        let not_stored =
            |told: &FeedReported| matches!(told, FeedReported::Event(FeedEvent::NotStored { .. }));
        while !not_stored(&in_time(events.next()).await.unwrap()) {}
        assert_eq!(feed.stats().done, 0);
        server.restart();
        all_is_acknowledged(server).await;
        let results = messages(&client, "JOBS_RESULTS").await;
        let [result] = &results[..] else {
            panic!("{results:?}");
        };
        assert_eq!(
            (&result.body[..], result.header("Job-Status")),
            (&b"done"[..], "ok")
        );
    });
}

#[test]
fn a_job_that_runs_on_two_hosts_has_one_result() {
    on_server(async |server| {
        let proxy = Proxy::start(server.port());
        let (first_pool, second_pool) = (workers(1), workers(1));
        let cut = feed(connect(&proxy.url()).await)
            .start(&first_pool)
            .await
            .unwrap();
        let client = server.client().await;
        let signs = Signs::new();
        let submitter = submitter(&client);
        let mut results = submitter.results().await.unwrap();
        submit(&submitter, signs.waits("run", "echo done")).await;
        signs.logged(1).await;
        // The server does not hear that the job is in progress, and gives it to the other host.
        proxy.stand_still(true);
        let whole = feed(client.clone()).start(&second_pool).await.unwrap();
        signs.logged(2).await;
        signs.go();
        stats(&whole, "a result", |stats| stats.done == 1).await;
        proxy.stand_still(false);
        let stats = stats(&cut, "the other result", |stats| stats.done == 1).await;
        assert_eq!(
            (stats.duplicates, whole.stats().duplicates),
            (1, 0),
            "{stats:?}"
        );
        all_is_acknowledged(server).await;
        assert_eq!(count(&client, "JOBS_RESULTS").await, 1);
        assert_eq!(in_time(results.next()).await.unwrap().status, JobStatus::Ok);
        in_time(cut.stop(LONG)).await;
        in_time(whole.stop(LONG)).await;
    });
}

/// The stream of results does not know any more that the job has one.
#[test]
fn a_host_that_is_cut_off_for_longer_than_the_window_stores_no_second_result() {
    on_server(async |server| {
        let proxy = Proxy::start(server.port());
        let (first_pool, second_pool) = (workers(1), workers(1));
        let short = |client| {
            let feed = feed(client).backoff(millis(10), millis(10)).prefetch(0);
            feed.dedup_window(millis(11_100))
        };
        let away = connect(&proxy.url()).await;
        let cut = short(away.clone()).start(&first_pool).await.unwrap();
        let client = server.client().await;
        let signs = Signs::new();
        submit(&submitter(&client), signs.waits("run", "echo done")).await;
        signs.logged(1).await;
        proxy.stand_still(true);
        // What it says before would come late.
        until_is("a client that is away", false, async || {
            away.connection_state() == State::Connected
        })
        .await;
        let whole = short(client.clone()).start(&second_pool).await.unwrap();
        signs.logged(2).await;
        signs.go();
        stats(&whole, "a result", |stats| stats.done == 1).await;
        stats(&cut, "a result too late", |stats| stats.too_late == 1).await;
        proxy.stand_still(false);
        let report = in_time(cut.stop(LONG)).await;
        assert_eq!(report.given_back, 0);
        assert_eq!(cut.stats().done, 0);
        all_is_acknowledged(server).await;
        assert_eq!(count(&client, "JOBS_RESULTS").await, 1);
        in_time(whole.stop(LONG)).await;
    });
}

#[test]
fn a_job_without_an_id_has_one_result_of_its_own() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        publish(&client, &[], "echo a").await;
        publish(&client, &[], "echo b").await;
        until_is("two results", 2, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        let mut results = messages(&client, "JOBS_RESULTS").await;
        results.sort_by(|one, other| one.body.cmp(&other.body));
        let ids: Vec<_> = results
            .iter()
            .map(|result| result.header("Job-Id"))
            .collect();
        assert!(
            ids[0].starts_with("JOBS:1:") && ids[1].starts_with("JOBS:2:"),
            "{ids:?}"
        );
        let known = results[0].header("Nats-Msg-Id");
        assert!(known.starts_with(ids[0]), "{known}");
        assert_eq!([&results[0].body[..], &results[1].body[..]], [b"a", b"b"]);
    });
}

#[test]
fn a_worker_that_answers_leaves_nothing_but_a_result() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let result = result(&submitter(&client), "echo done").await;
        assert_eq!((result.status, result.attempts), (JobStatus::Ok, 1));
        assert_eq!(result.body, "done");
        all_is_acknowledged(server).await;
        for (stream, wanted) in [("JOBS_RESULTS", 1), ("JOBS_DEAD", 0), ("JOBS_ATTEMPTS", 0)] {
            assert_eq!(count(&client, stream).await, wanted, "{stream}");
        }
        let stats = feed.stats();
        assert_eq!(
            (stats.fetched, stats.done, stats.not_ok),
            (1, 1, 0),
            "{stats:?}"
        );
    });
}
