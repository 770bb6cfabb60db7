//! Our own HTTP JSON: requests, answers, problem documents, OpenAPI.
