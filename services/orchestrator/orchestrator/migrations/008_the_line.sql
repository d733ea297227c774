-- The first steps in line of the given kinds with the outputs of their ancestors, nearest first, locked for whoever asks.
-- The line is read in its own order, step by step: planned by statistics that were taken when it was short, every claim
-- would sort all of a long one. The outputs come from the same look at the steps, since each function that changes
-- something looks anew: what asks may have looked before the last ancestor had completed.
CREATE FUNCTION first_in_line(kinds text[], at_most integer) RETURNS TABLE (id bigint, inputs jsonb[])
LANGUAGE sql VOLATILE ROWS 20 SET enable_sort = off SET enable_bitmapscan = off AS $$
    SELECT steps.id, ARRAY(
        SELECT earlier.output FROM steps AS earlier
        WHERE earlier.run = steps.run AND earlier.position = ANY (steps.ancestors)
        ORDER BY array_position(steps.ancestors, earlier.position)
    )
    FROM steps
    WHERE status = 'ready' AND claimable_at <= statement_timestamp() AND kind = ANY (kinds)
    ORDER BY turn, steps.id LIMIT at_most FOR UPDATE SKIP LOCKED
$$;
