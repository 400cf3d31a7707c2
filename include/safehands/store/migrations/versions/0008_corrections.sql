-- Phone numbers that were corrected away. An export that still shows such a number means the person
-- who no longer has it (PIPL 46): the load looks here before it opens a subject.
CREATE TABLE correction (
    controller_id int NOT NULL,
    subject_id uuid NOT NULL,
    number smallint NOT NULL,
    epoch int NOT NULL,
    wrapped bytea NOT NULL,
    corrected_at timestamptz NOT NULL,
    by_whom text NOT NULL,
    PRIMARY KEY (controller_id, subject_id, number),
    FOREIGN KEY (controller_id, subject_id) REFERENCES subject ON DELETE CASCADE
);
COMMENT ON TABLE correction IS 'Numbers that were corrected away: the tombstone token of each, sealed '
    'under the epoch key. In clear it would lead, in an old backup, from a number to an erased person.';
ALTER TABLE correction ENABLE ROW LEVEL SECURITY;
ALTER TABLE correction FORCE ROW LEVEL SECURITY;
CREATE POLICY whole ON correction FOR SELECT TO safehands_backup USING (true);
CREATE POLICY owner ON correction TO safehands_owner USING (true);
CREATE POLICY one_controller ON correction TO safehands_pipeline, safehands_officer
    USING (controller_id = (SELECT bound_controller()));
GRANT SELECT ON correction TO safehands_pipeline, safehands_backup;
GRANT UPDATE (epoch, wrapped) ON correction TO safehands_pipeline;
GRANT SELECT, INSERT, DELETE ON correction TO safehands_officer;

-- From now on a person is found by another number. False, and nothing changes, when that number
-- leads to somebody already, also to somebody restricted: two people are never joined.
CREATE FUNCTION renumber_subject(who uuid, fresh uuid, secret bytea, record bytea) RETURNS boolean
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE c int := bound_controller();
BEGIN
    IF EXISTS (SELECT FROM subject s WHERE s.controller_id = c AND s.lookup = fresh
        AND s.subject_id <> who) THEN
        RETURN false;
    END IF;
    UPDATE subject s SET lookup = fresh, wrapped_salt = secret, sealed = record,
        generation = CASE WHEN s.lookup = fresh THEN s.generation ELSE 0 END
        WHERE s.controller_id = c AND s.subject_id = who AND NOT s.restricted;
    RETURN true;
END $$;
REVOKE ALL ON FUNCTION renumber_subject(uuid, uuid, bytea, bytea) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION renumber_subject(uuid, uuid, bytea, bytea) TO safehands_officer;
