-- Views over evidence for the dashboards that a company already has (docs/dashboards-sql.md). Names
-- and columns are kept; a new column goes to the end. They show counts, dates, rules and codes; a
-- sole trader's name is a person's, so owners and stations stand under their codes alone.
-- security_invoker: whoever asks needs the rights of the tables below and meets their policies.

-- What policy allowed on that night stands beside what was held, so that a later change of policy
-- doesn't rewrite the past; nights before this revision don't know.
ALTER TABLE held_figure ADD COLUMN keep_days int;
COMMENT ON COLUMN held_figure.keep_days IS 'Days that policy allowed on that night.';

CREATE VIEW evidence_quality WITH (security_invoker = true) AS
    SELECT q.business_date, c.code AS owner, q.station, q.dataset, q.dimension,
        sum(q.evaluated)::bigint AS checks, sum(q.failed)::bigint AS failed,
        round(100 * sum(q.evaluated - q.failed)::numeric / nullif(sum(q.evaluated), 0), 2) AS score
    FROM quality_result q JOIN controller c ON c.id = q.controller_id
    WHERE q.suite <> 'pseudonymised' GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW evidence_quality IS 'Checks per night, station, dataset and dimension.';

CREATE VIEW evidence_rules WITH (security_invoker = true) AS
    SELECT n.business_date, c.code AS owner, n.rule, n.dataset, n.dimension, n.severity,
        n.evaluated AS checks, n.failed, n.stations, n.stations_failed,
        round(100 * (n.evaluated - n.failed)::numeric / nullif(n.evaluated, 0), 2) AS score
    FROM quality_night n JOIN controller c ON c.id = n.controller_id;
COMMENT ON VIEW evidence_rules IS 'Quality rules per night and owner.';

CREATE VIEW evidence_steps WITH (security_invoker = true) AS
    SELECT r.business_date, r.step, count(*)::int AS shards,
        sum((r.counts->>'in')::bigint)::bigint AS rows_in,
        sum((r.counts->>'out')::bigint)::bigint AS rows_out,
        sum((r.counts->>'quarantined')::bigint)::bigint AS quarantined,
        round(sum(r.seconds)::numeric, 1) AS seconds
    FROM step_result r WHERE r.run NOT LIKE 'retry-%' GROUP BY 1, 2;
COMMENT ON VIEW evidence_steps IS 'What each step of a night did, all shards together.';

CREATE VIEW evidence_files WITH (security_invoker = true) AS
    SELECT b.business_date, c.code AS owner, s.code AS station,
        count(*) FILTER (WHERE b.state = 'loaded')::int AS loaded,
        count(*) FILTER (WHERE b.state = 'set_aside')::int AS set_aside
    FROM batch b JOIN station s ON s.id = b.station_id JOIN controller c ON c.id = b.controller_id
    GROUP BY 1, 2, 3;
COMMENT ON VIEW evidence_files IS 'Source files per night and station.';

CREATE VIEW evidence_quarantine WITH (security_invoker = true) AS
    SELECT q.day AS since, c.code AS owner, s.code AS station, q.dataset, q.rule,
        count(*)::bigint AS waiting
    FROM quarantine q JOIN batch b ON b.id = q.batch_id JOIN station s ON s.id = b.station_id
    JOIN controller c ON c.id = q.controller_id GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW evidence_quarantine IS 'Rows that wait for a person, by the night that set them aside.';

CREATE VIEW evidence_held WITH (security_invoker = true) AS
    SELECT h.business_date, c.code AS owner, h.rule AS retention, h.held, h.oldest AS oldest_days,
        h.keep_days, h.overdue
    FROM held_figure h JOIN controller c ON c.id = h.controller_id;
COMMENT ON VIEW evidence_held IS 'What was held after a night under each retention rule.';

CREATE VIEW evidence_purges WITH (security_invoker = true) AS
    SELECT r.business_date, r.shard AS owner, p.key AS retention,
        sum(p.value::bigint)::bigint AS treated
    FROM step_result r, jsonb_each_text(r.counts) p
    WHERE r.step = 'purge' AND EXISTS (SELECT FROM controller c WHERE c.code = r.shard)
    GROUP BY 1, 2, 3;
