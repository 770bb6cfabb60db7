//! Entry bundles: up to 256 entries, each behind its length as a big-endian 16-bit number (C2SP tlog-tiles).

use crate::path::FULL_WIDTH;

/// The longest entry that fits a bundle.
pub const MAX_ENTRY: usize = u16::MAX as usize;

/// Entries that make no bundle, or bytes that are none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BundleError {
    /// A bundle holds 1 to 256 entries.
    #[error("a bundle holds 1 to 256 entries")]
    Width,
    /// An entry is longer than its length field can say.
    #[error("an entry of {0} bytes is longer than 65535")]
    EntryTooLong(usize),
    /// The bytes end inside an entry or its length.
    #[error("the bundle ends within an entry")]
    Truncated,
}

/// Encodes 1 to 256 entries.
pub fn encode<B: AsRef<[u8]>>(entries: &[B]) -> Result<Vec<u8>, BundleError> {
    if entries.is_empty() || entries.len() > usize::from(FULL_WIDTH) {
        return Err(BundleError::Width);
    }
    let mut bytes = Vec::with_capacity(entries.iter().map(|entry| 2 + entry.as_ref().len()).sum());
    for entry in entries {
        push(&mut bytes, entry.as_ref())?;
    }
    Ok(bytes)
}

/// Appends one entry to the bytes of a bundle; the caller counts to 256.
pub fn push(bytes: &mut Vec<u8>, entry: &[u8]) -> Result<(), BundleError> {
    let length = u16::try_from(entry.len()).map_err(|_| BundleError::EntryTooLong(entry.len()))?;
    bytes.extend_from_slice(&length.to_be_bytes());
    bytes.extend_from_slice(entry);
    Ok(())
}

/// Decodes a bundle into its 1 to 256 entries.
pub fn decode(bytes: &[u8]) -> Result<Vec<&[u8]>, BundleError> {
    let mut entries = Vec::new();
    for entry in self::entries(bytes) {
        if entries.len() == usize::from(FULL_WIDTH) {
            return Err(BundleError::Width);
        }
        entries.push(entry?);
    }
    if entries.is_empty() {
        Err(BundleError::Width)
    } else {
        Ok(entries)
    }
}

/// Walks the entries of a bundle, however many; an error is the last item.
pub fn entries(bytes: &[u8]) -> impl Iterator<Item = Result<&[u8], BundleError>> {
    let mut rest = bytes;
    std::iter::from_fn(move || {
        if rest.is_empty() {
            return None;
        }
        let Some((entry, after)) = split_entry(rest) else {
            rest = &[];
            return Some(Err(BundleError::Truncated));
        };
        rest = after;
        Some(Ok(entry))
    })
}

fn split_entry(bytes: &[u8]) -> Option<(&[u8], &[u8])> {
    let (length, rest) = bytes.split_first_chunk()?;
    rest.split_at_checked(u16::from_be_bytes(*length).into())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_bytes_are_those_of_the_specification() {
        assert_eq!(
            encode(&[b"ab".as_slice(), b""]).unwrap(),
            [0, 2, b'a', b'b', 0, 0]
        );
        assert_eq!(
            decode(&[0, 2, b'a', b'b', 0, 0]).unwrap(),
            [b"ab".as_slice(), b""]
        );
    }

    #[test]
    fn what_is_no_bundle_is_refused() {
        assert_eq!(encode::<&[u8]>(&[]), Err(BundleError::Width));
        assert_eq!(encode(&[b""; 257]), Err(BundleError::Width));
        assert_eq!(
            encode(&[vec![0; 65_536]]),
            Err(BundleError::EntryTooLong(65_536))
        );
        assert_eq!(encode(&[vec![0; MAX_ENTRY]]).unwrap().len(), 65_537);
        assert_eq!(decode(&[]), Err(BundleError::Width));
        assert_eq!(decode(&[0; 2 * 257]), Err(BundleError::Width));
        assert_eq!(decode(&[0; 2 * 256]).unwrap().len(), 256);
        assert_eq!(decode(&[0]), Err(BundleError::Truncated));
        assert_eq!(decode(&[0, 0, 0]), Err(BundleError::Truncated));
        assert_eq!(decode(&[0, 2, 1]), Err(BundleError::Truncated));
    }

    proptest! {
        #[test]
        fn encoding_then_decoding_is_identity(entries in prop::collection::vec(any::<Vec<u8>>(), 1..=256)) {
            let bytes = encode(&entries).unwrap();
            prop_assert_eq!(decode(&bytes).unwrap(), entries);
        }

        #[test]
        fn what_decodes_encodes_the_same(bytes in prop::collection::vec(0..4u8, 0..64)) {
            if let Ok(entries) = decode(&bytes) {
                prop_assert_eq!(encode(&entries).unwrap(), bytes);
            }
        }
    }
}
