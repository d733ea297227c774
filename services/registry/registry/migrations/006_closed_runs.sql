-- Runs of jobs that were deleted, or are about to be: nothing more is registered of them.
CREATE TABLE closed_runs (
    run_id text PRIMARY KEY,
    closed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);
