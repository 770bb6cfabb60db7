-- Providers that people sign in with, whom they call what, and the sessions that come of it. What we prove ourselves with,
-- and what a provider gave us to ask whether a person is still there, is wrapped by the master key.

CREATE TABLE IF NOT EXISTS provider (
    id TEXT NOT NULL PRIMARY KEY,
    name TEXT NOT NULL,
    issuer TEXT NOT NULL,
    client_id TEXT NOT NULL,
    method TEXT NOT NULL CHECK (method IN ('client_secret', 'private_key_jwt')),
    sealed TEXT NOT NULL,
    rules TEXT NOT NULL,
    makers TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT
);

CREATE UNIQUE INDEX IF NOT EXISTS provider_name_in_use ON provider (name) WHERE removed_at IS NULL;

CREATE UNIQUE INDEX IF NOT EXISTS provider_issuer_in_use ON provider (issuer) WHERE removed_at IS NULL;

CREATE TABLE IF NOT EXISTS provider_link (
    issuer TEXT NOT NULL,
    subject TEXT NOT NULL,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    known_as TEXT,
    makers TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    vouched_at BIGINT,
    left_at BIGINT,
    provider_id TEXT,
    sealed TEXT,
    unanswered BIGINT NOT NULL,
    due_at BIGINT NOT NULL,
    PRIMARY KEY (issuer, subject)
);

CREATE INDEX IF NOT EXISTS provider_link_owner ON provider_link (owner_id);

CREATE INDEX IF NOT EXISTS provider_link_due ON provider_link (due_at);

CREATE TABLE IF NOT EXISTS provider_session (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    provider_id TEXT NOT NULL REFERENCES provider (id),
    subject TEXT NOT NULL,
    sid TEXT,
    makers TEXT NOT NULL,
    authenticated_at BIGINT,
    began_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX IF NOT EXISTS provider_session_owner ON provider_session (owner_id);

CREATE TABLE IF NOT EXISTS provider_use (
    hash TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);
