//! The window of a key's rate, whoever asks for permits and when.

use std::time::{Duration, Instant};

use rand::{RngExt, SeedableRng, rngs::StdRng};
use sqlx::PgPool;
use tidewell::{
    db::rate::{self, Grant},
    ingest::rate::GRANT_LIVES,
};
use uuid::Uuid;

use crate::support::stack::{Setting, Stack, Tenant};

const MINUTE: Duration = Duration::from_secs(60);

/// A key's minute, in which time passes as the test wants it.
struct Window {
    pool: PgPool,
    key: Uuid,
    limit: u32,
    began: Instant,
    passed: Duration,
    admitted: Vec<Duration>,
}

/// Permits that a front end holds, and until when.
struct Held {
    grant: Grant,
    spent: u32,
    expires: Duration,
}

impl Window {
    async fn of(stack: &Stack, tenant: &Tenant, limit: u32) -> Self {
        let path = format!("/v1/organizations/{}/keys", tenant.organization["slug"].as_str().expect("a slug"));
        let new = serde_json::json!({ "name": "rated", "kind": "search", "scopes": ["search"] });
        let key = stack.operator().post(&path, &new).await.expect(201);
        Self {
            pool: stack.setting.pool().await,
            key: key["id"].as_str().expect("an id").parse().expect("a UUID"),
            limit,
            began: Instant::now(),
            passed: Duration::ZERO,
            admitted: vec![],
        }
    }

    fn now(&self) -> Duration {
        self.passed + self.began.elapsed()
    }

    /// Lets time pass, by moving what was before.
    async fn pass(&mut self, time: Duration) {
        let age =
            "update tidewell.rate_grants set granted_at = granted_at - make_interval(secs => $2) where key_id = $1";
        sqlx::query(age).bind(self.key).bind(time.as_secs_f64()).execute(&self.pool).await.expect("aged");
        self.passed += time;
    }

    async fn ask(&self, given_back: Option<&Held>) -> Held {
        let expires = self.now() + GRANT_LIVES;
        let given_back = given_back.map(|held| (held.grant.id, held.spent));
        let grant = rate::grant(&self.pool, self.key, self.limit, GRANT_LIVES, given_back).await.expect("a grant");
        Held { grant, spent: 0, expires }
    }

    /// Spends a permit, if there is one that may still be spent.
    fn spend(&mut self, held: &mut Held) -> bool {
        let now = self.now();
        let may = held.spent < held.grant.permits && now < held.expires;
        if may {
            held.spent += 1;
            self.admitted.push(now);
        }
        may
    }
}

#[tokio::test]
async fn no_minute_holds_more_than_the_limit_whichever_front_ends_ask_and_when() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("rated").await;
    for seed in 0..8 {
        let mut random = StdRng::seed_from_u64(seed);
        let limit = [1, 7, 100, 1000][random.random_range(0..4)];
        let mut window = Window::of(&stack, &tenant, limit).await;
        let mut front_ends: Vec<Option<Held>> = (0..3).map(|_| None).collect();
        for _ in 0..150 {
            let one = random.random_range(0..front_ends.len());
            match random.random_range(0..10) {
                0 => window.pass(Duration::from_millis(random.random_range(1..20_000))).await,
                // Killed: what it held is never given back.
                1 => front_ends[one] = None,
                _ => {
                    let mut held = match front_ends[one].take() {
                        Some(held) if held.spent < held.grant.permits && window.now() < held.expires => held,
                        former => window.ask(former.as_ref().filter(|held| held.grant.permits > 0)).await,
                    };
                    for _ in 0..random.random_range(1..=20) {
                        window.spend(&mut held);
                    }
                    front_ends[one] = Some(held);
                }
            }
        }
        assert!(!window.admitted.is_empty());
        for minute in window.admitted.windows(limit as usize + 1) {
            let took = minute[limit as usize] - minute[0];
            assert!(took > MINUTE, "seed {seed}: {} requests in {took:?} under a limit of {limit}", limit + 1);
        }
    }
}

#[tokio::test]
async fn a_lone_front_end_admits_exactly_the_limit() {
    let stack = Stack::without_worker(Setting::fresh().await).await;
    let tenant = stack.tenant("rated").await;
    for limit in [1, 7, 100, 101, 250] {
        let mut window = Window::of(&stack, &tenant, limit).await;
        loop {
            let mut held = window.ask(None).await;
            if held.grant.permits == 0 {
                break;
            }
            while window.spend(&mut held) {}
            assert_eq!(held.spent, held.grant.permits, "spent in time");
        }
        assert_eq!(window.admitted.len(), limit as usize);
    }
}
