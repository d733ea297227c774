-- What starts runs of workflows by itself. `last_run` is empty, too, once that run has been deleted.
CREATE TABLE schedules (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow bigint NOT NULL REFERENCES workflows,
    -- In whose name its runs are started.
    owner text NOT NULL,
    cron text NOT NULL,
    time_zone text NOT NULL,
    inputs jsonb NOT NULL,
    overlap text NOT NULL CHECK (overlap IN ('skip', 'queue')),
    enabled boolean NOT NULL,
    next_at timestamptz,
    -- A start that was due while the run before went on, and that waits for its end.
    waiting_at timestamptz,
    last_at timestamptz,
    last_run bigint REFERENCES workflow_runs ON DELETE SET NULL,
    -- Why the last start made no run.
    error text,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now(),
    CHECK (enabled = (next_at IS NOT NULL)),
    CHECK (enabled OR waiting_at IS NULL)
);

CREATE INDEX schedules_due ON schedules (next_at) WHERE enabled;
CREATE INDEX schedules_waiting ON schedules (id) WHERE waiting_at IS NOT NULL;
CREATE INDEX schedules_workflow ON schedules (workflow, id);
CREATE INDEX schedules_last_run ON schedules (last_run) WHERE last_run IS NOT NULL;

CREATE TABLE webhooks (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    workflow bigint NOT NULL REFERENCES workflows,
    owner text NOT NULL,
    name text NOT NULL,
    -- Of the secret in its URL.
    digest bytea NOT NULL,
    -- From which, with that secret, its signing secret follows; null where nothing need be signed.
    salt bytea,
    enabled boolean NOT NULL,
    last_at timestamptz,
    last_run bigint REFERENCES workflow_runs ON DELETE SET NULL,
    created_at timestamptz NOT NULL DEFAULT now(),
    updated_at timestamptz NOT NULL DEFAULT now()
);

CREATE INDEX webhooks_workflow ON webhooks (workflow, id);
CREATE INDEX webhooks_last_run ON webhooks (last_run) WHERE last_run IS NOT NULL;
