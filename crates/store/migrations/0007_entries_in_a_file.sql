-- On SQLite the entries of the log lie in a file beside the database, each written once: these tables say how much of
-- it is sealed, and which pieces of it follow on what a bundle's row holds. On PostgreSQL entries stay in
-- `log_bundle`, and nothing is put here.

CREATE TABLE IF NOT EXISTS log_position (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    mark BIGINT NOT NULL,
    ends BIGINT NOT NULL
);

INSERT INTO log_position (id, mark, ends) VALUES (1, -1, 0) ON CONFLICT (id) DO NOTHING;

CREATE TABLE IF NOT EXISTS log_span (
    number BIGINT NOT NULL,
    starts BIGINT NOT NULL,
    ends BIGINT NOT NULL,
    PRIMARY KEY (number, starts)
);
