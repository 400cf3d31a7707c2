-- Erasure: requests, whom they are about (under the epoch key alone), and the epochs they open.

CREATE TABLE erasure (
    request text PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    state text NOT NULL CHECK (state IN ('requested', 'held', 'erased', 'final')),
    reason text NOT NULL CHECK (reason IN ('purpose', 'ended', 'withdrawn', 'unlawful', 'law')),
    requested_at timestamptz NOT NULL,
    erased_at timestamptz,
    counts jsonb NOT NULL DEFAULT '{}',
    epoch int,
    certificate jsonb,
    CHECK ((erased_at IS NOT NULL) = (state IN ('erased', 'final'))),
    CHECK ((certificate IS NOT NULL) = (state = 'final')),
    CHECK (state <> 'final' OR epoch IS NOT NULL)
);
COMMENT ON TABLE erasure IS 'Erasures: asked for, under a hold, done, final in all copies. epoch: the '
    'one that was opened for it; certificate: what is certified (counts, digests, dates).';

-- Whom a request is about stands under the epoch key, bound to the request: a subject id in clear
-- would lead from the tombstone of the same moment to the pseudonymous rows in older backups.
CREATE TABLE erasure_subject (
    request text PRIMARY KEY REFERENCES erasure,
    controller_id int NOT NULL REFERENCES controller,
    epoch int NOT NULL,
    wrapped bytea NOT NULL
);
COMMENT ON TABLE erasure_subject IS 'Whom open requests are about, sealed under the epoch key.';

CREATE TABLE epoch_turn (
    controller_id int NOT NULL REFERENCES controller,
    number int NOT NULL,
    business_date date NOT NULL,
    state text NOT NULL CHECK (state IN ('turned', 'proved', 'destroyed')),
    turned_at timestamptz NOT NULL,
    facts jsonb NOT NULL,
    PRIMARY KEY (controller_id, number),
    UNIQUE (controller_id, business_date)
);
CREATE UNIQUE INDEX epoch_turn_open ON epoch_turn (controller_id) WHERE state <> 'destroyed';
COMMENT ON TABLE epoch_turn IS 'Epochs opened by erasures: one per controller and night, and none '
    'before the key of the one before is destroyed.';

-- Who of these people is under a hold of any scope.
CREATE FUNCTION under_hold(who uuid[]) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.subject_id FROM subject s
    WHERE s.controller_id = bound_controller() AND s.subject_id = ANY (who) AND EXISTS (
        SELECT FROM legal_hold h WHERE h.controller_id = s.controller_id AND h.ended_at IS NULL
        AND (h.scope = 'controller' OR h.subject_id = s.subject_id
            OR EXISTS (SELECT FROM parcel p WHERE p.controller_id = s.controller_id
                AND p.waybill = h.waybill AND p.subject_id = s.subject_id)
            OR EXISTS (SELECT FROM parcel_held p WHERE p.controller_id = s.controller_id
                AND p.waybill = h.waybill AND p.subject_id = s.subject_id)))
$$;

