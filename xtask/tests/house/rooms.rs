//! The order of the rooms in `crates/authority/src/lib.rs`.
//!
//! The file lists its modules in three blocks: first those that every room may use, then, after the
//! line `// rooms`, the rooms in order, then, after the line `// roof of the rooms`, those that put
//! the rooms together. A room uses the first block, itself and the rooms before it.

use std::collections::BTreeMap;
use std::path::Path;

use crate::source::{Source, below, module_in};
use crate::{assert_none, root};

const AUTHORITY: &str = "crates/authority/src";
const ROOMS: &str = "// rooms";
const ROOF: &str = "// roof of the rooms";

/// What a module of the authority may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Place {
    /// Used by every room; uses no room.
    Foundation,
    /// A room, with its number in the list.
    Room(usize),
    /// Puts rooms together, or serves tests; uses what it likes.
    Roof,
}

#[test]
fn room_uses_only_rooms_before_it() {
    let sources = below(&root(), AUTHORITY);
    let list = sources
        .iter()
        .find(|source| source.path.ends_with("src/lib.rs"))
        .expect("the authority has a lib.rs");
    match places(&list.text) {
        Ok(places) => assert_none(&circles(&places, &sources)),
        Err(why) => panic!("{}: {why}", list.path.display()),
    }
}

/// The modules that `lib.rs` lists, each with its place.
fn places(list: &str) -> Result<BTreeMap<String, Place>, String> {
    let mut places = BTreeMap::new();
    let mut block = Place::Foundation;
    let mut for_tests = false;
    for line in list.lines().map(str::trim) {
        match (line, block) {
            (ROOMS, Place::Foundation) => block = Place::Room(0),
            (ROOF, Place::Room(_)) => block = Place::Roof,
            (ROOMS | ROOF, _) => return Err(format!("the line `{line}` is out of order")),
            ("#[cfg(test)]", _) => for_tests = true,
            _ => {
                if let Some(name) = module_in(line) {
                    let place = if for_tests { Place::Roof } else { block };
                    places.insert(name.to_owned(), place);
                    if let (Place::Room(number), false) = (block, for_tests) {
                        block = Place::Room(number + 1);
                    }
                    for_tests = false;
                }
            }
        }
    }
    if block == Place::Foundation && !places.is_empty() {
        return Err(format!("no line `{ROOMS}` says where the rooms begin"));
    }
    Ok(places)
}

/// Every use of a module by one that may not use it.
fn circles(places: &BTreeMap<String, Place>, sources: &[Source]) -> Vec<String> {
    let mut violations = Vec::new();
    for source in sources {
        let Some((from, place)) = place_of(places, &source.path) else {
            continue;
        };
        let code = source
            .code()
            .map(|(_, line)| line)
            .collect::<Vec<_>>()
            .join("\n");
        for (start, used) in names_in(&code) {
            if let Some(to) = places.get(used)
                && !may_use(from, place, used, *to)
            {
                let line = code[..start].matches('\n').count() + 1;
                violations.push(format!("{}: `{from}` uses `{used}`", source.at(line)));
            }
        }
    }
    violations
}

fn may_use(from: &str, place: Place, used: &str, to: Place) -> bool {
    if from == used {
        return true;
    }
    match (place, to) {
        (Place::Roof, _) | (_, Place::Foundation) => true,
        (Place::Room(mine), Place::Room(theirs)) => theirs < mine,
        (Place::Foundation, Place::Room(_) | Place::Roof) | (Place::Room(_), Place::Roof) => false,
    }
}

/// The module that a file belongs to: its first folder, or its own name.
fn place_of<'a>(places: &'a BTreeMap<String, Place>, path: &Path) -> Option<(&'a str, Place)> {
    let inside = path.strip_prefix(AUTHORITY).ok()?;
    let first = Path::new(inside.components().next()?.as_os_str());
    let name = first.file_stem()?.to_str()?;
    places
        .get_key_value(name)
        .map(|(name, place)| (name.as_str(), *place))
}

/// The modules that a file names, each with its place in the text: `crate::a::b` names `a`,
/// `crate::{a::b, c}` names `a` and `c`.
fn names_in(code: &str) -> Vec<(usize, &str)> {
    let mut names = Vec::new();
    for (start, _) in code.match_indices("crate::") {
        // `$crate::` and `my_crate::` are other words.
        if code[..start].ends_with(|before: char| before.is_alphanumeric() || "_$".contains(before))
        {
            continue;
        }
        let rest = &code[start + "crate::".len()..];
        match rest.strip_prefix('{') {
            Some(group) => names.extend(heads_of(group).into_iter().map(|name| (start, name))),
            None => names.push((start, identifier(rest))),
        }
    }
    names
}

/// The first name of each entry at the outermost level of a group.
fn heads_of(group: &str) -> Vec<&str> {
    let mut heads = vec![identifier(group.trim_start())];
    let mut depth = 0_u32;
    for (index, character) in group.char_indices() {
        match character {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => heads.push(identifier(group[index + 1..].trim_start())),
            _ => {}
        }
    }
    heads
}

fn identifier(text: &str) -> &str {
    let end = text.find(|character: char| !character.is_alphanumeric() && character != '_');
    &text[..end.unwrap_or(text.len())]
}

const LIST: &str = "\
//! Rooms.

pub mod context;
mod error;
// rooms
pub mod audit;
pub mod agents;
pub mod tokens;
// roof of the rooms
pub mod router;
#[cfg(test)]
mod testing;
";

fn judged(path: &str, text: &str) -> Vec<String> {
    let path = Path::new(AUTHORITY).join(path);
    let source = Source {
        path,
        text: text.to_owned(),
        only_in_tests: false,
    };
    circles(&places(LIST).expect("the list is in order"), &[source])
}

#[test]
fn list_is_read_in_three_blocks() {
    let places = places(LIST).expect("the list is in order");
    assert_eq!(places["error"], Place::Foundation);
    assert_eq!(places["agents"], Place::Room(1));
    assert_eq!(places["router"], Place::Roof);
    assert_eq!(places["testing"], Place::Roof);
}

#[test]
fn list_without_its_marks_is_refused() {
    assert!(places("pub mod agents;").is_err());
    assert!(places("// roof of the rooms\n// rooms").is_err());
    assert!(places("//! nothing yet").is_ok());
}

#[test]
fn use_of_a_later_room_is_refused() {
    assert_eq!(
        judged("agents/suspend.rs", "use crate::tokens::revoke;").len(),
        1
    );
    assert_eq!(
        judged("agents.rs", "use crate::{audit, error::Error, tokens};").len(),
        1
    );
    assert_eq!(
        judged("agents/mod.rs", "    crate::router::build()").len(),
        1
    );
    assert_eq!(judged("error.rs", "use crate::audit;").len(), 1);
}

#[test]
fn use_of_an_earlier_room_and_of_the_foundation_is_allowed() {
    assert!(
        judged(
            "tokens/mint.rs",
            "use crate::{agents::Agent, audit, tokens::{a, b}};"
        )
        .is_empty()
    );
    assert!(
        judged(
            "tokens/mint.rs",
            "use crate::context::Ctx; // not crate::router"
        )
        .is_empty()
    );
    assert!(judged("router.rs", "use crate::{audit, tokens};").is_empty());
    assert!(judged("lib.rs", "pub use crate::tokens::mint;").is_empty());
}
