-- What a client asks about a person's sign-in, and what is known of it: beside pushed requests, codes and refresh tokens,
-- by the hash that names each. A table of its own: a column cannot be added by a statement that may run again on both
-- databases. And where people may be sent once they signed out.

CREATE TABLE IF NOT EXISTS authentication (
    hash TEXT NOT NULL PRIMARY KEY,
    nonce TEXT,
    acr TEXT,
    must_ask TEXT,
    expires_at BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS agent_logout_redirect (
    agent_id TEXT NOT NULL REFERENCES agent (id),
    uri TEXT NOT NULL,
    PRIMARY KEY (agent_id, uri)
);

-- The keys of purposes that `signing_key` has no word for: its list cannot be changed by a statement that may run again on
-- both databases.

CREATE TABLE IF NOT EXISTS purpose_key (
    kid TEXT NOT NULL PRIMARY KEY,
    purpose TEXT NOT NULL,
    alg TEXT NOT NULL,
    public_jwk TEXT NOT NULL,
    sealed TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    verifies_until BIGINT
);

CREATE UNIQUE INDEX IF NOT EXISTS purpose_key_active ON purpose_key (purpose) WHERE verifies_until IS NULL;

-- The tool calls that a request, a code or a grant is limited to (RFC 9396), by the hash or the id that names it. What has
-- no row has no such limit.

CREATE TABLE IF NOT EXISTS authorized_call (
    name TEXT NOT NULL PRIMARY KEY,
    calls TEXT NOT NULL,
    expires_at BIGINT
);

-- How recently and how surely a person must have signed in on whose behalf a server is called (RFC 9470).

CREATE TABLE IF NOT EXISTS mcp_sign_in (
    server_id TEXT NOT NULL PRIMARY KEY REFERENCES mcp_server (id),
    max_age BIGINT,
    acr TEXT
);

-- Requests to sign in that came in a link, and who followed it: each person has few that wait, and they are none of the
-- client's own.

CREATE TABLE IF NOT EXISTS link_request (
    uri_hash TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    expires_at BIGINT NOT NULL
);

CREATE INDEX IF NOT EXISTS link_request_owner ON link_request (owner_id, expires_at);
