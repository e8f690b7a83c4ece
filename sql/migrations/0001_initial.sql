-- The tables of journey_async. What each holds is told in sql/schema.sql, which is the same, to read.
-- :"schema" stands for the schema's name, quoted, as psql writes it (psql -v schema=journey).

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

CREATE TYPE :"schema".node_kind AS ENUM (
    'input', 'compute', 'mutate', 'historian', 'archive', 'tick_once', 'tick_recurring', 'loop'
);
CREATE TYPE :"schema".computation_state AS ENUM (
    'available', 'computing', 'success', 'failed', 'abandoned', 'cancelled'
);

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

CREATE TABLE :"schema".singletons (
    graph_name   text COLLATE "C" PRIMARY KEY,
    execution_id text COLLATE "C" NOT NULL UNIQUE REFERENCES :"schema".executions ON DELETE CASCADE
);

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
ALTER TABLE :"schema".tallies REPLICA IDENTITY FULL;

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

CREATE TYPE :"schema".pruning AS (
    execution_id text COLLATE "C",
    node         text COLLATE "C",
    above        integer,
    below        integer
);
