//! Who wants an index's order alone waits here, before it takes a connection: in the database each would hold one, and the writes of
//! one index could take all that a front end has.

use std::{
    collections::HashMap,
    sync::{Arc, LazyLock, Mutex, PoisonError},
};

use tokio::sync::OwnedMutexGuard;
use uuid::Uuid;

/// Of this process; a turn that nobody holds or waits for is forgotten by the next who comes.
static TURNS: LazyLock<Mutex<HashMap<Uuid, Arc<tokio::sync::Mutex<()>>>>> = LazyLock::new(Mutex::default);

/// The turn of one writer, until it is dropped; first come, first served.
pub(super) async fn wait(index_id: Uuid) -> OwnedMutexGuard<()> {
    let turn = {
        let mut turns = TURNS.lock().unwrap_or_else(PoisonError::into_inner);
        turns.retain(|_, turn| Arc::strong_count(turn) > 1);
        turns.entry(index_id).or_default().clone()
    };
    turn.lock_owned().await
}
