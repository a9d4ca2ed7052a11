//! What is asked of a feed or a submitter ends in time though the server is away, and though the client takes nothing more.

use std::time::{Duration, Instant};

use actix_process::nats::{JobRequest, SubmitError};
use actix_process::pool::Job;
use async_nats::Client;
use async_nats::connection::State;

use crate::common::in_time;
use crate::tools::server::{Server, connect_with, options};
use crate::tools::worker::workers;
use crate::tools::{
    LONG, Signs, feed, millis, on_server, result, stats, submit, submitter, until_is,
};

/// More than anything here may take on a busy machine, and much less than for ever.
const SOON: Duration = Duration::from_secs(20);

/// A client that keeps few messages for a server that is away.
async fn small(server: &Server) -> Client {
    connect_with(options().client_capacity(16), &server.url()).await
}

/// Ends the server, and has the client full: what is published waits for ever.
async fn away(server: &mut Server, client: &Client) {
    server.kill();
    until_is("a client that is away", false, async || {
        client.connection_state() == State::Connected
    })
    .await;
    // The client may take some when it has lost the connection, and none when it waits for the next one.
    for _ in 0..1000 {
        let published = client.publish("nowhere", "".into());
        match actix_rt::time::timeout(millis(500), published).await {
            Ok(published) => published.unwrap(),
            Err(_) => return,
        }
    }
    panic!("it takes all");
}

#[test]
fn a_stop_ends_in_time_though_the_client_takes_nothing() {
    on_server(async |server| {
        let client = small(server).await;
        let (signs, pool) = (Signs::new(), workers(4));
        let stopped = feed(client.clone()).start(&pool).await.unwrap();
        for _ in 0..8 {
            submit(&submitter(&client), signs.waits("run", "")).await;
        }
        signs.logged(4).await;
        stats(&stopped, "eight jobs", |stats| stats.running == 8).await;
        away(server, &client).await;
        let begun = Instant::now();
        let report = in_time(stopped.stop(Duration::from_secs(2))).await;
        let took = begun.elapsed();
        assert!(took < SOON, "{took:?}");
        assert_eq!((report.finished, report.given_back), (0, 8));
    });
}

#[test]
fn a_submit_ends_in_time_though_the_client_takes_nothing() {
    on_server(async |server| {
        let client = small(server).await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        away(server, &client).await;
        let begun = Instant::now();
        let job = JobRequest::new(Job::new("echo")).id("mine");
        let unknown = in_time(submitter(&client).submit(job)).await;
        let took = begun.elapsed();
        assert!(took < SOON, "{took:?}");
        let Err(SubmitError::Unknown { id, .. }) = unknown else {
            panic!("{unknown:?}");
        };
        assert_eq!(id.as_str(), "mine");
    });
}

/// It asks again for longer than the client takes to be back.
#[test]
fn a_submit_while_the_server_is_away_for_a_moment_is_stored() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        assert_eq!(result(&submitter, "echo first").await.body, "first");
        server.kill();
        until_is("a client that is away", false, async || {
            client.connection_state() == State::Connected
        })
        .await;
        let submitted = submitter.submit_and_wait(Job::new("echo second"), LONG);
        // It is asked for the first time while the server is away.
        let restarted = async { server.restart() };
        let (result, ()) = in_time(futures::future::join(submitted, restarted)).await;
        assert_eq!(result.unwrap().body, "second");
    });
}

/// Nobody knows whether the job is submitted: an error that says it is would be wrong.
#[test]
fn a_wait_that_is_over_before_the_job_is_stored_leaves_that_unknown() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let (used, unused) = (submitter(&client), submitter(&client));
        assert_eq!(result(&used, "echo first").await.body, "first");
        server.kill();
        for submitter in [used, unused] {
            let job = JobRequest::new(Job::new("echo")).id("mine");
            let unknown = in_time(submitter.submit_and_wait(job, millis(500))).await;
            let Err(SubmitError::Unknown { id, .. }) = unknown else {
                panic!("{unknown:?}");
            };
            assert_eq!(id.as_str(), "mine");
        }
    });
}
