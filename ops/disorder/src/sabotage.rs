//! Invariants that are broken on purpose, each by something outside of Tidewell that has just the effect that a bug would have. They
//! prove the checks: each must be caught, by the check that is named.

use std::time::Duration;

use clap::ValueEnum;
use sqlx::Executor;

use crate::{checks::Check, fault::Fault, process::log_of, proxy::trick::Trick, site::Site};

#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub(crate) enum Sabotage {
    /// Some batches are answered 202, and nothing of them is stored [nothing-is-lost]
    AcknowledgeBeforeCommit,
    /// Rows that are to be tried again are forgotten [nothing-is-left-behind]
    DropARetry,
    /// What is about to be sent is not noted, so what lands late is not repaired [nothing-is-stale]
    ForgetFlights,
    /// A lease does not tell its holder from the one before [nothing-is-left-behind]
    SkipTheFence,
    /// Documents are written under a second id, too [nothing-is-extra]
    WriteTwice,
    /// That a document was deleted is not recorded [deleted-stays-deleted]
    ForgetATombstone,
    /// Some of what Typesense refuses leaves no dead letter [refused-is-a-letter]
    LoseALetter,
    /// Some good documents are taken for refused ones [only-refused-is-a-letter]
    BuryAGoodWrite,
    /// Jobs count a row that nobody sent [jobs-add-up]
    MiscountAJob,
    /// Some requests are charged twice [writes-are-charged-once]
    ChargeTwice,
    /// What is paid is not in the ledger [wallets-add-up]
    LoseALedgerLine,
    /// Reserved units are never given back [searches-are-charged-once]
    LeakSearchUsage,
    /// Documents of rows that have vanished stay [tables-are-in-sync]
    LoseASyncDeletion,
    /// Requests of a sync that were lost or given up are not looked after [tables-are-in-sync]
    ForgetDoubts,
    /// What was sent is never forgotten [nothing-is-left-behind]
    KeepFlights,
    /// A process panics [nothing-panics]
    Panic,
    /// A good key is refused now and then [answers-are-explained]
    RefuseAGoodKey,
}

impl Sabotage {
    /// The check that must catch it.
    pub(crate) fn caught_by(self) -> Check {
        match self {
            Self::AcknowledgeBeforeCommit => Check::NothingIsLost,
            Self::DropARetry | Self::KeepFlights | Self::SkipTheFence => Check::NothingIsLeftBehind,
            Self::ForgetFlights => Check::NothingIsStale,
            Self::WriteTwice => Check::NothingIsExtra,
            Self::ForgetATombstone => Check::DeletedStaysDeleted,
            Self::LoseALetter => Check::RefusedIsALetter,
            Self::BuryAGoodWrite => Check::OnlyRefusedIsALetter,
            Self::MiscountAJob => Check::JobsAddUp,
            Self::ChargeTwice => Check::WritesAreChargedOnce,
            Self::LoseALedgerLine => Check::WalletsAddUp,
            Self::LeakSearchUsage => Check::SearchesAreChargedOnce,
            Self::LoseASyncDeletion | Self::ForgetDoubts => Check::TablesAreInSync,
            Self::Panic => Check::NothingPanics,
            Self::RefuseAGoodKey => Check::AnswersAreExplained,
        }
    }

