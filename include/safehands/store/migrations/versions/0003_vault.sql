-- The vault: legal holds, restrictions (PIPL 47 ¶2), who opened what, and row-level security on
-- every table with a controller.

CREATE TABLE login_controller (
    role text PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller
);
COMMENT ON TABLE login_controller IS 'Logins of people that see one controller whatever they set.';

CREATE TABLE legal_hold (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    scope text NOT NULL CHECK (scope IN ('subject', 'parcel', 'controller')),
    subject_id uuid,
    waybill uuid,
    reason text NOT NULL,
    reference text NOT NULL DEFAULT '',
    owner text NOT NULL,
    placed_at timestamptz NOT NULL,
    until date NOT NULL,
    ended_at timestamptz,
    ended_by text,
    CHECK ((subject_id IS NOT NULL) = (scope = 'subject')),
    CHECK ((waybill IS NOT NULL) = (scope = 'parcel'))
);
COMMENT ON TABLE legal_hold IS 'What must not be deleted: why, who answers for it, until when.';

CREATE TABLE restriction (
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid NOT NULL,
    reason text NOT NULL,
    restricted_at timestamptz NOT NULL,
    until date,
    by_whom text NOT NULL,
    PRIMARY KEY (controller_id, subject_id)
);
COMMENT ON TABLE restriction IS 'People whose record is kept and not otherwise processed (PIPL 47). '
    'No token beside the id: in an old backup it would lead from a number to an erased person.';

CREATE TABLE parcel_held (
    LIKE parcel,
    why text NOT NULL CHECK (why IN ('hold', 'limitation', 'restriction')),
    held_at timestamptz NOT NULL,
    until date,
    PRIMARY KEY (controller_id, waybill, arrived_at)
);
CREATE INDEX parcel_held_subject ON parcel_held (controller_id, subject_id);
COMMENT ON TABLE parcel_held IS 'Parcels that are stored and not otherwise processed: under a hold, '
    'within a limitation period, or of a restricted person.';

CREATE TABLE parcel_history (
    controller_id int NOT NULL REFERENCES controller,
    station_id int NOT NULL REFERENCES station,
    month date NOT NULL,
    parcels int NOT NULL,
    PRIMARY KEY (controller_id, station_id, month)
);
COMMENT ON TABLE parcel_history IS 'Anonymous: how many parcels a station had in a month long ago.';

CREATE TABLE access_log (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid,
    action text NOT NULL CHECK (action IN ('reveal', 'correct', 'restrict', 'release')),
    purpose text NOT NULL,
    fields text NOT NULL,
    by_whom text NOT NULL,
    at timestamptz NOT NULL
);
CREATE INDEX access_log_subject ON access_log (controller_id, subject_id);
COMMENT ON TABLE access_log IS 'Who opened, corrected or restricted a record, for which purpose.';

ALTER TABLE custody ADD COLUMN restricted boolean NOT NULL DEFAULT false;
ALTER TABLE preference ADD COLUMN restricted boolean NOT NULL DEFAULT false;
COMMENT ON COLUMN subject.generation IS 'Which holder of the number, from 0; of a restricted person '
    'below 0, so that a later holder never meets it.';

-- The controller this connection may see. A login that belongs to one controller can't choose; for
-- all others it is the one the transaction is bound to, which guards against mistakes, not people.
CREATE FUNCTION bound_controller() RETURNS int
LANGUAGE sql STABLE PARALLEL SAFE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT coalesce(
        (SELECT l.controller_id FROM login_controller l WHERE l.role = session_user),
        nullif(current_setting('safehands.controller', true), '')::int)
$$;

-- Rights on tables of people: strictly the bound controller, restricted people hidden.
DROP POLICY one_controller ON subject;
DROP POLICY one_controller ON parcel;
DROP POLICY one_controller ON custody;
DROP POLICY one_controller ON preference;
DROP POLICY one_controller ON tombstone;
DROP POLICY one_controller ON quarantine;

DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    -- Upkeep of what is stored (re-wrapping, re-sealing, erasing) says so for its transaction.
    upkeep text := '(NOT restricted OR (SELECT current_setting(''safehands.storage'', true)) = ''on'')';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['parcel_held', 'legal_hold', 'restriction', 'access_log', 'login_controller',
        'parcel_history', 'record_set', 'station', 'controller_key', 'former_key', 'epoch', 'batch', 'quality_result',
        'risk_assessment', 'controller'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['subject', 'custody', 'preference'] LOOP
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline USING (%s AND %s)', t, mine, upkeep);
        EXECUTE format('CREATE POLICY people ON %I TO safehands_analyst, safehands_officer'
            ' USING (%s AND NOT restricted)', t, mine);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['parcel', 'tombstone', 'quarantine', 'legal_hold', 'restriction', 'access_log'] LOOP
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_analyst, safehands_officer'
            ' USING (%s)', t, mine);
    END LOOP;
    EXECUTE format('CREATE POLICY one_controller ON parcel_held FOR INSERT TO safehands_pipeline WITH CHECK (%s)', mine);
    EXECUTE format('CREATE POLICY auditor ON access_log FOR SELECT TO safehands_auditor USING (%s)', loose);
    EXECUTE format('CREATE POLICY auditor ON legal_hold FOR SELECT TO safehands_auditor USING (%s)', loose);
    -- Registers and evidence hold nobody's record: without a binding they are seen whole.
    FOREACH t IN ARRAY ARRAY['record_set', 'station', 'batch', 'quality_result', 'risk_assessment', 'parcel_history'] LOOP
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_analyst,'
            ' safehands_officer, safehands_auditor USING (%s)', t, loose);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['controller_key', 'former_key', 'epoch'] LOOP
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline USING (%s)', t, loose);
        EXECUTE format('CREATE POLICY officer ON %I TO safehands_officer USING (%s)', t, mine);
    END LOOP;
    EXECUTE format('CREATE POLICY one_controller ON controller TO safehands_pipeline, safehands_analyst,'
        ' safehands_officer, safehands_auditor USING (%s)', replace(loose, 'controller_id', 'id'));
END $$;

-- Whose record must stay as it is on a day, because of a legal hold on them or on a parcel of theirs.
CREATE FUNCTION held_subjects(day date) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT h.subject_id FROM legal_hold h
        WHERE h.controller_id = bound_controller() AND h.ended_at IS NULL AND h.until >= day
        AND h.subject_id IS NOT NULL
    UNION SELECT p.subject_id FROM legal_hold h JOIN parcel p USING (controller_id, waybill)
        WHERE h.controller_id = bound_controller() AND h.ended_at IS NULL AND h.until >= day
        AND p.subject_id IS NOT NULL
    UNION SELECT p.subject_id FROM legal_hold h JOIN parcel_held p USING (controller_id, waybill)
        WHERE h.controller_id = bound_controller() AND h.ended_at IS NULL AND h.until >= day
        AND p.subject_id IS NOT NULL
$$;

-- Who must not be deleted on a day, because a parcel of theirs is stored for a limitation period.
CREATE FUNCTION limited_subjects(day date) RETURNS SETOF uuid
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT DISTINCT p.subject_id FROM parcel_held p
        WHERE p.controller_id = bound_controller() AND p.why = 'limitation' AND p.until >= day
        AND p.subject_id IS NOT NULL
$$;

CREATE FUNCTION held_waybills() RETURNS TABLE (waybill uuid, arrived_at timestamptz)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.waybill, p.arrived_at FROM parcel_held p WHERE p.controller_id = bound_controller()
$$;

-- From now on these people's records are stored and nothing else; how many were not before.
CREATE FUNCTION restrict_subjects(
    who uuid[], because text, at timestamptz, ends date, by_whom text
) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    done uuid[];
BEGIN
    WITH numbered AS (
        SELECT s.subject_id, least(0, (SELECT min(o.generation) FROM subject o
                WHERE o.controller_id = c AND o.lookup = s.lookup))
            - row_number() OVER (PARTITION BY s.lookup) AS number
        FROM subject s WHERE s.controller_id = c AND s.subject_id = ANY (who) AND NOT s.restricted
    ), hidden AS (
        UPDATE subject s SET restricted = true, generation = n.number FROM numbered n
        WHERE s.controller_id = c AND s.subject_id = n.subject_id RETURNING s.subject_id
    )
    SELECT coalesce(array_agg(subject_id), '{}') INTO done FROM hidden;
    INSERT INTO restriction SELECT c, d.id, because, at, ends, by_whom FROM unnest(done) AS d (id);
    UPDATE custody SET restricted = true WHERE controller_id = c AND subject_id = ANY (done);
    UPDATE preference SET restricted = true WHERE controller_id = c AND subject_id = ANY (done);
    WITH gone AS (
        DELETE FROM parcel p WHERE p.controller_id = c AND p.subject_id = ANY (done) RETURNING p.*)
    INSERT INTO parcel_held SELECT gone.*, 'restriction', at, NULL FROM gone ON CONFLICT DO NOTHING;
    RETURN cardinality(done);
