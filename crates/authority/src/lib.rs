//! Issues, judges, records, stops: one room per capability, one file per verb.