COMMENT ON VIEW evidence_purges IS 'What the purge of a night deleted, cut or restricted.';

CREATE VIEW evidence_risk WITH (security_invoker = true) AS
    SELECT DISTINCT ON (r.business_date, c.code) r.business_date, c.code AS owner,
        (r.figures->>'people')::bigint AS people, (r.figures->>'k')::int AS k,
        (r.figures->'histogram'->0->>2)::bigint AS alone,
        (r.figures->'figures'->'prosecutor'->>'highest')::float8 AS highest,
        (r.figures->'figures'->'prosecutor'->>'average')::float8 AS average
    FROM risk_assessment r JOIN controller c ON c.id = r.controller_id
    ORDER BY r.business_date, c.code, r.id DESC;
COMMENT ON VIEW evidence_risk IS 'Re-identification risk per night and owner, the newest of a night.';

CREATE VIEW evidence_rulebook WITH (security_invoker = true) AS
    SELECT DISTINCT ON (r.business_date, c.code, r.rule) r.business_date, c.code AS owner, r.rule,
        r.outcome, r.blocks_handover
    FROM rule_result r JOIN controller c ON c.id = r.controller_id WHERE r.occasion = 'night'
    ORDER BY r.business_date, c.code, r.rule, r.id DESC;
COMMENT ON VIEW evidence_rulebook IS 'Verdicts of the rule book per night and owner.';

CREATE VIEW evidence_backups WITH (security_invoker = true) AS
    SELECT b.business_date, b.created_at, (b.facts->>'rows')::bigint AS "rows",
        (b.facts->>'bytes')::bigint AS bytes, b.prune_id IS NOT NULL AS pruned,
        EXISTS (SELECT FROM generation_proof p WHERE p.manifest = b.manifest) AS proved
    FROM backup b;
COMMENT ON VIEW evidence_backups IS 'Generations of the backup repository.';

CREATE VIEW evidence_drills WITH (security_invoker = true) AS
    SELECT d.business_date, d.ended_at, d.passed, d.rto_seconds, d.recovery_point,
        round((extract(epoch FROM d.ended_at - d.recovery_point) / 3600)::numeric, 1) AS rpo_hours
    FROM restore_drill d;
COMMENT ON VIEW evidence_drills IS 'Restore drills with RTO and RPO.';

CREATE VIEW evidence_handovers WITH (security_invoker = true) AS
    SELECT h.handover_id AS handover, c.code AS owner, h.mode, h.state,
        jsonb_array_length(h.request->'stations') AS stations, h.opened_at, h.changed_at
    FROM handover h JOIN controller c ON c.id = h.controller_id;
COMMENT ON VIEW evidence_handovers IS 'Hand-overs of stations and where each stands; owner: the seller.';

CREATE VIEW evidence_requests WITH (security_invoker = true) AS
    SELECT c.code AS owner, r.kind, r.state,
        (r.requested_at AT TIME ZONE 'Asia/Shanghai')::date AS asked,
        CASE WHEN r.state IN ('refused', 'done') THEN 'closed'
            WHEN r.latest < (now() AT TIME ZONE 'Asia/Shanghai')::date THEN 'late'
            WHEN r.target < (now() AT TIME ZONE 'Asia/Shanghai')::date THEN 'behind'
            ELSE 'in_time' END AS clock,
        count(*)::int AS requests, min(r.latest) AS nearest
    FROM subject_request r JOIN controller c ON c.id = r.controller_id GROUP BY 1, 2, 3, 4, 5;
COMMENT ON VIEW evidence_requests IS 'Requests of people as counts, with their clocks.';

GRANT SELECT ON evidence_quality, evidence_rules, evidence_steps, evidence_files,
    evidence_quarantine, evidence_held, evidence_purges, evidence_risk, evidence_rulebook,
    evidence_backups, evidence_drills, evidence_handovers, evidence_requests TO safehands_auditor;

-- A trend adds up what a hundred owners have per night and rule: from the index alone, without
-- visiting the table's rows.
DROP INDEX quality_night_day;
CREATE INDEX quality_night_day ON quality_night (business_date, rule)
    INCLUDE (controller_id, evaluated, failed);
