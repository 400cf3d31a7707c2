-- What the dashboards read besides the evidence that is there: sums per night, so that a year of a
-- thousand stations opens as fast as a week of one; what is held under each retention rule; shapes
-- of cells that broke a rule; and where quarantined rows wait, without what is in them.

ALTER TABLE quality_result ADD COLUMN patterns jsonb NOT NULL DEFAULT '{}';
COMMENT ON COLUMN quality_result.patterns IS 'Shapes of the cells that broke the rule, with counts: '
    'every digit is 9, every letter A, every Chinese character 文. No value can be read from one.';
CREATE INDEX quality_result_day ON quality_result (business_date, rule);
CREATE INDEX step_result_day ON step_result (business_date);
CREATE INDEX batch_day ON batch (business_date);
CREATE INDEX quarantine_rule ON quarantine (rule, day);
CREATE INDEX rule_result_newest ON rule_result (business_date, occasion);

CREATE TABLE quality_night (
    controller_id int NOT NULL REFERENCES controller,
    business_date date NOT NULL,
    rule text NOT NULL,
    dataset text NOT NULL,
    dimension text NOT NULL,
    severity text NOT NULL,
    evaluated bigint NOT NULL,
    failed bigint NOT NULL,
    stations int NOT NULL,
    stations_failed int NOT NULL,
    PRIMARY KEY (controller_id, business_date, rule, dataset, dimension, severity)
);
CREATE INDEX quality_night_day ON quality_night (business_date);
CREATE INDEX quality_night_rule ON quality_night (rule, business_date);
COMMENT ON TABLE quality_night IS 'Verdicts on what stations brought, summed per night, owner and rule.';

CREATE TABLE held_figure (
    controller_id int NOT NULL REFERENCES controller,
    business_date date NOT NULL,
    rule text NOT NULL,
    held bigint NOT NULL,
    oldest int,
    overdue bigint NOT NULL,
    PRIMARY KEY (controller_id, business_date, rule)
);
CREATE INDEX held_figure_day ON held_figure (business_date);
COMMENT ON TABLE held_figure IS 'Rows held under each retention rule after the night: how many, the '
    'age of the oldest in days, how many are past their time.';

-- The sums of one night, made anew. Its checks of our own tables judge nobody's export.
CREATE FUNCTION roll_up_quality(day date) RETURNS void
LANGUAGE sql SECURITY DEFINER SET search_path = public, pg_temp AS $$
    DELETE FROM quality_night WHERE business_date = day;
    INSERT INTO quality_night SELECT controller_id, business_date, rule, dataset, dimension, severity,
        sum(evaluated), sum(failed), count(DISTINCT station),
        count(DISTINCT station) FILTER (WHERE failed > 0)
    FROM quality_result WHERE business_date = day AND suite <> 'pseudonymised'
    GROUP BY 1, 2, 3, 4, 5, 6;
$$;
REVOKE ALL ON FUNCTION roll_up_quality(date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION roll_up_quality(date) TO safehands_pipeline;

DO $$
DECLARE
    t text;
    loose text := '((SELECT bound_controller()) IS NULL OR controller_id = (SELECT bound_controller()))';
BEGIN
    FOREACH t IN ARRAY ARRAY['quality_night', 'held_figure'] LOOP
        EXECUTE format('ALTER TABLE %I ENABLE ROW LEVEL SECURITY', t);
        EXECUTE format('ALTER TABLE %I FORCE ROW LEVEL SECURITY', t);
        EXECUTE format('CREATE POLICY whole ON %I FOR SELECT TO safehands_backup USING (true)', t);
        EXECUTE format('CREATE POLICY owner ON %I TO safehands_owner USING (true)', t);
        EXECUTE format('CREATE POLICY one_controller ON %I TO safehands_pipeline, safehands_auditor'
            ' USING (%s)', t, loose);
    END LOOP;
    EXECUTE format('CREATE POLICY auditor ON quarantine FOR SELECT TO safehands_auditor USING (%s)', loose);
END $$;
GRANT SELECT, INSERT, DELETE ON quality_night, held_figure TO safehands_pipeline;
GRANT SELECT ON quality_night, held_figure TO safehands_backup, safehands_auditor;
-- Where a row waits and why, not what is in it.
GRANT SELECT (id, controller_id, batch_id, day, dataset, sheet, row_number, rule, column_name)
    ON quarantine TO safehands_auditor;

DO $$
DECLARE day date;
BEGIN
    FOR day IN SELECT DISTINCT business_date FROM quality_result LOOP
        PERFORM roll_up_quality(day);
    END LOOP;
END $$;
