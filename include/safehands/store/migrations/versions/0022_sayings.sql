-- What a night stores of a person must not depend on which of their shards is loaded first. So the
-- moment at which the stored name and address were said is kept (400 years before 1970: never; null:
-- unknown, it counts as when the person was last seen); and, of who was touched by a night, when they were last
-- seen before it (null: not known before) and the sealed record that it replaced, until its purge.
ALTER TABLE subject
    ADD COLUMN name_at timestamptz,
    ADD COLUMN address_at timestamptz,
    ADD COLUMN night date,
    ADD COLUMN seen_before timestamptz,
    ADD COLUMN before bytea;
CREATE INDEX subject_before ON subject (controller_id) WHERE before IS NOT NULL;

-- The choice that a night replaced, as it was before, until its purge: channel, delivery, time of day
-- and marketing, with commas; empty where the night found none.
ALTER TABLE preference ADD COLUMN before text;
CREATE INDEX preference_before ON preference (controller_id) WHERE before <> '';

-- Whoever is restricted is out of the purge's sight: what a night replaced goes with the restriction.
CREATE FUNCTION forget_before() RETURNS trigger
LANGUAGE plpgsql SET search_path = public, pg_temp AS $$
BEGIN
    NEW.before := NULL;
    RETURN NEW;
END $$;
CREATE TRIGGER forget_before BEFORE UPDATE OF restricted ON subject FOR EACH ROW
    WHEN (NEW.restricted AND NOT OLD.restricted) EXECUTE FUNCTION forget_before();
