//! Search units: spent from memory, out of reservations that are made ahead and written down afterwards.
//!
//! What a front end holds counts as used before it is spent, so no plan is ever passed; what it doesn't spend it gives back, at the
//! latest when it stops. One that is killed loses what it held, one reservation for each organization, and nothing is charged twice.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::db::quota::{
    Month,
    reservation::{self, Grant, Reserved},
};

/// Units of an organization's first grant; each that is used up quickly is followed by one of twice its size.
const FIRST: i64 = 10;
const LARGEST: i64 = 2000;
/// What is quick: about as often as this an organization that searches all the time is granted units.
const QUICK: Duration = Duration::from_secs(2);
/// How often what was spent is written down.
const WRITTEN_EVERY: Duration = Duration::from_secs(1);
/// After how long without a search units are given back.
const IDLE: Duration = Duration::from_secs(5);
/// For how long a refusal is believed: a top-up or another plan shows after it.
const REFUSED_FOR: Duration = Duration::from_secs(1);

/// The units that one front end holds, by organization.
pub struct Permits {
    pool: PgPool,
    accounts: Mutex<HashMap<Uuid, Arc<Account>>>,
}

/// Why there are no units.
#[derive(Debug)]
pub enum Denied {
    Quota(Month),
    Database(sqlx::Error),
}

impl Permits {
    pub fn new(pool: PgPool) -> Self {
        Self { pool, accounts: Mutex::default() }
    }

    /// Takes `units` of an organization: from memory where they are held, else out of its month.
    pub async fn take(&self, organization_id: Uuid, units: i64) -> Result<Permit, Denied> {
        let account = lock(&self.accounts)
            .entry(organization_id)
            .or_insert_with(|| Arc::new(Account { organization_id, ..Account::default() }))
            .clone();
        if let Some(taken) = account.take(units) {
            account.refill_ahead(&self.pool);
            return taken;
        }
        let _alone = account.reserving.lock().await;
        match account.take(units) {
            Some(taken) => taken,
            None => account.reserve_and_take(&self.pool, units).await,
        }
    }

    /// Writes down what is spent and gives back what idles, until `shutdown`; then gives back everything.
    pub async fn keep(&self, shutdown: CancellationToken) {
        loop {
            let stopping = tokio::time::timeout(WRITTEN_EVERY, shutdown.cancelled()).await.is_ok();
            if let Err(error) = self.write_down(stopping).await {
                tracing::warn!(%error, "could not write down what searches have used");
            }
            if stopping {
                return;
            }
        }
    }

    async fn write_down(&self, stopping: bool) -> Result<(), sqlx::Error> {
        let accounts: Vec<Arc<Account>> = lock(&self.accounts).values().cloned().collect();
        let mut renewed = Vec::new();
        for account in &accounts {
            // Not while more is put into what is about to end.
            let _alone = account.reserving.lock().await;
            let ended = {
                let mut state = lock(&account.state);
                let now = Instant::now();
                let ended: Vec<Held> = state.held.extract_if(.., |held| held.has_ended(now, stopping)).collect();
                renewed.extend(state.held.iter().map(|held| (held.id, held.spent)));
                ended
            };
            for held in ended {
                if let Err(error) = reservation::end(&self.pool, account.organization_id, held.id, held.spent).await {
                    lock(&account.state).held.push(held);
                    return Err(error);
                }
            }
        }
        if !renewed.is_empty() {
            reservation::renew(&self.pool, &renewed).await?;
        }
        drop(accounts);
        lock(&self.accounts)
            .retain(|_, account| Arc::strong_count(account) > 1 || !lock(&account.state).held.is_empty());
        Ok(())
    }
}

/// What is held of one organization.
#[derive(Default)]
struct Account {
    organization_id: Uuid,
    /// Held while units are reserved: the searches behind the first want the same ones.
    reserving: tokio::sync::Mutex<()>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// The last is the one that is taken from; those before it end with their month.
    held: Vec<Held>,
    refused: Option<Refused>,
    refilling: bool,
}

/// A reservation. What is left, what is spent and what is in use are together its units.
struct Held {
    id: Uuid,
    units: i64,
    left: i64,
    spent: i64,
    /// The grant that came last.
    grant: Grant,
    granted: Instant,
    used: Instant,
    month_ends: Instant,
}

#[derive(Clone, Copy)]
struct Refused {
    month: Month,
    units: i64,
    until: Instant,
}

