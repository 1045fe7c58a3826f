//! The scripts of `sql/`, for databases that are provisioned by other hands, make what `tidewell migrate` makes.

use std::{path::PathBuf, process::Command};

use sqlx::{AssertSqlSafe, Connection, PgConnection, raw_sql};
use tidewell::dev::{Server, default_cache, ensure};

use crate::support::{process, stack::Setting};

const PROVISION: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/provision.sql");
const TYPESENSE: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/sql/typesense.sql");

/// Owns databases here, and may do nothing else.
const OWNER: &str = "tidewell_test_owner";

/// Everything that migrations may have made, one line a thing.
const CATALOGUE: &str = "
    with places as (
        select oid, nspname from pg_namespace where nspname in ('public', 'tidewell', 'apalis')
    ), classes as (
        select pg_class.oid, relkind, format('%s.%s', nspname, relname) as name, reloptions
        from pg_class join places on places.oid = relnamespace
    )
    select format('schema %s', nspname) from places
    union all
    select format('extension %s %s in %s', extname, extversion, extnamespace::regnamespace) from pg_extension
    union all
    select format('%s %s with %s', relkind, name, reloptions) from classes
    union all
    select format('column %s of %s: %s %s %s not null: %s identity: %s default: %s', attnum, name, attname,
                  format_type(atttypid, atttypmod), attcollation::regcollation, attnotnull, attidentity,
                  pg_get_expr(adbin, adrelid))
    from pg_attribute join classes on classes.oid = attrelid
    left join pg_attrdef on adrelid = attrelid and adnum = attnum
    where attnum > 0 and relkind in ('r', 'v')
    union all
    select format('constraint %s of %s: %s', conname, name, pg_get_constraintdef(pg_constraint.oid))
    from pg_constraint join classes on classes.oid = conrelid
    union all
    select format('index %s: %s', name, pg_get_indexdef(oid)) from classes where relkind = 'i'
    union all
    select format('view %s: %s', name, pg_get_viewdef(oid)) from classes where relkind = 'v'
    union all
    select format('sequence %s: %s %s %s', name, seqtypid::regtype, seqcache, seqincrement)
    from pg_sequence join classes on classes.oid = seqrelid
    union all
    select format('trigger of %s: %s', name, pg_get_triggerdef(pg_trigger.oid))
    from pg_trigger join classes on classes.oid = tgrelid where not tgisinternal
    union all
    select format('function: %s', pg_get_functiondef(pg_proc.oid))
    from pg_proc join places on places.oid = pronamespace
    where prokind = 'f' and not exists (select from pg_depend where objid = pg_proc.oid and deptype = 'e')
    union all
    select format('label %s of %s: %s', enumsortorder, enumtypid::regtype, enumlabel) from pg_enum
    order by 1";

/// What was applied, one line a migration.
const APPLIED: &str = "
    select format('%s %s %s %s', version, description, success, checksum) from _sqlx_migrations
    union all
    select format('apalis: %s %s %s %s', version, description, success, checksum) from apalis._sqlx_migrations
    union all
    select plans::text from tidewell.plans
    order by 1";

async fn lines(setting: &Setting, sql: &'static str) -> Vec<String> {
    let mut conn = PgConnection::connect(&setting.database_url).await.expect("the database");
    sqlx::query_scalar(sql).fetch_all(&mut conn).await.expect("lines")
}

/// Says which lines differ, not all there are.
fn assert_same(left: &[String], right: &[String]) {
    let missing = |from: &[String], of: &[String]| -> Vec<String> {
        of.iter().filter(|line| !from.contains(line)).cloned().collect()
    };
    assert!(!left.is_empty());
    assert_eq!((missing(left, right), missing(right, left)), (vec![], vec![]));
}

/// A fresh database, migrated.
async fn migrated() -> Setting {
    let setting = Setting::fresh().await;
    setting.migrate();
    setting
}

/// A fresh database that belongs to an ordinary owner.
async fn owned() -> Setting {
    let setting = Setting::fresh().await;
    let mut conn = PgConnection::connect(&setting.database_url).await.expect("the database");
    let name: String = sqlx::query_scalar("select current_database()").fetch_one(&mut conn).await.expect("its name");
    let role = format!(
        "do $$ begin create role {OWNER} nologin; exception when duplicate_object or unique_violation then null; end $$"
    );
    let own = format!("alter database {name} owner to {OWNER}");
    for statement in [role, own] {
        raw_sql(AssertSqlSafe(statement)).execute(&mut conn).await.expect("an owner");
    }
    setting
}

