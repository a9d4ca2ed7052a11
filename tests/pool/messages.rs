//! The same as by the handle, by messages to the pool's address.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Followed, Since};
use actix_process::pool::{Job, JobError, Pool, PoolError, PoolEventKind, PoolReported, messages};
use futures::StreamExt;

use crate::common::{in_time, run};

#[test]
fn a_pool_is_asked_by_messages() {
    run(async {
        let pool = Pool::new(crate::worker_py())
            .workers(1..=1)
            .start()
            .unwrap();
        let address = pool.addr();
        let mut events = in_time(address.send(messages::Events))
            .await
            .unwrap()
            .unwrap();
        let submit = |body: &'static str| messages::Submit {
            job: Job::new(body),
        };
        let answer = in_time(address.send(submit("echo hello"))).await.unwrap();
        assert_eq!(answer.unwrap(), "hello");
        let error = in_time(address.send(submit("nonsense no"))).await.unwrap();
        assert_eq!(error.unwrap_err(), JobError::Remote("no".into()));
        let stats = in_time(address.send(messages::Stats))
            .await
            .unwrap()
            .unwrap();
        assert_eq!((stats.outcomes.answered, stats.outcomes.remote), (1, 1));

        let session = in_time(pool.checkout()).await.unwrap();
        let (worker, since) = (session.worker(), Since::Start);
        drop(session);
        let follow = messages::Follow { worker, since };
        let mut lines = in_time(address.send(follow)).await.unwrap().unwrap();
        in_time(address.send(submit("print")))
            .await
            .unwrap()
            .unwrap();
        let line = in_time(lines.next()).await;
        assert!(
            matches!(line, Some(Followed::Line { .. } | Followed::Lagged { .. })),
            "{line:?}"
        );

        let command = crate::worker_py();
        in_time(address.send(messages::Reload { command }))
            .await
            .unwrap()
            .unwrap();
        let command = Command::new("/no/such/worker");
        let failed = in_time(address.send(messages::Reload { command }))
            .await
            .unwrap();
        assert!(
            matches!(failed, Err(PoolError::Reload { .. } | PoolError::Spec(_))),
            "{failed:?}"
        );

        let deadline = Duration::from_secs(20);
        let report = in_time(address.send(messages::Drain { deadline }))
            .await
            .unwrap();
        assert_eq!((report.killed, report.ended), (0, 0), "{report:?}");
        let mut kinds = Vec::new();
        while let Some(PoolReported::Event(event)) = in_time(events.next()).await {
            kinds.push(event.what);
        }
        assert!(kinds.contains(&PoolEventKind::Reloaded), "{kinds:?}");
        assert!(kinds.contains(&PoolEventKind::ShutdownBegan), "{kinds:?}");
    });
}

#[test]
fn a_full_queue_refuses_a_message_as_it_refuses_a_call() {
    run(async {
        let pool = Pool::new(crate::worker_py()).workers(1..=1).queue(0);
        let pool = pool.start().unwrap();
        let session = in_time(pool.checkout()).await.unwrap();
        let submit = || messages::Submit {
            job: Job::new("echo x"),
        };
        let full = in_time(pool.addr().send(submit())).await.unwrap();
        assert!(
            matches!(full, Err(JobError::QueueFull { limit: 0, .. })),
            "{full:?}"
        );
        let job = Job::new("x").arg("--toc");
        let wrong = in_time(pool.addr().send(messages::Submit { job }))
            .await
            .unwrap();
        assert!(matches!(wrong, Err(JobError::Protocol { .. })), "{wrong:?}");
        drop(session);
        let deadline = Duration::from_secs(20);
        let report = in_time(pool.addr().send(messages::Shutdown { deadline })).await;
        assert_eq!(report.unwrap().ended, 0);
    });
}
