-- Agents on machines without a browser: what they wait for, until a person answers it elsewhere, and how often a person
-- entered a code that was none. Device codes are kept as hashes, user codes under the master key: they are short enough
-- to be guessed from a hash.

CREATE TABLE IF NOT EXISTS device_request (
    code_hash TEXT NOT NULL PRIMARY KEY,
    user_code TEXT NOT NULL UNIQUE,
    agent_id TEXT NOT NULL REFERENCES agent (id),
    resource TEXT NOT NULL,
    scope TEXT NOT NULL,
    jkt TEXT,
    max_age BIGINT,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    pause BIGINT NOT NULL,
    polled_at BIGINT,
    answered_at BIGINT,
    answered_by TEXT,
    grant_id TEXT REFERENCES person_grant (id),
    auth_time BIGINT,
    given_acr TEXT,
    used_at BIGINT,
    CHECK ((answered_at IS NULL) = (answered_by IS NULL)),
    CHECK (grant_id IS NULL OR answered_at IS NOT NULL)
);

CREATE INDEX IF NOT EXISTS device_request_agent ON device_request (agent_id, expires_at);

CREATE TABLE IF NOT EXISTS wrong_user_code (
    owner_id TEXT NOT NULL PRIMARY KEY REFERENCES owner (id),
    began_at BIGINT NOT NULL,
    entered BIGINT NOT NULL
);