    /// The faults under which it shows.
    pub(crate) fn faults(self) -> &'static [Fault] {
        match self {
            Self::DropARetry => &[Fault::FailedLines],
            Self::ForgetFlights | Self::ForgetDoubts => &[Fault::HoldImport],
            Self::SkipTheFence => &[Fault::StallDatabase, Fault::DelayTypesense],
            _ => &[Fault::KillWork, Fault::HalfLines],
        }
    }

    /// What is done in the database.
    fn trigger(self) -> Option<(&'static str, &'static str)> {
        Some(match self {
            Self::DropARetry => (
                "after update on tidewell.outbox",
                "if new.retrying then
                     delete from tidewell.outbox where index_id = new.index_id and version = new.version;
                 end if; return null;",
            ),
            Self::ForgetFlights => {
                ("before insert on tidewell.flights", "new.document_ids := '{}'; new.versions := '{}'; return new;")
            }
            Self::SkipTheFence => ("before update of fence on tidewell.lanes", "new.fence := old.fence; return new;"),
            Self::ForgetATombstone => (
                "before insert on tidewell.documents",
                "if new.body is null and new.version > 0 then return null; end if; return new;",
            ),
            Self::LoseALetter => (
                "before insert on tidewell.dead_letters",
                "if new.version % 2 = 0 then return null; end if; return new;",
            ),
            Self::MiscountAJob => (
                "before update of pending on tidewell.jobs",
                "if new.pending = 0 and old.pending > 0 then
                     new.total := new.total + 1; new.succeeded := new.succeeded + 1;
                 end if; return new;",
            ),
            Self::ChargeTwice => (
                "before update of used on tidewell.usage",
                "if new.used > old.used and new.used % 3 = 0 then new.used := 2 * new.used - old.used; end if; return new;",
            ),
            Self::LoseALedgerLine => (
                "before insert on tidewell.wallet_entries",
                "if new.kind = 'commit' then return null; end if; return new;",
            ),
            Self::LeakSearchUsage => (
                "after insert or delete on tidewell.reservations",
                "update tidewell.usage set used = used + 500
                 where organization_id = coalesce(new.organization_id, old.organization_id); return null;",
            ),
            Self::ForgetDoubts => (
                "before insert on tidewell.sync_overlay",
                "if new.doubted_until is not null then return null; end if; return new;",
            ),
            Self::KeepFlights => ("before delete on tidewell.flights", "return null;"),
            _ => return None,
        })
    }

    /// From now on.
    pub(crate) async fn begin(self, site: &Site) -> anyhow::Result<()> {
        const ALWAYS: Duration = Duration::from_secs(3600);
        const NAME: &str = "sabotage";
        if let Some((event, body)) = self.trigger() {
            let statement = format!(
                "create function public.sabotage() returns trigger language plpgsql as $body$ begin {body} end $body$;
                 create trigger sabotage {event} for each row execute function public.sabotage()"
            );
            site.pool.execute(sqlx::AssertSqlSafe(statement)).await?;
        }
        let typesense = &site.typesense_proxy.tricks;
        match self {
            Self::AcknowledgeBeforeCommit => {
                site.fronts.iter().for_each(|front| front.tricks.arm(NAME, Trick::ForgeAccepted, ALWAYS, 0.1));
            }
            Self::RefuseAGoodKey => {
                site.fronts.iter().for_each(|front| front.tricks.arm(NAME, Trick::ForgeUnauthorized, ALWAYS, 0.02));
            }
            Self::WriteTwice => typesense.arm(NAME, Trick::WriteTwice, ALWAYS, 0.1),
            Self::BuryAGoodWrite => typesense.arm(NAME, Trick::RefuseFirst, ALWAYS, 0.1),
            Self::LoseASyncDeletion => typesense.arm(NAME, Trick::ForgeDeleted, ALWAYS, 1.0),
            // Nor does what a late settlement counts contradict anything.
            Self::SkipTheFence => {
                let checks = "alter table tidewell.jobs drop constraint jobs_check, drop constraint jobs_check1";
                site.pool.execute(checks).await?;
            }
            Self::Panic => {
                let stage = site.stage.lock().await;
                std::fs::write(log_of(stage.folder(), "sabotage"), "thread 'main' panicked at src/main.rs:1:1\n")?;
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_is_proved_by_a_sabotage_that_says_so() {
        let sabotages = Sabotage::value_variants();
        for check in Check::value_variants() {
            assert!(sabotages.iter().any(|sabotage| sabotage.caught_by() == *check), "{check}");
        }
        for sabotage in sabotages {
            let help = sabotage.to_possible_value().and_then(|value| value.get_help().map(ToString::to_string));
            let named = format!("[{}]", sabotage.caught_by());
            assert!(help.is_some_and(|help| help.ends_with(&named)), "{sabotage:?} {named}");
        }
    }
}
