-- A paused run goes on until its running steps have ended; its ready steps are `paused` meanwhile, so that the line of
-- ready steps holds nothing that may not be claimed.
ALTER TABLE runs ADD COLUMN paused boolean NOT NULL DEFAULT false;

ALTER TABLE steps DROP CONSTRAINT steps_status_check;
ALTER TABLE steps ADD CONSTRAINT steps_status_check CHECK (
    status IN ('waiting', 'ready', 'paused', 'running', 'completed', 'failed', 'cancelled', 'skipped')
);
ALTER TABLE steps ADD CONSTRAINT steps_paused_check CHECK (status <> 'paused' OR waits_for = 0);

CREATE OR REPLACE TRIGGER steps_end_once BEFORE UPDATE ON steps FOR EACH ROW
    WHEN (OLD.status NOT IN ('waiting', 'ready', 'paused', 'running')) EXECUTE FUNCTION refuse_change('it has ended');
