//! What is asked of a server, and the message that asks it: written anew from the values that were judged.

use std::sync::{Arc, LazyLock};

use chancery_wire::mcp::{Era, stamp_meta};
use serde::Serialize;
use serde::ser::{SerializeMap, Serializer};
use serde_json::{Map, Value};

use super::{NAME, VERSION};

/// One request to a server, without id: the link gives it one.
#[derive(Debug, Clone, Default)]
pub(crate) struct Asked {
    pub(crate) method: &'static str,
    pub(crate) params: Params,
    /// What goes as `params._meta`; to a modern server we add who we are.
    pub(crate) meta: Map<String, Value>,
    /// Arguments that are repeated in headers.
    pub(crate) mirrored: Vec<(String, String)>,
}

/// The parameters of a request, without `_meta`.
#[derive(Debug, Clone)]
pub(crate) enum Params {
    /// Members of ours.
    Own(Map<String, Value>),
    /// A tool call, shared with whoever may have to judge it again.
    Call {
        tool: Arc<str>,
        arguments: Arc<Map<String, Value>>,
    },
}

impl Default for Params {
    fn default() -> Self {
        Self::Own(Map::new())
    }
}

impl Params {
    fn is_empty(&self) -> bool {
        match self {
            Self::Own(members) => members.is_empty(),
            Self::Call { .. } => false,
        }
    }
}

impl Asked {
    /// What `Mcp-Name` repeats.
    pub(super) fn name(&self) -> Option<&str> {
        match &self.params {
            Params::Own(_) => None,
            Params::Call { tool, .. } => Some(tool),
        }
    }

    /// The request `id`, as a server of `era` takes it.
    pub(super) fn message(&self, id: u64, era: Era) -> Vec<u8> {
        let meta = Meta {
            own: &self.meta,
            stamp: match era {
                Era::Legacy => None,
                Era::Modern => Some(&STAMP),
            },
        };
        let meta = (!meta.is_empty()).then_some(meta);
        let params = Sent {
            params: &self.params,
            meta,
        };
        let is_bare = params.params.is_empty() && params.meta.is_none();
        written(&Outgoing {
            jsonrpc: "2.0",
            id: Some(id),
            method: self.method,
            params: (!is_bare).then_some(params),
        })
    }
}

/// A notification of ours.
pub(super) fn notice(method: &'static str, params: Map<String, Value>) -> Vec<u8> {
    let params = Params::Own(params);
    let sent = Sent {
        params: &params,
        meta: None,
    };
    written(&Outgoing {
        jsonrpc: "2.0",
        id: None,
        method,
        params: (!params.is_empty()).then_some(sent),
    })
}

fn written(message: &Outgoing<'_>) -> Vec<u8> {
    let mut text = Vec::with_capacity(512);
    // Writing into memory fails only for maps with keys that are not texts; there are none.
    serde_json::to_writer(&mut text, message).expect("a message has only text keys");
    text
}

/// The members by which every modern request says who we are.
static STAMP: LazyLock<Map<String, Value>> = LazyLock::new(|| {
    let mut meta = Map::new();
    stamp_meta(&mut meta, NAME, VERSION);
    meta
});

/// One message of ours, as it goes out.
#[derive(Serialize)]
struct Outgoing<'a> {
    jsonrpc: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    id: Option<u64>,
    method: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    params: Option<Sent<'a>>,
}

struct Sent<'a> {
    params: &'a Params,
    meta: Option<Meta<'a>>,
}

impl Serialize for Sent<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut members = serializer.serialize_map(None)?;
        match self.params {
            Params::Own(own) => {
                for (name, value) in own {
                    members.serialize_entry(name, value)?;
                }
            }
            Params::Call { tool, arguments } => {
                members.serialize_entry("name", &**tool)?;
                members.serialize_entry("arguments", &**arguments)?;
            }
        }
        if let Some(meta) = &self.meta {
            members.serialize_entry("_meta", meta)?;
        }
        members.end()
    }
}

struct Meta<'a> {
    own: &'a Map<String, Value>,
    stamp: Option<&'a Map<String, Value>>,
}

impl Meta<'_> {
    fn is_empty(&self) -> bool {
        self.own.is_empty() && self.stamp.is_none()
    }
}

impl Serialize for Meta<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        // What is stamped has names of its own: of a client's members, only others pass.
        serializer.collect_map(self.own.iter().chain(self.stamp.into_iter().flatten()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn object(value: Value) -> Map<String, Value> {
        value.as_object().expect("an object").clone()
    }

    fn read(message: &[u8]) -> Value {
        serde_json::from_slice(message).expect("JSON")
    }

    #[test]
    fn a_call_is_written_in_the_words_of_each_era() {
        let asked = Asked {
            method: "tools/call",
            params: Params::Call {
                tool: "add".into(),
                arguments: Arc::new(object(json!({"b": 2, "a": 1}))),
            },
            meta: object(json!({"progressToken": 7})),
            mirrored: Vec::new(),
        };
        let legacy = asked.message(3, Era::Legacy);
        let expected = r#"{"jsonrpc":"2.0","id":3,"method":"tools/call","params":{"name":"add","arguments":{"b":2,"a":1},"_meta":{"progressToken":7}}}"#;
        assert_eq!(String::from_utf8(legacy).as_deref(), Ok(expected));
        let modern = read(&asked.message(4, Era::Modern));
        let mut meta = object(json!({"progressToken": 7}));
        stamp_meta(&mut meta, NAME, VERSION);
        assert_eq!(modern["params"]["_meta"], Value::Object(meta));
        assert_eq!(modern["params"]["arguments"], json!({"b": 2, "a": 1}));
    }

    #[test]
    fn parameters_that_say_nothing_are_left_out() {
        let asked = Asked {
            method: "tools/list",
            ..Asked::default()
        };
        let bare = json!({"jsonrpc": "2.0", "id": 1, "method": "tools/list"});
        assert_eq!(read(&asked.message(1, Era::Legacy)), bare);
        let modern = read(&asked.message(1, Era::Modern));
        assert_eq!(modern["params"]["_meta"], Value::Object(STAMP.clone()));
        let told = notice("notifications/cancelled", object(json!({"requestId": 5})));
        let expected = json!({"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": 5}});
        assert_eq!(read(&told), expected);
    }
}
