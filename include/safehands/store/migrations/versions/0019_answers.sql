-- A refusal outlasts its person: who said no and was erased since is not asked again, and nothing
-- that rests on consent comes back with the next export (网络数据安全管理条例 22(5)).
CREATE TABLE suppression (
    controller_id int NOT NULL REFERENCES controller,
    token uuid NOT NULL,
    purpose text NOT NULL,
    campaign text NOT NULL,
    refused_on date NOT NULL,
    PRIMARY KEY (controller_id, token, purpose)
);
COMMENT ON TABLE suppression IS 'Refusals of people who are gone: a keyed token of the number under '
    'the suppression key, which leads to no row of theirs in any backup.';
ALTER TABLE suppression ENABLE ROW LEVEL SECURITY;
ALTER TABLE suppression FORCE ROW LEVEL SECURITY;
CREATE POLICY whole ON suppression FOR SELECT TO safehands_backup USING (true);
CREATE POLICY owner ON suppression TO safehands_owner USING (true);
CREATE POLICY one_controller ON suppression TO safehands_pipeline, safehands_officer
    USING (controller_id = (SELECT bound_controller()));
GRANT SELECT ON suppression TO safehands_officer, safehands_backup;
GRANT SELECT, INSERT ON suppression TO safehands_pipeline;
GRANT UPDATE (campaign, refused_on) ON suppression TO safehands_pipeline;

-- What rests on consent goes for those whose last answer is no longer yes, or is a yes to other terms
-- (purpose, methods, categories) than `asked`; an empty `asked` leaves terms aside.
DROP FUNCTION honour_answers(text, date);
CREATE FUNCTION honour_answers(wanted text, asked text, day date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    found int;
BEGIN
    WITH last AS (
        SELECT DISTINCT ON (e.subject_id) e.subject_id, e.kind, e.valid_until, e.terms
        FROM consent_event e
        WHERE e.controller_id = c AND e.purpose = wanted AND e.subject_id IS NOT NULL
        ORDER BY e.subject_id, e.at DESC, e.id DESC)
    UPDATE preference p SET marketing = 0, time_window = 0 FROM last
        WHERE p.controller_id = c AND p.subject_id = last.subject_id
        AND (last.kind <> 'granted' OR last.valid_until < day OR (asked <> '' AND last.terms <> asked))
        AND (p.marketing <> 0 OR p.time_window <> 0);
    GET DIAGNOSTICS found = ROW_COUNT;
    RETURN found;
END $$;
REVOKE ALL ON FUNCTION honour_answers(text, text, date) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION honour_answers(text, text, date) TO safehands_pipeline, safehands_officer;
