-- Who had a login made, and who had the login made that it was made with. A table of its own: a column cannot be
-- added by a statement that may run again on both databases. A login without a row is one from before.

CREATE TABLE IF NOT EXISTS login_maker (
    secret_hash TEXT NOT NULL PRIMARY KEY REFERENCES login (secret_hash),
    makers TEXT NOT NULL
);
