-- Impact assessments: what each was made for, every answer with the numbers it was given on, and
-- what happened to it. Append-only: no role may change or delete one (PIPL 56: three years at least).
-- No customer is in them; names of assessors are sealed under the owner's key of the day.
CREATE TABLE pipia (
    pipia_id uuid PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    occasion text NOT NULL CHECK (occasion IN ('handover', 'sharing', 'entrusting', 'disclosure',
        'sensitive', 'automated', 'abroad', 'major')),
    scope text NOT NULL,
    form text NOT NULL CHECK (form IN ('full', 'simplified')),
    opened date NOT NULL
);
CREATE INDEX pipia_of ON pipia (controller_id, occasion, scope);
COMMENT ON TABLE pipia IS 'Impact assessments of personal information protection (PIPL 55, 56).';

CREATE TABLE pipia_answer (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipia_id uuid NOT NULL REFERENCES pipia,
    controller_id int NOT NULL REFERENCES controller,
    question text NOT NULL,
    choice int CHECK (choice BETWEEN 0 AND 4),
    facts jsonb NOT NULL,
    day date NOT NULL,
    named boolean NOT NULL,
    sealed bytea NOT NULL DEFAULT ''
);
CREATE INDEX pipia_answer_of ON pipia_answer (pipia_id, question, id);
COMMENT ON TABLE pipia_answer IS 'One answer and the numbers it was given on; the newest counts.';

CREATE TABLE pipia_event (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pipia_id uuid NOT NULL REFERENCES pipia,
    controller_id int NOT NULL REFERENCES controller,
    kind text NOT NULL CHECK (kind IN ('started', 'signed', 'checked')),
    day date NOT NULL,
    facts jsonb NOT NULL,
    sealed bytea NOT NULL DEFAULT ''
);
CREATE UNIQUE INDEX pipia_signed_once ON pipia_event (pipia_id) WHERE kind = 'signed';
CREATE INDEX pipia_event_of ON pipia_event (pipia_id, kind, id);
COMMENT ON TABLE pipia_event IS 'What happened to an assessment: started, signed (with the document), checked.';

DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['pipia', 'pipia_answer', 'pipia_event'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_officer USING (%s)', t, mine);
        EXECUTE format('CREATE POLICY evidence ON %I FOR SELECT TO safehands_auditor USING (%s)', t, loose);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
    END LOOP;
END $$;
GRANT SELECT, INSERT ON pipia, pipia_answer, pipia_event TO safehands_pipeline;
GRANT SELECT ON pipia, pipia_answer, pipia_event TO safehands_backup, safehands_officer;
GRANT SELECT ON pipia TO safehands_auditor;
-- The auditor reads everything about an assessment but who is behind it.
GRANT SELECT (id, pipia_id, controller_id, question, choice, facts, day, named) ON pipia_answer
    TO safehands_auditor;
GRANT SELECT (id, pipia_id, controller_id, kind, day, facts) ON pipia_event TO safehands_auditor;
