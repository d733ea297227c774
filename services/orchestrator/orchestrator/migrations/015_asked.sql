-- Whether a person has been asked for the approval of a step: whoever claims it asks, unless it is skipped.
ALTER TABLE steps ADD COLUMN asked boolean NOT NULL DEFAULT false;

UPDATE steps SET asked = true WHERE status = 'paused' AND approval;