-- What hangs on these people, per table: deleted, or only cut from them. Cut is what is lost or
-- damaged (status 4, exception) or stored for a limitation period. A table with a subject id
-- that is not known here must be added before anybody is erased (see safehands.erasure.tables).
CREATE FUNCTION weigh_subjects(who uuid[], day date) RETURNS jsonb
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    WITH c AS (SELECT bound_controller() AS id)
    SELECT jsonb_build_object(
        'subject', (SELECT count(*) FROM subject t, c WHERE t.controller_id = c.id AND t.subject_id = ANY (who)),
        'parcel', (SELECT count(*) FROM parcel t, c WHERE t.controller_id = c.id
            AND t.subject_id = ANY (who) AND t.status <> 4),
        'waiting', (SELECT count(*) FROM parcel t, c WHERE t.controller_id = c.id AND t.subject_id = ANY (who)
            AND t.collected_at IS NULL AND t.status <= 1),
        'parcel_held', (SELECT count(*) FROM parcel_held t, c WHERE t.controller_id = c.id
            AND t.subject_id = ANY (who) AND NOT (t.why = 'limitation' AND t.until >= day)),
        'cut', (SELECT count(*) FROM parcel_held t, c WHERE t.controller_id = c.id
            AND t.subject_id = ANY (who) AND t.why = 'limitation' AND t.until >= day)
            + (SELECT count(*) FROM parcel t, c WHERE t.controller_id = c.id
            AND t.subject_id = ANY (who) AND t.status = 4),
        'custody', (SELECT count(*) FROM custody t, c WHERE t.controller_id = c.id AND t.subject_id = ANY (who)),
        'preference', (SELECT count(*) FROM preference t, c WHERE t.controller_id = c.id AND t.subject_id = ANY (who)),
        'restriction', (SELECT count(*) FROM restriction t, c WHERE t.controller_id = c.id AND t.subject_id = ANY (who)),
        'access_log', (SELECT count(*) FROM access_log t, c WHERE t.controller_id = c.id AND t.subject_id = ANY (who)))
$$;

-- The end of these people in this database. Parcels within a limitation period (民法典 188) lose
-- their person and stay until claims_until. Deleting the subject takes the restriction with it and
-- the id from the access log, and raises when a hold forbids it.
CREATE FUNCTION erase_subjects(who uuid[], day date, at timestamptz, claims_until date) RETURNS jsonb
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    weighed jsonb := weigh_subjects(who, day);
BEGIN
    UPDATE parcel_held t SET subject_id = NULL WHERE t.controller_id = c
        AND t.subject_id = ANY (who) AND t.why = 'limitation' AND t.until >= day;
    WITH moved AS (DELETE FROM parcel p WHERE p.controller_id = c AND p.subject_id = ANY (who)
        AND p.status = 4 RETURNING p.*)
    INSERT INTO parcel_held SELECT (jsonb_populate_record(NULL::parcel_held, to_jsonb(moved)
        || jsonb_build_object('subject_id', NULL, 'why', 'limitation', 'held_at', at,
        'until', claims_until))).* FROM moved ON CONFLICT DO NOTHING;
    DELETE FROM subject t WHERE t.controller_id = c AND t.subject_id = ANY (who);
    DELETE FROM parcel t WHERE t.controller_id = c AND t.subject_id = ANY (who);
    DELETE FROM parcel_held t WHERE t.controller_id = c AND t.subject_id = ANY (who);
    DELETE FROM custody t WHERE t.controller_id = c AND t.subject_id = ANY (who);
    DELETE FROM preference t WHERE t.controller_id = c AND t.subject_id = ANY (who);
    RETURN weighed;
END $$;

REVOKE ALL ON FUNCTION under_hold(uuid[]), weigh_subjects(uuid[], date), erase_subjects(uuid[], date, timestamptz, date)
    FROM PUBLIC;
GRANT EXECUTE ON FUNCTION under_hold(uuid[]), weigh_subjects(uuid[], date),
    erase_subjects(uuid[], date, timestamptz, date) TO safehands_pipeline;

DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['erasure', 'erasure_subject', 'epoch_turn'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline USING (%s)', t, mine);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['erasure', 'epoch_turn'] LOOP
        EXECUTE format('CREATE POLICY auditor ON %I FOR SELECT TO safehands_auditor USING (%s)', t, loose);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON erasure, erasure_subject, epoch_turn TO safehands_pipeline;
GRANT UPDATE (reason) ON tombstone TO safehands_pipeline;
GRANT UPDATE (state, erased_at, counts, epoch, certificate) ON erasure TO safehands_pipeline;
GRANT UPDATE (epoch, wrapped) ON erasure_subject TO safehands_pipeline;
GRANT DELETE ON erasure_subject TO safehands_pipeline;
GRANT UPDATE (state, facts) ON epoch_turn TO safehands_pipeline;
GRANT SELECT ON erasure, erasure_subject, epoch_turn TO safehands_backup;
GRANT SELECT ON erasure, epoch_turn TO safehands_auditor;
