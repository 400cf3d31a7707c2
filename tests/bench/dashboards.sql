-- Evidence of a year of nights; stations, owners, nights and the last day are parameters.
-- Names, counts and digests are made up; no person is in it.

INSERT INTO controller (code, name, kind) SELECT 'owner-' || lpad(n::text, 3, '0'), '安心便民服务 ' || n, 'company'
FROM generate_series(1, CAST(:owners AS int)) n;

INSERT INTO station (controller_id, code, name) SELECT 1 + (n - 1) % CAST(:owners AS int), 'S' ||
lpad(n::text, 4, '0'), (ARRAY['海棠路', '云杉里', '澄湖校园', '望江', '新桥', '桂花巷'])[1 + n % 6] || n || '号驿站' FROM
generate_series(1, CAST(:stations AS int)) n;

INSERT INTO batch (controller_id, station_id, file_digest, policy_digest, label, run, business_date, state,
facts) SELECT s.controller_id, s.id, md5(s.code || d::date), 'p', 'parcels-' || s.code || '.csv', 'nightly-'
|| d::date, d::date, CASE WHEN (s.id + extract(day FROM d)::int) % 97 = 0 THEN 'set_aside' ELSE 'loaded' END,
'{}' FROM station s, generate_series(CAST(:day AS date) - CAST(:nights AS int) + 1, CAST(:day AS date), '1 day') d WHERE s.id % 50 <> 7;

UPDATE batch SET problem = '{"key": "landing.none", "params": {}}' WHERE state = 'set_aside';

INSERT INTO quality_result (controller_id, run, business_date, station, dataset, suite, rule, dimension,
severity, evaluated, failed, patterns) SELECT s.controller_id, 'nightly-' || d::date, d::date, s.code,
r.dataset, r.dataset, r.rule, r.dimension, r.severity, 500, CASE WHEN (s.id * 7 + r.n * 13 + d::date -
'2020-01-01') % 29 < 2 + r.n / 6 THEN (s.id * r.n + extract(doy FROM d)::int) % (3 + r.n) ELSE 0 END, CASE
WHEN r.n = 9 AND s.id % 40 = 0 THEN '{"9{3}-9{4}": 3, "9{12}": 2}'::jsonb ELSE '{}' END FROM station s,
generate_series(CAST(:day AS date) - CAST(:nights AS int) + 1, CAST(:day AS date), '1 day') d, (VALUES (1,
'parcels', 'parcels.waybill_missing', 'completeness', 'critical'), (2, 'parcels', 'parcels.arrived_missing',
'completeness', 'critical'), (3, 'parcels', 'parcels.arrived_in_future', 'validity', 'critical'), (4,
'parcels', 'parcels.name_holds_phone', 'validity', 'critical'), (5, 'parcels',
'parcels.collected_before_arrived', 'consistency', 'critical'), (6, 'parcels', 'parcels.waybill_twice',
'uniqueness', 'critical'), (7, 'parcels', 'parcels.phone_missing', 'completeness', 'warning'), (8, 'parcels',
'parcels.in_custody_with_time', 'consistency', 'warning'), (9, 'parcels', 'parcels.phone_odd', 'validity',
'warning'), (10, 'parcels', 'parcels.stale', 'timeliness', 'warning'), (11, 'customers',
'customers.phone_missing', 'completeness', 'critical'), (12, 'customers', 'customers.phone_not_mobile',
'validity', 'critical'), (13, 'preferences', 'preferences.phone_missing', 'completeness', 'critical'), (14,
'preferences', 'preferences.phone_not_mobile', 'validity', 'critical'), (15, 'pseudonymised',
'pseudonymised.own', 'validity', 'critical')) AS r (n, dataset, rule, dimension, severity);

UPDATE quality_result SET suite = 'pseudonymised' WHERE dataset = 'pseudonymised';

SELECT roll_up_quality(d::date) FROM generate_series(CAST(:day AS date) - CAST(:nights AS int) + 1, CAST(:day
AS date), '1 day') d;

INSERT INTO quarantine (controller_id, batch_id, day, dataset, sheet, row_number, rule, column_name, sealed)
SELECT b.controller_id, b.id, b.business_date, 'parcels', '', 2 + n * 13, (ARRAY['parcels.waybill_missing',
'parcels.arrived_missing', 'parcels.phone_odd'])[1 + n % 3], (ARRAY['waybill_no', 'arrived_at',
'receiver_phone'])[1 + n % 3], '' FROM batch b, generate_series(1, 6) n WHERE b.business_date > CAST(:day AS
date) - 30 AND b.id % 5 = 0;

INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds) SELECT 'nightly-' ||
d::date, d::date, c.code || '-1', s.step, jsonb_build_object('in', 4000, 'out', 3980, 'quarantined', CASE WHEN
s.step = 'validate' THEN 12 ELSE 0 END), '{}', 1.5 FROM controller c, generate_series(CAST(:day AS date) -
CAST(:nights AS int) + 1, CAST(:day AS date), '1 day') d, unnest(ARRAY['ingest', 'validate', 'minimise',
'pseudonymise']) WITH ORDINALITY s (step, n) ORDER BY d, s.n;

INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds) SELECT 'nightly-' ||
d::date, d::date, c.code, 'purge', jsonb_build_object('pickup_record', (c.id * 37 + extract(doy FROM d)::int)
% 90, 'contact_detail', c.id % 9, 'quarantine', 0), '{}', 0.2 FROM controller c, generate_series(CAST(:day AS
date) - CAST(:nights AS int) + 1, CAST(:day AS date), '1 day') d;

INSERT INTO step_result (run, business_date, shard, step, counts, reasons, seconds) SELECT 'nightly-' ||
d::date, d::date, '', s.step, CASE WHEN s.step = 'report' THEN jsonb_build_object('k', 3 + extract(doy FROM
d)::int % 5, 'people', 400000) ELSE '{}' END, '{}', 4.2 FROM generate_series(CAST(:day AS date) - CAST(:nights
AS int) + 1, CAST(:day AS date), '1 day') d, unnest(ARRAY['backup', 'report']) s (step);

INSERT INTO held_figure SELECT c.id, CAST(:day AS date), r.rule, r.held, r.oldest, r.late FROM controller c,
(VALUES ('pickup_record', 40000, 364, 0), ('never_collected', 210, 402, 0), ('exception_record', 33, 122, 0),
('contact_detail', 4100, 171, 3), ('custody_detail', 900, NULL, 0), ('idle_preference', 310, 300, 0),
('quarantine', 66, 6, 0)) AS r (rule, held, oldest, late);

INSERT INTO risk_assessment (business_date, controller_id, figures) SELECT d::date, c.id,
jsonb_build_object('version', 1, 'people', 4000, 'k', 1 + (c.id + extract(doy FROM d)::int) % 6, 'histogram',
jsonb_build_array(jsonb_build_array(1, 1, 12 + c.id % 30), jsonb_build_array(2, 4, 220), jsonb_build_array(5,
9, 640), jsonb_build_array(10, 19, 1120), jsonb_build_array(20, 0, 2000)), 'releases', jsonb_build_array(
jsonb_build_object('release', 'controlled', 'least', 5, 'below', 232 + c.id % 30, 'level', 2, 'overall', 0.2,
'acceptable', c.id % 4 = 0)), 'figures', jsonb_build_object('pad', (SELECT string_agg(md5(n::text), '') FROM
generate_series(1, 400) n))) FROM controller c, generate_series(CAST(:day AS date) - CAST(:nights AS int) + 1,
CAST(:day AS date), '1 day') d;

INSERT INTO rule_result (controller_id, business_date, checked, occasion, rule, edition, outcome,
blocks_handover, evidence, rulebook) SELECT c.id, d::date, 'night', 'night', r.rule, '2021-11-01',
(ARRAY['met', 'met', 'met', 'not_met', 'no_evidence', 'not_applicable', 'met', 'met'])[1 + (r.n + c.id / 40) %
8], false, '[{"run": "", "kind": "P", "number": 3, "source": "dc29ebe13bd9", "wanted": "≥ 1", "measure":
"store.backup_age", "outcome": "met"}]'::jsonb, 'b' FROM controller c, generate_series(CAST(:day AS date) -
89, CAST(:day AS date), '1 day') d, unnest(ARRAY['AUD-01', 'AUD-02', 'AUD-03', 'AUD-04', 'BAS-01', 'BRE-01',
'BRE-02', 'BRE-03', 'PIA-01', 'CON-01', 'CON-02', 'DSR-01', 'RET-01', 'ERA-01']) WITH ORDINALITY r (rule, n);

INSERT INTO finding (controller_id, rule, source, opened, due, duty, measure) SELECT c.id, 'AUD-01', 's',
CAST(:day AS date) - 40, CAST(:day AS date) + 10 - c.id, 'privacy_officer', 'm' FROM controller c WHERE c.id <
20;

INSERT INTO subject_request (request, controller_id, kind, behalf, channel, state, requested_at, target,
latest, evidence, purpose, by_whom) SELECT 'R-20261101-' || lpad(n::text, 8, '0'), 1 + n % CAST(:owners AS
int), (ARRAY['access', 'delete', 'correct', 'restrict'])[1 + n % 4], 'self', 'page', (ARRAY['registered',
'identified', 'granted', 'done', 'done', 'done'])[1 + n % 6], CAST(:day AS date) - n % 60, CAST(:day AS date)
- n % 60 + 10, CAST(:day AS date) - n % 60 + 15, '', '', 'desk' FROM generate_series(1, CAST(:stations AS
int)) n WHERE n % 60 < 17 OR n % 6 > 2;

