//! The thread that applies queued writes: one per process and store.
//!
//! It takes all that is queued, commits as many writes together as may share a commit, and answers
//! each. So the two syncs of a strict commit are paid once for all that came while the commit
//! before was being synced, and no JavaScript thread waits for the disk or for another process.
//! Writes are applied in the order in which they were queued.

use std::collections::VecDeque;
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

    /// Waits until all that is queued now has been answered. Returns at once on the thread itself,
    /// which may drop the last handle of a store.
    pub fn drain(&self) {
        if self.queue.unanswered.load(Ordering::Acquire) == 0 || self.is_own_thread() {
            return;
        }
        let mut state = lock(&self.queue.state);
        let last = state.queued_count;
        while state.answered_count < last {
            state = wait(&self.queue.answered, state);
        }
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
        let mut was_busy = false;
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
                Some(store) => self.write(&store, jobs, &mut was_busy),
                None => self.answer(jobs.into_iter().map(|job| (job, Err(Error::Closed)))),
            }
        }
    }

    fn write(&self, store: &Shared, jobs: Vec<Job>, was_busy: &mut bool) {
        let mut jobs: VecDeque<Job> = jobs.into();
        while !jobs.is_empty() {
            let results = commit_some(store, &jobs, was_busy);
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
    was_busy: &mut bool,
) -> Vec<Result<Committed>> {
    let mut batches = Vec::new();
    for job in jobs.iter().take(MAX_GROUP_BATCHES) {
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
    let deadline = if *was_busy { first.deadline() } else { Deadline::after(first.busy_timeout) };
    let result = store.commit_group(&deadline, &works);
    *was_busy = matches!(result, Err(Error::Busy { .. }));
    match result {
        Ok(results) => results,
        Err(error) => vec![Err(error)],
    }
}

fn wait<'a, T>(condition: &Condvar, guard: MutexGuard<'a, T>) -> MutexGuard<'a, T> {
    condition.wait(guard).unwrap_or_else(PoisonError::into_inner)
}
