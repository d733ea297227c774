-- What people did to a job while it went on: told to its workers with their beats, and to all who watch it in its log.
CREATE TABLE job_steering (
    run bigint NOT NULL REFERENCES runs ON DELETE CASCADE,
    number integer NOT NULL,
    action text NOT NULL CHECK (action IN ('pause', 'resume', 'cancel', 'adjust')),
    actor text NOT NULL,
    -- Of an adjustment: of which step, null for all that train, and to what.
    agent_name text,
    learning_rate double precision,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    PRIMARY KEY (run, number),
    CHECK ((action = 'adjust') = (learning_rate IS NOT NULL))
);

-- Whether a completed step's output is that of an earlier run.
ALTER TABLE steps ADD COLUMN cached boolean NOT NULL DEFAULT false;

-- The numbers of a run's log, for those who plot them; few lines of a log have some.
CREATE INDEX logs_metrics ON logs (run_id, sequence) WHERE record ->> 'level' = 'METRIC';

CREATE INDEX runs_owner ON runs (kind, owner, id);
