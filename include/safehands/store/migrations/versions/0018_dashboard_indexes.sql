-- The page of risks looks for every owner's newest assessment and one rule's last nights.
CREATE INDEX risk_assessment_newest ON risk_assessment (controller_id, business_date, id);
CREATE INDEX rule_result_rule ON rule_result (rule, business_date);
