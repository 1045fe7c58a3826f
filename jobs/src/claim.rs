use std::{
    collections::HashSet,
    sync::{Arc, Mutex, PoisonError},
};

/// A row this worker has claimed: apalis hands it to the handler as the task's argument.
#[derive(Debug)]
pub(crate) struct Claim {
    pub(crate) id: String,
    pub(crate) payload: Vec<u8>,
    /// The number of this start, which is also the fence: the row's `attempts` while it is ours.
    pub(crate) attempt: i32,
    pub(crate) max_attempts: i32,
    pub(crate) _held: Held,
}

/// The rows this worker knows to be its own. What the table calls its own beyond these was claimed by
/// a statement whose answer got lost, and goes back at the next heartbeat.
#[derive(Debug, Clone, Default)]
pub(crate) struct Holdings(Arc<Mutex<HashSet<String>>>);

impl Holdings {
    pub(crate) fn hold(&self, id: &str) -> Held {
        self.with(|ids| ids.insert(id.to_owned()));
        Held { holdings: self.clone(), id: id.to_owned() }
    }

    pub(crate) fn ids(&self) -> Vec<String> {
        self.with(|ids| ids.iter().cloned().collect())
    }

    fn with<T>(&self, act: impl FnOnce(&mut HashSet<String>) -> T) -> T {
        act(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Keeps one id among the [`Holdings`] until it is dropped, however its run ends.
#[derive(Debug)]
pub(crate) struct Held {
    holdings: Holdings,
    id: String,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.holdings.with(|ids| ids.remove(&self.id));
    }
}