/// Runs a script as its readers will, with the pinned server's own `psql`.
async fn psql(setting: &Setting, script: &str, role: &str) {
    let home = std::env::var_os("HOME").map(PathBuf::from);
    let cache = std::env::var_os("TIDEWELL_CACHE").map_or_else(|| default_cache(home.as_deref()), PathBuf::from);
    let psql = ensure(&cache, &[Server::Postgres]).await.expect("installed").postgres("psql");
    let mut command = Command::new(psql);
    command.args(["--no-psqlrc", "--quiet", "--file", script, &setting.database_url]);
    let output = command.env("PGOPTIONS", format!("-c role={role}")).output().expect("psql runs");
    let (said, complained) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    assert!(output.status.success() && said.is_empty(), "{said}{complained}");
    assert!(!complained.contains("ERROR"), "{complained}");
}

/// Runs a script in one message, as other clients do.
async fn send(setting: &Setting, script: &str) {
    let text = std::fs::read_to_string(script).expect("a script");
    let mut conn = PgConnection::connect(&setting.database_url).await.expect("the database");
    raw_sql(AssertSqlSafe(text)).execute(&mut conn).await.expect("a run");
    let path: String = sqlx::query_scalar("show search_path").fetch_one(&mut conn).await.expect("a setting");
    assert_eq!(path, "\"$user\", public", "the script leaves nothing behind in the session");
}

#[tokio::test]
async fn a_provisioned_database_is_a_migrated_one() {
    let (migrated, provisioned) = (migrated().await, owned().await);
    for _ in 0..2 {
        psql(&provisioned, PROVISION, OWNER).await;
    }
    assert_same(&lines(&migrated, CATALOGUE).await, &lines(&provisioned, CATALOGUE).await);
    assert_same(&lines(&migrated, APPLIED).await, &lines(&provisioned, APPLIED).await);
    let front = provisioned.serve();
    front.operator.get("/readyz").await.expect(200);
    let new = serde_json::json!({ "slug": "first", "name": "First", "plan": "free" });
    front.operator.post("/v1/organizations", &new).await.expect(201);
    provisioned.migrate();
    assert_same(&lines(&migrated, CATALOGUE).await, &lines(&provisioned, CATALOGUE).await);
}

#[tokio::test]
async fn provisioning_what_is_migrated_changes_nothing() {
    let setting = migrated().await;
    let before = (lines(&setting, CATALOGUE).await, lines(&setting, APPLIED).await);
    for _ in 0..2 {
        send(&setting, PROVISION).await;
    }
    assert_same(&before.0, &lines(&setting, CATALOGUE).await);
    assert_same(&before.1, &lines(&setting, APPLIED).await);
}

#[tokio::test]
async fn provisioning_goes_on_where_an_older_release_has_ended() {
    let (migrated, setting) = (migrated().await, Setting::fresh().await);
    let mut conn = PgConnection::connect(&setting.database_url).await.expect("the database");
    tidewell::db::MIGRATOR.run_to(2, &mut conn).await.expect("two migrations");
    send(&setting, PROVISION).await;
    assert_same(&lines(&migrated, CATALOGUE).await, &lines(&setting, CATALOGUE).await);
}

#[tokio::test]
async fn the_tables_of_syncs_can_be_made_alone_and_before_all_others() {
    let (migrated, setting) = (migrated().await, owned().await);
    for _ in 0..2 {
        psql(&setting, TYPESENSE, OWNER).await;
    }
    let made = "select relname::text from pg_class where relnamespace = 'public'::regnamespace and relkind in ('r', 'v') order by 1";
    let names = ["typesense_profiles", "typesense_sync_job_status", "typesense_sync_jobs", "typesense_sync_runs"];
    assert_eq!(lines(&setting, made).await, names);
    send(&setting, TYPESENSE).await;
    setting.migrate();
    assert_same(&lines(&migrated, CATALOGUE).await, &lines(&setting, CATALOGUE).await);
}

#[tokio::test]
async fn the_script_is_printed_without_a_database() {
    let output = process::run(&["migrate", "--print"], &[]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(String::from_utf8(output.stdout).expect("UTF-8"), std::fs::read_to_string(PROVISION).expect("a script"));
}
