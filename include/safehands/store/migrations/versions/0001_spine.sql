-- The nightly spine: owners, people, parcels, evidence. Comments on tables say what they hold.

CREATE TABLE installation (
    one boolean PRIMARY KEY DEFAULT true CHECK (one),
    root_id text NOT NULL
);
COMMENT ON TABLE installation IS 'Which root key this store belongs to.';

CREATE TABLE controller (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    code text NOT NULL UNIQUE,
    name text NOT NULL,
    kind text NOT NULL
);
COMMENT ON TABLE controller IS 'Legal owners (PIPL 73: personal information handler).';

CREATE TABLE record_set (
    controller_id int NOT NULL REFERENCES controller,
    dataset text NOT NULL,
    role text NOT NULL CHECK (role IN ('handler', 'joint', 'entrusted', 'unknown')),
    by_whom text NOT NULL DEFAULT '',
    PRIMARY KEY (controller_id, dataset)
);
COMMENT ON TABLE record_set IS 'The owner''s declared role per dataset (PIPL 20, 21).';

CREATE TABLE station (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    code text NOT NULL UNIQUE,
    name text NOT NULL
);
COMMENT ON TABLE station IS 'Pick-up stations.';

CREATE TABLE controller_key (
    controller_id int PRIMARY KEY REFERENCES controller,
    data_version smallint NOT NULL,
    data bytea NOT NULL,
    tombstone bytea NOT NULL,
    suppression bytea NOT NULL
);
COMMENT ON TABLE controller_key IS 'Controller keys, wrapped by the root key.';

CREATE TABLE epoch (
    controller_id int NOT NULL REFERENCES controller,
    number int NOT NULL,
    opened date NOT NULL,
    PRIMARY KEY (controller_id, number)
);
COMMENT ON TABLE epoch IS 'Epochs opened; the keys themselves live only in the key provider.';

CREATE TABLE subject (
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid NOT NULL,
    lookup uuid NOT NULL,
    generation smallint NOT NULL DEFAULT 0,
    epoch int NOT NULL,
    wrapped_salt bytea NOT NULL,
    key_version smallint NOT NULL,
    sealed bytea NOT NULL,
    detail smallint NOT NULL CHECK (detail IN (0, 1)),
    first_seen timestamptz NOT NULL,
    last_seen timestamptz NOT NULL,
    restricted boolean NOT NULL DEFAULT false,
    PRIMARY KEY (controller_id, subject_id),
    UNIQUE (controller_id, lookup, generation)
);
COMMENT ON TABLE subject IS 'The vault: one sealed record per person; detail 0 full, 1 masked.';

CREATE TABLE parcel (
    controller_id int NOT NULL,
    station_id int NOT NULL,
    waybill uuid NOT NULL,
    subject_id uuid,
    arrived_at timestamptz NOT NULL,
    collected_at timestamptz,
    district int NOT NULL,
    batch_id int NOT NULL,
    carrier smallint NOT NULL,
    status smallint NOT NULL,
    weight_band smallint NOT NULL,
    tags smallint NOT NULL,
    PRIMARY KEY (controller_id, waybill, arrived_at)
) PARTITION BY RANGE (arrived_at);
COMMENT ON TABLE parcel IS 'Pseudonymised parcels, one partition per month of arrival (Asia/Shanghai).';

CREATE TABLE custody (
    controller_id int NOT NULL REFERENCES controller,
    waybill uuid NOT NULL,
    subject_id uuid,
    arrived_at timestamptz NOT NULL,
    sealed bytea NOT NULL,
    PRIMARY KEY (controller_id, waybill)
);
CREATE INDEX custody_subject ON custody (controller_id, subject_id);
COMMENT ON TABLE custody IS 'Sealed waybill number, shelf and code of parcels not yet collected.';

CREATE TABLE preference (
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid NOT NULL,
    notify_channel smallint NOT NULL,
    delivery_choice smallint NOT NULL,
    time_window smallint NOT NULL,
    marketing smallint NOT NULL,
    updated_at timestamptz NOT NULL,
    batch_id int NOT NULL,
    PRIMARY KEY (controller_id, subject_id)
);
COMMENT ON TABLE preference IS 'What people asked for; marketing -1 not stated, 0 no, 1 yes.';

