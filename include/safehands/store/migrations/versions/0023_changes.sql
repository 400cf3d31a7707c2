-- Notes of what changed, so that a night reads only that and takes over the rest. A trigger writes
-- them in the transaction of the change itself: whoever sees the change sees the note, and a change
-- that is undone leaves none. They are only ever added, so that loads do not wait for each other;
-- each reader has notes of its own and deletes those it has dealt with (safehands.store.changes).
-- A note says which table, whose rows and roughly where; nothing of a person. So it is no record of
-- an owner either: its column is not called controller_id, and no policy hides it.
CREATE TABLE change_consumer (
    name text PRIMARY KEY
);
COMMENT ON TABLE change_consumer IS 'Who reads notes of changes; each change is noted for each of them.';

CREATE TABLE change_note (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    consumer text NOT NULL,
    place text NOT NULL,
    controller int,
    cut text
);
CREATE INDEX change_note_consumer ON change_note (consumer);
COMMENT ON TABLE change_note IS 'What changed and was not read since. place: a table, empty: all; '
    'controller: null: any; cut: month of arrival (YYYYMM) or first hex digit of the id, null: any.';

-- Says that everything changed: after what no trigger sees (a restore), and to a new reader.
CREATE FUNCTION note_everything(reader text DEFAULT NULL) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    INSERT INTO change_note (consumer, place)
        SELECT k.name, '' FROM change_consumer k WHERE k.name = reader OR reader IS NULL
$$;
REVOKE ALL ON FUNCTION note_everything(text) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION note_everything(text) TO safehands_pipeline;

-- One function and four triggers a table. ALWAYS: also for a session that plays a replica.
DO $$
DECLARE
    one record;
    event text;
    -- Hours are cheap to make of a million times, and few are left of which the month is looked up.
    by_month text := 'SELECT DISTINCT controller_id, to_char(hour AT TIME ZONE ''Asia/Shanghai'', ''YYYYMM'')'
        ' AS cut FROM (SELECT controller_id, date_bin(''1 hour'', arrived_at,'
        ' timestamptz ''2000-01-01 00:00+08'') AS hour FROM %s GROUP BY 1, 2) h';
    by_digit text := 'SELECT DISTINCT controller_id, to_hex(get_byte(uuid_send(%I), 0) >> 4) AS cut FROM %s';
    either text := '(SELECT controller_id, %1$I FROM gone UNION ALL SELECT controller_id, %1$I FROM came) u';
    write text := 'INSERT INTO change_note (consumer, place, controller, cut)'
        ' SELECT k.name, %L, g.controller_id, g.cut FROM (%s) g CROSS JOIN change_consumer k;';
    selects text[];
BEGIN
    FOR one IN SELECT * FROM (VALUES
        ('parcel', 'arrived_at'), ('subject', 'subject_id'), ('custody', 'waybill'),
        ('preference', 'subject_id'), ('tombstone', 'token'), ('listing', 'token'),
        ('parcel_held', 'waybill'), ('correction', 'subject_id'), ('restriction', 'subject_id'),
        ('suppression', 'token'), ('handover_subject', 'subject_id')) t (place, cut_by)
    LOOP
        selects := ARRAY['came', 'gone', format(either, one.cut_by)];
        FOR i IN 1..3 LOOP
            selects[i] := CASE WHEN one.cut_by = 'arrived_at' THEN format(by_month, selects[i])
                ELSE format(by_digit, one.cut_by, selects[i]) END;
        END LOOP;
        EXECUTE format('CREATE FUNCTION %I() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER'
            ' SET search_path = public, pg_temp AS $f$ BEGIN'
            ' IF TG_OP = ''INSERT'' THEN %s ELSIF TG_OP = ''DELETE'' THEN %s ELSIF TG_OP = ''UPDATE'' THEN %s'
            ' ELSE INSERT INTO change_note (consumer, place) SELECT k.name, %L FROM change_consumer k;'
            ' END IF; RETURN NULL; END $f$', 'note_' || one.place,
            format(write, one.place, selects[1]), format(write, one.place, selects[2]),
            format(write, one.place, selects[3]), one.place);
        EXECUTE format('REVOKE ALL ON FUNCTION %I() FROM PUBLIC', 'note_' || one.place);
        FOREACH event IN ARRAY ARRAY['insert', 'update', 'delete', 'truncate'] LOOP
            EXECUTE format('CREATE TRIGGER %I AFTER %s ON %I %s FOR EACH STATEMENT EXECUTE FUNCTION %I()',
                'note_' || event, event, one.place, CASE event
                    WHEN 'insert' THEN 'REFERENCING NEW TABLE AS came'
                    WHEN 'update' THEN 'REFERENCING OLD TABLE AS gone NEW TABLE AS came'
                    WHEN 'delete' THEN 'REFERENCING OLD TABLE AS gone' ELSE '' END,
                'note_' || one.place);
            EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER %I', one.place, 'note_' || event);
        END LOOP;
    END LOOP;
