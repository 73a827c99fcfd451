//! The thread that applies queued writes: one per process and store.
//!
//! It takes all that is queued, commits as many writes together as may share a commit, and answers
//! each. So the two syncs of a strict commit are paid once for all that came while the commit
//! before was being synced, and no JavaScript thread waits for the disk or for another process.
//! Writes are applied in the order in which they were queued.

use std::collections::VecDeque;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError, Weak};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use crate::batch::Batch;
use crate::checkpoint::Durability;
use crate::commit::{Committed, Work};
use crate::deadline::Deadline;
use crate::error::{Error, Result};
use crate::limits::{MAX_GROUP_BATCHES, MAX_QUEUED_BYTES, QUEUED_WRITE_BYTES};
use crate::shared::{Shared, lock};

/// The longest time between two looks of somebody who waits for the queue.
const LONGEST_LOOK: Duration = Duration::from_secs(1);

/// A write that owns what it writes, so that another thread can apply it.
pub trait Write: Send {
    /// The batch to apply. May be asked for more than once.
    fn batch(&self) -> Result<Batch<'_>>;
}

/// Called once with what became of a write, from the writer thread.
pub type Done = Box<dyn FnOnce(Result<Committed>) + Send>;

/// A queued write.
pub(crate) struct Job {
    agent: Box<str>,
    busy_timeout: Duration,
    durability: Durability,
    bytes: usize,
    write: Box<dyn Write>,
    done: Done,
    queued_at: Instant,
}

impl Job {
    pub fn new(
        agent: Box<str>,
        (busy_timeout, durability): (Duration, Durability),
        bytes: usize,
        write: Box<dyn Write>,
        done: Done,
    ) -> Job {
        let (bytes, queued_at) = (bytes + QUEUED_WRITE_BYTES, Instant::now());
        Job { agent, busy_timeout, durability, bytes, write, done, queued_at }
    }

    /// When it has waited long enough for other processes.
    fn deadline(&self) -> Deadline {
        Deadline::since(self.queued_at, self.busy_timeout)
    }
}

/// The queue, and the thread once there is something to write.
#[derive(Default)]
pub(crate) struct WriterThread {
    queue: Arc<Queue>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

/// What the last attempt to write has shown.
#[derive(Default)]
struct Manner {
    /// Another process kept the store.
    was_busy: bool,
    /// A write failed for a reason that keeps others from being written, too.
    refuses: bool,
}

#[derive(Default)]
struct Queue {
    state: Mutex<State>,
    arrived: Condvar,
    /// Some were answered.
    answered: Condvar,
    /// How many are queued and not answered, to be looked at without the lock.
    unanswered: AtomicUsize,
}

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Of all that is not answered yet.
    bytes: usize,
    queued_count: u64,
    answered_count: u64,
    is_stopped: bool,
}

impl WriterThread {
    /// Queues a write, after those that were queued before.
    pub fn submit(&self, store: &Arc<Shared>, job: Job) -> Result<()> {
        self.start(store)?;
        let mut state = lock(&self.queue.state);
        while state.bytes > MAX_QUEUED_BYTES && !state.is_stopped {
            state = wait(&self.queue.answered, state);
        }
        if state.is_stopped {
            return Err(Error::Closed);
        }
        // The thread sleeps only while there are none. To wake it is a call of the kernel.
        let was_empty = state.jobs.is_empty();
        state.bytes += job.bytes;
        state.queued_count += 1;
        self.queue.unanswered.fetch_add(1, Ordering::AcqRel);
        state.jobs.push_back(job);
        drop(state);
        if was_empty {
            self.queue.arrived.notify_one();
        }
        Ok(())
    }

    fn start(&self, store: &Arc<Shared>) -> Result<()> {
        let mut thread = lock(&self.thread);
        if thread.is_none() {
            let (queue, store) = (Arc::clone(&self.queue), Arc::downgrade(store));
            let started = std::thread::Builder::new()
                .name("commonhold-writer".into())
                .spawn(move || queue.run(&store))
                .map_err(|error| Error::io("could not start a thread", error))?;
            *thread = Some(started);
        }
        Ok(())
    }

    /// Waits until all that is queued now has been answered; every write has a deadline of its own.
    /// Returns at once on the thread itself, which may drop the last handle of a store.
    pub fn drain(&self) {
        self.drain_while(|| Some(LONGEST_LOOK));
    }

    /// As `drain`, for as long as `look` returns for how long to wait before it is asked again.
    /// Returns whether all was answered.
    pub fn drain_while(&self, look: impl Fn() -> Option<Duration>) -> bool {
        if self.queue.unanswered.load(Ordering::Acquire) == 0 || self.is_own_thread() {
            return true;
        }
        let mut state = lock(&self.queue.state);
        let last = state.queued_count;
        while state.answered_count < last {
            let Some(time) = look() else { return false };
            let waited = self.queue.answered.wait_timeout(state, time);
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        true
    }

    /// Ends the thread once everything queued is answered. The caller holds no lock that a commit
    /// takes.
    pub fn stop(&self) {
        lock(&self.queue.state).is_stopped = true;
        self.queue.arrived.notify_one();
        let is_own_thread = self.is_own_thread();
        if let Some(thread) = lock(&self.thread).take()
            && !is_own_thread
        {
            // The thread has nothing to report; a panic in it must not spread into a close.
            let _ = thread.join();
        }
    }

    fn is_own_thread(&self) -> bool {
        let own = std::thread::current().id();
        lock(&self.thread).as_ref().is_some_and(|thread| thread.thread().id() == own)
    }
}

impl Queue {
    fn run(&self, store: &Weak<Shared>) {
        let mut manner = Manner::default();
        loop {
            let mut state = lock(&self.state);
            while state.jobs.is_empty() {
                if state.is_stopped {
                    return;
                }
                state = wait(&self.arrived, state);
            }
            let jobs: Vec<Job> = state.jobs.drain(..).collect();
            drop(state);
            match store.upgrade() {
                Some(store) => self.write(&store, jobs, &mut manner),
                None => self.answer(jobs.into_iter().map(|job| (job, Err(Error::Closed)))),
            }
        }
    }

