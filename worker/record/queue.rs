//! Between the recorder's loop and a thread that writes: jobs one way, replies the other.
//!
//! The loop never waits here and reads its channels at any bound: each worker sends no more of a stream than its window without an
//! acknowledgement, so what waits is at most the windows of all workers. Each job states its cost; where those that wait or are being
//! worked on reach the bound, the loop saves no documents until it is woken, at half of it. Nothing is dropped. To wake a thread costs
//! more than most jobs: only an urgent job does, or a queue that is half full.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// What a job adds to the queue's bound, in a unit that the queue's owner chooses: bytes, or 1.
pub trait Cost {
    /// The cost of this one; it never changes.
    fn cost(&self) -> usize;

    /// Whether it ends [`Queue::take`].
    fn is_urgent(&self) -> bool {
        true
    }
}

#[derive(Debug)]
struct Waiting<J> {
    jobs: Vec<J>,
    /// Whether the thread waits: else a notification, which is a call of the kernel, would be for nothing.
    sleeps: bool,
    /// Whether the thread is to see them now.
    urgent: bool,
}

#[derive(Debug)]
pub struct Queue<J, R> {
    jobs: Mutex<Waiting<J>>,
    arrived: Condvar,
    /// The cost of what waits or is being worked on.
    held: AtomicUsize,
    limit: usize,
    replies: Mutex<Vec<R>>,
}

impl<J: Cost, R> Queue<J, R> {
    /// An empty queue that is full at `limit`.
    pub fn new(limit: usize) -> Self {
        Queue {
            jobs: Mutex::new(Waiting { jobs: Vec::new(), sleeps: false, urgent: false }),
            arrived: Condvar::new(),
            held: AtomicUsize::new(0),
            limit,
            replies: Mutex::new(Vec::new()),
        }
    }

    /// The loop: adds jobs and empties `jobs`. It takes them at any bound: a loop that finds the queue full has read too much already.
    pub fn push(&self, jobs: &mut Vec<J>) {
        if jobs.is_empty() {
            return;
        }
        let cost: usize = jobs.iter().map(Cost::cost).sum();
        let held = self.held.fetch_add(cost, Ordering::AcqRel) + cost;
        let urgent = held > self.limit / 2 || jobs.iter().any(Cost::is_urgent);
        let mut waiting = lock(&self.jobs);
        waiting.jobs.append(jobs);
        waiting.urgent |= urgent;
        let sleeps = waiting.sleeps;
        drop(waiting);
        if sleeps && urgent {
            self.arrived.notify_one();
        }
    }

    pub fn held(&self) -> usize {
        self.held.load(Ordering::Acquire)
    }

    /// The loop: whether to add what can wait.
    pub fn is_full(&self) -> bool {
        self.held() >= self.limit
    }

    /// The thread: moves all that comes until then to `into`, or less once an urgent job is among it.
    pub fn take(&self, into: &mut Vec<J>, until: Instant) {
        let mut waiting = lock(&self.jobs);
        while !waiting.urgent {
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                break;
            }
            waiting.sleeps = true;
            waiting = self.arrived.wait_timeout(waiting, left).unwrap_or_else(PoisonError::into_inner).0;
            waiting.sleeps = false;
        }
        waiting.urgent = false;
        into.append(&mut waiting.jobs);
    }

    /// The thread: jobs of this cost are done; whether the loop must be woken because there is room again.
    pub fn done(&self, cost: usize) -> bool {
        let half = self.limit / 2;
        let before = self.held.fetch_sub(cost, Ordering::AcqRel);
        before > half && before - cost <= half
    }

    /// The thread: hands replies over and empties `replies`.
    pub fn reply(&self, replies: &mut Vec<R>) {
        lock(&self.replies).append(replies);
    }

    /// The thread: whether the loop has yet to take such a reply.
    pub fn has_reply(&self, wanted: impl Fn(&R) -> bool) -> bool {
        lock(&self.replies).iter().any(wanted)
    }

    /// The loop: takes the replies.
    pub fn replies(&self, into: &mut Vec<R>) {
        into.append(&mut lock(&self.replies));
    }
}

/// A lock whose holder panicked is still good: nothing here is left half done.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    impl Cost for usize {
        fn cost(&self) -> usize {
            *self
        }
    }

    proptest! {
        #[test]
        fn everything_comes_out_in_order_and_the_loop_is_woken_once_at_half(costs in prop::collection::vec(1usize..20, 1..60)) {
            let queue: Queue<usize, ()> = Queue::new(100);
            queue.push(&mut costs.clone());
            let sum: usize = costs.iter().sum();
            prop_assert_eq!(queue.held(), sum);
            prop_assert_eq!(queue.is_full(), sum >= 100);
            let mut taken = Vec::new();
            queue.take(&mut taken, Instant::now());
            let woken = taken.iter().filter(|cost| queue.done(**cost)).count();
            prop_assert_eq!(woken, usize::from(sum > 50));
            prop_assert_eq!(queue.held(), 0);
            prop_assert_eq!(taken, costs);
        }
    }

    #[test]
    fn a_job_wakes_the_thread_and_a_reply_reaches_the_loop() {
        let queue: Queue<usize, u8> = Queue::new(10);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let mut jobs = Vec::new();
                queue.take(&mut jobs, Instant::now() + std::time::Duration::from_secs(20));
                assert_eq!(jobs, [3]);
                queue.reply(&mut vec![7]);
            });
            queue.push(&mut vec![3]);
        });
        let mut replies = Vec::new();
        assert!(queue.has_reply(|_| true));
        queue.replies(&mut replies);
        assert_eq!(replies, [7]);
    }
}
