-- Sharing, incidents, complaints. What was given to whom, what went wrong, who complained.
CREATE TABLE agreement (
    controller_id int NOT NULL REFERENCES controller,
    code text NOT NULL,
    digest text NOT NULL,
    document jsonb NOT NULL,
    recorded_at timestamptz NOT NULL,
    by_whom text NOT NULL,
    PRIMARY KEY (controller_id, code, digest)
);
COMMENT ON TABLE agreement IS 'Agreements with third parties as policy stood when they were used '
    '(PIPL 21, 23; 网络数据安全管理条例 12). Organisations, no customer.';

CREATE TABLE disclosure (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    agreement text NOT NULL,
    agreement_digest text NOT NULL,
    purpose text NOT NULL,
    basis smallint NOT NULL,
    business_date date NOT NULL,
    made_at timestamptz NOT NULL,
    by_whom text NOT NULL,
    reason text NOT NULL,
    abroad boolean NOT NULL,
    people int NOT NULL,
    rows int NOT NULL,
    file_digest text NOT NULL,
    facts jsonb NOT NULL
);
COMMENT ON TABLE disclosure IS 'Every file that was given to somebody else, as counts; kept three '
    'years (网络数据安全管理条例 12).';

CREATE TABLE disclosure_subject (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    disclosure_id int NOT NULL REFERENCES disclosure,
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid,
    token uuid,
    state text NOT NULL CHECK (state IN ('given', 'due', 'sent', 'acknowledged')),
    changed_at timestamptz NOT NULL
);
CREATE INDEX disclosure_subject_subject ON disclosure_subject (controller_id, subject_id);
CREATE INDEX disclosure_subject_state ON disclosure_subject (controller_id, state) WHERE state IN ('due', 'sent');
COMMENT ON TABLE disclosure_subject IS 'Who was in a disclosure. token: as that recipient knows the '
    'person; it stays after an erasure until the recipient says that the rows are destroyed.';

CREATE TABLE incident (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    kind text NOT NULL,
    drill boolean NOT NULL,
    discovered_at timestamptz NOT NULL,
    discovered_by text NOT NULL,
    began_at timestamptz NOT NULL,
    ended_at timestamptz NOT NULL CHECK (ended_at >= began_at),
    scope jsonb NOT NULL,
    opened_at timestamptz NOT NULL,
    by_whom text NOT NULL
);
COMMENT ON TABLE incident IS 'Security incidents as reported: what, when, how far it reaches. No person.';

CREATE TABLE incident_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    incident_id int NOT NULL REFERENCES incident,
    controller_id int NOT NULL REFERENCES controller,
    kind text NOT NULL,
    name text NOT NULL,
    at timestamptz NOT NULL,
    by_whom text NOT NULL,
    facts jsonb NOT NULL
);
CREATE INDEX incident_event_incident ON incident_event (incident_id, id);
COMMENT ON TABLE incident_event IS 'What was found and done, append-only: counts and references.';

CREATE TABLE complaint (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid,
    topic text NOT NULL,
    channel text NOT NULL,
    reference text NOT NULL,
    received_at timestamptz NOT NULL,
    due date NOT NULL,
    answered_at timestamptz,
    outcome text NOT NULL DEFAULT '',
    by_whom text NOT NULL,
    CHECK ((answered_at IS NULL) = (outcome = ''))
);
CREATE INDEX complaint_subject ON complaint (controller_id, subject_id);
COMMENT ON TABLE complaint IS 'Complaints with their clock (快递暂行条例 29). Topics of a list, no text.';

DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['agreement', 'disclosure', 'disclosure_subject', 'incident',
        'incident_event', 'complaint'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_officer USING (%s)', t, mine);
        EXECUTE format('GRANT SELECT ON %I TO safehands_backup', t);
    END LOOP;
    FOREACH t IN ARRAY ARRAY['agreement', 'disclosure', 'incident', 'incident_event', 'complaint'] LOOP
        EXECUTE format('CREATE POLICY auditor ON %I FOR SELECT TO safehands_auditor USING (%s)', t, loose);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON agreement, disclosure, disclosure_subject, incident, incident_event, complaint
    TO safehands_officer;
GRANT UPDATE (state, token, changed_at) ON disclosure_subject TO safehands_officer;
GRANT UPDATE (answered_at, outcome) ON complaint TO safehands_officer;
GRANT SELECT ON agreement, disclosure, incident, incident_event TO safehands_auditor;
GRANT SELECT (id, controller_id, topic, channel, reference, received_at, due, answered_at, outcome, by_whom)
    ON complaint TO safehands_auditor;

-- Whoever leaves the store leaves it at the recipients too: their rows are due for recall.
CREATE FUNCTION recall_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE disclosure_subject d SET subject_id = NULL, changed_at = now(),
            state = CASE WHEN d.state = 'given' THEN 'due' ELSE d.state END
        FROM gone g WHERE d.controller_id = g.controller_id AND d.subject_id = g.subject_id;
    UPDATE complaint c SET subject_id = NULL
        FROM gone g WHERE c.controller_id = g.controller_id AND c.subject_id = g.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER recall_gone AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION recall_gone();

-- Everybody an incident reaches, restricted people too, with how sure that is: 1 named by a log or a
-- register, 2 in a batch or time range, 3 in a copy that may not have been opened. A row without a
-- person stands for those who were erased since, or were never known.
CREATE FUNCTION affected_people(
    began timestamptz, ended timestamptz, stations int[], batches int[], agreements text[],
    staff text[], parcels boolean, everybody boolean, copied timestamptz
) RETURNS TABLE (subject_id uuid, sure smallint, rows bigint)
LANGUAGE plpgsql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE c int := bound_controller();
BEGIN
    IF cardinality(agreements) > 0 THEN
        RETURN QUERY SELECT s.subject_id, 1::smallint, count(*) FROM disclosure_subject s
            JOIN disclosure d ON d.id = s.disclosure_id
            WHERE s.controller_id = c AND d.agreement = ANY (agreements)
            AND d.made_at >= began AND d.made_at < ended GROUP BY 1;
    END IF;
    IF cardinality(staff) > 0 THEN
        RETURN QUERY SELECT a.subject_id, 1::smallint, count(*) FROM access_log a
            WHERE a.controller_id = c AND a.action = 'reveal' AND a.by_whom = ANY (staff)
            AND a.at >= began AND a.at < ended GROUP BY 1;
    END IF;
    IF cardinality(batches) > 0 THEN
        RETURN QUERY SELECT p.subject_id, 2::smallint, count(*) FROM parcel p
            WHERE p.controller_id = c AND p.batch_id = ANY (batches) GROUP BY 1;
        RETURN QUERY SELECT p.subject_id, 2::smallint, count(*) FROM parcel_held p
            WHERE p.controller_id = c AND p.batch_id = ANY (batches) GROUP BY 1;
        RETURN QUERY SELECT p.subject_id, 2::smallint, count(*) FROM preference p
            WHERE p.controller_id = c AND p.batch_id = ANY (batches) GROUP BY 1;
    END IF;
    IF parcels THEN
        RETURN QUERY SELECT p.subject_id, 2::smallint, count(*) FROM parcel p
            WHERE p.controller_id = c AND p.arrived_at >= began AND p.arrived_at < ended
            AND (cardinality(stations) = 0 OR p.station_id = ANY (stations)) GROUP BY 1;
        RETURN QUERY SELECT p.subject_id, 2::smallint, count(*) FROM parcel_held p
            WHERE p.controller_id = c AND p.arrived_at >= began AND p.arrived_at < ended
            AND (cardinality(stations) = 0 OR p.station_id = ANY (stations)) GROUP BY 1;
    END IF;
    IF everybody THEN
        RETURN QUERY SELECT s.subject_id, 2::smallint, 1::bigint FROM subject s
            WHERE s.controller_id = c AND s.first_seen < ended;
    END IF;
    IF copied IS NOT NULL THEN
        RETURN QUERY SELECT s.subject_id, 3::smallint, 1::bigint FROM subject s
            WHERE s.controller_id = c AND s.first_seen <= copied;
    END IF;
END $$;
REVOKE ALL ON FUNCTION recall_gone(), affected_people(timestamptz, timestamptz, int[], int[], text[],
    text[], boolean, boolean, timestamptz) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION affected_people(timestamptz, timestamptz, int[], int[], text[], text[],
    boolean, boolean, timestamptz) TO safehands_officer;
