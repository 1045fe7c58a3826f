-- The last number that a collection of the job was given. None is given twice: a late request to delete one could meet another.
alter table tidewell.sync_states add column last_number bigint not null default 0;

update tidewell.sync_states as state
set last_number = (
    select coalesce(max(substring(name from '_v([0-9]{1,18})$')::bigint), 0)
    from (select state.collection as name
          union select state.previous_collection
          union select collection from tidewell.sync_overlay where job_id = state.job_id
          union select position.collection
          from tidewell.sync_positions as position
          join public.typesense_sync_runs as run on run.id = position.run_id
          where run.job_id = state.job_id) as named);

-- Since no number comes back, doubts about documents of a collection that is gone are of no use.
delete from tidewell.sync_overlay as overlay using tidewell.sync_states as state
where state.job_id = overlay.job_id
  and overlay.collection is distinct from state.collection
  and overlay.collection is distinct from state.previous_collection
  and not exists (select from tidewell.sync_positions as position
                  join public.typesense_sync_runs as run on run.id = position.run_id
                  where run.job_id = overlay.job_id and position.collection = overlay.collection);
