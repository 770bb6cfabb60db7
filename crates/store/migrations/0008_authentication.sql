-- What a client asks about a person's sign-in, and what is known of it: beside pushed requests, codes and refresh tokens,
-- by the hash that names each. A table of its own: a column cannot be added by a statement that may run again on both
-- databases. And where people may be sent once they signed out.

CREATE TABLE IF NOT EXISTS authentication (
    hash TEXT NOT NULL PRIMARY KEY,
    nonce TEXT,
    acr TEXT,
    expires_at BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS agent_logout_redirect (
    agent_id TEXT NOT NULL REFERENCES agent (id),
    uri TEXT NOT NULL,
    PRIMARY KEY (agent_id, uri)
);

-- The keys of every purpose, those to come too: the list of purposes in `signing_key` cannot be changed by a statement
-- that may run again on both databases. The old table stays as it was at this moment, for a program of before.

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

INSERT INTO purpose_key (kid, purpose, alg, public_jwk, sealed, created_at, verifies_until)
SELECT kid, purpose, alg, public_jwk, sealed, created_at, verifies_until FROM signing_key WHERE true
ON CONFLICT DO NOTHING;

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
