//! Server-sent events, as far as MCP uses them: the data of each event, bounded.

use std::collections::VecDeque;

/// An event is larger than the limit.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct EventTooLarge;

/// Takes bytes as they come and gives the data of whole events.
pub(crate) struct Events {
    limit: usize,
    line: Vec<u8>,
    data: Option<Vec<u8>>,
    after_cr: bool,
    whole: VecDeque<Vec<u8>>,
}

impl Events {
    /// Refuses events whose data, or any line, is larger than `limit` bytes.
    pub(crate) fn new(limit: usize) -> Self {
        Self {
            limit,
            line: Vec::new(),
            data: None,
            after_cr: false,
            whole: VecDeque::new(),
        }
    }

    /// The data of the next whole event.
    pub(crate) fn next(&mut self) -> Option<Vec<u8>> {
        self.whole.pop_front()
    }

    /// Takes the next bytes of the stream.
    pub(crate) fn push(&mut self, bytes: &[u8]) -> Result<(), EventTooLarge> {
        for &byte in bytes {
            let second_half = std::mem::take(&mut self.after_cr) && byte == b'\n';
            match byte {
                _ if second_half => {}
                b'\r' | b'\n' => {
                    self.after_cr = byte == b'\r';
                    self.end_line()?;
                }
                _ if self.line.len() > self.limit => return Err(EventTooLarge),
                _ => self.line.push(byte),
            }
        }
        Ok(())
    }

    fn end_line(&mut self) -> Result<(), EventTooLarge> {
        if self.line.is_empty() {
            // An event without data is a comment or a retry hint.
            self.whole.extend(self.data.take());
            return Ok(());
        }
        let value = match self.line.strip_prefix(b"data") {
            Some([]) => Some(&[][..]),
            Some([b':', b' ', value @ ..] | [b':', value @ ..]) => Some(value),
            Some(_) | None => None,
        };
        if let Some(value) = value {
            let data = match &mut self.data {
                Some(data) => {
                    data.push(b'\n');
                    data
                }
                none => none.insert(Vec::new()),
            };
            if data.len() + value.len() > self.limit {
                return Err(EventTooLarge);
            }
            data.extend_from_slice(value);
        }
        self.line.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(stream: &[u8], piece: usize) -> Vec<String> {
        let mut events = Events::new(1_000);
        let mut found = Vec::new();
        for part in stream.chunks(piece.max(1)) {
            events.push(part).expect("within the limit");
            while let Some(data) = events.next() {
                found.push(String::from_utf8(data).expect("UTF-8"));
            }
        }
        found
    }

    #[test]
    fn data_is_read_whatever_ends_the_lines() {
        let stream = b"event: message\r\ndata: {\"a\":1}\r\n\r\n: ping\n\nid: 7\ndata:x\ndata: y\n\ndata: z\r\rdataset: no\n\n";
        assert_eq!(read(stream, 1_000), ["{\"a\":1}", "x\ny", "z"]);
    }

    #[test]
    fn an_event_beyond_the_limit_is_refused() {
        let mut events = Events::new(8);
        assert_eq!(
            events.push(b"data: 12345678901234567890"),
            Err(EventTooLarge)
        );
        let mut events = Events::new(8);
        assert_eq!(events.push(b"data: 1\ndata: 2345678\n"), Err(EventTooLarge));
    }

    proptest! {
        #[test]
        fn where_the_stream_is_cut_does_not_matter(texts in prop::collection::vec("[a-z{}:\" ]{0,20}", 0..8), piece in 1_usize..7) {
            let stream: String = texts.iter().map(|text| format!("data:  {text}\r\n\r\n")).collect();
            let expected: Vec<String> = texts.iter().map(|text| format!(" {text}")).collect();
            prop_assert_eq!(read(stream.as_bytes(), piece), expected);
        }

        #[test]
        fn any_bytes_are_read_without_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut events = Events::new(50);
            let _ = events.push(&bytes);
        }
    }
}
