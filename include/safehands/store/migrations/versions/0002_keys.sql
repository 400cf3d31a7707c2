-- Keys: which root key wraps, former data keys until nothing needs them, backup lineages, escrow.

CREATE TABLE root_key (
    number int PRIMARY KEY,
    root_id text NOT NULL,
    version int NOT NULL,
    check_value bytea NOT NULL,
    settled boolean NOT NULL DEFAULT true
);
COMMENT ON TABLE root_key IS 'Root keys that wrapped this store''s keys; the highest number does now. '
    'settled: the one before has ended where keys are kept.';

-- Branches of the first data key that waybill tokens and custody hang on: they stay when the data
-- key goes, because a waybill number is not stored anywhere to make a new token from.
ALTER TABLE controller_key ADD COLUMN tokens bytea;

CREATE TABLE former_key (
    controller_id int NOT NULL REFERENCES controller,
    version smallint NOT NULL,
    data bytea NOT NULL,
    PRIMARY KEY (controller_id, version)
);
COMMENT ON TABLE former_key IS 'Data keys that some record may still need: only while a rotation lasts.';

ALTER TABLE epoch ADD COLUMN key_id text NOT NULL DEFAULT '';
COMMENT ON COLUMN epoch.key_id IS 'Public id of the epoch key, so that a wrong one is noticed.';

CREATE TABLE backup_lineage (
    number int PRIMARY KEY,
    opened_at timestamptz NOT NULL,
    reason text NOT NULL,
    after_backup int NOT NULL
);
COMMENT ON TABLE backup_lineage IS 'Generations up to backup.id after_backup of the newest line need '
    'a data key that is gone; they are pruned once a younger one is proved.';

CREATE TABLE escrow (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    made_at timestamptz NOT NULL,
    threshold smallint NOT NULL,
    shares smallint NOT NULL,
    bundle text NOT NULL UNIQUE,
    secrets jsonb NOT NULL,
    drilled_at timestamptz,
    CHECK (1 < threshold AND threshold <= shares)
);
COMMENT ON TABLE escrow IS 'Escrow exports: digest of the bundle, ids of the keys in it, last drill.';

-- Row-level security on former_key is forced by the next revision, together with controller_key's.
GRANT SELECT ON root_key, former_key, backup_lineage, escrow TO safehands_pipeline;
GRANT SELECT ON root_key, former_key, backup_lineage, escrow TO safehands_backup;
GRANT SELECT ON former_key TO safehands_officer;
GRANT SELECT ON root_key, backup_lineage, escrow TO safehands_auditor;
