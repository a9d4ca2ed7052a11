//! One service, from its start to the end of its monitor.

use std::time::Duration;

use actix_process::Command;
use actix_process::monitor::{Monitor, Service, ServiceState};

use crate::common::census::is_gone;
use crate::common::run;

#[test]
fn a_service_runs_until_the_shutdown() {
    run(async {
        let sleep = Service::new("sleep", Command::new("sleep").arg("600"));
        let monitor = Monitor::new().service(sleep).start().unwrap();
        monitor.ready("sleep").await.unwrap();
        let status = monitor.status("sleep").await.unwrap();
        assert_eq!(status.state, ServiceState::Running { ready: true });
        let pid = status.pid.unwrap();
        let report = monitor.shutdown(Duration::from_secs(60)).await;
        assert_eq!(report.clean, ["sleep"], "{report:?}");
        assert!(is_gone(pid));
    });
}
