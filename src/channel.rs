//! How native threads leave something for the thread that waits for it.

use std::sync::{Arc, Mutex};

use crate::shared::lock;

/// Where items are left until somebody takes them all.
pub struct Channel<T = u64> {
    ready: Mutex<Vec<T>>,
    notify: Box<dyn Fn() + Send + Sync>,
}

impl<T> Channel<T> {
    /// `notify` is called, on any thread, when the first item is left: then somebody should
    /// [`Channel::take`].
    pub fn new(notify: impl Fn() + Send + Sync + 'static) -> Arc<Channel<T>> {
        Arc::new(Channel { ready: Mutex::default(), notify: Box::new(notify) })
    }

    /// What was left since the last call.
    pub fn take(&self) -> Vec<T> {
        std::mem::take(&mut *lock(&self.ready))
    }

    /// Leaves items, in this order.
    pub fn leave(&self, items: impl IntoIterator<Item = T>) {
        let was_empty = {
            let mut ready = lock(&self.ready);
            let was_empty = ready.is_empty();
            ready.extend(items);
            was_empty
        };
        if was_empty {
            (self.notify)();
        }
    }
}