END $$;

-- The records are in use again. What they held in the meantime goes back to where it came from.
CREATE FUNCTION release_subjects(who uuid[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    done uuid[];
    month date;
BEGIN
    WITH gone AS (
        DELETE FROM restriction r WHERE r.controller_id = c AND r.subject_id = ANY (who)
        RETURNING r.subject_id)
    SELECT coalesce(array_agg(subject_id), '{}') INTO done FROM gone;
    UPDATE subject s SET restricted = false, generation = n.number FROM (
        SELECT s.subject_id, greatest(-1, (SELECT max(o.generation) FROM subject o
                WHERE o.controller_id = c AND o.lookup = s.lookup))
            + row_number() OVER (PARTITION BY s.lookup) AS number
        FROM subject s WHERE s.controller_id = c AND s.subject_id = ANY (done)) n
    WHERE s.controller_id = c AND s.subject_id = n.subject_id;
    UPDATE custody SET restricted = false WHERE controller_id = c AND subject_id = ANY (done);
    UPDATE preference SET restricted = false WHERE controller_id = c AND subject_id = ANY (done);
    FOR month IN
        SELECT DISTINCT date_trunc('month', p.arrived_at AT TIME ZONE 'Asia/Shanghai')::date
        FROM parcel_held p
        WHERE p.controller_id = c AND p.subject_id = ANY (done) AND p.why = 'restriction'
    LOOP
        PERFORM add_month(month);
    END LOOP;
    WITH back AS (
        DELETE FROM parcel_held p
        WHERE p.controller_id = c AND p.subject_id = ANY (done) AND p.why = 'restriction'
        RETURNING p.*)
    INSERT INTO parcel (controller_id, station_id, waybill, subject_id, arrived_at, collected_at,
        district, batch_id, carrier, status, weight_band, tags)
    SELECT controller_id, station_id, waybill, subject_id, arrived_at, collected_at,
        district, batch_id, carrier, status, weight_band, tags FROM back ON CONFLICT DO NOTHING;
    RETURN cardinality(done);
END $$;

-- What a hold keeps although its time is over, of people who are in use otherwise.
CREATE FUNCTION store_only(waybills uuid[], people uuid[]) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    UPDATE custody SET restricted = true
        WHERE controller_id = bound_controller() AND waybill = ANY (waybills);
    UPDATE preference SET restricted = true
        WHERE controller_id = bound_controller() AND subject_id = ANY (people);
$$;

-- Such rows that no hold keeps any more are seen again, so that the rules can take them.
CREATE FUNCTION use_again(day date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE c int := bound_controller();
BEGIN
    IF EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = c AND h.scope = 'controller'
        AND h.ended_at IS NULL AND h.until >= day) THEN
        RETURN;
    END IF;
    UPDATE custody u SET restricted = false WHERE u.controller_id = c AND u.restricted
        AND (u.subject_id IS NULL OR u.subject_id NOT IN (SELECT held_subjects(day)))
        AND NOT EXISTS (SELECT FROM restriction r
            WHERE r.controller_id = c AND r.subject_id = u.subject_id)
        AND NOT EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = c
            AND h.waybill = u.waybill AND h.ended_at IS NULL AND h.until >= day);
    UPDATE preference f SET restricted = false WHERE f.controller_id = c AND f.restricted
        AND f.subject_id NOT IN (SELECT held_subjects(day))
        AND NOT EXISTS (SELECT FROM restriction r
            WHERE r.controller_id = c AND r.subject_id = f.subject_id);
END $$;

CREATE FUNCTION restrict_subject(
    who uuid, because text, at timestamptz, ends date, by_whom text
) RETURNS boolean
LANGUAGE sql SET search_path = public, pg_temp AS $$
    SELECT restrict_subjects(ARRAY[who], because, at, ends, by_whom) = 1
$$;

-- What of a restricted person the load needs, so that their rows stay out: the wrapped secret, from
-- which the key ring gets the tombstone token, and since when. Nothing of the record.
CREATE FUNCTION restricted_secrets()
RETURNS TABLE (subject_id uuid, wrapped_salt bytea, restricted_at timestamptz, until date)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.subject_id, s.wrapped_salt, r.restricted_at, r.until
    FROM restriction r JOIN subject s USING (controller_id, subject_id)
    WHERE r.controller_id = bound_controller()
$$;

-- Whether the officer's question is about somebody restricted: since when and why.
CREATE FUNCTION restriction_of(who uuid, seek uuid)
RETURNS TABLE (restricted_at timestamptz, reason text)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT r.restricted_at, r.reason
    FROM restriction r JOIN subject s USING (controller_id, subject_id)
    WHERE r.controller_id = bound_controller() AND (s.subject_id = who OR s.lookup = seek)
    ORDER BY r.restricted_at DESC LIMIT 1
$$;

-- Restrictions whose end has come and that nothing else keeps.
CREATE FUNCTION ended_restrictions(day date) RETURNS TABLE (subject_id uuid, wrapped_salt bytea)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT s.subject_id, s.wrapped_salt
    FROM restriction r JOIN subject s USING (controller_id, subject_id)
    WHERE r.controller_id = bound_controller() AND r.until < day
    AND r.subject_id NOT IN (SELECT held_subjects(day) UNION ALL SELECT limited_subjects(day))
    AND NOT EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = r.controller_id
        AND h.scope = 'controller' AND h.ended_at IS NULL AND h.until >= day)
