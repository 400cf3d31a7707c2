-- The rule book's evidence: what people declare and prove, figures that parts of the pipeline
-- record about themselves, verdicts, findings. No table here holds a customer's value; the name
-- of a responsible person is sealed under a key of its own.

CREATE TABLE control_evidence (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    entry text NOT NULL CHECK (entry IN ('evidence', 'declaration')),
    kind text NOT NULL,
    held_on date NOT NULL,
    valid_until date NOT NULL CHECK (valid_until >= held_on),
    number double precision NOT NULL DEFAULT 0,
    duty text NOT NULL,
    file_digest text NOT NULL DEFAULT '' CHECK (file_digest ~ '^([0-9a-f]{64})?$'),
    recorded date NOT NULL,
    sealed bytea NOT NULL DEFAULT '',
    withdrawn boolean NOT NULL DEFAULT false
);
CREATE UNIQUE INDEX control_evidence_once ON control_evidence
    (controller_id, entry, kind, held_on, valid_until, number, duty, file_digest) WHERE NOT withdrawn;
COMMENT ON TABLE control_evidence IS
    'Organisational register: what no pipeline can see, and what the owner declares (PIPL 51, 69).';

CREATE TABLE rule_figure (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    name text NOT NULL,
    day date NOT NULL,
    scope text NOT NULL DEFAULT '',
    number double precision NOT NULL,
    run text NOT NULL,
    source text NOT NULL,
    UNIQUE (controller_id, name, day, scope, run)
);
COMMENT ON TABLE rule_figure IS
    'Counts that consent, hand-over, requests and incidents record for the rule book.';

CREATE TABLE rule_result (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    business_date date NOT NULL,
    checked text NOT NULL,
    occasion text NOT NULL,
    rule text NOT NULL,
    edition date NOT NULL,
    outcome text NOT NULL CHECK (outcome IN ('met', 'not_met', 'not_applicable', 'no_evidence')),
    blocks_handover boolean NOT NULL,
    evidence jsonb NOT NULL,
    rulebook text NOT NULL
);
CREATE INDEX rule_result_day ON rule_result (controller_id, business_date, occasion, id);
COMMENT ON TABLE rule_result IS 'One verdict per rule, owner and check, with its evidence.';

CREATE TABLE finding (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    controller_id int NOT NULL REFERENCES controller,
    rule text NOT NULL,
    source text NOT NULL,
    opened date NOT NULL,
    due date NOT NULL CHECK (due >= opened),
    duty text NOT NULL,
    measure text NOT NULL,
    before double precision,
    after double precision,
    closed date,
    state text NOT NULL DEFAULT 'open' CHECK (state IN ('open', 'closed', 'accepted')),
    sealed bytea NOT NULL DEFAULT '',
    CHECK ((state = 'open') = (closed IS NULL))
);
CREATE UNIQUE INDEX finding_open_once ON finding (controller_id, rule) WHERE state = 'open';
COMMENT ON TABLE finding IS 'What is to be put right: by which duty, until when, before and after.';

-- Evidence is bound to its owner like everything else; an auditor who isn't bound sees all of it.
DO $$
DECLARE
    t text;
    mine text := 'controller_id = (SELECT bound_controller())';
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['control_evidence', 'rule_figure', 'rule_result', 'finding'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_officer USING (%s)', t, mine);
        EXECUTE format('CREATE POLICY evidence ON %I FOR SELECT TO safehands_auditor USING (%s)', t, loose);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
    END LOOP;
END $$;

GRANT SELECT, INSERT ON control_evidence, rule_figure, rule_result, finding TO safehands_pipeline;
GRANT UPDATE (withdrawn) ON control_evidence TO safehands_pipeline;
GRANT UPDATE (number, source) ON rule_figure TO safehands_pipeline;
GRANT UPDATE (after, closed, state) ON finding TO safehands_pipeline;
GRANT SELECT ON control_evidence, rule_figure, rule_result, finding TO safehands_backup, safehands_officer;
GRANT SELECT ON rule_figure, rule_result TO safehands_auditor;
-- The auditor reads everything about a piece of evidence but who is behind it.
GRANT SELECT (id, controller_id, entry, kind, held_on, valid_until, number, duty, file_digest,
    recorded, withdrawn) ON control_evidence TO safehands_auditor;
GRANT SELECT (id, controller_id, rule, source, opened, due, duty, measure, before, after, closed,
    state) ON finding TO safehands_auditor;