END $$;

-- A statement that names a month's own table passes the triggers of parcel by.
CREATE FUNCTION note_month() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    INSERT INTO change_note (consumer, place, cut)
        SELECT k.name, 'parcel', right(TG_TABLE_NAME, 6) FROM change_consumer k;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION note_month() FROM PUBLIC;

CREATE FUNCTION watch_month(name text) RETURNS void
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    EXECUTE format('CREATE OR REPLACE TRIGGER note_month AFTER INSERT OR UPDATE OR DELETE OR TRUNCATE ON %I'
        ' FOR EACH STATEMENT EXECUTE FUNCTION note_month()', name);
    EXECUTE format('ALTER TABLE %I ENABLE ALWAYS TRIGGER note_month', name);
END $$;
REVOKE ALL ON FUNCTION watch_month(text) FROM PUBLIC;

DO $$
DECLARE name text;
BEGIN
    FOR name IN SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'parcel'::regclass
    LOOP
        PERFORM watch_month(name);
    END LOOP;
END $$;

CREATE OR REPLACE FUNCTION add_month(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    name text := 'parcel_' || to_char(month, 'YYYYMM');
    first timestamptz := (date_trunc('month', month::timestamp)) AT TIME ZONE 'Asia/Shanghai';
    after timestamptz := (date_trunc('month', month::timestamp) + interval '1 month') AT TIME ZONE 'Asia/Shanghai';
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        RETURN;
    END IF;
    PERFORM pg_advisory_xact_lock(hashtext('safehands.add_month'));
    -- Made apart and attached: CREATE TABLE … PARTITION OF would wait for every load that runs.
    -- IF NOT EXISTS, because a table made while this call waited is not seen by to_regclass yet.
    EXECUTE format('CREATE TABLE IF NOT EXISTS %I (LIKE parcel INCLUDING CONSTRAINTS)', name);
    IF NOT EXISTS (SELECT FROM pg_inherits WHERE inhrelid = name::regclass) THEN
        PERFORM watch_month(name);
        EXECUTE format('ALTER TABLE parcel ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first, after);
    END IF;
END $$;

-- No trigger sees a table being dropped.
CREATE OR REPLACE FUNCTION drop_month(month date) RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    name text := 'parcel_' || to_char(month, 'YYYYMM');
    held boolean;
BEGIN
    IF to_regclass(name) IS NOT NULL THEN
        -- Nobody may be loading between the look and the drop.
        LOCK TABLE parcel IN ACCESS EXCLUSIVE MODE;
        EXECUTE format('SELECT EXISTS (SELECT FROM %I)', name) INTO held;
        IF held THEN
            RAISE EXCEPTION 'month is not empty' USING ERRCODE = 'check_violation';
        END IF;
        EXECUTE format('DROP TABLE %I', name);
        INSERT INTO change_note (consumer, place, cut)
            SELECT k.name, 'parcel', to_char(month, 'YYYYMM') FROM change_consumer k;
    END IF;
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
    EXECUTE format('DROP TABLE %I', name);
    INSERT INTO change_note (consumer, place, cut)
        SELECT k.name, 'parcel', to_char(month, 'YYYYMM') FROM change_consumer k;
    RETURN gone;
END $$;

GRANT SELECT ON change_consumer TO safehands_backup;
GRANT SELECT ON change_note TO safehands_backup;
GRANT SELECT, DELETE ON change_note TO safehands_pipeline;

INSERT INTO change_consumer (name) VALUES ('backup');
SELECT note_everything('backup');
