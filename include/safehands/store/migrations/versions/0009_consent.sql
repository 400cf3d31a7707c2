-- What people were told, and what they answered. Both only grow: an answer is never changed, a later
-- one comes after it.
CREATE TABLE notice_version (
    controller_id int NOT NULL REFERENCES controller,
    number int NOT NULL,
    valid_from date NOT NULL,
    digest text NOT NULL,
    document jsonb NOT NULL,
    published_at timestamptz NOT NULL,
    by_whom text NOT NULL,
    PRIMARY KEY (controller_id, number)
);
COMMENT ON TABLE notice_version IS 'Privacy notices as published (PIPL 7, 17). No person is in them.';

CREATE TABLE consent_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid,
    kind text NOT NULL CHECK (kind IN ('granted', 'refused', 'withdrawn', 'expired')),
    purpose text NOT NULL,
    separate boolean NOT NULL,
    notice int,
    terms text NOT NULL,
    channel text NOT NULL,
    evidence text NOT NULL,
    guardian text NOT NULL,
    campaign text NOT NULL,
    valid_until date,
    at timestamptz NOT NULL,
    recorded_at timestamptz NOT NULL,
    by_whom text NOT NULL,
    source text NOT NULL,
    CHECK (kind <> 'granted' OR (notice IS NOT NULL AND terms <> '' AND channel <> '' AND evidence <> ''))
);
CREATE INDEX consent_event_subject ON consent_event (controller_id, subject_id, purpose);
CREATE INDEX consent_event_source ON consent_event (controller_id, source) WHERE source <> '';
COMMENT ON TABLE consent_event IS 'Answers of people, append-only (PIPL 14, 15). Once a person is '
    'erased the answer stays as a count: of nobody.';

DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['notice_version', 'consent_event'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
        EXECUTE format('CREATE POLICY auditor ON %I FOR SELECT TO safehands_auditor USING (%s)', t, loose);
    END LOOP;
    EXECUTE format('CREATE POLICY one_controller ON consent_event TO safehands_pipeline, safehands_officer'
        ' USING (%s)', mine);
    EXECUTE format('CREATE POLICY one_controller ON notice_version TO safehands_pipeline, safehands_officer'
        ' USING (%s)', loose);
END $$;
GRANT SELECT ON notice_version, consent_event TO safehands_pipeline, safehands_backup;
GRANT SELECT, INSERT ON notice_version, consent_event TO safehands_officer;
GRANT SELECT ON notice_version TO safehands_auditor;
GRANT SELECT (id, controller_id, kind, purpose, separate, notice, terms, channel, evidence, guardian,
    campaign, valid_until, at, recorded_at, by_whom, source) ON consent_event TO safehands_auditor;

-- Whoever is erased is not in the answers any more.
CREATE FUNCTION forget_answers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE consent_event e SET subject_id = NULL
        WHERE e.controller_id = OLD.controller_id AND e.subject_id = OLD.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_answers AFTER DELETE ON subject FOR EACH ROW EXECUTE FUNCTION forget_answers();

-- The last answer of each person for each purpose, as it stood at the end of a day (Asia/Shanghai).
-- A consent past its time reads as expired.
CREATE FUNCTION last_answers(day date)
RETURNS TABLE (subject_id uuid, purpose text, kind text, separate boolean, terms text, guardian text, at timestamptz)
LANGUAGE sql STABLE SET search_path = public, pg_temp AS $$
    SELECT DISTINCT ON (e.subject_id, e.purpose) e.subject_id, e.purpose,
        CASE WHEN e.kind = 'granted' AND e.valid_until < day THEN 'expired' ELSE e.kind END,
        e.separate, e.terms, e.guardian, e.at
    FROM consent_event e
    WHERE e.subject_id IS NOT NULL AND e.at < (day + 1)::timestamp AT TIME ZONE 'Asia/Shanghai'
    ORDER BY e.subject_id, e.purpose, e.at DESC, e.id DESC
$$;

-- Who may be processed for a purpose on a day, and on which item of PIPL 13 ¶1. Restricted people are
-- hidden from whoever asks. For a purpose with another basis than consent: those with rows for it.
CREATE FUNCTION lawful_basis(wanted text, item int, rows_in text, asked text, apart boolean, day date)
RETURNS TABLE (subject_id uuid, basis int)
LANGUAGE plpgsql STABLE SET search_path = public, pg_temp AS $$
BEGIN
    IF item = 1 THEN
        RETURN QUERY SELECT s.subject_id, 1 FROM subject s JOIN last_answers(day) a USING (subject_id)
            WHERE a.purpose = wanted AND a.kind = 'granted' AND a.terms = asked AND (a.separate OR NOT apart);
    ELSIF rows_in = 'subject' THEN
        RETURN QUERY SELECT s.subject_id, item FROM subject s;
    ELSIF rows_in IN ('parcel', 'custody', 'preference') THEN
        RETURN QUERY EXECUTE format('SELECT s.subject_id, $1 FROM subject s WHERE EXISTS (SELECT FROM %I t'
            ' WHERE t.controller_id = s.controller_id AND t.subject_id = s.subject_id)', rows_in) USING item;
    ELSE
        RAISE EXCEPTION 'no such rows';
    END IF;
END $$;

-- What rests on consent goes at once for those whose last answer is no longer yes; nobody's word but
-- their own brings it back, so a load ends with this too. Returns how many people it concerned.
CREATE FUNCTION honour_answers(wanted text, day date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    found int;
BEGIN
    WITH last AS (
        SELECT DISTINCT ON (e.subject_id) e.subject_id, e.kind, e.valid_until
        FROM consent_event e
        WHERE e.controller_id = c AND e.purpose = wanted AND e.subject_id IS NOT NULL
        ORDER BY e.subject_id, e.at DESC, e.id DESC)
    UPDATE preference p SET marketing = 0, time_window = 0 FROM last
        WHERE p.controller_id = c AND p.subject_id = last.subject_id
        AND (last.kind <> 'granted' OR last.valid_until < day)
        AND (p.marketing <> 0 OR p.time_window <> 0);
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END $$;
REVOKE ALL ON FUNCTION forget_answers(), last_answers(date),
    lawful_basis(text, int, text, text, boolean, date), honour_answers(text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION last_answers(date), lawful_basis(text, int, text, text, boolean, date),
    honour_answers(text, date) TO safehands_pipeline, safehands_officer;
