-- Portable types only: TEXT and BIGINT. Times are microseconds since the epoch, hashes and JSON are
-- text, a flag is a nullable time. One statement per paragraph, and each may run again.

CREATE TABLE IF NOT EXISTS meta (
    key TEXT NOT NULL PRIMARY KEY,
    value TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS change (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);

INSERT INTO change (id, number) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;

CREATE TABLE IF NOT EXISTS owner (
    id TEXT NOT NULL PRIMARY KEY,
    kind TEXT NOT NULL CHECK (kind IN ('person', 'team')),
    handle TEXT NOT NULL UNIQUE,
    created_at BIGINT NOT NULL,
    disabled_at BIGINT
);

CREATE TABLE IF NOT EXISTS owner_member (
    team_id TEXT NOT NULL REFERENCES owner (id),
    person_id TEXT NOT NULL REFERENCES owner (id),
    PRIMARY KEY (team_id, person_id)
);

CREATE TABLE IF NOT EXISTS login (
    secret_hash TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    roles TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT
);

CREATE TABLE IF NOT EXISTS agent (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    state TEXT NOT NULL CHECK (state IN ('draft', 'active', 'suspended', 'retired')),
    state_at BIGINT,
    state_reason TEXT,
    version_number BIGINT,
    version_digest TEXT,
    jwks TEXT,
    created_at BIGINT NOT NULL,
    updated_at BIGINT NOT NULL,
    expires_at BIGINT,
    registered_by TEXT NOT NULL,
    revision BIGINT NOT NULL,
    stopped_at BIGINT,
    CHECK ((state IN ('suspended', 'retired')) = (state_at IS NOT NULL)),
    CHECK ((state_at IS NULL) = (state_reason IS NULL)),
    CHECK ((version_number IS NULL) = (version_digest IS NULL))
);

CREATE UNIQUE INDEX IF NOT EXISTS agent_name_in_use ON agent (name) WHERE state <> 'retired';

CREATE TABLE IF NOT EXISTS agent_version (
    agent_id TEXT NOT NULL REFERENCES agent (id),
    number BIGINT NOT NULL CHECK (number >= 1),
    digest TEXT NOT NULL,
    previous TEXT,
    document TEXT NOT NULL,
    signature TEXT NOT NULL,
    proposed_by TEXT NOT NULL,
    proposed_at BIGINT NOT NULL,
    state TEXT NOT NULL CHECK (state IN ('pending', 'in_force', 'superseded', 'rejected')),
    decided_at BIGINT,
    decided_by TEXT,
    PRIMARY KEY (agent_id, number)
);

CREATE UNIQUE INDEX IF NOT EXISTS agent_version_in_force ON agent_version (agent_id) WHERE state = 'in_force';

CREATE UNIQUE INDEX IF NOT EXISTS agent_version_pending ON agent_version (agent_id) WHERE state = 'pending';

CREATE TABLE IF NOT EXISTS resource (
    id TEXT NOT NULL PRIMARY KEY,
    url TEXT NOT NULL UNIQUE,
    jwks TEXT,
    bearer_until BIGINT,
    created_at BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS mcp_server (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    upstream TEXT NOT NULL,
    bearer_until BIGINT,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    revision BIGINT NOT NULL
);

CREATE UNIQUE INDEX IF NOT EXISTS mcp_server_name_in_use ON mcp_server (name) WHERE removed_at IS NULL;

CREATE TABLE IF NOT EXISTS tool_pin (
    server_id TEXT NOT NULL REFERENCES mcp_server (id),
    name TEXT NOT NULL,
    digest TEXT NOT NULL,
    definition TEXT NOT NULL,
    accepted_at BIGINT NOT NULL,
    PRIMARY KEY (server_id, name)
);

CREATE TABLE IF NOT EXISTS policy_text (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    kind TEXT NOT NULL CHECK (kind IN ('policies', 'schema')),
    text TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);

CREATE UNIQUE INDEX IF NOT EXISTS policy_text_name_in_use ON policy_text (name) WHERE removed_at IS NULL;

CREATE TABLE IF NOT EXISTS signing_key (
    kid TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL CHECK (purpose IN ('access_token', 'document', 'log')),
    alg TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    verifies_until BIGINT
);

CREATE UNIQUE INDEX IF NOT EXISTS signing_key_active ON signing_key (purpose) WHERE verifies_until IS NULL;

CREATE TABLE IF NOT EXISTS revoked_token (
    jti TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL,
    revoked_at BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS one_time (
    hash TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE INDEX IF NOT EXISTS one_time_expiry ON one_time (expires_at);

CREATE TABLE IF NOT EXISTS outbox (
    id TEXT NOT NULL PRIMARY KEY,
    recorded_at BIGINT NOT NULL,
    entries TEXT NOT NULL
);

CREATE TABLE IF NOT EXISTS log_head (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    size BIGINT NOT NULL,
    checkpoint TEXT NOT NULL,
    holder TEXT NOT NULL,
    lease_until BIGINT NOT NULL,
    revision BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS log_tile (
    level BIGINT NOT NULL,
    number BIGINT NOT NULL,
    hashes TEXT NOT NULL,
    mids TEXT NOT NULL,
    PRIMARY KEY (level, number)
);

CREATE TABLE IF NOT EXISTS log_bundle (
    number BIGINT NOT NULL PRIMARY KEY,
    entries TEXT NOT NULL,
    kinds TEXT NOT NULL,
    first_at BIGINT NOT NULL,
    last_at BIGINT NOT NULL
);

CREATE INDEX IF NOT EXISTS log_bundle_time ON log_bundle (last_at);

CREATE TABLE IF NOT EXISTS agent_bundle (
    agent_id TEXT NOT NULL,
    number BIGINT NOT NULL,
    PRIMARY KEY (agent_id, number)
);
