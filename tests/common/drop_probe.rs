//! Looking at what the crate does with bytes.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Bytes that tell when they are dropped.
pub struct DropProbe(pub Vec<u8>, pub Arc<AtomicBool>);

impl AsRef<[u8]> for DropProbe {
    fn as_ref(&self) -> &[u8] {
        &self.0
    }
}

impl Drop for DropProbe {
    fn drop(&mut self) {
        self.1.store(true, Ordering::SeqCst);
    }
}
