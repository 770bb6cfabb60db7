-- MCP clients that nobody registered beforehand: those that registered themselves while that was open, which agent the
-- client of a person became, and refresh tokens of public clients, each of use once. Secrets are kept as hashes.

CREATE TABLE IF NOT EXISTS registered_client (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT,
    redirect_uris TEXT NOT NULL,
    bound TEXT NOT NULL CHECK (bound IN ('yes', 'no')),
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    removed_at BIGINT
);

CREATE TABLE IF NOT EXISTS client_agent (
    owner_id TEXT NOT NULL REFERENCES owner (id),
    client_id TEXT NOT NULL,
    agent_id TEXT NOT NULL UNIQUE REFERENCES agent (id),
    PRIMARY KEY (owner_id, client_id)
);

CREATE TABLE IF NOT EXISTS rotating_token (
    token_hash TEXT NOT NULL PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES person_grant (id),
    scope TEXT NOT NULL,
    jkt TEXT,
    auth_time BIGINT,
    idle_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);
