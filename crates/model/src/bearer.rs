//! Bearer tokens, which are bound to no key: taken only by an exception that ends by itself (SI-3).

use crate::time::Timestamp;

/// Whether tokens without a key are issued and taken at `now`, where the exception lasts until `until` if there is one.
pub fn is_allowed(until: Option<Timestamp>, now: Timestamp) -> bool {
    until.is_some_and(|until| now < until)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn without_an_exception_or_after_its_end_nothing_is_allowed() {
        let at = Timestamp::from_secs;
        assert!(!is_allowed(None, at(0)));
        assert!(is_allowed(Some(at(10)), at(9)));
        assert!(!is_allowed(Some(at(10)), at(10)));
    }
}
