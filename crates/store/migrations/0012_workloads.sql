-- Workloads of other issuers that act as agents: the issuers that an administrator named, which of their workloads may act as
-- which agent, and the key that each of their tokens came with first.

CREATE TABLE IF NOT EXISTS workload_issuer (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    audience TEXT NOT NULL,
    jwks TEXT,
    network TEXT NOT NULL CHECK (network IN ('public', 'private')),
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);

CREATE UNIQUE INDEX IF NOT EXISTS workload_issuer_name ON workload_issuer (name) WHERE removed_at IS NULL;

CREATE UNIQUE INDEX IF NOT EXISTS workload_issuer_issuer ON workload_issuer (issuer) WHERE removed_at IS NULL;

CREATE TABLE IF NOT EXISTS agent_trust (
    id TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agent (id),
    issuer_id TEXT NOT NULL REFERENCES workload_issuer (id),
    subject TEXT NOT NULL,
    claims TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    UNIQUE (agent_id, issuer_id, subject, claims)
);

CREATE INDEX IF NOT EXISTS agent_trust_issuer ON agent_trust (issuer_id);

CREATE TABLE IF NOT EXISTS workload_assertion (
    hash TEXT NOT NULL PRIMARY KEY,
    jkt TEXT NOT NULL,
    expires_at BIGINT NOT NULL
);
