//! Search units: spent from memory, out of reservations that are made ahead and written down afterwards.
//!
//! What a front end holds counts as used before it is spent, so no plan is ever passed; what it doesn't spend it gives back, at the
//! latest when it stops. One that is killed loses what it held, one reservation for each organization, and nothing is charged twice.

use std::{
    collections::HashMap,
    mem,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use metrics::counter;
use sqlx::PgPool;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::{
    db::quota::{
        Month,
        reservation::{self, Grant, Reserved},
    },
    metrics::QUOTA_UNITS,
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
/// How often the missing units of a search are reserved before all of them are.
const ATTEMPTS: u32 = 4;
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
        let mut attempts = 0;
        loop {
            if let Some(taken) = account.take(units) {
                return taken;
            }
            // Others take from what is held meanwhile; in the end all of the units are asked for, which nobody can take before.
            attempts += 1;
            let held = if attempts < ATTEMPTS { account.left().min(units - 1) } else { 0 };
            if let Some(taken) = account.reserve(&self.pool, units - held, units).await? {
                return taken;
            }
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

    /// One organization's trouble is not the others': what fails is tried again the next time.
    async fn write_down(&self, stopping: bool) -> Result<(), sqlx::Error> {
        let accounts: Vec<Arc<Account>> = lock(&self.accounts).values().cloned().collect();
        for account in &accounts {
            // Not while more is put into what is about to end.
            let alone = match stopping {
                true => Some(account.reserving.lock().await),
                false => account.reserving.try_lock().ok(),
            };
            if alone.is_some() {
                lock(&account.state).end(Instant::now(), stopping);
            }
        }
        let renewed: Vec<(Uuid, i64)> = accounts.iter().flat_map(|account| lock(&account.state).spent()).collect();
        let mut outcome = match renewed.is_empty() {
            true => Ok(()),
            false => reservation::renew(&self.pool, &renewed).await,
        };
        for account in &accounts {
            let ending = mem::take(&mut lock(&account.state).ending);
            for (id, spent) in ending {
                if let Err(error) = reservation::end(&self.pool, account.organization_id, id, spent).await {
                    lock(&account.state).ending.push((id, spent));
                    outcome = Err(error);
                }
            }
        }
        drop(accounts);
        lock(&self.accounts).retain(|_, account| Arc::strong_count(account) > 1 || !lock(&account.state).is_empty());
        outcome
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
    /// Reservations to be given back, and what was spent of each.
    ending: Vec<(Uuid, i64)>,
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

impl State {
    fn is_empty(&self) -> bool {
        self.held.is_empty() && self.ending.is_empty()
    }

    fn end(&mut self, now: Instant, stopping: bool) {
        let ended = self.held.extract_if(.., |held| held.has_ended(now, stopping));
        self.ending.extend(ended.map(|held| (held.id, held.spent)));
    }

    /// What was spent of each reservation.
    fn spent(&self) -> Vec<(Uuid, i64)> {
        self.held.iter().map(|held| (held.id, held.spent)).chain(self.ending.iter().copied()).collect()
    }
}

impl Account {
    /// `None`: it must be reserved first.
    fn take(self: &Arc<Self>, units: i64) -> Option<Result<Permit, Denied>> {
        let mut state = lock(&self.state);
        let now = Instant::now();
        if let Some(permit) = self.take_held(&mut state, units, now) {
            return Some(Ok(permit));
        }
        let refused = state.refused.filter(|refused| units >= refused.units && now < refused.until)?;
        Some(Err(Denied::Quota(refused.month)))
    }

    fn take_held(self: &Arc<Self>, state: &mut State, units: i64, now: Instant) -> Option<Permit> {
        let held = state.held.last_mut().filter(|held| held.left >= units && now < held.month_ends)?;
        held.left -= units;
        held.used = now;
        let Month { used, .. } = held.grant.month;
        let month = Month { used: used - held.left, ..held.grant.month };
        Some(Permit { account: self.clone(), reservation: held.id, units, month })
    }

    fn left(&self) -> i64 {
        lock(&self.state).held.last().map_or(0, |held| held.left)
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
            if let Err(error) = account.reserve(&pool, 1, 0).await {
                tracing::debug!(?error, "could not reserve search units ahead");
            }
            lock(&account.state).refilling = false;
        });
    }

    /// Reserves at least `needed` units and takes `units` of what is held then; `None` where others were quicker. Called by one at a
    /// time.
    async fn reserve(
        self: &Arc<Self>,
        pool: &PgPool,
        needed: i64,
        units: i64,
    ) -> Result<Option<Result<Permit, Denied>>, Denied> {
        let asked = Instant::now();
        let (into, wanted) = match lock(&self.state).held.last() {
            Some(held) => (Some(held.id), held.wanted(asked)),
            None => (None, FIRST),
        };
        let reserved = reservation::reserve(pool, self.organization_id, into, needed, wanted).await;
        let mut state = lock(&self.state);
        match reserved.map_err(Denied::Database)? {
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
                Ok(self.take_held(&mut state, units, asked).map(Ok))
            }
            Reserved::QuotaExceeded(month) => {
                let units = units.max(needed);
                state.refused = Some(Refused { month, units, until: asked + REFUSED_FOR });
                Ok(Some(Err(Denied::Quota(month))))
            }
        }
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
        counter!(QUOTA_UNITS.name, "kind" => "search").increment(units.unsigned_abs());
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
