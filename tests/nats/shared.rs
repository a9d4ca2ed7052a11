//! A feed shares its pool with other jobs, and takes what they leave.

use actix_process::pool::Job;

use crate::common::in_time;
use crate::tools::jetstream::count;
use crate::tools::worker::pool;
use crate::tools::{LONG, Signs, feed, on_server, stats, submit, submitter, until_is};

#[test]
fn jobs_run_on_the_workers_that_others_leave_while_a_long_one_of_the_feed_runs() {
    on_server(async |server| {
        let client = server.client().await;
        let (others, long) = (Signs::new(), Signs::new());
        let pool = pool(4).queue(4).start().unwrap();
        // All places but one.
        let theirs: Vec<_> = (0..7)
            .map(|_| pool.submit(Job::new(others.waits("other", ""))))
            .collect();
        others.logged(4).await;
        let feed = feed(client.clone()).start(&pool).await.unwrap();
        let submitter = submitter(&client);
        submit(&submitter, long.waits("long", "")).await;
        stats(&feed, "the long job", |stats| stats.fetched == 1).await;
        for _ in 0..20 {
            submit(&submitter, "echo done").await;
        }
        others.go();
        for other in theirs {
            in_time(other).await.unwrap();
        }
        until_is("20 results", 20, async || {
            count(&client, "JOBS_RESULTS").await
        })
        .await;
        assert_eq!(long.log(), ["long"]);
        assert_eq!(feed.stats().running, 1);
        long.go();
        let report = in_time(feed.stop(LONG)).await;
        assert_eq!(report.given_back, 0);
    });
}
