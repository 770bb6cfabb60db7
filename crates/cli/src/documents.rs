//! Reading what people wrote: identity documents as YAML or JSON, key sets as JSON, texts as they are.
//!
//! Limits come before the parse. A member that does not exist is named, with the nearest one that does.

use std::io::Read as _;
use std::path::Path;

use chancery_wire::json;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

use crate::failure::Failure;

/// The name that stands for the standard input.
const STDIN: &str = "-";

/// Members that only a private key has.
const PRIVATE: [&str; 7] = ["d", "p", "q", "dp", "dq", "qi", "k"];

/// The bytes of `path`, or of the standard input when it is `-`; at most as many as a request may have.
pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Failure> {
    read_within(path, json::BODY.bytes)
}

/// The bytes of `path`, or of the standard input when it is `-`; at most `limit`.
pub(crate) fn read_within(path: &Path, limit: usize) -> Result<Vec<u8>, Failure> {
    let failed = |error| Failure::file("read", path, &error);
    let mut bytes = Vec::new();
    let most = limit as u64 + 1;
    if path == Path::new(STDIN) {
        std::io::stdin()
            .lock()
            .take(most)
            .read_to_end(&mut bytes)
            .map_err(failed)?;
    } else {
        std::fs::File::open(path)
            .and_then(|file| file.take(most).read_to_end(&mut bytes))
            .map_err(failed)?;
    }
    if bytes.len() > limit {
        let message = format!("{} is larger than {limit} bytes", path.display());
        return Err(Failure::unreadable(message));
    }
    Ok(bytes)
}

/// The text of `path`, or of the standard input when it is `-`.
pub(crate) fn read_text(path: &Path) -> Result<String, Failure> {
    String::from_utf8(read(path)?)
        .map_err(|_| Failure::unreadable(format!("{} is not UTF-8 text", path.display())))
}

/// A document in YAML or JSON, by the name of the file or else by its first character.
pub(crate) fn read_as<T: DeserializeOwned>(path: &Path) -> Result<T, Failure> {
    let text = read_text(path)?;
    let parsed = if is_json(path, &text) {
        from_json(&text)
    } else {
        from_yaml(&text)
    };
    parsed.map_err(|mistake| {
        let failure = Failure::unreadable(format!("{}: {}", path.display(), mistake.what));
        match mistake.fix {
            Some(fix) => failure.with_fix(fix),
            None => failure,
        }
    })
}

/// A public JWK Set; a single public key is taken as a set of one. A private key is refused before it goes anywhere.
pub(crate) fn read_key_set(path: &Path) -> Result<Value, Failure> {
    let wrong = |why: &str| Failure::unreadable(format!("{}: {why}", path.display()));
    let value = json::parse(&read(path)?, json::BODY).map_err(|error| wrong(&error.to_string()))?;
    let set = if value.get("kty").is_some() {
        json!({"keys": [value]})
    } else {
        value
    };
    let Some(keys) = set.get("keys").and_then(Value::as_array) else {
        return Err(wrong("not a JWK Set: it has no list `keys`")
            .with_fix("make one with `chancery key generate --out KEY --jwks-out FILE`"));
    };
    let is_private = |key: &Value| PRIVATE.iter().any(|member| key.get(member).is_some());
    if keys.iter().any(is_private) {
        return Err(
            wrong("it holds a private key, which must not leave your hands")
                .with_fix("give the public JWK Set that `chancery key generate` printed"),
        );
    }
    Ok(set)
}

fn is_json(path: &Path, text: &str) -> bool {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("json") => true,
        Some("yaml" | "yml") => false,
        _ => text.trim_start().starts_with('{'),
    }
}

/// What is wrong with a document, for its author.
#[derive(Debug)]
struct Mistake {
    what: String,
    fix: Option<String>,
}

