//! Strict CBOR: what authenticators write, and nothing beside it.
//!
//! CTAP2 has one canonical form. Of its rules those are kept by which two readers could disagree: lengths are definite,
//! no map has a name twice, there are no tags and no floats. Depth is bounded, and every item costs its sender a byte.

use minicbor::Decoder;
use minicbor::data::Type;

/// The most levels of lists and maps: an attestation statement has four.
const DEPTH: usize = 8;

/// One item; texts and bytes are those of the input.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Item<'a> {
    Int(i64),
    Bytes(&'a [u8]),
    Text(&'a str),
    List(Vec<Item<'a>>),
    // INVARIANT: names are integers or texts, and each is there once.
    Map(Vec<(Item<'a>, Item<'a>)>),
    Bool(bool),
    Null,
}

/// Reads one item, and what follows it.
pub(super) fn read(bytes: &[u8]) -> Option<(Item<'_>, &[u8])> {
    let mut decoder = Decoder::new(bytes);
    let item = item(&mut decoder, DEPTH)?;
    let rest = bytes.get(decoder.position()..)?;
    Some((item, rest))
}

/// The member of a map that a text names.
pub(super) fn named<'m, 'a>(
    members: &'m [(Item<'a>, Item<'a>)],
    name: &str,
) -> Option<&'m Item<'a>> {
    let is_it = |key: &Item<'_>| matches!(key, Item::Text(text) if *text == name);
    let (_, value) = members.iter().find(|(key, _)| is_it(key))?;
    Some(value)
}

/// The member of a map that an integer names.
pub(super) fn numbered<'m, 'a>(
    members: &'m [(Item<'a>, Item<'a>)],
    number: i64,
) -> Option<&'m Item<'a>> {
    let is_it = |key: &Item<'_>| matches!(key, Item::Int(int) if *int == number);
    let (_, value) = members.iter().find(|(key, _)| is_it(key))?;
    Some(value)
}

fn item<'a>(decoder: &mut Decoder<'a>, levels_left: usize) -> Option<Item<'a>> {
    match decoder.datatype().ok()? {
        Type::U8
        | Type::U16
        | Type::U32
        | Type::U64
        | Type::I8
        | Type::I16
        | Type::I32
        | Type::I64
        | Type::Int => decoder.int().ok()?.try_into().ok().map(Item::Int),
        Type::Bytes => decoder.bytes().ok().map(Item::Bytes),
        Type::String => decoder.str().ok().map(Item::Text),
        Type::Bool => decoder.bool().ok().map(Item::Bool),
        Type::Null => decoder.null().ok().map(|()| Item::Null),
        Type::Array => {
            let levels_left = levels_left.checked_sub(1)?;
            // The length is the sender's word, so room is made for what is there.
            let mut items = Vec::new();
            for _ in 0..decoder.array().ok()?? {
                items.push(item(decoder, levels_left)?);
            }
            Some(Item::List(items))
        }
        Type::Map => {
            let levels_left = levels_left.checked_sub(1)?;
            let mut members: Vec<(Item<'a>, Item<'a>)> = Vec::new();
            for _ in 0..decoder.map().ok()?? {
                let key = item(decoder, 0)?;
                let may_name = matches!(key, Item::Int(_) | Item::Text(_));
                if !may_name
                    || members.len() == MEMBERS
                    || members.iter().any(|(known, _)| *known == key)
                {
                    return None;
                }
                let value = item(decoder, levels_left)?;
                members.push((key, value));
            }
            Some(Item::Map(members))
        }
        Type::Undefined
        | Type::F16
        | Type::F32
        | Type::F64
        | Type::Simple
        | Type::BytesIndef
        | Type::StringIndef
        | Type::ArrayIndef
        | Type::MapIndef
        | Type::Tag
        | Type::Break
        | Type::Unknown(_) => None,
    }
}

/// The most members of a map, since each is compared with all others.
const MEMBERS: usize = 64;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn what_two_readers_could_read_differently_is_refused() {
        let good: [&[u8]; 4] = [
            b"\xa1\x61a\x01",
            b"\xa2\x01\x02\x03\x26",
            b"\x82\x41\x00\xf6",
            b"\xa1\x61x\xa1\x61y\x81\xf5",
        ];
        for bytes in good {
            assert!(matches!(read(bytes), Some((_, []))), "{bytes:x?}");
        }
        let bad: [(&[u8], &str); 11] = [
            (b"", "nothing"),
            (b"\xa2\x61a\x01\x61a\x02", "a name twice"),
            (
                b"\xa2\x01\x01\x18\x01\x02",
                "a number twice, once written longer",
            ),
            (b"\xa1\x41a\x01", "a name that is bytes"),
            (b"\xbf\x61a\x01\xff", "a map without a length"),
            (b"\x9f\x01\xff", "a list without a length"),
            (b"\x5f\x41a\xff", "bytes in pieces"),
            (b"\xc0\x61a", "a tag"),
            (b"\xf9\x00\x00", "a float"),
            (
                b"\x9b\xff\xff\xff\xff\xff\xff\xff\xff",
                "a list that is not there",
            ),
            (b"\x58\x20abc", "bytes that were cut off"),
        ];
        for (bytes, why) in bad {
            assert_eq!(read(bytes), None, "{why}");
        }
        assert_eq!(read(&[0x81; 1_000]), None, "depth");
    }

    #[test]
    fn what_follows_an_item_is_told() {
        assert_eq!(read(b"\x01\x02"), Some((Item::Int(1), &b"\x02"[..])));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused_without_panic(bytes: Vec<u8>) {
            let _item = read(&bytes);
        }
    }
}
