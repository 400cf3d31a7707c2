-- Hand-overs of stations: the request, where each stands, what moved it there, and who is in it.
CREATE TABLE handover (
    handover_id uuid PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    mode text NOT NULL CHECK (mode IN ('share_deal', 'statutory_succession', 'asset_deal',
        'entrusted_processor_change', 'closure')),
    state text NOT NULL CHECK (state IN ('drafted', 'assessed', 'noticed', 'answered', 'approved',
        'packaged', 'received', 'reconciled', 'cut_over', 'certified', 'aborted')),
    request jsonb NOT NULL,
    digest text NOT NULL,
    opened_at timestamptz NOT NULL,
    changed_at timestamptz NOT NULL,
    UNIQUE (controller_id, digest)
);
COMMENT ON TABLE handover IS 'One hand-over of stations (PIPL 21-23): the typed request and its state. '
    'controller_id is the seller. No customer is in it.';

CREATE TABLE handover_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    handover_id uuid NOT NULL REFERENCES handover,
    controller_id int NOT NULL REFERENCES controller,
    kind text NOT NULL,
    key text NOT NULL,
    facts jsonb NOT NULL,
    at timestamptz NOT NULL,
    UNIQUE (handover_id, kind, key)
);
COMMENT ON TABLE handover_event IS 'What happened in a hand-over, append-only: transitions, notices, '
    'approvals, documents. Counts, digests and staff ids; never a customer.';

CREATE TABLE handover_subject (
    handover_id uuid NOT NULL REFERENCES handover,
    controller_id int NOT NULL REFERENCES controller,
    subject_id uuid NOT NULL,
    class text NOT NULL CHECK (class IN ('transferred', 'expired', 'refused', 'silent',
        'unreachable', 'minors', 'dormant', 'entrusted', 'quarantined', 'restricted',
        'served_elsewhere', 'kept_by_law')),
    PRIMARY KEY (handover_id, subject_id)
);
CREATE INDEX handover_subject_subject ON handover_subject (controller_id, subject_id);
COMMENT ON TABLE handover_subject IS 'Everybody of the stations handed over, each in exactly one class.';

DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['handover', 'handover_event', 'handover_subject'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
    END LOOP;
    -- A hand-over is found by its number, before its seller is known; people only by their owner.
    FOREACH t IN ARRAY ARRAY['handover', 'handover_event'] LOOP
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_officer'
            ' USING (%s)', t, loose);
        EXECUTE format('CREATE POLICY auditor ON %I FOR SELECT TO safehands_auditor USING (%s)', t, loose);
    END LOOP;
    EXECUTE format('CREATE POLICY one_controller ON handover_subject TO safehands_pipeline,'
        ' safehands_officer USING (%s)', mine);
END $$;
GRANT SELECT ON handover, handover_event, handover_subject TO safehands_pipeline, safehands_backup,
    safehands_officer;
GRANT INSERT ON handover, handover_event, handover_subject TO safehands_pipeline;
GRANT UPDATE (state, changed_at) ON handover TO safehands_pipeline;
GRANT UPDATE (class), DELETE ON handover_subject TO safehands_pipeline;
GRANT SELECT ON handover, handover_event TO safehands_auditor;

-- Whoever is erased is in no listing any more; the counts stand in the events.
CREATE FUNCTION forget_handover_subject() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM handover_subject h
        WHERE h.controller_id = OLD.controller_id AND h.subject_id = OLD.subject_id;
    RETURN NULL;
END $$;
REVOKE ALL ON FUNCTION forget_handover_subject() FROM PUBLIC;
CREATE TRIGGER forget_handover_subject AFTER DELETE ON subject
    FOR EACH ROW EXECUTE FUNCTION forget_handover_subject();
