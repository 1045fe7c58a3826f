//! The faults, and the schedule by which they happen.

use std::{sync::Arc, time::Duration};

use anyhow::anyhow;
use rand::{
    RngExt,
    rngs::StdRng,
    seq::{IndexedRandom, SliceRandom},
};
use tokio::{task::JoinSet, time::Instant};

use crate::{proxy::trick::Trick, site::Site, stage};

/// Longer than a lease of five seconds.
const PAST_A_LEASE: Duration = Duration::from_millis(6500);
/// By then a held request must have been passed on. A request may live for 16 seconds from when its flight was noted (`site::settings`):
/// two until it is sent, eight for the longest pause of its sender, and this.
const STILL_IN_DOUBT: Duration = Duration::from_millis(5500);

/// Something that breaks.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fault {
    KillServe,
    KillWork,
    PauseWork,
    MoveClock,
    StopPostgres,
    CrashPostgres,
    StopTypesense,
    KillTypesense,
    CutDatabase,
    StallDatabase,
    GarbleDatabase,
    CutTypesense,
    DelayTypesense,
    HoldImport,
    LoseTypesenseAnswer,
    HalfAnswer,
    HalfLines,
    FailedLines,
    GarbleTypesense,
    Unavailable,
    LoseAnswer,
}

impl Fault {
    pub(crate) const ALL: [Self; 21] = [
        Self::KillServe,
        Self::KillWork,
        Self::PauseWork,
        Self::MoveClock,
        Self::StopPostgres,
        Self::CrashPostgres,
        Self::StopTypesense,
        Self::KillTypesense,
        Self::CutDatabase,
        Self::StallDatabase,
        Self::GarbleDatabase,
        Self::CutTypesense,
        Self::DelayTypesense,
        Self::HoldImport,
        Self::LoseTypesenseAnswer,
        Self::HalfAnswer,
        Self::HalfLines,
        Self::FailedLines,
        Self::GarbleTypesense,
        Self::Unavailable,
        Self::LoseAnswer,
    ];

    /// What it is counted as.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::KillServe => "kill_serve",
            Self::KillWork => "kill_work",
            Self::PauseWork => "pause_work",
            Self::MoveClock => "move_clock",
            Self::StopPostgres => "stop_postgres",
            Self::CrashPostgres => "crash_postgres",
            Self::StopTypesense => "stop_typesense",
            Self::KillTypesense => "kill_typesense",
            Self::CutDatabase => "cut_database",
            Self::StallDatabase => "stall_database",
            Self::GarbleDatabase => "garble_database",
            Self::CutTypesense => "cut_typesense",
            Self::DelayTypesense => "delay_typesense",
            Self::HoldImport => "hold_import",
            Self::LoseTypesenseAnswer => "lose_typesense_answer",
            Self::HalfAnswer => "half_answer",
            Self::HalfLines => "half_lines",
            Self::FailedLines => "failed_lines",
            Self::GarbleTypesense => "garble_typesense",
            Self::Unavailable => "unavailable",
            Self::LoseAnswer => "lose_answer",
        }
    }

    /// What is done to requests on their way to Typesense, and to which share of them; the proxy counts these.
    fn before_typesense(self, random: &mut StdRng) -> Option<(Trick, f64)> {
        let millis = |range, random: &mut StdRng| Duration::from_millis(random.random_range(range));
        Some(match self {
            Self::CutTypesense => (Trick::Cut, 0.5),
            Self::DelayTypesense => (Trick::Delay(millis(100..1500, random)), 0.5),
            Self::HoldImport => (Trick::Hold { until: millis(2500..4500, random), latest: STILL_IN_DOUBT }, 0.6),
            Self::LoseTypesenseAnswer => (Trick::LoseAnswer, 0.5),
            Self::HalfAnswer => (Trick::HalfAnswer, 0.5),
            Self::HalfLines => (Trick::HalfLines, 0.5),
            Self::FailedLines => (Trick::FailedLines, 0.7),
            Self::GarbleTypesense => (Trick::Garble, 0.5),
            Self::Unavailable => (Trick::Unavailable, 1.0),
            _ => return None,
        })
    }
}

/// Lets faults of these kinds happen, each as often as the others, until `until`; returns when all of them are over.
pub(crate) async fn inject(
    site: &Arc<Site>,
    kinds: &[Fault],
    random: &mut StdRng,
    until: Instant,
) -> anyhow::Result<()> {
    let mut lasting = JoinSet::new();
    let mut bag: Vec<Fault> = Vec::new();
    while Instant::now() < until {
        site.look_after()?;
        if bag.is_empty() {
            bag = kinds.to_vec();
            bag.shuffle(random);
        }
        if let Some(fault) = bag.pop() {
            happen(site, fault, random, &mut lasting).await?;
        }
        tokio::time::sleep(Duration::from_millis(random.random_range(200..1200))).await;
    }
    while let Some(ended) = lasting.join_next().await {
        ended.map_err(|error| anyhow!("a fault broke off: {error}"))??;
    }
    site.look_after()
}

async fn happen(
    site: &Arc<Site>,
    fault: Fault,
    random: &mut StdRng,
    lasting: &mut JoinSet<anyhow::Result<()>>,
) -> anyhow::Result<()> {
    let window = Duration::from_millis(random.random_range(400..1500));
    if let Some((trick, share)) = fault.before_typesense(random) {
        site.typesense_proxy.tricks.arm(fault.name(), trick, window, share);
        return Ok(());
    }
    let work = &site.works[random.random_range(0..site.works.len())];
    let serve = random.random_range(0..site.serves.len());
    let (serve, front) = (&site.serves[serve], &site.fronts[serve]);
    let any = if random.random_bool(0.5) { work } else { serve };
    match fault {
        Fault::KillServe => serve.lock().await.kill().await?,
        Fault::KillWork => work.lock().await.kill().await?,
        Fault::PauseWork => {
            let work = work.clone();
            lasting.spawn(async move { work.lock().await.pause(PAST_A_LEASE).await });
        }
        Fault::MoveClock if stage::faketime().is_some() => {
            let hours = *[-30, -1, 1, 30].choose(random).unwrap_or(&1);
            any.lock().await.move_clock(hours * 3600 + 17).await?;
        }
        Fault::StopPostgres => site.stage.lock().await.restart_postgres().await?,
        Fault::CrashPostgres => site.stage.lock().await.crash_postgres().await?,
        Fault::StopTypesense => site.stage.lock().await.restart_typesense().await?,
        Fault::KillTypesense => site.stage.lock().await.kill_typesense().await?,
        Fault::CutDatabase => {
            any.lock().await.database.cut();
            site.source_proxy.cut();
        }
        Fault::GarbleDatabase => any.lock().await.database.garble(),
        Fault::StallDatabase => work.lock().await.database.stall(PAST_A_LEASE),
        Fault::LoseAnswer => {
            front.tricks.arm(fault.name(), Trick::LoseAnswer, window, 0.5);
            return Ok(());
        }
        _ => return Ok(()),
    }
    site.tally.add(fault.name());
    Ok(())
}
