//! Lanes whose requests fail as a whole though the backend is well: one of their documents is to blame.

use std::{
    collections::HashMap,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::db::lane::{Lane, Lease};

/// How many rows to send at one time in lanes where not all go.
#[derive(Default)]
pub(super) struct Careful(Mutex<HashMap<Lane, usize>>);

impl Careful {
    fn lanes(&self) -> MutexGuard<'_, HashMap<Lane, usize>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Rows to send at one time.
    pub(super) fn max_rows(&self, lease: &Lease, usual: usize) -> usize {
        let lanes = self.lanes();
        lease.each().filter_map(|lane| lanes.get(&lane).copied()).min().unwrap_or(usual)
    }

    /// A request of `rows` rows failed: half of them at a time, until the one to blame is alone.
    pub(super) fn failed(&self, lease: &Lease, rows: usize) {
        self.lanes().extend(lease.each().map(|lane| (lane, (rows / 2).max(1))));
    }

    /// A request was answered: twice as many the next time, until all go again.
    pub(super) fn succeeded(&self, lease: &Lease, usual: usize) {
        let mut lanes = self.lanes();
        for lane in lease.each() {
            if let Some(rows) = lanes.get_mut(&lane) {
                *rows *= 2;
                if *rows >= usual {
                    lanes.remove(&lane);
                }
            }
        }
    }
}
