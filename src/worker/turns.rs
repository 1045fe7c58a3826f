//! Long work beside everything else, one task at a time for each thing that is worked on.

use std::{
    collections::HashSet,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use tokio::task::JoinSet;
use uuid::Uuid;

/// What is in hand in this process.
#[derive(Default)]
pub(super) struct Turns {
    in_hand: Arc<Mutex<HashSet<Uuid>>>,
    tasks: Mutex<JoinSet<()>>,
}

/// A thing in hand, until this is dropped.
struct InHand {
    things: Arc<Mutex<HashSet<Uuid>>>,
    id: Uuid,
}

impl Drop for InHand {
    fn drop(&mut self) {
        lock(&self.things).remove(&self.id);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Turns {
    /// Does `work` for a thing, unless that is in hand already.
    pub(super) fn take(&self, id: Uuid, work: impl Future<Output = ()> + Send + 'static) {
        if !lock(&self.in_hand).insert(id) {
            return;
        }
        let in_hand = InHand { things: self.in_hand.clone(), id };
        let mut tasks = lock(&self.tasks);
        while tasks.try_join_next().is_some() {}
        tasks.spawn(async move {
            let _in_hand = in_hand;
            work.await;
        });
    }

    /// Waits until what is under way has ended.
    pub(super) async fn ended(&self) {
        let tasks = std::mem::take(&mut *lock(&self.tasks));
        tasks.join_all().await;
    }
}
