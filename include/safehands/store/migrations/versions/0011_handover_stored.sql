-- Who is stored only at these stations, and with how many parcels. The pipeline may not read stored
-- parcels; a hand-over has to count them, because they stay with the seller (PIPL 47 ¶2).
CREATE FUNCTION stored_at(wanted int[]) RETURNS TABLE (subject_id uuid, parcels bigint)
LANGUAGE sql STABLE SECURITY DEFINER SET search_path = public, pg_temp AS $$
    SELECT p.subject_id, count(*) FROM parcel_held p
        WHERE p.controller_id = bound_controller() AND p.station_id = ANY (wanted)
        GROUP BY p.subject_id
$$;
REVOKE ALL ON FUNCTION stored_at(int[]) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION stored_at(int[]) TO safehands_pipeline;
