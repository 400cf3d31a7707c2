-- Whoever is erased is forgotten everywhere by one statement per table, not by one per person: a
-- station that is handed over is a hundred thousand people at once.
DROP TRIGGER forget_answers ON subject;
CREATE OR REPLACE FUNCTION forget_answers() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE consent_event e SET subject_id = NULL FROM gone g
        WHERE e.controller_id = g.controller_id AND e.subject_id = g.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_answers AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_answers();

DROP TRIGGER forget_handover_subject ON subject;
CREATE OR REPLACE FUNCTION forget_handover_subject() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    DELETE FROM handover_subject h USING gone g
        WHERE h.controller_id = g.controller_id AND h.subject_id = g.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_handover_subject AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_handover_subject();

DROP TRIGGER forget_requests ON subject;
CREATE OR REPLACE FUNCTION forget_requests() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    UPDATE subject_request r SET subject_id = NULL, code = NULL FROM gone g
        WHERE r.controller_id = g.controller_id AND r.subject_id = g.subject_id;
    RETURN NULL;
END $$;
CREATE TRIGGER forget_requests AFTER DELETE ON subject
    REFERENCING OLD TABLE AS gone FOR EACH STATEMENT EXECUTE FUNCTION forget_requests();

-- As before, but a store without quarantined rows has no list to look through.
CREATE OR REPLACE FUNCTION listed_gone() RETURNS trigger
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
BEGIN
    IF NOT EXISTS (SELECT FROM listing) THEN
        RETURN NULL;
    END IF;
    IF TG_TABLE_NAME = 'subject' THEN
        DELETE FROM listing l USING gone g
            WHERE l.controller_id = g.controller_id AND l.token = g.subject_id;
    ELSE
        DELETE FROM listing l USING gone g
            WHERE l.controller_id = g.controller_id AND l.token = g.waybill;
    END IF;
    RETURN NULL;
END $$;
