-- How agents and resource servers authenticate, where that is not by an assertion of their own. A table of its own: a
-- column cannot be added by a statement that may run again on both databases.

CREATE TABLE IF NOT EXISTS client_authentication (
    client_id TEXT NOT NULL PRIMARY KEY,
    metadata TEXT NOT NULL
);

-- Who vouches for running copies of clients, and by which keys. They are kept for good, and in force until removed.
CREATE TABLE IF NOT EXISTS attester (
    name TEXT NOT NULL,
    issuer TEXT,
    jwks TEXT NOT NULL,
    created_at BIGINT NOT NULL,
    removed_at BIGINT,
    PRIMARY KEY (name, created_at)
);

CREATE UNIQUE INDEX IF NOT EXISTS attester_name_in_use ON attester (name) WHERE removed_at IS NULL;
