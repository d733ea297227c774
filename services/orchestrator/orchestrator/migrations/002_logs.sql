-- The log of each run. `sequence` is the place in the LOGS stream, so a record delivered twice is kept once.
CREATE TABLE logs (
    run_id text NOT NULL,
    sequence bigint NOT NULL,
    record jsonb NOT NULL,
    recorded_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run_id, sequence)
);

CREATE INDEX logs_age ON logs (recorded_at);
