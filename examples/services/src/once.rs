//! The table, printed once.

use actix_process::monitor::MonitorHandle;
use futures::future::{try_join, try_join_all};

use super::Error;
use crate::config::Entry;
use crate::table::table;

/// Prints the table when all services are ready, those on demand by a lease.
pub async fn once(monitor: &MonitorHandle, entries: &[Entry]) -> Result<(), Error> {
    let on_demand = entries.iter().filter(|entry| entry.on_demand);
    let leases = try_join_all(on_demand.map(|entry| monitor.lease(&entry.id)));
    let ((), _leases) = try_join(monitor.all_ready(), leases).await?;
    for line in table(&monitor.all_with_usage().await?) {
        println!("{line}");
    }
    Ok(())
}
