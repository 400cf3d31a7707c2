-- Months that were just loaded are analysed before they get their index: CREATE INDEX sets reltuples,
-- after which the month no longer looked new and was left without statistics. The parent is analysed
-- with them: autovacuum never does it, and without it the number of people in a year is guessed as 200.
CREATE OR REPLACE FUNCTION settle_load() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    name text;
    fresh boolean := false;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('safehands.add_month'));
    FOR name IN
        SELECT c.relname FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE c.relkind = 'r' AND c.reltuples < 0
        AND (i.inhparent = 'parcel'::regclass OR c.relname IN ('subject', 'custody', 'preference'))
    LOOP
        EXECUTE format('ANALYZE %I', name);
        fresh := fresh OR name LIKE 'parcel%';
    END LOOP;
    IF fresh AND current_setting('server_version_num')::int >= 180000 THEN
        EXECUTE 'ANALYZE ONLY parcel';
    ELSIF fresh THEN
        EXECUTE 'ANALYZE parcel';
    END IF;
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'parcel'::regclass AND to_regclass(c.relname || '_subject') IS NULL
    LOOP
        EXECUTE format('CREATE INDEX %I ON %I (controller_id, subject_id)', name || '_subject', name);
    END LOOP;
END $$;

-- A year of parcels is grouped in memory, not on disk.
ALTER FUNCTION affected_people(timestamptz, timestamptz, int[], int[], text[], text[], boolean,
    boolean, timestamptz) SET work_mem = '128MB';