    fn write(&self, store: &Shared, jobs: Vec<Job>, manner: &mut Manner) {
        let mut jobs: VecDeque<Job> = jobs.into();
        while !jobs.is_empty() {
            // A panic must not leave those that wait for an answer, or for the thread, waiting.
            let attempt = AssertUnwindSafe(|| commit_some(store, &jobs, manner));
            let results = catch_unwind(attempt).unwrap_or_else(|_| panicked(&jobs));
            let answered: Vec<Job> = jobs.drain(..results.len().min(jobs.len())).collect();
            self.answer(answered.into_iter().zip(results));
        }
    }

    fn answer(&self, answers: impl Iterator<Item = (Job, Result<Committed>)>) {
        let (mut count, mut bytes) = (0, 0);
        for (job, result) in answers {
            count += 1;
            bytes += job.bytes;
            (job.done)(result);
        }
        let mut state = lock(&self.state);
        state.answered_count += count;
        self.unanswered.fetch_sub(count as usize, Ordering::AcqRel);
        state.bytes -= bytes;
        drop(state);
        self.answered.notify_all();
    }
}

/// Commits the first jobs; returns the results of so many, at least one.
fn commit_some(
    store: &Shared,
    jobs: &VecDeque<Job>,
    manner: &mut Manner,
) -> Vec<Result<Committed>> {
    let mut batches = Vec::new();
    // One will do to learn whether the store takes writes again.
    let most = if manner.refuses { 1 } else { MAX_GROUP_BATCHES };
    for job in jobs.iter().take(most) {
        match job.write.batch() {
            Ok(batch) => batches.push((&*job.agent, batch, job.durability)),
            Err(error) if batches.is_empty() => return vec![Err(error)],
            // Those before it come first.
            Err(_) => break,
        }
    }
    let works: Vec<Work> = batches
        .iter()
        .map(|(agent, batch, durability)| Work { agent, batch, durability: *durability })
        .collect();
    let Some(first) = jobs.front() else { return Vec::new() };
    // What waited while nobody could write has waited for that long already; what waited only for
    // writes of this process before it has not.
    let deadline =
        if manner.was_busy { first.deadline() } else { Deadline::after(first.busy_timeout) };
    let result = store.commit_group(&deadline, &works);
    manner.was_busy = matches!(result, Err(Error::Busy { .. }));
    let results = result.unwrap_or_else(|error| vec![Err(error)]);
    manner.refuses = matches!(results.as_slice(), [Err(error)] if is_of_the_store(error));
    results
}

/// Whether the writes behind one that failed so will hardly do better, so that to apply them
/// together with it were in vain.
fn is_of_the_store(error: &Error) -> bool {
    matches!(
        error,
        Error::Busy { .. }
            | Error::Closed
            | Error::Io { .. }
            | Error::NoSpace(_)
            | Error::Poisoned(_)
            | Error::StoreFull
    )
}

/// What is said to all those that may have been in the commit: nobody knows what became of it.
fn panicked(jobs: &VecDeque<Job>) -> Vec<Result<Committed>> {
    let error = || Error::io("a bug in commonhold", std::io::Error::other("a write panicked"));
    jobs.iter().take(MAX_GROUP_BATCHES).map(|_| Err(error())).collect()
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use std::sync::mpsc;

    use super::*;
    use crate::limits::MAX_HANDLES;
    use crate::{OpenOptions, Store, Ttl};

    /// Writes an entry of a namespace.
    struct SetIn(String);

    impl Write for SetIn {
        fn batch(&self) -> Result<Batch<'_>> {
            let mut batch = Batch::new();
            let namespace = batch.namespace(&self.0)?;
            batch.set(namespace, "k", &[1], Ttl::Never, None)?;
            Ok(batch)
        }
    }

    #[test]
    fn queued_writes_that_need_a_recycling_wait_for_a_backup() {
        let dir = tempfile::tempdir().unwrap();
        let path = Some(dir.path().join("store"));
        let store = Store::open(&OpenOptions { path, ..OpenOptions::default() }).unwrap();
        let (answer, answers) = mpsc::channel();
        let count = 2 * MAX_HANDLES;
        let submit_all = || {
            for number in 0..count {
                let answer = answer.clone();
                let done = Box::new(move |result| answer.send(result).unwrap());
                store.submit(1, Box::new(SetIn(format!("n{number}"))), done).unwrap();
            }
        };
        let backup = store.session.pin().unwrap();
        submit_all();
        let mut answered = 0;
        // Long enough for a write that does not wait; one that does is answered afterwards.
        while let Ok(result) = answers.recv_timeout(Duration::from_millis(100)) {
            result.unwrap();
            answered += 1;
        }
        assert!(answered < count, "nothing was recycled");
        drop(backup);
        for _ in answered..count {
            answers.recv().unwrap().unwrap();
        }
    }
}
