-- How often an attempt at a step was cut off from outside, by the death of whoever worked on it or was asked for it.
ALTER TABLE steps ADD COLUMN interruptions integer NOT NULL DEFAULT 0;
