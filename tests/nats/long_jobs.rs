//! A job may take longer than the ack wait: no other host gets it meanwhile.

use std::time::Duration;

use crate::common::in_time;
use crate::tools::jetstream::{consumer_info, messages};
use crate::tools::worker::workers;
use crate::tools::{LONG, Signs, feed, on_server, stats, submit, submitter};

const ACK_WAIT: Duration = Duration::from_secs(2);

/// Two hosts, and two jobs of this one's that last longer than three ack waits: one that runs, and one that waits for its worker.
#[test]
fn a_job_that_takes_three_ack_waits_runs_once() {
    on_server(async |server| {
        let client = server.client().await;
        let (pool, other_pool) = (workers(1), workers(1));
        let feed_here = feed(client.clone())
            .ack_wait(ACK_WAIT)
            .prefetch(1)
            .start(&pool)
            .await
            .unwrap();
        let (signs, submitter) = (Signs::new(), submitter(&client));
        let time = (ACK_WAIT * 3).as_millis();
        submit(
            &submitter,
            format!("{} sleep {time} echo long", signs.logs("long")),
        )
        .await;
        submit(&submitter, format!("{} echo waited", signs.logs("waited"))).await;
        stats(&feed_here, "both jobs", |stats| stats.fetched == 2).await;
        let other = feed(server.client().await)
            .ack_wait(ACK_WAIT)
            .start(&other_pool)
            .await
            .unwrap();
        let stats = stats(&feed_here, "both results", |stats| stats.done == 2).await;
        assert_eq!(
            (stats.fetched, stats.duplicates, stats.again),
            (2, 0, 0),
            "{stats:?}"
        );
        assert_eq!(other.stats().fetched, 0);
        assert_eq!(signs.log(), ["long", "waited"]);
        let info = consumer_info(&client).await;
        assert_eq!(info["num_redelivered"], 0, "{info}");
        for result in messages(&client, "JOBS_RESULTS").await {
            assert_eq!(result.header("Job-Attempts"), "1");
        }
        in_time(other.stop(LONG)).await;
    });
}