$$;

-- Restricted people go with all that was stored of them. Tombstones are written by the caller.
CREATE FUNCTION delete_restricted(who uuid[]) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    gone int;
BEGIN
    DELETE FROM parcel_held p WHERE p.controller_id = c AND p.subject_id = ANY (who);
    DELETE FROM custody u WHERE u.controller_id = c AND u.subject_id = ANY (who);
    DELETE FROM preference f WHERE f.controller_id = c AND f.subject_id = ANY (who);
    DELETE FROM subject s
        WHERE s.controller_id = c AND s.subject_id = ANY (who) AND s.restricted;
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Stored parcels that nothing keeps any more: their time was over before they were moved.
CREATE FUNCTION end_held_parcels(day date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    gone int;
BEGIN
    IF EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = c AND h.scope = 'controller'
        AND h.ended_at IS NULL AND h.until >= day) THEN
        RETURN 0;
    END IF;
    DELETE FROM parcel_held p WHERE p.controller_id = c
    AND (p.why = 'hold' OR (p.why = 'limitation' AND p.until < day))
    AND NOT EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = c AND h.ended_at IS NULL
        AND h.until >= day AND (h.waybill = p.waybill OR h.subject_id = p.subject_id));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;

-- Whatever deletes people, it deletes nobody who is under a hold, and it leaves no id behind: the
-- restriction goes, and of an access stays that there was one (CSL 23(3)). A trigger and no foreign
-- key, so that a restore may bring back registers that are newer than the people.
CREATE FUNCTION subjects_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF EXISTS (
        SELECT FROM legal_hold h JOIN gone g USING (controller_id)
        WHERE h.ended_at IS NULL AND (h.scope = 'controller' OR h.subject_id = g.subject_id
            OR EXISTS (SELECT FROM parcel p WHERE p.controller_id = h.controller_id
                AND p.waybill = h.waybill AND p.subject_id = g.subject_id)
            OR EXISTS (SELECT FROM parcel_held p WHERE p.controller_id = h.controller_id
                AND p.waybill = h.waybill AND p.subject_id = g.subject_id))
    ) THEN
        RAISE EXCEPTION 'a legal hold forbids this deletion' USING ERRCODE = 'check_violation';
    END IF;
    DELETE FROM restriction r USING gone g
        WHERE r.controller_id = g.controller_id AND r.subject_id = g.subject_id;
    UPDATE access_log a SET subject_id = NULL FROM gone g
        WHERE a.controller_id = g.controller_id AND a.subject_id = g.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER subjects_gone AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION subjects_gone();

-- After a restore: the newest registers stand beside older people. Restrictions of people who are
-- not there go; everybody else who is restricted becomes so again.
CREATE FUNCTION restrict_again() RETURNS int
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
DECLARE
    r restriction;
    again int := 0;
BEGIN
    DELETE FROM restriction d WHERE NOT EXISTS (SELECT FROM subject s
        WHERE s.controller_id = d.controller_id AND s.subject_id = d.subject_id);
    FOR r IN SELECT d.* FROM restriction d JOIN subject s USING (controller_id, subject_id)
        WHERE NOT s.restricted OR s.generation >= 0
    LOOP
        UPDATE subject s SET restricted = false
            WHERE s.controller_id = r.controller_id AND s.subject_id = r.subject_id;
        DELETE FROM restriction d
            WHERE d.controller_id = r.controller_id AND d.subject_id = r.subject_id;
        PERFORM set_config('safehands.controller', r.controller_id::text, true);
        PERFORM restrict_subject(r.subject_id, r.reason, r.restricted_at, r.until, r.by_whom);
        again := again + 1;
    END LOOP;
    RETURN again;
