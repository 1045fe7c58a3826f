//! All the tables as one script for `psql -f`: what `tidewell migrate` does, for databases that are provisioned by other hands.

use std::fmt::Write;

use sqlx::migrate::Migrator;

use super::MIGRATOR;

/// Two that provision at once go one after the other: two `create table if not exists` can collide.
const LOCK: i64 = 0x7469_6465_7072_6f76;

/// The script. It is one transaction, leaves out what has been applied, and notes what it applies as `tidewell migrate` would.
pub fn script() -> String {
    let mut script = format!(
        "-- Everything that `tidewell migrate` makes, which prints this text when it is asked to `--print`. It may be run again and again,\n\
         -- before and after `tidewell migrate`, by the owner of the database. Not to be edited: a test keeps it equal to the migrations.\n\
         \n\
         begin;\n\
         set local client_min_messages = warning;\n\
         set local search_path = public;\n\
         do $lock$ begin perform pg_advisory_xact_lock({LOCK}); end $lock$;\n\n"
    );
    migrations(&mut script, "public._sqlx_migrations", &MIGRATOR);
    let jobs = tidewell_jobs::schema();
    // Writing into a string can't fail.
    let _ = writeln!(script, "create schema if not exists {};\n", jobs.name);
    migrations(&mut script, &format!("{}.{}", jobs.name, jobs.migrations_table), &jobs.migrations);
    script += jobs.additions;
    script += "\ncommit;\n";
    script
}

/// Each migration that has not been noted in `table`, and its note, as sqlx makes both.
fn migrations(script: &mut String, table: &str, migrator: &Migrator) {
    let _ = writeln!(
        script,
        "create table if not exists {table} (\n    \
             version bigint primary key,\n    \
             description text not null,\n    \
             installed_on timestamptz not null default now(),\n    \
             success boolean not null,\n    \
             checksum bytea not null,\n    \
             execution_time bigint not null\n\
         );\n"
    );
    for migration in migrator.iter() {
        let (version, description) = (migration.version, migration.description.replace('\'', "''"));
        let checksum = hex::encode(&migration.checksum);
        let _ = writeln!(
            script,
            "do $provision$\n\
             begin\n\
             if not exists (select from {table} where version = {version}) then\n\
             execute $migration${}$migration$;\n\
             insert into {table} (version, description, success, checksum, execution_time)\n\
             values ({version}, '{description}', true, decode('{checksum}', 'hex'), 0);\n\
             end if;\n\
             end\n\
             $provision$;\n",
            migration.sql.as_str()
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_scripts_are_equal_to_the_migrations() {
        let is_equal = script() == include_str!("../../sql/provision.sql");
        assert!(is_equal, "write it anew: `cargo run -- migrate --print > sql/provision.sql`");
        let parts = [include_str!("../../sql/0003_typesense.sql"), include_str!("../../sql/0007_sync_embedding.sql")];
        let is_equal = include_str!("../../sql/typesense.sql") == parts.join("\n");
        assert!(is_equal, "sql/typesense.sql is no longer the text of its migrations");
    }

    #[test]
    fn what_is_quoted_does_not_end_its_quotes() {
        let jobs = tidewell_jobs::schema();
        for migration in MIGRATOR.iter().chain(jobs.migrations.iter()) {
            let text = migration.sql.as_str();
            assert!(!text.contains("$provision$") && !text.contains("$migration$"), "{}", migration.version);
        }
    }
}
