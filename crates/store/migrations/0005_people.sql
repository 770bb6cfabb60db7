-- How people sign in: passkeys, what enrols the first and what helps when all are lost, and the sessions that they begin.
-- Secrets are kept as hashes. What is over stays, except used challenges and old sessions: a passkey is never enrolled
-- twice.

CREATE TABLE IF NOT EXISTS passkey (
    id TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    credential_id TEXT NOT NULL UNIQUE,
    public_jwk TEXT NOT NULL,
    counter BIGINT NOT NULL CHECK (counter >= 0),
    backup TEXT NOT NULL CHECK (backup IN ('eligible', 'none')),
    name TEXT NOT NULL,
    makers TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    used_at BIGINT,
    revoked_at BIGINT
);

CREATE INDEX IF NOT EXISTS passkey_owner ON passkey (owner_id);

CREATE TABLE IF NOT EXISTS passkey_challenge (
    hash TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

CREATE TABLE IF NOT EXISTS invitation (
    secret_hash TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    makers TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    expires_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX IF NOT EXISTS invitation_owner ON invitation (owner_id);

CREATE TABLE IF NOT EXISTS recovery_code (
    secret_hash TEXT NOT NULL PRIMARY KEY,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    passkey_id TEXT NOT NULL REFERENCES passkey (id),
    makers TEXT NOT NULL,
    roles TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX IF NOT EXISTS recovery_code_owner ON recovery_code (owner_id);

CREATE TABLE IF NOT EXISTS session (
    id TEXT NOT NULL PRIMARY KEY,
    secret_hash TEXT NOT NULL UNIQUE,
    owner_id TEXT NOT NULL REFERENCES owner (id),
    passkey_id TEXT NOT NULL REFERENCES passkey (id),
    means TEXT NOT NULL CHECK (means IN ('passkey', 'recovery_code')),
    makers TEXT NOT NULL,
    roles TEXT NOT NULL,
    began_at BIGINT NOT NULL,
    used_at BIGINT NOT NULL,
    ends_at BIGINT NOT NULL,
    ended_at BIGINT
);

CREATE INDEX IF NOT EXISTS session_owner ON session (owner_id);
