-- The first steps in line of the given kinds, locked for whoever asks. The line is read in its own order, step by step:
-- planned by statistics that were taken when it was short, every claim would sort all of a long one.
CREATE FUNCTION first_in_line(kinds text[], at_most integer) RETURNS SETOF bigint
LANGUAGE sql VOLATILE ROWS 20 SET enable_sort = off SET enable_bitmapscan = off AS $$
    SELECT id FROM steps
    WHERE status = 'ready' AND claimable_at <= statement_timestamp() AND kind = ANY (kinds)
    ORDER BY turn, id LIMIT at_most FOR UPDATE SKIP LOCKED
$$;
