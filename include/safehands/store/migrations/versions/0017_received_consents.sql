-- A package's consents are added by the role of the night: rows of a hand-over and no others. Answers
-- that people give are the officer's to record, as before.
GRANT INSERT ON consent_event TO safehands_pipeline;
CREATE POLICY of_a_handover ON consent_event AS RESTRICTIVE FOR INSERT TO safehands_pipeline
    WITH CHECK (channel = 'handover' AND by_whom = 'handover' AND source LIKE 'handover:%'
        AND terms = source);
