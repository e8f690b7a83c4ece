-- The tables of journey_async, to read; sql/migrations/ is what runs, and a test keeps both the same.
--
-- :"schema" stands for the schema's name, quoted, as psql writes it: psql -v schema=journey -f ...
-- Everything that belongs to an execution begins its primary key with the execution's id. There are
-- no triggers and no functions: what an execution does next is decided in Python, by a pure
-- function, and arrives here as one statement (sql/queries/apply_changes.sql).
--
-- Autovacuum comes once 2 % of a table's rows are dead, not the usual 20 %, which of ten million are
-- two million. A page of executions is filled by half: one statement may update all of its rows at
-- once, and the new versions stay on the page as long as there is room (docs/upkeep.md).

CREATE SCHEMA IF NOT EXISTS :"schema";

-- Which migrations have run, and what their files looked like.
CREATE TABLE :"schema".migrations (
    number     integer     PRIMARY KEY,
    name       text        NOT NULL,
    checksum   text        NOT NULL,
    applied_at timestamptz NOT NULL DEFAULT now()
);

-- The graphs that were ever registered. A name and version may have several definitions, told
-- apart by their hash; the one with the greatest registration is the newest (of equal ones, from the
-- same moment, the one with the greater hash), and executions evolve only towards newer ones.
-- `started` is its registration as of when a worker with its code last started; to be made the newest
-- again does not count. `had_worker`: whether it was ever registered by a process that computes. `definition` is
-- Graph.model_dump(mode="json"): functions by name, so that a process without the code can still
-- show the graph, and settle what is data.
CREATE TABLE :"schema".graphs (
    name          text COLLATE "C" NOT NULL,
    version       text COLLATE "C" NOT NULL,
    hash          text COLLATE "C" NOT NULL,
    definition    jsonb            NOT NULL,
    registration  bigint           NOT NULL,
    started       bigint           NOT NULL DEFAULT 0,
    registered_at timestamptz      NOT NULL,
    had_worker    boolean          NOT NULL DEFAULT false,
    PRIMARY KEY (name, version, hash),
    CHECK (length(name) BETWEEN 1 AND 200 AND length(version) BETWEEN 1 AND 200),
    CHECK (registration > 0)
);

-- One row for each run of a graph. `version` grows with every write, by steps that nobody can
-- foresee, and is what compare-and-set compares; `revision` counts the events that anybody can see.
-- `wake_at` is the next moment at which the execution needs attention without anybody's doing: a
-- retry is due, a tick has come, work was left for others. Whoever writes values by plain SQL adds 1
-- to version and revision and sets wake_at to now(); a process with the graph's code does the rest,
-- with its next safety check: they are some half a minute apart.
-- `values_at` and `values_revision` are the newest change of any value (what the node
-- last_updated_at shows); `inputs_revision` is the newest set or unset by a caller.
-- `not_set` is how many steps are shown as that. `applied` is the version that the last change has
-- made: any other `version` was made by plain SQL. `whole_from` is the last one that was.
CREATE TABLE :"schema".executions (
    id              text COLLATE "C" PRIMARY KEY,
    graph_name      text COLLATE "C" NOT NULL,
    graph_version   text COLLATE "C" NOT NULL,
    graph_hash      text COLLATE "C" NOT NULL,
    version         bigint           NOT NULL,
    revision        bigint           NOT NULL,
    created_at      timestamptz      NOT NULL,
    updated_at      timestamptz      NOT NULL,
    archived_at     timestamptz,
    wake_at         timestamptz,
    values_at       timestamptz      NOT NULL,
    values_revision bigint           NOT NULL,
    inputs_revision bigint           NOT NULL,
    not_set         integer          NOT NULL DEFAULT 0,
    applied         bigint           NOT NULL DEFAULT 0,
    whole_from      bigint           NOT NULL DEFAULT 0,
    CHECK (version > 0 AND inputs_revision >= 0 AND inputs_revision <= values_revision
           AND values_revision <= revision),
    CHECK (archived_at IS NULL OR wake_at IS NULL)
) WITH (
    fillfactor = 50,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);

CREATE INDEX executions_wake ON :"schema".executions (graph_name, graph_version, wake_at)
    WHERE wake_at IS NOT NULL;
CREATE INDEX executions_graph ON :"schema".executions (graph_name, graph_version, created_at, id);
CREATE INDEX executions_definition ON :"schema".executions (graph_name, graph_version, graph_hash)
    WHERE archived_at IS NULL;
CREATE INDEX executions_archived ON :"schema".executions (archived_at)
    WHERE archived_at IS NOT NULL;

-- The words of the package, as types: a CHECK with a list of words would cost each write more.
CREATE TYPE :"schema".node_kind AS ENUM (
    'input', 'compute', 'mutate', 'historian', 'archive', 'tick_once', 'tick_recurring', 'loop'
);
CREATE TYPE :"schema".computation_state AS ENUM (
    'available', 'computing', 'success', 'failed', 'abandoned', 'cancelled'
);

