//! The table, printed once.

use actix_process::monitor::MonitorHandle;
use futures::future::{try_join, try_join_all};

use super::Error;
use crate::config::Entry;
use crate::table::table;

/// Prints the table when all services are ready, those on demand by a lease.
pub async fn once(monitor: &MonitorHandle, entries: &[Entry]) -> Result<(), Error> {
    let (on_demand, always): (Vec<_>, Vec<_>) = entries.iter().partition(|entry| entry.on_demand);
    let ready = try_join_all(always.iter().map(|entry| monitor.ready(&entry.id)));
    let leases = try_join_all(on_demand.iter().map(|entry| monitor.lease(&entry.id)));
    let (_, _leases) = try_join(ready, leases).await?;
    for line in table(&monitor.all_with_usage().await?) {
        println!("{line}");
    }
    Ok(())
}
