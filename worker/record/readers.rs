//! Who reads a stream's rows in their order and has yet to come to the newest: the low-water mark of retention.
//!
//! A row is deleted for its age only when every sink has settled it; what exceeds the store's size goes all the same, and is counted
//! here. Written by the sinks' threads, asked by the two that delete.

use super::queue::lock;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};

#[derive(Debug, Default)]
pub struct Readers {
    readers: Mutex<Vec<Arc<AtomicI64>>>,
    lost: AtomicU64,
}

impl Readers {
    /// One more, which has read up to `seq`; it writes there how far it has come since.
    pub(super) fn add(&self, seq: i64) -> Arc<AtomicI64> {
        let reader = Arc::new(AtomicI64::new(seq));
        lock(&self.readers).push(Arc::clone(&reader));
        reader
    }

    /// The highest `seq` that each has read; without any reader that of every row.
    pub(super) fn low_water(&self) -> i64 {
        lock(&self.readers).iter().map(|reader| reader.load(Ordering::Acquire)).min().unwrap_or(i64::MAX)
    }

    /// So many rows were deleted above that.
    pub(super) fn lose(&self, rows: u64) {
        self.lost.fetch_add(rows, Ordering::Relaxed);
    }

    pub(super) fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_slowest_reader_holds_the_mark() {
        let readers = Readers::default();
        assert_eq!(readers.low_water(), i64::MAX);
        let (slow, fast) = (readers.add(5), readers.add(5));
        fast.store(90, Ordering::Release);
        assert_eq!(readers.low_water(), 5);
        slow.store(100, Ordering::Release);
        assert_eq!(readers.low_water(), 90);
    }
}
