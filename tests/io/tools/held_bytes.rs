//! How much the crate holds of what it was given to write.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use actix_process::Bytes;

/// Counts the bytes of the chunks that are not dropped yet. A chunk is dropped when its last byte is
/// written, or lost; until then it counts as a whole.
#[derive(Clone, Default)]
pub struct HeldBytes {
    counts: Arc<Counts>,
}

#[derive(Default)]
struct Counts {
    held: AtomicUsize,
    most: AtomicUsize,
}

struct Entry {
    data: Vec<u8>,
    counts: Arc<Counts>,
}

impl HeldBytes {
    /// Bytes that count until they are dropped.
    pub fn chunk(&self, data: impl Into<Vec<u8>>) -> Bytes {
        let data = data.into();
        let counts = Arc::clone(&self.counts);
        let held = data.len() + counts.held.fetch_add(data.len(), Ordering::SeqCst);
        counts.most.fetch_max(held, Ordering::SeqCst);
        Bytes::from_owner(Entry { data, counts })
    }

    /// So many zeros.
    pub fn zeros(&self, length: usize) -> Bytes {
        self.chunk(vec![0; length])
    }

    /// How many bytes are held now.
    pub fn held(&self) -> usize {
        self.counts.held.load(Ordering::SeqCst)
    }

    /// How many bytes were held at most.
    pub fn most(&self) -> usize {
        self.counts.most.load(Ordering::SeqCst)
    }

    /// Waits until no more than `most` bytes are held.
    pub async fn shrinks_to(&self, most: usize) {
        crate::common::eventually(
            &format!("the queue to shrink to {most}"),
            || (self.held() <= most).then_some(()),
            || format!("{} bytes", self.held()),
        )
        .await;
    }
}

impl AsRef<[u8]> for Entry {
    fn as_ref(&self) -> &[u8] {
        &self.data
    }
}

impl Drop for Entry {
    fn drop(&mut self) {
        self.counts
            .held
            .fetch_sub(self.data.len(), Ordering::SeqCst);
    }
}