fn from_json<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    let mistake = |what: String| Mistake { what, fix: None };
    // The strict reading refuses what two parsers could disagree about; the second one names places.
    if let Err(refused) = json::parse(text.as_bytes(), json::BODY) {
        let place = serde_json::from_str::<Value>(text).err();
        let place =
            place.map(|error| format!(" (line {}, column {})", error.line(), error.column()));
        return Err(mistake(format!("{refused}{}", place.unwrap_or_default())));
    }
    serde_json::from_str(text).map_err(|error| {
        let message = error.to_string();
        match unknown_member(&message) {
            Some((field, known)) => unknown(&field, &known, error.line()),
            None => mistake(message),
        }
    })
}

/// Takes apart serde's words for an unknown member: the member, and those that exist.
fn unknown_member(message: &str) -> Option<(String, Vec<String>)> {
    let rest = message.strip_prefix("unknown field `")?;
    let mut names = rest.split('`').step_by(2).map(str::to_owned);
    let field = names.next()?;
    let known = names.filter(|name| !name.starts_with(" at line")).collect();
    Some((field, known))
}

fn from_yaml<T: DeserializeOwned>(text: &str) -> Result<T, Mistake> {
    serde_saphyr::from_str(text).map_err(|error| {
        let place = error.location().map(|location| location.line());
        match error.without_snippet() {
            serde_saphyr::Error::SerdeUnknownField {
                field, expected, ..
            } => {
                let known: Vec<String> = expected.iter().map(ToString::to_string).collect();
                unknown(
                    field,
                    &known,
                    place.and_then(|line| line.try_into().ok()).unwrap_or(0),
                )
            }
            serde_saphyr::Error::DuplicateMappingKey {
                key: Some(key),
                location,
            } => Mistake {
                what: format!("line {}: the key `{key}` is given twice", location.line()),
                fix: None,
            },
            other => Mistake {
                what: other.to_string(),
                fix: None,
            },
        }
    })
}

fn unknown(field: &str, known: &[String], line: usize) -> Mistake {
    let place = if line > 0 {
        format!(" on line {line}")
    } else {
        String::new()
    };
    Mistake {
        what: format!("there is no member `{field}`{place}"),
        fix: Some(match nearest(field, known) {
            Some(near) => format!("did you mean `{near}`?"),
            None => format!("those that exist: {}", known.join(", ")),
        }),
    }
}

/// The name that `word` was probably meant to be: a third of its letters may be wrong.
fn nearest<'a>(word: &str, known: &'a [String]) -> Option<&'a str> {
    let (distance, near) = known
        .iter()
        .map(|name| (distance(word, name), name))
        .min()?;
    (distance <= (word.chars().count() / 3).max(1)).then_some(near.as_str())
}

/// How many letters must be added, dropped or exchanged to make one word of the other (Levenshtein).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (at, letter) in from.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = at + 1;
        for (place, other) in to.iter().enumerate() {
            let exchanged = diagonal + usize::from(letter != *other);
            diagonal = row[place + 1];
            row[place + 1] = exchanged.min(row[place] + 1).min(diagonal + 1);
        }
    }
    row[to.len()]
}

#[cfg(test)]
mod tests {
    use chancery_model::document::{Document, Risk};

    use super::*;

    const YAML: &str = "
name: refund-bot
owner: alice@example.com
model: {name: m, version: 1.10}
capabilities:
  - name: refunds.issue
    risk: high
tools:
  - {server: desk, tool: '*'}
expires_at: 2030-01-31T00:00:00Z
";

    fn read_text_as(name: &str, text: &str) -> Result<Document, String> {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join(name);
        std::fs::write(&path, text).expect("written");
        read_as(&path).map_err(|failure| failure.text())
    }

    #[test]
    fn yaml_and_json_say_the_same() {
        let yaml = read_text_as("bot.yaml", YAML).expect("YAML");
        assert_eq!(yaml.highest_risk(), Some(Risk::High));
        let version = yaml.model.as_ref().and_then(|model| model.version.clone());
        assert_eq!(
            version.as_deref(),
            Some("1.10"),
            "a version is not a number"
        );
        let json = serde_json::to_string(&yaml).expect("JSON");
        assert_eq!(read_text_as("bot.json", &json).as_ref(), Ok(&yaml));
        assert_eq!(read_text_as("bot", &json).as_ref(), Ok(&yaml));
        assert_eq!(read_text_as("bot", YAML).as_ref(), Ok(&yaml));
    }

