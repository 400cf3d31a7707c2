-- Quarantine that can be worked off: the officer sees a row, the pipeline says anew why it waits.
GRANT UPDATE (rule, column_name) ON quarantine TO safehands_pipeline;
GRANT SELECT ON quarantine TO safehands_officer;

-- Where the owner declares that an export of a dataset is always the whole of it, what it lists is
-- remembered, so that somebody who is no longer listed is noticed (accuracy, PIPL 8).
ALTER TABLE station ADD COLUMN full_exports text NOT NULL DEFAULT '';
COMMENT ON COLUMN station.full_exports IS 'Datasets of which every export is a full one, by comma.';
GRANT UPDATE (full_exports) ON station TO safehands_pipeline;

CREATE TABLE listing (
    controller_id int NOT NULL REFERENCES controller,
    station_id int NOT NULL REFERENCES station,
    dataset text NOT NULL,
    token uuid NOT NULL,
    seen_on date NOT NULL,
    PRIMARY KEY (controller_id, station_id, dataset, token)
);
CREATE INDEX listing_token ON listing (controller_id, token);
COMMENT ON TABLE listing IS 'What full exports list: a subject or waybill token, and the newest day.';
ALTER TABLE listing ENABLE ROW LEVEL SECURITY;
ALTER TABLE listing FORCE ROW LEVEL SECURITY;
CREATE POLICY one_controller ON listing TO safehands_pipeline
    USING (controller_id = (SELECT bound_controller()));
CREATE POLICY whole ON listing FOR SELECT TO safehands_backup USING (true);
CREATE POLICY owner ON listing TO safehands_owner USING (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON listing TO safehands_pipeline;
GRANT SELECT ON listing TO safehands_backup;

-- Whatever removes a person or a parcel, no list keeps its token.
CREATE FUNCTION listed_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF TG_TABLE_NAME = 'subject' THEN
        DELETE FROM listing l USING gone g
            WHERE l.controller_id = g.controller_id AND l.token = g.subject_id;
    ELSE
        DELETE FROM listing l USING gone g
            WHERE l.controller_id = g.controller_id AND l.token = g.waybill;
    END IF;
    RETURN NULL;
END $$;
CREATE TRIGGER listed_gone AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION listed_gone();
CREATE TRIGGER listed_gone AFTER DELETE ON parcel
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION listed_gone();
