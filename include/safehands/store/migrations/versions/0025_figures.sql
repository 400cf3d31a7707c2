-- What the report makes of all parcels of a person, and of a month of an owner's: kept, so that a
-- night reads only what changed (safehands.report.kept). It is derived and nothing else: unlogged,
-- in no backup, made anew where it is missing. A person's row is deleted in the transaction in which
-- a parcel of theirs comes, goes or changes, and when they go themselves: it never outlives them.
-- Codes are those of parcel; -1: nothing known; monthly -1: no parcel at all.
CREATE UNLOGGED TABLE person_figure (
    controller_id int NOT NULL,
    subject_id uuid NOT NULL,
    edition smallint NOT NULL,
    district int NOT NULL,
    station int NOT NULL,
    monthly smallint NOT NULL,
    hour smallint NOT NULL,
    carrier smallint NOT NULL,
    weight_band smallint NOT NULL,
    PRIMARY KEY (controller_id, subject_id)
);
COMMENT ON TABLE person_figure IS 'What an outsider might know of a person, from all their parcels; derived.';

CREATE UNLOGGED TABLE month_figure (
    controller_id int NOT NULL,
    month text NOT NULL,
    edition smallint NOT NULL,
    figures jsonb NOT NULL,
    PRIMARY KEY (controller_id, month)
);
COMMENT ON TABLE month_figure IS 'Counts and oldest events of an owner''s parcels of one month; derived.';

DO $$
DECLARE
    t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['person_figure', 'month_figure'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline'
            ' USING (controller_id = (SELECT bound_controller()))', t);
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON %I TO safehands_pipeline', t);
        -- The backup's role sees every table whole, so that it can tell that none is forgotten.
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('GRANT SELECT ON %I TO safehands_backup', t);
    END LOOP;
END $$;

-- A snapshot that is older than the last report does not see what has to be deleted.
CREATE FUNCTION doubt_figures() RETURNS void
LANGUAGE sql SET search_path = public, pg_temp AS $$
    INSERT INTO change_note (consumer, place) SELECT 'report', 'person_figure'
        WHERE current_setting('transaction_isolation') <> 'read committed'
$$;
REVOKE ALL ON FUNCTION doubt_figures() FROM PUBLIC;

CREATE FUNCTION figures_end() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    theirs text := 'DELETE FROM person_figure f USING (SELECT DISTINCT controller_id, subject_id FROM %s) w'
        ' WHERE f.controller_id = w.controller_id AND f.subject_id = w.subject_id';
    either text := '(SELECT controller_id, subject_id FROM gone UNION ALL SELECT controller_id, subject_id FROM came) u';
BEGIN
    PERFORM doubt_figures();
    -- Planned anew each time: the plan for one row would be kept for a million.
    EXECUTE CASE TG_OP WHEN 'INSERT' THEN format(theirs, 'came') WHEN 'DELETE' THEN format(theirs, 'gone')
        WHEN 'UPDATE' THEN format(theirs, either) ELSE 'DELETE FROM person_figure' END;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION figures_end() FROM PUBLIC;

CREATE TRIGGER note_figure_insert AFTER INSERT ON parcel
    REFERENCING NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION figures_end();
CREATE TRIGGER note_figure_update AFTER UPDATE ON parcel
    REFERENCING OLD TABLE AS gone NEW TABLE AS came FOR EACH STATEMENT EXECUTE FUNCTION figures_end();
CREATE TRIGGER note_figure_delete AFTER DELETE ON parcel
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION figures_end();
CREATE TRIGGER note_figure_truncate AFTER TRUNCATE ON parcel
    FOR EACH STATEMENT EXECUTE FUNCTION figures_end();
CREATE TRIGGER note_figure_delete AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION figures_end();
CREATE TRIGGER note_figure_truncate AFTER TRUNCATE ON subject
    FOR EACH STATEMENT EXECUTE FUNCTION figures_end();

DO $$
DECLARE
    one record;
BEGIN
    FOR one IN SELECT tgrelid::regclass AS place, tgname FROM pg_trigger WHERE tgname LIKE 'note\_figure\_%' LOOP
        EXECUTE format('ALTER TABLE %s ENABLE ALWAYS TRIGGER %I', one.place, one.tgname);
    END LOOP;
END $$;

-- A statement that names a month's own table: whose parcels changed is not looked up.
CREATE OR REPLACE FUNCTION note_month() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO change_note (consumer, place, cut)
        SELECT k.name, 'parcel', right(TG_TABLE_NAME, 6) FROM change_consumer k;
    PERFORM doubt_figures();
    DELETE FROM person_figure;
    RETURN NULL;
END $$;

CREATE OR REPLACE FUNCTION drop_old_month(month date, before timestamptz) RETURNS int
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
    PERFORM doubt_figures();
    EXECUTE format('DELETE FROM person_figure f USING (SELECT DISTINCT controller_id, subject_id FROM %I) w'
        ' WHERE f.controller_id = w.controller_id AND f.subject_id = w.subject_id', name);
    EXECUTE format('DROP TABLE %I', name);
    INSERT INTO change_note (consumer, place, cut)
        SELECT k.name, 'parcel', to_char(month, 'YYYYMM') FROM change_consumer k;
    RETURN gone;
END $$;

-- Statistics for the plans of the next look, when much was written.
CREATE FUNCTION settle_figures() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    ANALYZE person_figure;
END $$;
REVOKE ALL ON FUNCTION settle_figures() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION settle_figures() TO safehands_pipeline;

LOCK TABLE change_consumer IN ACCESS EXCLUSIVE MODE;
INSERT INTO change_consumer (name) VALUES ('report');
SELECT note_everything('report');