    #[test]
    fn a_member_that_does_not_exist_is_named_with_the_nearest_that_does() {
        let yaml = "name: bot\nowner: alice@example.com\ncapabilites: []\n";
        let json = r#"{"name": "bot", "owner": "alice@example.com", "capabilites": []}"#;
        for (name, text) in [("bot.yaml", yaml), ("bot.json", json)] {
            let refused = read_text_as(name, text).expect_err("unknown");
            assert!(
                refused.contains("no member `capabilites` on line"),
                "{refused}"
            );
            assert!(
                refused.contains("did you mean `capabilities`?"),
                "{refused}"
            );
        }
        let deep = "name: bot\nowner: alice@example.com\ntools: [{server: a, tol: b}]\n";
        let refused = read_text_as("bot.yaml", deep).expect_err("unknown");
        assert!(
            refused.contains("`tol`") && refused.contains("`tool`"),
            "{refused}"
        );
        let far = read_text_as("bot.json", r#"{"zzzzzz": 1}"#).expect_err("unknown");
        assert!(far.contains("those that exist: schema, name"), "{far}");
    }

    #[test]
    fn a_member_given_twice_is_refused() {
        let yaml = "name: bot\nowner: alice@example.com\nname: other\n";
        let refused = read_text_as("bot.yaml", yaml).expect_err("twice");
        assert!(
            refused.ends_with("bot.yaml: line 3: the key `name` is given twice"),
            "{refused}"
        );
        let deep = "name: bot\nowner: a@b.example\nmodel:\n  name: m\n  name: n\n";
        let refused = read_text_as("bot.yaml", deep).expect_err("twice");
        assert!(
            refused.ends_with("line 5: the key `name` is given twice"),
            "{refused}"
        );
        let json = r#"{"name": "bot", "owner": "alice@example.com", "name": "other"}"#;
        let refused = read_text_as("bot.json", json).expect_err("twice");
        assert!(refused.contains("two members of one name"), "{refused}");
    }

    #[test]
    fn a_wrong_value_and_a_broken_text_are_refused_with_their_place() {
        let refused =
            read_text_as("bot.json", "{\"name\": \"bot\",\n \"owner\": }").expect_err("broken");
        assert!(refused.contains("line 2"), "{refused}");
        let refused =
            read_text_as("bot.yaml", "name: Bad Name\nowner: a@b.example\n").expect_err("a name");
        assert!(refused.contains("a name has 1 to 64"), "{refused}");
        let many = format!(
            "name: bot\nowner: a@b.example\ndescription: {}\n",
            "x".repeat(300_000)
        );
        let refused = read_text_as("bot.yaml", &many).expect_err("too large");
        assert!(refused.contains("larger than 262144"), "{refused}");
    }

    #[test]
    fn a_yaml_bomb_is_refused_quickly() {
        let mut bomb = String::from("name: &a [x,x,x,x,x,x,x,x,x,x]\n");
        for level in 0..9 {
            let (from, to) = ((b'a' + level) as char, (b'b' + level) as char);
            let aliases = vec![format!("*{from}"); 10].join(",");
            bomb.push_str(&format!("k{level}: &{to} [{aliases}]\n"));
        }
        assert!(read_text_as("bot.yaml", &bomb).is_err());
    }

    #[test]
    fn a_private_key_is_refused_where_a_public_one_belongs() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("keys.json");
        let check = |text: &str| {
            std::fs::write(&path, text).expect("written");
            read_key_set(&path).map_err(|failure| failure.text())
        };
        let key = r#"{"kty":"EC","crv":"P-256","x":"a","y":"b"}"#;
        let set = format!(r#"{{"keys":[{key}]}}"#);
        assert_eq!(check(key), check(&set));
        assert!(check(key).is_ok());
        let private = r#"{"keys":[{"kty":"EC","crv":"P-256","x":"a","y":"b","d":"c"}]}"#;
        assert!(check(private).expect_err("private").contains("private key"));
        assert!(check("{}").expect_err("empty").contains("no list `keys`"));
    }
}
