-- Restores: proofs of generations, drills, and which generations were pruned. None of these tables
-- holds anything of a person or of one controller alone.

CREATE TABLE generation_proof (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    manifest text NOT NULL,
    manifest_digest text NOT NULL,
    kind text NOT NULL CHECK (kind IN ('prove', 'drill')),
    proved_at timestamptz NOT NULL,
    facts jsonb NOT NULL
);
COMMENT ON TABLE generation_proof IS 'Generations that were restored into an empty database and compared.';

CREATE TABLE restore_drill (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    business_date date NOT NULL,
    ended_at timestamptz NOT NULL,
    passed boolean NOT NULL,
    manifest text,
    older text,
    rto_seconds double precision,
    recovery_point timestamptz,
    problem jsonb,
    facts jsonb NOT NULL,

    CHECK (passed = (problem IS NULL)),
    CHECK (NOT passed OR (manifest IS NOT NULL AND rto_seconds IS NOT NULL AND recovery_point IS NOT NULL))
);
COMMENT ON TABLE restore_drill IS 'Restore drills: what came back, how fast (RTO), as of when (RPO); or why not.';

CREATE TABLE prune (
    id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    pruned_at timestamptz NOT NULL,
    newest text NOT NULL,
    finished boolean NOT NULL DEFAULT false,
    facts jsonb NOT NULL
);
COMMENT ON TABLE prune IS 'Removals from the repository by policy; newest: digest of the manifest they follow.';

ALTER TABLE backup ADD COLUMN prune_id int REFERENCES prune;

CREATE TABLE backup_reference (
    manifest text NOT NULL REFERENCES backup (manifest),
    object text NOT NULL,
    PRIMARY KEY (manifest, object)
);
COMMENT ON TABLE backup_reference IS 'Which objects a generation needs: what prune must leave.';

GRANT SELECT, INSERT ON generation_proof, restore_drill, prune, backup_reference TO safehands_pipeline;
GRANT UPDATE (finished) ON prune TO safehands_pipeline;
GRANT UPDATE (prune_id) ON backup TO safehands_pipeline;
GRANT DELETE ON backup_reference TO safehands_pipeline;
GRANT SELECT ON generation_proof, restore_drill, prune, backup_reference TO safehands_backup;
GRANT SELECT ON generation_proof, restore_drill, prune TO safehands_auditor;