END $$;

-- A month that lies wholly before a moment goes with all that is still in it. Rows under a hold
-- must have been moved before; otherwise nothing goes.
CREATE FUNCTION drop_old_month(month date, before timestamptz) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    name text := 'parcel_' || to_char(month, 'YYYYMM');
    after timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai';
    gone int;
    held boolean;
BEGIN
    IF to_regclass(name) IS NULL THEN
        RETURN 0;
    END IF;
    IF after > before THEN
        RAISE EXCEPTION 'month is not over' USING ERRCODE = 'check_violation';
    END IF;
    LOCK TABLE parcel IN ACCESS EXCLUSIVE MODE;
    EXECUTE format('SELECT count(*) FROM %I', name) INTO gone;
    EXECUTE format('SELECT EXISTS (SELECT FROM %I p JOIN legal_hold h USING (controller_id)'
        ' WHERE h.ended_at IS NULL AND (h.scope = ''controller'' OR h.waybill = p.waybill'
        ' OR h.subject_id = p.subject_id))', name) INTO held;
    IF held THEN
        RAISE EXCEPTION 'a legal hold forbids this deletion' USING ERRCODE = 'check_violation';
    END IF;
    EXECUTE format('DROP TABLE %I', name);
    RETURN gone;
END $$;

REVOKE ALL ON FUNCTION held_subjects(date), limited_subjects(date), held_waybills(),
    restrict_subjects(uuid[], text, timestamptz, date, text), release_subjects(uuid[]),
    restrict_subject(uuid, text, timestamptz, date, text), restricted_secrets(),
    restriction_of(uuid, uuid), ended_restrictions(date), delete_restricted(uuid[]),
    store_only(uuid[], uuid[]), use_again(date), end_held_parcels(date), subjects_gone(),
    restrict_again(), drop_old_month(date, timestamptz), bound_controller() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION bound_controller() TO safehands_pipeline, safehands_backup,
    safehands_analyst, safehands_officer, safehands_auditor;
GRANT EXECUTE ON FUNCTION held_subjects(date), limited_subjects(date), held_waybills(), restricted_secrets(),
    ended_restrictions(date), delete_restricted(uuid[]),
    end_held_parcels(date), drop_old_month(date, timestamptz), store_only(uuid[], uuid[]),
    use_again(date) TO safehands_pipeline;
GRANT EXECUTE ON FUNCTION restriction_of(uuid, uuid) TO safehands_officer;
GRANT EXECUTE ON FUNCTION restrict_subjects(uuid[], text, timestamptz, date, text),
    restrict_subject(uuid, text, timestamptz, date, text), release_subjects(uuid[]) TO safehands_pipeline, safehands_officer;

GRANT SELECT ON login_controller, legal_hold, restriction, parcel_held, parcel_history, access_log
    TO safehands_backup;

GRANT SELECT, INSERT, UPDATE ON parcel_history TO safehands_pipeline;
GRANT INSERT ON parcel_held TO safehands_pipeline;
GRANT SELECT ON legal_hold, restriction TO safehands_pipeline;
GRANT UPDATE (ended_at, ended_by) ON legal_hold TO safehands_pipeline;
GRANT SELECT, DELETE ON access_log TO safehands_pipeline;
GRANT DELETE ON step_result, quality_result, risk_assessment TO safehands_pipeline;

GRANT SELECT, INSERT ON legal_hold, access_log TO safehands_officer;
GRANT UPDATE (ended_at, ended_by) ON legal_hold TO safehands_officer;
GRANT SELECT ON restriction TO safehands_officer;
GRANT UPDATE (sealed) ON subject TO safehands_officer;
GRANT INSERT (body) ON ledger_entry TO safehands_officer;

GRANT SELECT ON parcel_history TO safehands_analyst, safehands_auditor;
GRANT SELECT (id, controller_id, action, purpose, fields, by_whom, at) ON access_log TO safehands_auditor;
GRANT SELECT (id, controller_id, scope, reason, reference, owner, placed_at, until, ended_at, ended_by)
    ON legal_hold TO safehands_auditor;
