//! Everything at the source that a stream stands on: checked, and made where it is missing.

use sqlx::PgConnection;

use super::{
    Error, Target,
    publication::Publication,
    slot::{self, Slot},
    table::{Part, Table},
};

/// The first version whose publications show a partitioned table's changes as its own.
const OLDEST: i32 = 130_000;
/// The first version whose publications take lists of columns.
const COLUMN_LISTS: i32 = 150_000;

/// What the stream will tell. That it is anew is said once: who may die between hearing it and the end of the comparison must find
/// out by a record of their own, made when a comparison has ended, whether one is still owed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Prepared {
    /// Every change since the last one that was confirmed.
    Continues,
    /// Every change from now on. What was there, and what changed, before must be found by comparing the whole table, which may only
    /// begin now. `lost` tells why, where changes that should have been kept are gone.
    Anew { lost: Option<String> },
}

/// Checks whether a table can be followed as it and its server are now, and makes nothing.
///
/// # Errors
/// As [`prepare`]'s, but for what concerns slots.
pub async fn check(source: &mut PgConnection, target: &Target) -> Result<(), Error> {
    server(source).await?;
    checked(source, target).await.map(drop)
}

/// The table with its parts, each of which can be followed.
async fn checked(source: &mut PgConnection, target: &Target) -> Result<(Table, Vec<Part>), Error> {
    let table = Table::find(source, target).await?;
    let parts = table.parts(source).await?;
    for part in &parts {
        part.check(source, target).await?;
    }
    Ok((table, parts))
}

/// Makes sure that the changes of a table are kept for its stream: checks the server, the role and the table, and makes the
/// publication and the slot, or makes them anew where they are not what they should be. Not within a transaction.
///
/// A publication is taken for good only together with its slot: one that had to be made or altered did not show the slot all
/// changes, and a slot that is older than its publication can't be read.
///
/// # Errors
/// [`Error::Setup`] where somebody must do something at the source, and says what. [`Error::Waiting`] while open transactions keep a
/// slot from being made. [`Error::SlotInUse`] while a slot that must be made anew is held by a reader. [`Error::Standby`].
pub async fn prepare(source: &mut PgConnection, target: &Target) -> Result<Prepared, Error> {
    let version = server(source).await?;
    let (table, parts) = checked(source, target).await?;
    let columns = (version >= COLUMN_LISTS).then(|| table.columns_to_publish(&parts)).flatten();
    let wanted = Publication { table: table.id, columns };
    let published = Publication::find(source, &target.name, version >= COLUMN_LISTS).await?;
    let lost = match (Slot::find(source, &target.name).await?, &published) {
        (Some(Slot::Elsewhere), _) => {
            return Err(Error::Setup(format!(
                "the replication slot {0} exists for something else: run `select pg_drop_replication_slot('{0}')` if nobody needs it",
                target.name
            )));
        }
        (Some(Slot::BeingMade), _) => return Err(Error::Waiting),
        (Some(Slot::Ready), Some(published)) if *published == wanted => return Ok(Prepared::Continues),
        (Some(Slot::Ready), _) => {
            Some("the publication was dropped or altered, or the table's identity was".to_owned())
        }
        (Some(Slot::Lost(reason)), _) => Some(format!("the source has given up the slot: {reason}")),
        (None, Some(_)) => Some("the slot was dropped".to_owned()),
        (None, None) => None,
    };
    slot::drop_slot(source, &target.name, false).await?;
    // One that is right may have been made by somebody who is allowed more than we are.
    if published.as_ref() != Some(&wanted) {
        wanted.make(source, target).await?;
    }
    slot::make(source, &target.name).await?;
    Ok(Prepared::Anew { lost })
}

/// The server's version, where it can stream changes and the role may ask for them.
async fn server(source: &mut PgConnection) -> Result<i32, Error> {
    // Amazon's servers let a role stream that is a member of another one.
    const LOOK: &str = "select current_setting('server_version_num')::int, current_setting('wal_level'), pg_is_in_recovery(),
            rolsuper or rolreplication or exists (
                select from pg_roles as amazon where amazon.rolname = 'rds_replication' and pg_has_role(amazon.oid, 'member')
            ),
            quote_ident(current_user)
        from pg_roles where rolname = current_user";
    let (version, wal_level, is_standby, may_replicate, role): (i32, String, bool, bool, String) =
        sqlx::query_as(LOOK).fetch_one(source).await?;
    if version < OLDEST {
        return Err(Error::Setup(format!(
            "the source runs PostgreSQL {}: 13 is the oldest that will do",
            version / 10_000
        )));
    }
    if wal_level != "logical" {
        return Err(Error::Setup(format!(
            "the source's wal_level is {wal_level}: run `alter system set wal_level = logical` and restart it"
        )));
    }
    if is_standby {
        return Err(Error::Standby);
    }
    if !may_replicate {
        return Err(Error::Setup(format!(
            "the role {role} may not stream changes: run `alter role {role} replication` (at Amazon RDS: `grant rds_replication to {role}`)"
        )));
    }
    Ok(version)
}
