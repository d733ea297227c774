-- Engines that are registered at run time, and what can be said of each.
ALTER TABLE engines
    ADD COLUMN enabled boolean NOT NULL DEFAULT true,
    -- Seconds that one attempt may take up to its first token, or its whole answer.
    ADD COLUMN timeout double precision,
    ADD COLUMN priority integer NOT NULL DEFAULT 0,
    ADD COLUMN weight double precision NOT NULL DEFAULT 1,
    -- Served whether or not the engine lists them.
    ADD COLUMN models text[] NOT NULL DEFAULT '{}',
    -- USD for a million tokens, by model; "*" stands for all others.
    ADD COLUMN prices jsonb NOT NULL DEFAULT '{}';