CREATE TABLE tombstone (
    controller_id int NOT NULL REFERENCES controller,
    token uuid NOT NULL,
    erased_at timestamptz NOT NULL,
    reason text NOT NULL,
    PRIMARY KEY (controller_id, token)
);
COMMENT ON TABLE tombstone IS 'People who were removed: rows older than this do not come back.';

CREATE TABLE batch (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    station_id int NOT NULL REFERENCES station,
    file_digest text NOT NULL,
    policy_digest text NOT NULL,
    label text NOT NULL,
    run text NOT NULL,
    business_date date NOT NULL,
    state text NOT NULL CHECK (state IN ('loaded', 'set_aside')),
    problem jsonb,
    facts jsonb NOT NULL,
    UNIQUE (controller_id, station_id, file_digest, policy_digest)
);
COMMENT ON TABLE batch IS 'One source file under one policy: loaded once, or set aside with a reason.';

CREATE TABLE step_result (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    run text NOT NULL,
    business_date date NOT NULL,
    shard text NOT NULL,
    step text NOT NULL,
    counts jsonb NOT NULL,
    reasons jsonb NOT NULL,
    seconds double precision NOT NULL
);
COMMENT ON TABLE step_result IS 'What each step did: rows in, out and set aside by reason, seconds.';

CREATE TABLE quality_result (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    run text NOT NULL,
    business_date date NOT NULL,
    station text NOT NULL,
    dataset text NOT NULL,
    suite text NOT NULL,
    rule text NOT NULL,
    dimension text NOT NULL,
    severity text NOT NULL,
    evaluated int NOT NULL,
    failed int NOT NULL
);
COMMENT ON TABLE quality_result IS 'Verdicts per rule and station, as counts (PIPL 8).';

CREATE TABLE quarantine (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    batch_id int NOT NULL REFERENCES batch,
    day date NOT NULL,
    dataset text NOT NULL,
    sheet text NOT NULL,
    row_number int NOT NULL,
    rule text NOT NULL,
    column_name text NOT NULL,
    sealed bytea NOT NULL
);
COMMENT ON TABLE quarantine IS 'Rows that wait for a person, sealed under the station''s key of that day.';

CREATE TABLE effect (
    step text NOT NULL,
    scope text NOT NULL,
    input_digest text NOT NULL,
    policy_digest text NOT NULL,
    result jsonb NOT NULL,
    PRIMARY KEY (step, scope, input_digest, policy_digest)
);
COMMENT ON TABLE effect IS 'Claims: each effect happens once for one input under one policy.';

CREATE TABLE outbox (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    kind text NOT NULL,
    payload jsonb NOT NULL,
    done boolean NOT NULL DEFAULT false
);
COMMENT ON TABLE outbox IS 'Effects outside the database (file removals, sends) that must follow a commit.';

CREATE TABLE backup (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_date date NOT NULL,
    manifest text NOT NULL UNIQUE,
    created_at timestamptz NOT NULL,
    facts jsonb NOT NULL
);
COMMENT ON TABLE backup IS 'Generations written to the repository.';

CREATE TABLE backup_object (
    part text NOT NULL,
    content text NOT NULL,
    object text NOT NULL,
    rows int NOT NULL,
    bytes bigint NOT NULL,
    PRIMARY KEY (part, content)
);
COMMENT ON TABLE backup_object IS 'Keyed digest of a part''s rows → the object that holds it.';

CREATE TABLE risk_assessment (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_date date NOT NULL,
    controller_id int NOT NULL REFERENCES controller,
    figures jsonb NOT NULL
);
COMMENT ON TABLE risk_assessment IS 'Re-identification risk per night and owner.';

CREATE TABLE ledger_entry (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    seq bigint UNIQUE,
    body text NOT NULL
);
COMMENT ON TABLE ledger_entry IS 'Audit trail leaves; seq is given after commit (RFC 6962 tree).';

