-- The newest night of each station is looked up in here, a step a station (store/verdicts.py). Reading
-- all verdicts for it took a thousand stations minutes in their first night already.
CREATE INDEX quality_result_newest ON quality_result (controller_id, station, business_date);
