//! Who reads results has them all, in the order of the stream, though the connection breaks.

use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

use actix_process::nats::{JobRequest, Results};
use actix_process::pool::Job;
use async_nats::Client;
use futures::StreamExt;

use crate::common::in_time;
use crate::tools::jetstream::messages;
use crate::tools::proxy::Proxy;
use crate::tools::server::connect;
use crate::tools::worker::workers;
use crate::tools::{feed, on_server, submitter, until, until_is};

/// The ids of the next results.
async fn next(results: &mut Results, count: usize) -> Vec<String> {
    let mut ids = Vec::new();
    for _ in 0..count {
        let result = in_time(results.next()).await;
        ids.push(result.unwrap().id.to_string());
    }
    ids
}

async fn submit(client: &Client, ids: [&str; 3]) {
    for id in ids {
        let job = JobRequest::new(Job::new("echo")).id(id);
        in_time(submitter(client).submit(job)).await.unwrap();
    }
}

/// What the server has written into a connection counts as delivered, whoever has got it.
#[test]
fn results_that_a_dying_connection_swallows_come_by_the_next_one() {
    on_server(async |server| {
        let client = server.client().await;
        let pool = workers(1);
        let _feed = feed(client.clone()).start(&pool).await.unwrap();
        let proxy = Proxy::start(server.port());
        let through = connect(&proxy.url()).await;
        let reader = submitter(&through);
        let mut results = in_time(reader.results()).await.unwrap();
        submit(&client, ["a", "b", "c"]).await;
        let mut ids = next(&mut results, 3).await;
        proxy.swallow();
        submit(&client, ["d", "e", "f"]).await;
        until("three results that are lost", async || {
            let swallowed = proxy.swallowed();
            match swallowed.matches("Job-Status").count() {
                3 => Ok(()),
                _ => Err(swallowed),
            }
        })
        .await;
        proxy.cut();
        // The request of the reader lives on, and brings the next results.
        let connects = || through.statistics().connects.load(Ordering::Relaxed);
        until_is("a client that is back", true, async || connects() > 1).await;
        in_time(through.flush()).await.unwrap();
        submit(&client, ["g", "h", "i"]).await;
        ids.extend(next(&mut results, 6).await);
        let stored = messages(&client, "JOBS_RESULTS").await;
        let stored: Vec<_> = stored.iter().map(|it| it.header("Job-Id")).collect();
        assert_eq!(ids, stored);
        assert_eq!(ids.iter().collect::<BTreeSet<_>>().len(), 9);
    });
}
