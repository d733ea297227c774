-- Trained steps whose checkpoints are gone from the object store, for good: of what has ended itself nothing changes.
CREATE TABLE freed_steps (
    step bigint PRIMARY KEY REFERENCES steps ON DELETE CASCADE,
    freed_at timestamptz NOT NULL DEFAULT clock_timestamp()
);

CREATE INDEX steps_training ON steps (id) WHERE kind = 'TrainingAgent';
