//! Questions about what a protocol was told.

use actix_process::ProcessEvent;

pub fn count(events: &[ProcessEvent], wanted: impl Fn(&ProcessEvent) -> bool) -> usize {
    events.iter().filter(|event| wanted(event)).count()
}

pub fn is_lost(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::ChildConnectionLost { .. })
}

pub fn is_end(event: &ProcessEvent) -> bool {
    matches!(event, ProcessEvent::ProcessEnded { .. })
}
