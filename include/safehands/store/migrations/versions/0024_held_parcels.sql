-- What is stored because of a hold stays as long as the hold keeps its person, also where the hold
-- names another parcel of theirs: it was let go by the night after it had been stored.
CREATE OR REPLACE FUNCTION end_held_parcels(day date) RETURNS int
LANGUAGE plpgsql SECURITY DEFINER SET search_path = public, pg_temp AS $$
DECLARE
    c int := bound_controller();
    gone int;
BEGIN
    IF EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = c AND h.scope = 'controller'
        AND h.ended_at IS NULL AND h.until >= day) THEN
        RETURN 0;
    END IF;
    DELETE FROM parcel_held p WHERE p.controller_id = c
    AND (p.why = 'hold' OR (p.why = 'limitation' AND p.until < day))
    AND NOT EXISTS (SELECT FROM legal_hold h WHERE h.controller_id = c AND h.ended_at IS NULL
        AND h.until >= day AND h.waybill = p.waybill)
    AND (p.subject_id IS NULL OR p.subject_id NOT IN (SELECT held_subjects(day)));
    GET DIAGNOSTICS gone = ROW_COUNT;
    RETURN gone;
END $$;