-- One row for each node that was ever set; none for a node not yet reached. A cleared node keeps
-- its row and the revision at which it was cleared, with set_time and value null; a value of None
-- is the JSON null. The system nodes have no rows: their values stand in executions. `version` is
-- that of the execution as of the last write of the row: who knows the execution as it was at a
-- version, which is not before `whole_from`, need read only what has a greater one.
CREATE TABLE :"schema"."values" (
    execution_id text COLLATE "C" NOT NULL REFERENCES :"schema".executions ON DELETE CASCADE,
    node         text COLLATE "C" NOT NULL,
    kind         :"schema".node_kind NOT NULL,
    value        jsonb,
    metadata     jsonb,
    revision     bigint           NOT NULL,
    set_time     timestamptz,
    version      bigint           NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, node),
    CHECK (revision >= 0),
    CHECK ((set_time IS NULL) = (value IS NULL)),
    CHECK (set_time IS NOT NULL OR metadata IS NULL)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);

-- What is searched: numbers, and the first characters of texts; null where the value is neither.
-- The expressions are those that the search writes into its statements.
CREATE INDEX values_number ON :"schema"."values"
    (node, (CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric END))
    WHERE (CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric END) IS NOT NULL;
CREATE INDEX values_text ON :"schema"."values"
    (node, (CASE WHEN jsonb_typeof(value) = 'string' THEN "left"((value #>> '{}') COLLATE "C", 64) END))
    WHERE (CASE WHEN jsonb_typeof(value) = 'string' THEN "left"((value #>> '{}') COLLATE "C", 64) END)
        IS NOT NULL;
-- Without these the planner takes for rare what most executions have, and reads all that has it.
-- The collation stands within the expression: around it, the statistics would not be used.
CREATE STATISTICS :"schema".values_by_number (mcv)
    ON node, (CASE WHEN jsonb_typeof(value) = 'number' THEN value::numeric END)
    FROM :"schema"."values";
CREATE STATISTICS :"schema".values_by_text (mcv)
    ON node, (CASE WHEN jsonb_typeof(value) = 'string' THEN "left"((value #>> '{}') COLLATE "C", 64) END)
    FROM :"schema"."values";
-- ANALYZE takes the values of one execution, which lie together, for many: how many executions it
-- finds among ten million rows is a fifth of what there are. Ten rows each is near enough.
ALTER TABLE :"schema"."values" ALTER COLUMN execution_id SET (n_distinct = -0.1);

-- One row for each attempt at computing a node, or at one iteration of a loop; none before the node
-- is unblocked. `attempt` counts since the newest upstream change, `computed_with` maps upstream
-- nodes to the revisions seen. `token` fences: a result must show the token of the attempt that is
-- computing now. `carried` is what a loop takes into its next iteration, and what a historian
-- remembers. `successes` counts the successes of the node so far. `trace_context` leads to the call
-- that unblocked it (W3C traceparent, and a tracestate after a blank), where calls are traced.
-- `version` is as in values.
CREATE TABLE :"schema".computations (
    execution_id           text COLLATE "C" NOT NULL REFERENCES :"schema".executions ON DELETE CASCADE,
    node                   text COLLATE "C" NOT NULL,
    number                 integer          NOT NULL,
    kind                   :"schema".node_kind NOT NULL,
    state                  :"schema".computation_state NOT NULL,
    computed_with          jsonb            NOT NULL,
    created_at             timestamptz      NOT NULL,
    attempt                integer          NOT NULL,
    iteration              integer,
    due_at                 timestamptz,
    started_at             timestamptz,
    deadline               timestamptz,
    completed_at           timestamptz,
    revision_at_start      bigint,
    revision_at_completion bigint,
    worker                 text COLLATE "C",
    token                  bigint,
    deaths                 integer          NOT NULL,
    successes              integer          NOT NULL,
    permanent              boolean          NOT NULL,
    error                  text,
    carried                jsonb,
    disposition            text COLLATE "C",
    trace_context          text COLLATE "C",
    version                bigint           NOT NULL DEFAULT 0,
    PRIMARY KEY (execution_id, node, number),
    CHECK (kind <> 'input'),
    CHECK (LEAST(number, attempt) > 0 AND LEAST(deaths, successes) >= 0),
    CHECK ((kind = 'loop') = (iteration IS NOT NULL) AND (iteration IS NULL OR iteration > 0)),
    CHECK ((state = 'available') = (due_at IS NOT NULL)),
    CHECK ((state = 'computing') = (token IS NOT NULL)),
    CHECK ((token IS NULL) = (deadline IS NULL)),
    CHECK (token IS NULL OR (worker IS NOT NULL AND started_at IS NOT NULL)),
    CHECK ((state = ANY ('{success,failed,abandoned}')) = (completed_at IS NOT NULL)
           OR state = 'cancelled'),
    CHECK (state <> ALL ('{failed,abandoned}') OR error IS NOT NULL)
) WITH (
    fillfactor = 80,
    autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
    autovacuum_vacuum_insert_scale_factor = 0.05,
    autovacuum_analyze_scale_factor = 0.02, autovacuum_analyze_threshold = 1000
);

-- A node has at most one computation that is queued or running.
CREATE UNIQUE INDEX computations_active ON :"schema".computations (execution_id, node)
    WHERE state IN ('available', 'computing');
CREATE INDEX computations_computing ON :"schema".computations (worker, deadline)
    WHERE state = 'computing';

-- The live execution of each singleton graph: the primary key allows one.
CREATE TABLE :"schema".singletons (
    graph_name   text COLLATE "C" PRIMARY KEY,
    execution_id text COLLATE "C" NOT NULL UNIQUE REFERENCES :"schema".executions ON DELETE CASCADE
);

-- What status() tells, so that it need not be counted: a figure of a graph is the sum over its
-- parts. Every change adds a part, which costs less than to change one and lets nobody wait; workers
-- make one of many now and then. A part by itself means nothing, and may be negative.
-- The times are when that happened last. Who deletes executions by hand lets sql/recount.sql run.
CREATE TABLE :"schema".tallies (
    graph_name             text COLLATE "C" NOT NULL,
    graph_version          text COLLATE "C" NOT NULL,
    active                 bigint           NOT NULL,
    archived               bigint           NOT NULL,
    not_set                bigint           NOT NULL,
    success                bigint           NOT NULL,
    failed                 bigint           NOT NULL,
    computing              bigint           NOT NULL,
    abandoned              bigint           NOT NULL,
    execution_updated_at   timestamptz,
    computation_created_at timestamptz,
    computation_updated_at timestamptz
);
-- Its rows have no key: without this, nobody could delete any where they are replicated logically.
ALTER TABLE :"schema".tallies REPLICA IDENTITY FULL;

-- The processes that take work. A worker holds the session lock `lock_key` while it lives, unless
-- it is behind a pooler (`locked` is false); `lease_until` is when it is given up without a sign.
-- `graphs` is the code that it has: name -> version -> hash of the definition. `host`, `pid` and
-- `started_at` are for people to read.
CREATE TABLE :"schema".workers (
    id          text COLLATE "C" PRIMARY KEY,
    lock_key    bigint           NOT NULL,
    locked      boolean          NOT NULL,
    host        text             NOT NULL,
    pid         integer          NOT NULL,
    started_at  timestamptz      NOT NULL,
    lease_until timestamptz      NOT NULL,
    graphs      jsonb            NOT NULL DEFAULT '{}',
    CHECK (jsonb_typeof(graphs) = 'object')
);

-- What sql/queries/apply_changes.sql is given: arrays of these, of which each costs as much to send and
-- to unfold as one array of a single column. JSON is text in them, whatever codecs a caller's pool has;
-- times are seconds since 1970, which the driver sends in less than half the time that a timestamp
-- takes it, exact to the microsecond from then until 2106. Only `wake_at` may lie farther ahead.
-- `expected` is the version that a change was decided on, 0 for an execution to be created, `version`
-- the one that it makes; `slot` the singleton graph of which it becomes the live execution;
-- `announces`: others must hear of `wake_at`; `is_due`: it has come; `more_…`,
-- `computation_created_at` and `computation_updated_at` are what it adds to the tallies.
CREATE TYPE :"schema".execution_change AS (
    id                     text COLLATE "C",
    expected               bigint,
    version                bigint,
    graph_name             text COLLATE "C",
    graph_version          text COLLATE "C",
    graph_hash             text COLLATE "C",
    revision               bigint,
    created_at             double precision,
    updated_at             double precision,
    archived_at            double precision,
    wake_at                timestamptz,
    values_at              double precision,
    values_revision        bigint,
    inputs_revision        bigint,
    not_set                integer,
    slot                   text COLLATE "C",
    announces              boolean,
    is_due                 boolean,
    more_active            integer,
    more_archived          integer,
    more_not_set           integer,
    more_success           integer,
    more_failed            integer,
    more_computing         integer,
    more_abandoned         integer,
    computation_created_at double precision,
    computation_updated_at double precision
);

CREATE TYPE :"schema".value_change AS (
    execution_id text COLLATE "C",
    node         text COLLATE "C",
    kind         :"schema".node_kind,
    value        text,
    metadata     text,
    revision     bigint,
    set_time     double precision,
    version      bigint
);

CREATE TYPE :"schema".computation_change AS (
    execution_id           text COLLATE "C",
    node                   text COLLATE "C",
    number                 integer,
    kind                   :"schema".node_kind,
    state                  :"schema".computation_state,
    computed_with          text,
    created_at             double precision,
    attempt                integer,
    iteration              integer,
    due_at                 double precision,
    started_at             double precision,
    deadline               double precision,
    completed_at           double precision,
    revision_at_start      bigint,
    revision_at_completion bigint,
    worker                 text COLLATE "C",
    token                  bigint,
    deaths                 integer,
    successes              integer,
    permanent              boolean,
    error                  text,
    carried                text,
    disposition            text COLLATE "C",
    trace_context          text COLLATE "C",
    version                bigint
);

-- Successful computations of a node to delete: those whose number of success is in between.
CREATE TYPE :"schema".pruning AS (
    execution_id text COLLATE "C",
    node         text COLLATE "C",
    above        integer,
    below        integer
);
