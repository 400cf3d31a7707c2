-- Requests of people: what is asked, until when it is answered, what was decided and done (PIPL 44-50).
CREATE TABLE subject_request (
    request text PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    kind text NOT NULL,
    behalf text NOT NULL,
    channel text NOT NULL,
    subject_id uuid,
    state text NOT NULL CHECK (state IN ('registered', 'identified', 'granted', 'refused', 'done')),
    requested_at timestamptz NOT NULL,
    target date NOT NULL,
    latest date NOT NULL,
    evidence text NOT NULL,
    purpose text NOT NULL,
    code uuid,
    code_until timestamptz,
    code_tries smallint NOT NULL DEFAULT 0,
    identified_at timestamptz,
    identified_how text NOT NULL DEFAULT '',
    reason text NOT NULL DEFAULT '',
    conditions text NOT NULL DEFAULT '',
    decided_by text NOT NULL DEFAULT '',
    decided_at timestamptz,
    done_at timestamptz,
    outcome jsonb,
    by_whom text NOT NULL,
    CHECK (state <> 'refused' OR reason <> '')
);
CREATE INDEX subject_request_subject ON subject_request (controller_id, subject_id);
COMMENT ON TABLE subject_request IS 'Requests of people. Once a person is erased their requests stay as '
    'a record of nobody.';
ALTER TABLE subject_request ENABLE ROW LEVEL SECURITY;
ALTER TABLE subject_request FORCE ROW LEVEL SECURITY;
CREATE POLICY whole ON subject_request FOR SELECT TO safehands_backup USING (true);
CREATE POLICY owner ON subject_request TO safehands_owner USING (true);
CREATE POLICY one_controller ON subject_request TO safehands_pipeline, safehands_officer
    USING (controller_id = (SELECT bound_controller()));
CREATE POLICY auditor ON subject_request FOR SELECT TO safehands_auditor
    USING ((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()));
GRANT SELECT ON subject_request TO safehands_pipeline, safehands_backup;
GRANT SELECT, INSERT ON subject_request TO safehands_officer;
GRANT UPDATE (state, code, code_until, code_tries, identified_at, identified_how, reason, conditions,
    decided_by, decided_at, done_at, outcome) ON subject_request TO safehands_officer;
GRANT SELECT (request, controller_id, kind, behalf, channel, state, requested_at, target, latest,
    evidence, purpose, identified_at, identified_how, reason, conditions, decided_by, decided_at,
    done_at, outcome, by_whom) ON subject_request TO safehands_auditor;

CREATE FUNCTION forget_requests() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE subject_request r SET subject_id = NULL, code = NULL
        WHERE r.controller_id = OLD.controller_id AND r.subject_id = OLD.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_requests AFTER DELETE ON subject FOR EACH ROW EXECUTE FUNCTION forget_requests();
REVOKE ALL ON FUNCTION forget_requests() FROM PUBLIC;