INSERT INTO notice_version (controller_id, number, valid_from, digest, document, published_at, by_whom) SELECT
id, 2, CAST(:day AS date) - 100, 'd', '{}', now(), 'admin' FROM controller;

INSERT INTO consent_event (controller_id, kind, purpose, separate, notice, terms, channel, evidence, guardian,
campaign, at, recorded_at, by_whom, source) SELECT 1 + n % CAST(:owners AS int), (ARRAY['granted', 'granted',
'refused', 'withdrawn'])[1 + n % 4], (ARRAY['marketing', 'handover'])[1 + n % 2], true, 2, 't', 'sms', 'e',
'', '', CAST(:day AS date) - n % 90, now(), 'desk', '' FROM generate_series(1, CAST(:stations AS int) * 200) n;

INSERT INTO legal_hold (controller_id, scope, reason, owner, placed_at, until) SELECT id, 'controller',
'audit', 'officer', now(), CAST(:day AS date) + 200 FROM controller WHERE id % 40 = 0;

INSERT INTO access_log (controller_id, action, purpose, fields, by_whom, at) SELECT 1 + n % CAST(:owners AS
int), 'reveal', (ARRAY['request', 'notice'])[1 + n % 2], 'phone', 'desk', CAST(:day AS date) - n % 40 FROM
generate_series(1, CAST(:stations AS int)) n;

INSERT INTO backup (business_date, manifest, created_at, facts) SELECT d::date, 'manifests/' || d::date || '-'
|| substr(md5(d::text), 1, 8) || '.age', d, jsonb_build_object('rows', 4000000, 'bytes', 310000000) FROM
generate_series(CAST(:day AS date) - CAST(:nights AS int) + 1, CAST(:day AS date), '1 day') d;

INSERT INTO restore_drill (business_date, ended_at, passed, manifest, older, rto_seconds, recovery_point,
facts) SELECT d::date, d + interval '5 hours', true, 'm', 'o', 412, d - interval '3 hours', '{}' FROM
generate_series(CAST(:day AS date) - CAST(:nights AS int) + 1, CAST(:day AS date), '1 day') d WHERE
extract(dow FROM d) = 0;

INSERT INTO ledger_entry (seq, body) OVERRIDING SYSTEM VALUE SELECT n - 1, '{}' FROM generate_series(1,
CAST(:nights AS int) * 30) n;

INSERT INTO handover (handover_id, controller_id, mode, state, request, digest, opened_at, changed_at) SELECT
md5(n::text)::uuid, n, (ARRAY['asset_deal', 'share_deal', 'closure'])[1 + n % 3], (ARRAY['noticed',
'approved', 'assessed'])[1 + n % 3], jsonb_build_object('stations', jsonb_build_array('S' || lpad(n::text, 4,
'0'))), n::text, CAST(:day AS date) - 30, CAST(:day AS date) - n FROM generate_series(1, least(CAST(:owners AS
int), 40)) n;

UPDATE handover SET state = 'reconciled', mode = 'asset_deal' WHERE controller_id = 2;

UPDATE handover SET state = 'aborted' WHERE controller_id = 5;

INSERT INTO handover_event (handover_id, controller_id, kind, key, facts, at) SELECT handover_id,
controller_id, 'state', s.state, CASE WHEN s.state = 'reconciled' THEN '{"held": {"subject": 1420, "parcel":
9310}, "classes": {"subject": {"transferred": 900, "refused": 120, "silent": 380, "minors": 20}, "parcel":
{"transferred": 6100, "refused": 700, "silent": 2400, "minors": 110}}, "gone": {}}'::jsonb ELSE '{}' END,
CAST(:day AS date) - 30 + s.n::int * 3 FROM handover, unnest(ARRAY['assessed', 'noticed', 'answered',
'approved', 'packaged', 'received', 'reconciled']) WITH ORDINALITY s (state, n) WHERE controller_id = 2;

INSERT INTO handover_event (handover_id, controller_id, kind, key, facts, at) SELECT handover_id,
controller_id, e.kind, e.key, e.facts::jsonb, CAST(:day AS date) - 20 FROM handover, (VALUES ('document',
'plan', '{"sha256": "dc29ebe13bd9bde931e7664f03e761883ebaf89c535a33274bd6c962f4a59467"}'), ('approval',
'seller/1', '{"party": "seller", "decision": "approve", "day": "2026-11-12"}'), ('approval', 'buyer/1',
'{"party": "buyer", "decision": "approve", "day": "2026-11-13"}')) e (kind, key, facts) WHERE controller_id =
2;
