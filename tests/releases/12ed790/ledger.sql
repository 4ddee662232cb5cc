SET statement_timeout = 0;
SET lock_timeout = 0;
SET idle_in_transaction_session_timeout = 0;
SET transaction_timeout = 0;
SET client_encoding = 'UTF8';
SET standard_conforming_strings = on;
SELECT pg_catalog.set_config('search_path', '', false);
SET check_function_bodies = false;
SET xmloption = content;
SET client_min_messages = warning;
SET row_security = off;
CREATE SCHEMA unlost;
SET default_tablespace = '';
SET default_table_access_method = heap;
CREATE TABLE unlost.act (
    id bigint NOT NULL,
    seq bigint NOT NULL,
    at bigint NOT NULL,
    event text NOT NULL COLLATE pg_catalog."C",
    by text,
    reason text,
    payload text
);
ALTER TABLE unlost.act ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME unlost.act_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE unlost.attempt (
    seq bigint NOT NULL,
    number integer NOT NULL,
    started_at bigint NOT NULL,
    finished_at bigint NOT NULL,
    next_attempt_at bigint,
    outcome text NOT NULL COLLATE pg_catalog."C",
    error_type text COLLATE pg_catalog."C",
    message text,
    traceback text,
    fingerprint text COLLATE pg_catalog."C"
);
CREATE TABLE unlost.control (
    type text NOT NULL COLLATE pg_catalog."C",
    paused boolean NOT NULL,
    told boolean NOT NULL,
    settings text NOT NULL
);
CREATE TABLE unlost.dead (
    seq bigint NOT NULL,
    died_at bigint NOT NULL,
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    error_type text NOT NULL COLLATE pg_catalog."C"
);
CREATE TABLE unlost.dead_group (
    fingerprint text NOT NULL COLLATE pg_catalog."C",
    slot integer NOT NULL,
    error_type text NOT NULL COLLATE pg_catalog."C",
    sample text NOT NULL,
    count bigint NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE unlost.ledger (
    one boolean DEFAULT true NOT NULL,
    version integer NOT NULL,
    compatible integer NOT NULL,
    CONSTRAINT ledger_one_check CHECK (one)
);
CREATE TABLE unlost.measured (
    process text NOT NULL COLLATE pg_catalog."C",
    at bigint NOT NULL,
    measures text NOT NULL
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='500');
CREATE TABLE unlost.open_task (
    seq bigint NOT NULL,
    due_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    started_at bigint,
    deadline bigint,
    timeout double precision,
    max_retries integer,
    number integer DEFAULT 0 NOT NULL,
    spent integer DEFAULT 0 NOT NULL,
    attempt_count integer DEFAULT 0 NOT NULL,
    error_number integer,
    rank smallint NOT NULL,
    alone boolean DEFAULT false NOT NULL,
    state text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    worker text COLLATE pg_catalog."C",
    token text COLLATE pg_catalog."C",
    key text COLLATE pg_catalog."C",
    parked bigint,
    CONSTRAINT open_task_check CHECK (((state = 'running'::text) = (token IS NOT NULL))),
    CONSTRAINT open_task_check1 CHECK (((token IS NULL) = (worker IS NULL))),
    CONSTRAINT open_task_state_check CHECK ((state = ANY (ARRAY['queued'::text, 'running'::text, 'retrying'::text])))
)
WITH (fillfactor='50', autovacuum_vacuum_scale_factor='0.01', autovacuum_vacuum_threshold='2000', autovacuum_analyze_scale_factor='0.05', autovacuum_vacuum_cost_delay='0', vacuum_index_cleanup='on', vacuum_truncate=off);
CREATE TABLE unlost.payload (
    seq bigint NOT NULL,
    text text NOT NULL
);
CREATE TABLE unlost.redrive_run (
    selectors text NOT NULL COLLATE pg_catalog."C",
    began bigint NOT NULL,
    next_slot bigint NOT NULL,
    last_call bigint NOT NULL
);
CREATE TABLE unlost.report (
    id bigint NOT NULL,
    seq bigint NOT NULL,
    died_at bigint NOT NULL,
    edit bigint,
    leased_until bigint DEFAULT 0 NOT NULL,
    number integer NOT NULL,
    attempt_count integer NOT NULL
)
WITH (fillfactor='70');
ALTER TABLE unlost.report ALTER COLUMN id ADD GENERATED ALWAYS AS IDENTITY (
    SEQUENCE NAME unlost.report_id_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE unlost.result (
    seq bigint NOT NULL,
    text text NOT NULL
);
CREATE TABLE unlost.tally (
    slot integer NOT NULL,
    accepted bigint DEFAULT 0 NOT NULL,
    settled bigint DEFAULT 0 NOT NULL,
    queued bigint DEFAULT 0 NOT NULL,
    running bigint DEFAULT 0 NOT NULL,
    retrying bigint DEFAULT 0 NOT NULL,
    succeeded bigint DEFAULT 0 NOT NULL,
    dead bigint DEFAULT 0 NOT NULL,
    cancelled bigint DEFAULT 0 NOT NULL,
    pinged bigint DEFAULT 0 NOT NULL
)
WITH (fillfactor='20', autovacuum_vacuum_scale_factor='0', autovacuum_vacuum_threshold='5000');
CREATE TABLE unlost.task (
    seq bigint NOT NULL,
    submitted_at bigint NOT NULL,
    updated_at bigint NOT NULL,
    edit bigint,
    purged_at bigint,
    own_timeout double precision,
    timeout double precision,
    own_retries integer,
    max_retries integer,
    number integer DEFAULT 0 NOT NULL,
    spent integer DEFAULT 0 NOT NULL,
    attempt_count integer DEFAULT 0 NOT NULL,
    redrive_count integer DEFAULT 0 NOT NULL,
    error_number integer,
    priority smallint NOT NULL,
    alone boolean DEFAULT false NOT NULL,
    state text COLLATE pg_catalog."C",
    id text NOT NULL COLLATE pg_catalog."C",
    type text NOT NULL COLLATE pg_catalog."C",
    digest bytea NOT NULL,
    key text COLLATE pg_catalog."C",
    carried text,
    CONSTRAINT task_state_check CHECK ((state = ANY (ARRAY['succeeded'::text, 'dead'::text, 'cancelled'::text])))
)
WITH (autovacuum_vacuum_scale_factor='0.02', fillfactor='50', autovacuum_analyze_scale_factor='0.2');
ALTER TABLE unlost.task ALTER COLUMN seq ADD GENERATED BY DEFAULT AS IDENTITY (
    SEQUENCE NAME unlost.task_seq_seq
    START WITH 1
    INCREMENT BY 1
    NO MINVALUE
    NO MAXVALUE
    CACHE 1
);
CREATE TABLE unlost.watcher (
    id text NOT NULL COLLATE pg_catalog."C",
    until timestamp with time zone NOT NULL
)
WITH (fillfactor='50');
CREATE TABLE unlost.worker (
    id text NOT NULL COLLATE pg_catalog."C",
    lease_until bigint NOT NULL,
    types text[],
    alone boolean NOT NULL
)
WITH (fillfactor='50');
INSERT INTO unlost.act OVERRIDING SYSTEM VALUE VALUES
	(1, 5, 1700086403000000, 'discard', 'ann', 'of no use', NULL),
	(2, 7, 1700086405000000, 'redrive', 'ann', 'mended', '{"sum": 14}'),
	(3, 8, 1700086406000000, 'redrive', NULL, NULL, NULL),
	(4, 9, 1700086406000000, 'cancel', 'ann', 'not wanted', NULL),
	(5, 10, 1700086406000000, 'cancel', NULL, NULL, NULL);
INSERT INTO unlost.attempt VALUES
	(2, 1, 1700086400000000, 1700086400000000, 1700086402000000, 'timed_out', 'AttemptTimedOut', 'the attempt ran longer than 60 s', NULL, '1c676de5872676a8'),
	(2, 2, 1700086402000000, 1700086402000000, NULL, 'released', NULL, NULL, NULL, NULL),
	(2, 3, 1700086403000000, 1700086403000000, NULL, 'succeeded', NULL, NULL, NULL, NULL),
	(3, 1, 1700086403000000, 1700086403000000, NULL, 'succeeded', NULL, NULL, NULL, NULL),
	(5, 1, 1700086403000000, 1700086403000000, NULL, 'failed', 'Other', 'something else', NULL, '919a485cd14bff32'),
	(6, 1, 1700086403000000, 1700086403000000, 1700086404000000, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(6, 2, 1700086404000000, 1700086404000000, NULL, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(7, 1, 1700086404000000, 1700086404000000, NULL, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(7, 2, 1700086405000000, 1700086405000000, NULL, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(8, 1, 1700086405000000, 1700086405000000, NULL, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(10, 1, 1700086406000000, 1700086406000000, NULL, 'cancelled', NULL, NULL, NULL, NULL),
	(12, 1, 1700086406000000, 1700086406000000, 1700090006000000, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(13, 1, 1700086406000000, 1700086406000000, 1700090006000000, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(20, 1, 1700086406000000, 1700086406000000, 1700086466000000, 'failed', 'Boom', 'it broke', 'Traceback …
  File "app.py", line 3, in work
Boom: it broke', '274967b9c7442611'),
	(21, 1, 1700086406000000, 1700086406000000, 1700086406000000, 'lost', 'WorkerLost', 'the worker died or was cut off while the attempt ran', NULL, '58b91ce8ee0f4186'),
	(23, 1, 1700086406000000, 1700086406000000, 1700086406000000, 'lost', 'WorkerLost', 'the worker died or was cut off while the attempt ran', NULL, '58b91ce8ee0f4186');
INSERT INTO unlost.control VALUES
	('reports', true, false, '{"type":"reports","pause":{"type":"reports","at":1700086406000000,"by":"ann","reason":"the printer is out"},"limit":null,"key_limit":null,"breaker":null,"circuit":{"buckets":[],"opened":null,"until":null,"passed":0}}'),
	('flaky', false, true, '{"type":"flaky","pause":null,"limit":null,"key_limit":null,"breaker":{"share":0.5,"window":60000000,"minimum":2,"pause":600000000,"probes":1},"circuit":{"buckets":[],"opened":1700086406000000,"until":1700087006000000,"passed":0}}'),
	('limited', false, true, '{"type":"limited","pause":null,"limit":3,"key_limit":1,"breaker":null,"circuit":{"buckets":[],"opened":null,"until":null,"passed":0}}');
INSERT INTO unlost.dead VALUES
	(6, 1700086404000000, '274967b9c7442611', 'Boom'),
	(7, 1700086405000000, '274967b9c7442611', 'Boom');
INSERT INTO unlost.dead_group VALUES
	('919a485cd14bff32', 4, 'Other', 'something else', 0),
	('274967b9c7442611', 2, 'Boom', 'it broke', 1),
	('274967b9c7442611', 4, 'Boom', 'it broke', 1);
INSERT INTO unlost.ledger VALUES
	(true, 2, 1);
INSERT INTO unlost.measured VALUES
	('old', 1700086406000000, '{"types":{"mail":{"outcomes":{"succeeded":2,"timed_out":1}}}}'),
	('', 1700086406000000, '{"types":{"mail":{}}}');
INSERT INTO unlost.open_task VALUES
	(4, 1700086403000000, 1700086403000000, NULL, NULL, 30, 20, 0, 0, 0, NULL, 0, false, 'queued', 'unlost.webhook', NULL, NULL, 'example.org', NULL),
	(8, 1700086406000000, 1700086406000000, NULL, NULL, 60, 2, 1, 0, 1, 1, 0, false, 'queued', 'billing', NULL, NULL, NULL, NULL),
	(11, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, 0, 0, 0, NULL, 0, false, 'queued', 'reports', NULL, NULL, NULL, NULL),
	(14, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, 0, 0, 0, NULL, 0, false, 'queued', 'flaky', NULL, NULL, NULL, NULL),
	(12, 1700090006000000, 1700086406000000, NULL, NULL, 60, 2, 1, 1, 1, 1, 0, false, 'retrying', 'flaky', NULL, NULL, NULL, NULL),
	(13, 1700090006000000, 1700086406000000, NULL, NULL, 60, 2, 1, 1, 1, 1, 0, false, 'retrying', 'flaky', NULL, NULL, NULL, NULL),
	(21, 1700086406000000, 1700086406000000, NULL, NULL, 60, 2, 1, 1, 1, 1, 0, true, 'retrying', 'losses', NULL, NULL, NULL, NULL),
	(22, 1700086406000000, 1700086406000000, 1700086406000000, 1700090006000000, 3600, 5, 1, 1, 1, NULL, 0, false, 'running', 'slow', 'old-alive', 'token-20', NULL, NULL),
	(23, 1700086406000000, 1700086406000000, 1700086406000000, 1700086466000000, 60, 2, 2, 2, 2, 1, 0, true, 'running', 'slow-too', 'old-solo', 'token-22', NULL, NULL),
	(16, 4611686018427387904, 1700086406000000, NULL, NULL, NULL, NULL, 0, 0, 0, NULL, 0, false, 'queued', 'limited', NULL, NULL, 'ann', 1700086406000000),
	(15, 1700086406000000, 1700086406000000, 1700086406000000, 1700086466000000, 60, 2, 1, 1, 1, NULL, 0, false, 'running', 'limited', 'old-gone', 'token-16', 'ann', NULL),
	(17, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, 0, 0, 0, NULL, 1, false, 'queued', 'orders', NULL, NULL, 'bob', NULL),
	(18, 1700090006000000, 1700086406000000, NULL, NULL, NULL, NULL, 0, 0, 0, NULL, 0, false, 'queued', 'later', NULL, NULL, NULL, NULL),
	(19, 1700093606000000, 1700086406000000, NULL, NULL, NULL, NULL, 0, 0, 0, NULL, 0, false, 'queued', 'later', NULL, NULL, NULL, NULL),
	(20, 1700086466000000, 1700086406000000, NULL, NULL, 60, 2, 1, 1, 1, 1, 0, false, 'retrying', 'retries', NULL, NULL, NULL, NULL);
INSERT INTO unlost.payload VALUES
	(2, '{"to": "ann", "text": "déjà vu ✓", "n": 1.0}'),
	(3, '{}'),
	(4, '{"type":"task.succeeded","data":{"taskId":"told","type":"mail","state":"succeeded","attempt":1,"redriveCount":0,"submittedAt":"2023-11-15T22:13:23.000Z","result":[1, 2]},"url":"https://example.org/told"}'),
	(5, '{}'),
	(6, '{"sum": 12}'),
	(7, '{"sum": 13}'),
	(8, '{}'),
	(9, '{}'),
	(10, '{}'),
	(11, '{}'),
	(12, '{}'),
	(13, '{}'),
	(14, '{}'),
	(15, '{}'),
	(16, '{}'),
	(17, '[null]'),
	(18, '{}'),
	(19, '{}'),
	(20, '{}'),
	(21, '{}'),
	(22, '{}'),
	(23, '{}');
INSERT INTO unlost.report OVERRIDING SYSTEM VALUE VALUES
	(2, 6, 1700086404000000, NULL, 0, 2, 2),
	(3, 7, 1700086404000000, NULL, 0, 1, 1),
	(4, 7, 1700086405000000, 2, 0, 2, 2),
	(5, 8, 1700086405000000, NULL, 0, 1, 1);
INSERT INTO unlost.result VALUES
	(2, '{"sent": true}'),
	(3, '[1, 2]');
INSERT INTO unlost.tally VALUES
	(0, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(1, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(2, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(3, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(4, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(5, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(6, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(7, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(8, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(9, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(10, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(11, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(12, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(13, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(14, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(15, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(16, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(17, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(18, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(19, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(20, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(21, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(22, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(23, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(24, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(25, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(26, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(27, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(28, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(29, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(30, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(31, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(32, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(33, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(34, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(35, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(36, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(37, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(38, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(39, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(40, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(41, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(42, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(43, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(44, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(45, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(46, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(47, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(48, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(49, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(50, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(51, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(52, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(53, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(54, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(55, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(56, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(57, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(58, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(59, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(60, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(61, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(62, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(63, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(64, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(65, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(66, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(67, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(68, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(69, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(70, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(71, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(72, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(73, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(74, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(75, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(76, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(77, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(78, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(79, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(80, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(81, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(82, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(83, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(84, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(85, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(86, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(87, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(88, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(89, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(90, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(91, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(92, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(93, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(94, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(95, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(96, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(97, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(99, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(100, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(101, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(102, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(103, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(104, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(105, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(106, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(107, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(108, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(109, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(110, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(111, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(98, 5, 1, 0, 2, 2, 0, 1, 0, 0),
	(112, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(113, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(114, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(115, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(117, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(118, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(119, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(120, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(121, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(122, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(123, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(124, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(125, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(116, 18, 10, 8, 1, 2, 3, 1, 3, 0),
	(126, 0, 0, 0, 0, 0, 0, 0, 0, 0),
	(127, 0, 0, 0, 0, 0, 0, 0, 0, 0);
INSERT INTO unlost.task VALUES
	(1, 1700000000000000, 1700000000000000, NULL, 1700086400000000, NULL, 60, NULL, 2, 1, 1, 1, 0, NULL, 0, false, 'succeeded', 'purged', 'mail', '\x808e83fc78b70d649fca1d465d594d7237d8c128a916b2b70547061e658fe52e', NULL, NULL),
	(2, 1700086400000000, 1700086403000000, NULL, NULL, NULL, 60, NULL, 2, 3, 2, 2, 0, 1, 5, false, 'succeeded', 'succeeded', 'mail', '\x70cddcd03ba664460b8898950d152c5462f6383b850124d965ad9cc44c6af684', 'ann', NULL),
	(3, 1700086403000000, 1700086403000000, NULL, NULL, NULL, 60, NULL, 2, 1, 1, 1, 0, NULL, 0, false, 'succeeded', 'told', 'mail', '\x25385f8e167fb402344f0e20eaef1ac83e2ebcddbec003600c85ed436251d792', NULL, '{"callbackUrl":"https://example.org/told","traceparent":"00-1-2-01"}'),
	(4, 1700086403000000, 1700086403000000, NULL, NULL, 30, 30, 20, 20, 0, 0, 0, 0, NULL, 0, false, NULL, 'webhook_2d2674e03786d64c85a5b237d905e78b785628d1', 'unlost.webhook', '\x007de81d4fbdad5ee416be89c07b67551a8ac7470186d04edce3041a4fdb2ea7', 'example.org', NULL),
	(5, 1700086403000000, 1700086403000000, NULL, NULL, NULL, 60, NULL, 2, 1, 1, 1, 0, 1, 0, false, 'cancelled', 'discarded', 'billing', '\x4809eebb1705ff59b01ba511da5bf1200cc8f704b1704bf9b034c1c1bfd0a9ee', NULL, NULL),
	(6, 1700086403000000, 1700086404000000, NULL, NULL, 5, 5, 1, 1, 2, 2, 2, 0, 2, 0, false, 'dead', 'dead', 'billing', '\x36cdef64c99ea3513c18e4c505316d5509df20db3c8fbb94fa5c06e17addc2c1', NULL, NULL),
	(7, 1700086404000000, 1700086405000000, 2, NULL, NULL, 60, NULL, 2, 2, 1, 2, 1, 2, 0, false, 'dead', 'dead-again', 'billing', '\x7e19d2e108883e508311a36b3b55cb7c66ccc83fdd557df32292baee171d1cc8', NULL, NULL),
	(8, 1700086405000000, 1700086406000000, NULL, NULL, NULL, 60, NULL, 2, 1, 0, 1, 1, 1, 0, false, NULL, 'redriven', 'billing', '\x4809eebb1705ff59b01ba511da5bf1200cc8f704b1704bf9b034c1c1bfd0a9ee', NULL, NULL),
	(9, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, 'cancelled', 'cancelled', 'reports', '\x73844ace50e1e1d5c4670d3606800a66a3d73e018d4a46e789959addb30bc680', NULL, NULL),
	(10, 1700086406000000, 1700086406000000, NULL, NULL, NULL, 60, NULL, 2, 1, 1, 1, 0, NULL, 0, false, 'cancelled', 'cancelled-running', 'reports', '\x73844ace50e1e1d5c4670d3606800a66a3d73e018d4a46e789959addb30bc680', NULL, NULL),
	(11, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'paused', 'reports', '\x73844ace50e1e1d5c4670d3606800a66a3d73e018d4a46e789959addb30bc680', NULL, NULL),
	(12, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'failed-1', 'flaky', '\xe90bcb759d9c174535bb28b30bfbe7ede4f7ab0cf376bc56e8e1734867aae03d', NULL, NULL),
	(13, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'failed-2', 'flaky', '\xe90bcb759d9c174535bb28b30bfbe7ede4f7ab0cf376bc56e8e1734867aae03d', NULL, NULL),
	(14, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'tripped', 'flaky', '\xe90bcb759d9c174535bb28b30bfbe7ede4f7ab0cf376bc56e8e1734867aae03d', NULL, NULL),
	(15, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'of-ann', 'limited', '\x2c075da15b9487a4eecd2c04b0dde287697967f06539785120ee0d546b432a30', 'ann', NULL),
	(16, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'of-ann-too', 'limited', '\x2c075da15b9487a4eecd2c04b0dde287697967f06539785120ee0d546b432a30', 'ann', NULL),
	(17, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, -1, false, NULL, 'queued', 'orders', '\x728a8dc515909c8cb5edab652205008394ab2525d7c62647c66d94e42adb91d1', 'bob', NULL),
	(18, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'delayed', 'later', '\x4f1747a66df508c7b64306c4b3365391ad59d0f3098bcb0f8f45962f1d19bfaf', NULL, NULL),
	(19, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'at', 'later', '\x7c45471cda9a2a852b4bacacc6daa42934cd23a8e054126665b7747e7342a5b4', NULL, NULL),
	(20, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'retrying', 'retries', '\x0838b424b8ca8b52733d381431b40f4937eff64c494e31cd0aaccaae7433c1ee', NULL, NULL),
	(21, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'lost', 'losses', '\xbd4a82f1c6debe3578e70dadbd5e078c2194926dd28b9de6679602b00f2f40bb', NULL, NULL),
	(22, 1700086406000000, 1700086406000000, NULL, NULL, 3600, 3600, 5, 5, 0, 0, 0, 0, NULL, 0, false, NULL, 'running', 'slow', '\xe76f1d7d9e97d2944488e0f769fd538ed0b09a1d18bec714c077f9703ea0f825', NULL, NULL),
	(23, 1700086406000000, 1700086406000000, NULL, NULL, NULL, NULL, NULL, NULL, 0, 0, 0, 0, NULL, 0, false, NULL, 'running-again', 'slow-too', '\xbfab97693ace4ab28d87ed0b2ec5da899bf7353d295dce754aa497fb4c31a4d7', NULL, NULL);
INSERT INTO unlost.worker VALUES
	('worker', 1700086436000000, '{flaky}', false),
	('old', 1700086436000000, '{losses}', false),
	('old-alive', 1700086436000000, '{slow}', false),
	('old-gone', 1700086436000000, '{slow-too}', false),
	('old-solo', 1700086436000000, '{slow-too}', true);
SELECT pg_catalog.setval('unlost.act_id_seq', 5, true);
SELECT pg_catalog.setval('unlost.report_id_seq', 5, true);
SELECT pg_catalog.setval('unlost.task_seq_seq', 23, true);
ALTER TABLE ONLY unlost.act
    ADD CONSTRAINT act_pkey PRIMARY KEY (id);
ALTER TABLE ONLY unlost.attempt
    ADD CONSTRAINT attempt_pkey PRIMARY KEY (seq, number);
ALTER TABLE ONLY unlost.control
    ADD CONSTRAINT control_pkey PRIMARY KEY (type);
ALTER TABLE ONLY unlost.dead_group
    ADD CONSTRAINT dead_group_pkey PRIMARY KEY (fingerprint, slot);
ALTER TABLE ONLY unlost.dead
    ADD CONSTRAINT dead_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY unlost.ledger
    ADD CONSTRAINT ledger_pkey PRIMARY KEY (one);
ALTER TABLE ONLY unlost.measured
    ADD CONSTRAINT measured_pkey PRIMARY KEY (process);
ALTER TABLE ONLY unlost.open_task
    ADD CONSTRAINT open_task_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY unlost.payload
    ADD CONSTRAINT payload_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY unlost.redrive_run
    ADD CONSTRAINT redrive_run_pkey PRIMARY KEY (selectors);
ALTER TABLE ONLY unlost.report
    ADD CONSTRAINT report_pkey PRIMARY KEY (id);
ALTER TABLE ONLY unlost.result
    ADD CONSTRAINT result_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY unlost.tally
    ADD CONSTRAINT tally_pkey PRIMARY KEY (slot);
ALTER TABLE ONLY unlost.task
    ADD CONSTRAINT task_pkey PRIMARY KEY (seq);
ALTER TABLE ONLY unlost.watcher
    ADD CONSTRAINT watcher_pkey PRIMARY KEY (id);
ALTER TABLE ONLY unlost.worker
    ADD CONSTRAINT worker_pkey PRIMARY KEY (id);
CREATE INDEX act_of_task ON unlost.act USING btree (seq, id);
CREATE INDEX dead_by_error_type ON unlost.dead USING btree (error_type, died_at, seq);
CREATE INDEX dead_by_fingerprint ON unlost.dead USING btree (fingerprint, died_at, seq);
CREATE INDEX dead_by_time ON unlost.dead USING btree (died_at, seq);
CREATE INDEX open_task_due ON unlost.open_task USING btree (alone, type, rank, due_at, seq) WHERE (token IS NULL);
CREATE INDEX open_task_parked ON unlost.open_task USING btree (type, key, alone, rank, parked, seq) WHERE (parked IS NOT NULL);
CREATE INDEX open_task_running ON unlost.open_task USING btree (worker) WHERE (token IS NOT NULL);
CREATE INDEX report_of_task ON unlost.report USING btree (seq);
CREATE INDEX task_by_submission ON unlost.task USING btree (submitted_at, seq);
CREATE UNIQUE INDEX task_id ON unlost.task USING btree (id);
CREATE INDEX task_purgeable ON unlost.task USING btree (updated_at, seq) WHERE ((purged_at IS NULL) AND (state = ANY (ARRAY['succeeded'::text, 'cancelled'::text])));
