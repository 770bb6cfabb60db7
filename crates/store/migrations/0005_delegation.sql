-- What agents do on behalf of people: where answers for an agent may be sent, what was pushed for a person to decide,
-- what people consented to, and the codes and refresh tokens that came of it. Secrets are kept as hashes.

CREATE TABLE IF NOT EXISTS agent_redirect (
    agent_id TEXT NOT NULL REFERENCES agent (id),
    uri TEXT NOT NULL,
    PRIMARY KEY (agent_id, uri)
);

CREATE TABLE IF NOT EXISTS person_grant (
    id TEXT NOT NULL PRIMARY KEY,
    subject_id TEXT NOT NULL REFERENCES owner (id),
    agent_id TEXT NOT NULL REFERENCES agent (id),
    version TEXT NOT NULL,
    resource TEXT NOT NULL,
    scope TEXT NOT NULL,
    binding TEXT NOT NULL CHECK (binding IN ('key', 'bearer', 'rotation')),
    redirect_uri TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    last_used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX IF NOT EXISTS person_grant_subject ON person_grant (subject_id, id);

CREATE INDEX IF NOT EXISTS person_grant_in_force ON person_grant (expires_at) WHERE revoked_at IS NULL;

CREATE TABLE IF NOT EXISTS pushed_request (
    uri_hash TEXT NOT NULL PRIMARY KEY,
    agent_id TEXT NOT NULL REFERENCES agent (id),
    resource TEXT NOT NULL,
    scope TEXT NOT NULL,
    redirect_uri TEXT NOT NULL,
    registered_uri TEXT NOT NULL,
    state TEXT NOT NULL,
    challenge TEXT NOT NULL,
    jkt TEXT,
    prompt TEXT NOT NULL CHECK (prompt IN ('ask', 'none', 'login')),
    max_age BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    answered_at BIGINT,
    answered_by TEXT,
    CHECK ((answered_at IS NULL) = (answered_by IS NULL))
);

CREATE INDEX IF NOT EXISTS pushed_request_agent ON pushed_request (agent_id, expires_at);

CREATE TABLE IF NOT EXISTS authorization_code (
    code_hash TEXT NOT NULL PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES person_grant (id),
    redirect_uri TEXT NOT NULL,
    challenge TEXT NOT NULL,
    scope TEXT NOT NULL,
    jkt TEXT,
    auth_time BIGINT,
    expires_at BIGINT NOT NULL,
    used_at BIGINT
);

CREATE TABLE IF NOT EXISTS refresh_token (
    token_hash TEXT NOT NULL PRIMARY KEY,
    grant_id TEXT NOT NULL REFERENCES person_grant (id),
    scope TEXT NOT NULL,
    jkt TEXT NOT NULL,
    auth_time BIGINT,
    idle_until BIGINT NOT NULL,
    expires_at BIGINT NOT NULL
);
