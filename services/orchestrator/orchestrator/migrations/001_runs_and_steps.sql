-- Runs of durable steps (DESIGN.md, section 4). `kind` says what a run is; a pipeline job is a run of kind `job`.
CREATE TABLE runs (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run_id text NOT NULL UNIQUE,
    kind text NOT NULL,
    owner text NOT NULL,
    idempotency_key text,
    status text NOT NULL DEFAULT 'active' CHECK (status IN ('active', 'completed', 'failed', 'cancelled')),
    definition jsonb NOT NULL,
    -- What holds for every step of the run.
    options jsonb NOT NULL,
    error jsonb,
    -- The W3C trace context of whoever submitted the run, under which its steps are worked on.
    traceparent text,
    created_at timestamptz NOT NULL DEFAULT clock_timestamp(),
    finished_at timestamptz,
    CHECK ((status = 'active') = (finished_at IS NULL))
);

CREATE UNIQUE INDEX runs_idempotency_key ON runs (owner, kind, idempotency_key) WHERE idempotency_key IS NOT NULL;
CREATE INDEX runs_newest ON runs (kind, id);

CREATE TABLE steps (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run bigint NOT NULL REFERENCES runs ON DELETE CASCADE,
    -- The place in the run's definition, from 0; `needs` and `ancestors` hold such places, the latter nearest first.
    position integer NOT NULL,
    name text NOT NULL,
    kind text NOT NULL,
    owner text NOT NULL,
    config jsonb NOT NULL,
    needs integer[] NOT NULL,
    ancestors integer[] NOT NULL,
    max_attempts integer NOT NULL CHECK (max_attempts > 0),
    timeout_seconds double precision NOT NULL,

    status text NOT NULL
        CHECK (status IN ('waiting', 'ready', 'running', 'completed', 'failed', 'cancelled', 'skipped')),
    -- How many of `needs` have not completed.
    waits_for integer NOT NULL CHECK (waits_for >= 0),
    attempt integer NOT NULL DEFAULT 0,
    -- Grows with every claim: whoever shows an older one has lost the step.
    fence bigint NOT NULL DEFAULT 0,

    -- Of a ready step: its place in the line (line_start), since when it may be claimed, when the next hint
    -- about it is due and how many have been sent.
    turn bigint,
    claimable_at timestamptz,
    hint_at timestamptz,
    hints integer NOT NULL DEFAULT 0,

    -- Of a running step.
    worker_id text,
    lease_until timestamptz,
    deadline timestamptz,

    started_at timestamptz,
    finished_at timestamptz,
    output jsonb,
    -- Why the last attempt failed.
    error jsonb,

    UNIQUE (run, position),
    CHECK ((status = 'waiting') = (waits_for > 0) OR status NOT IN ('waiting', 'ready', 'running')),
    CHECK (attempt <= max_attempts),
    CHECK (status <> 'ready' OR (turn IS NOT NULL AND claimable_at IS NOT NULL AND hint_at IS NOT NULL)),
    -- No step runs for ever.
    CHECK (status <> 'running' OR (lease_until IS NOT NULL AND deadline IS NOT NULL)),
    CHECK ((status IN ('completed', 'failed', 'cancelled', 'skipped')) = (finished_at IS NOT NULL)),
    CHECK ((status = 'completed') = (output IS NOT NULL))
);

CREATE INDEX steps_line ON steps (turn, id) WHERE status = 'ready';
CREATE INDEX steps_owner_line ON steps (owner, turn) WHERE status = 'ready';
CREATE INDEX steps_hints ON steps (hint_at) WHERE status = 'ready';
CREATE INDEX steps_leases ON steps (lease_until) WHERE status = 'running';

-- The place in the line of the next ready step of an owner: behind the owner's own last one, but never behind the place
-- that is being served now (start-time fair queueing). So owners take turns, and one who asks for a thousand runs does
-- not hold up the others. Each part looks at one entry of an index.
CREATE FUNCTION line_start(the_owner text) RETURNS bigint LANGUAGE sql STABLE AS $$
    SELECT greatest(
        (SELECT coalesce(min(turn), 0) FROM steps WHERE status = 'ready'),
        (SELECT coalesce(max(turn) + 1, 0) FROM steps WHERE status = 'ready' AND owner = the_owner)
    )
$$;

-- What has ended never changes again, and what a run was asked to do never does, whatever a query says.
CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    RAISE EXCEPTION '% %: %', TG_TABLE_NAME, OLD.id, TG_ARGV[0];
END
$$;

CREATE TRIGGER runs_end_once BEFORE UPDATE ON runs FOR EACH ROW
    WHEN (OLD.status <> 'active') EXECUTE FUNCTION refuse_change('it has ended');

CREATE TRIGGER steps_end_once BEFORE UPDATE ON steps FOR EACH ROW
    WHEN (OLD.status NOT IN ('waiting', 'ready', 'running')) EXECUTE FUNCTION refuse_change('it has ended');

CREATE TRIGGER definitions_never_change BEFORE UPDATE OF definition, options ON runs FOR EACH ROW
    EXECUTE FUNCTION refuse_change('its definition never changes');
