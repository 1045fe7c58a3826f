-- The trace that a write was accepted in, as W3C's traceparent; null where it was not traced. What projects the write links to it.
alter table tidewell.jobs add column trace_parent text;
