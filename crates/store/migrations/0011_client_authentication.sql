-- How agents and resource servers authenticate, where that is not by an assertion of their own. A table of its own: a
-- column cannot be added by a statement that may run again on both databases.

CREATE TABLE IF NOT EXISTS client_authentication (
    client_id TEXT NOT NULL PRIMARY KEY,
    metadata TEXT NOT NULL
);