impl Held {
    fn has_ended(&self, now: Instant, stopping: bool) -> bool {
        let in_use = self.units - self.left - self.spent > 0;
        stopping || (!in_use && (now >= self.month_ends || now >= self.used + IDLE))
    }

    /// Units to be granted next.
    fn wanted(&self, now: Instant) -> i64 {
        if now < self.granted + QUICK { (2 * self.grant.units).min(LARGEST) } else { FIRST }
    }
}

impl Account {
    /// `None`: it must be reserved first.
    fn take(self: &Arc<Self>, units: i64) -> Option<Result<Permit, Denied>> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if let Some(held) = state.held.last_mut()
            && held.left >= units
            && now < held.month_ends
        {
            held.left -= units;
            held.used = now;
            let Month { used, .. } = held.grant.month;
            let month = Month { used: used - held.left, ..held.grant.month };
            return Some(Ok(Permit { account: self.clone(), reservation: held.id, units, month }));
        }
        let refused = state.refused.filter(|refused| units >= refused.units && now < refused.until)?;
        Some(Err(Denied::Quota(refused.month)))
    }

    /// Reserves more in the background while there is still some, so that few searches wait for it.
    fn refill_ahead(self: &Arc<Self>, pool: &PgPool) {
        {
            let mut state = lock(&self.state);
            let is_low = state.held.last().is_some_and(|held| held.left < held.grant.units / 4);
            if !is_low || state.refilling {
                return;
            }
            state.refilling = true;
        }
        let (account, pool) = (self.clone(), pool.clone());
        tokio::spawn(async move {
            let _alone = account.reserving.lock().await;
            // Where it fails, whoever needs the units is told.
            if let Err(error) = account.reserve(&pool, 1).await {
                tracing::debug!(%error, "could not reserve search units ahead");
            }
            lock(&account.state).refilling = false;
        });
    }

    async fn reserve_and_take(self: &Arc<Self>, pool: &PgPool, units: i64) -> Result<Permit, Denied> {
        let held = lock(&self.state).held.last().map_or(0, |held| held.left);
        self.reserve(pool, (units - held).max(1)).await.map_err(Denied::Database)?;
        self.take(units).unwrap_or_else(|| Err(Denied::Database(sqlx::Error::PoolTimedOut)))
    }

    /// Called by one at a time.
    async fn reserve(&self, pool: &PgPool, needed: i64) -> Result<(), sqlx::Error> {
        let asked = Instant::now();
        let (into, wanted) = match lock(&self.state).held.last() {
            Some(held) => (Some(held.id), held.wanted(asked)),
            None => (None, FIRST),
        };
        let reserved = reservation::reserve(pool, self.organization_id, into, needed, wanted).await?;
        let mut state = lock(&self.state);
        match reserved {
            Reserved::Yes(grant) => {
                let lasts = u64::try_from(grant.month.resets_in_seconds).unwrap_or(0);
                let month_ends = asked + Duration::from_secs(lasts);
                state.refused = None;
                match state.held.last_mut().filter(|held| held.id == grant.id) {
                    Some(held) => {
                        held.units += grant.units;
                        held.left += grant.units;
                        (held.grant, held.granted) = (grant, asked);
                    }
                    None => state.held.push(Held {
                        id: grant.id,
                        units: grant.units,
                        left: grant.units,
                        spent: 0,
                        grant,
                        granted: asked,
                        used: asked,
                        month_ends,
                    }),
                }
            }
            Reserved::QuotaExceeded(month) => {
                let held = state.held.last().map_or(0, |held| held.left);
                state.refused = Some(Refused { month, units: needed + held, until: asked + REFUSED_FOR });
            }
        }
        Ok(())
    }
}

/// Units taken for searches under way. Dropped, they are given back; [`Permit::spend`] spends them.
pub struct Permit {
    account: Arc<Account>,
    reservation: Uuid,
    units: i64,
    month: Month,
}

impl Permit {
    /// Spends so many of the units and gives the others back; the month with them used.
    pub fn spend(mut self, units: i64) -> Month {
        self.units -= units;
        self.with_held(|held| held.spent += units);
        self.month
    }

    /// Spends all of them.
    pub fn spend_all(self) -> Month {
        let units = self.units;
        self.spend(units)
    }

    fn with_held(&self, act: impl FnOnce(&mut Held)) {
        if let Some(held) = lock(&self.account.state).held.iter_mut().find(|held| held.id == self.reservation) {
            act(held);
        }
    }
}

impl Drop for Permit {
    fn drop(&mut self) {
        let units = self.units;
        self.with_held(|held| held.left += units);
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
