//! Places for connections: as many as there may be, and whose is taken for the next one.

use std::{
    collections::HashMap,
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio_util::sync::CancellationToken;

use super::wire::Standing;

/// Between two looks for one that could go, while every connection has a request under way.
const LOOK: Duration = Duration::from_millis(100);

pub(super) struct Places {
    count: u32,
    free: Arc<Semaphore>,
    taken: Arc<Mutex<HashMap<u64, Taken>>>,
    next: AtomicU64,
}

struct Taken {
    standing: Arc<Standing>,
    wanted: CancellationToken,
}

impl Places {
    pub(super) fn new(count: usize) -> Self {
        Self {
            count: u32::try_from(count).unwrap_or(u32::MAX),
            free: Arc::new(Semaphore::new(count)),
            taken: Arc::default(),
            next: AtomicU64::new(0),
        }
    }

    /// A place; where all are taken, that of the connection that has been without a request for longest.
    pub(super) async fn take(&self) -> Place {
        let mut permit = self.free.clone().try_acquire_owned().ok();
        while permit.is_none() {
            self.want_one();
            let freed = tokio::time::timeout(LOOK, self.free.clone().acquire_owned()).await;
            permit = freed.ok().and_then(Result::ok);
        }
        let (standing, wanted) = (Arc::new(Standing::default()), CancellationToken::new());
        let id = self.next.fetch_add(1, Ordering::Relaxed);
        locked(&self.taken).insert(id, Taken { standing: standing.clone(), wanted: wanted.clone() });
        Place { id, standing, wanted, taken: self.taken.clone(), _permit: permit }
    }

    fn want_one(&self) {
        let taken = locked(&self.taken);
        let idle = taken.values().filter(|one| !one.wanted.is_cancelled());
        let longest = idle.filter_map(|one| Some((one.standing.waits_since()?, one))).min_by_key(|(since, _)| *since);
        if let Some((_, one)) = longest {
            one.wanted.cancel();
        }
    }

    /// Once every connection has ended.
    pub(super) async fn all_free(&self) {
        let _ = self.free.acquire_many(self.count).await;
    }
}

/// One connection's, until it is dropped.
pub(super) struct Place {
    id: u64,
    standing: Arc<Standing>,
    wanted: CancellationToken,
    taken: Arc<Mutex<HashMap<u64, Taken>>>,
    _permit: Option<OwnedSemaphorePermit>,
}

impl Place {
    pub(super) fn standing(&self) -> Arc<Standing> {
        self.standing.clone()
    }

    /// Once another connection needs it more.
    pub(super) async fn is_wanted(&self) {
        self.wanted.cancelled().await;
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        locked(&self.taken).remove(&self.id);
    }
}

fn locked<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::{super::wire::Answering, *};

    #[tokio::test]
    async fn the_place_of_the_one_that_waits_longest_is_taken_and_of_none_that_is_answered() {
        let places = Places::new(3);
        let answered = places.take().await;
        let _answering = Answering::begin(answered.standing());
        let older = places.take().await;
        let newer = places.take().await;
        let leaving = async {
            older.is_wanted().await;
            drop(older);
        };
        let (fourth, ()) = tokio::join!(places.take(), leaving);
        assert!(!answered.wanted.is_cancelled() && !newer.wanted.is_cancelled() && !fourth.wanted.is_cancelled());
    }
}