CREATE TABLE ledger_checkpoint (
    size bigint PRIMARY KEY,
    note text NOT NULL
);
COMMENT ON TABLE ledger_checkpoint IS 'Signed checkpoints (C2SP tlog-checkpoint).';

-- A month of parcels is made and dropped by the owner only; the pipeline asks through these.
CREATE FUNCTION add_month(month date) RETURNS void
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
        EXECUTE format('ALTER TABLE parcel ATTACH PARTITION %I FOR VALUES FROM (%L) TO (%L)', name, first, after);
    END IF;
END $$;

CREATE FUNCTION drop_month(month date) RETURNS void
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
    END IF;
END $$;
-- The index from a person to their parcels is built per month after the load: random ids would
-- cost the load of a new month twice its time, and nothing in the load needs it. Tables that were
-- never analysed are, so that the purge is not planned for an empty store.
CREATE FUNCTION settle_load() RETURNS void
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public AS $$
DECLARE
    name text;
BEGIN
    PERFORM pg_advisory_xact_lock(hashtext('safehands.add_month'));
    FOR name IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'parcel'::regclass AND to_regclass(c.relname || '_subject') IS NULL
    LOOP
        EXECUTE format('CREATE INDEX %I ON %I (controller_id, subject_id)', name || '_subject', name);
    END LOOP;
    FOR name IN
        SELECT c.relname FROM pg_class c LEFT JOIN pg_inherits i ON i.inhrelid = c.oid
        WHERE c.relkind = 'r' AND c.reltuples < 0
        AND (i.inhparent = 'parcel'::regclass OR c.relname IN ('subject', 'custody', 'preference'))
    LOOP
        EXECUTE format('ANALYZE %I', name);
    END LOOP;
END $$;
REVOKE ALL ON FUNCTION add_month(date), drop_month(date), settle_load() FROM PUBLIC;
GRANT EXECUTE ON FUNCTION add_month(date), drop_month(date), settle_load() TO safehands_pipeline;

-- Row-level security: a connection sees one controller, the one its transaction is bound to.
DO $$
DECLARE t text;
BEGIN
    FOREACH t IN ARRAY ARRAY['subject', 'parcel', 'custody', 'preference', 'tombstone', 'quarantine'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format(
            'CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_analyst, safehands_officer '
            'USING (controller_id = (SELECT nullif(current_setting(''safehands.controller'', true), '''')::int))', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
    END LOOP;
END $$;

REVOKE ALL ON SCHEMA public FROM PUBLIC;
GRANT USAGE ON SCHEMA public TO safehands_pipeline, safehands_backup, safehands_analyst, safehands_officer, safehands_auditor;

GRANT SELECT, INSERT, UPDATE, DELETE ON subject, parcel, custody, preference TO safehands_pipeline;
GRANT SELECT, INSERT ON tombstone, quarantine, batch, step_result, quality_result, effect, backup,
    backup_object, risk_assessment, ledger_checkpoint, controller, record_set, station,
    controller_key, epoch, ledger_entry, outbox TO safehands_pipeline;
GRANT UPDATE (seq) ON ledger_entry TO safehands_pipeline;
GRANT UPDATE (name, kind) ON controller TO safehands_pipeline;
GRANT UPDATE (role, by_whom) ON record_set TO safehands_pipeline;
GRANT UPDATE (name) ON station TO safehands_pipeline;
GRANT UPDATE (done) ON outbox TO safehands_pipeline;
GRANT UPDATE (erased_at) ON tombstone TO safehands_pipeline;
GRANT DELETE ON backup_object, quarantine TO safehands_pipeline;
GRANT SELECT ON installation TO safehands_pipeline;

GRANT SELECT ON ALL TABLES IN SCHEMA public TO safehands_backup;

GRANT SELECT ON parcel, preference, controller, station, quality_result, risk_assessment TO safehands_analyst;
GRANT SELECT ON controller, station, record_set, batch, step_result, quality_result, backup,
    risk_assessment, ledger_entry, ledger_checkpoint TO safehands_auditor;
GRANT SELECT ON subject, parcel, custody, preference, tombstone, controller, station, record_set,
    controller_key, epoch, batch TO safehands_officer;
