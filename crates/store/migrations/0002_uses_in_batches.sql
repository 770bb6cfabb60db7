-- What may be used once is appended, one row a flush, and looked up in the memory of each process: a row
-- for each use would touch the index at a random place, which costs more than all else that a flush does.
-- Whoever flushes takes its turn in `one_time_turn`, so that the numbers follow one another.

CREATE TABLE IF NOT EXISTS one_time_turn (
    id BIGINT NOT NULL PRIMARY KEY CHECK (id = 1),
    number BIGINT NOT NULL
);

INSERT INTO one_time_turn (id, number) VALUES (1, 0) ON CONFLICT (id) DO NOTHING;

CREATE TABLE IF NOT EXISTS one_time_batch (
    number BIGINT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL,
    hashes TEXT NOT NULL
);

-- What was used before the schema changed stays used. The table may be gone when this runs again.
CREATE TABLE IF NOT EXISTS one_time (
    hash TEXT NOT NULL PRIMARY KEY,
    expires_at BIGINT NOT NULL
);

INSERT INTO one_time_batch (number, expires_at, hashes)
SELECT row_number() OVER (ORDER BY hash), expires_at, substr(hash, 8, 32) FROM one_time WHERE 1 = 1
ON CONFLICT (number) DO NOTHING;

UPDATE one_time_turn SET number = (SELECT count(*) FROM one_time_batch) WHERE number = 0;

DROP TABLE one_time;
