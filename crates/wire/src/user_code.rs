//! The code that a person enters for a device (RFC 8628 6.1): eight letters that make no words and are hard to confuse.

use std::fmt;

use chancery_model::entropy::Entropy;

/// The letters of the RFC: no vowels, and none that look like digits.
const LETTERS: [u8; 20] = *b"BCDFGHJKLMNPQRSTVWXZ";
/// How many letters a code has.
const LENGTH: usize = 8;
/// How many letters stand on each side of the dash.
const HALF: usize = LENGTH / 2;
/// The longest text that is read as a code, in bytes.
const LONGEST: usize = 64;

/// The text has not eight letters of those that codes are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a code of RFC 8628")]
pub struct Malformed;

/// A code that a person enters; printed as `XXXX-XXXX`.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct UserCode([u8; LENGTH]);

impl UserCode {
    /// A new code. So much is drawn that each of the 20⁸ is equally likely but for one part in 2⁹³.
    pub fn draw(entropy: &dyn Entropy) -> Self {
        let mut random = [0; 16];
        entropy.fill(&mut random);
        let mut rest = u128::from_be_bytes(random);
        Self(std::array::from_fn(|_| {
            let letter = LETTERS[(rest % LETTERS.len() as u128) as usize];
            rest /= LETTERS.len() as u128;
            letter
        }))
    }

    /// Reads what was typed: whatever the case, and with or without dashes, spaces and dots between the letters.
    pub fn parse(typed: &str) -> Result<Self, Malformed> {
        if typed.len() > LONGEST {
            return Err(Malformed);
        }
        let letters = typed
            .bytes()
            .filter(|byte| !matches!(byte, b'-' | b' ' | b'.' | b'_'));
        let letters: Vec<u8> = letters.map(|byte| byte.to_ascii_uppercase()).collect();
        let code = <[u8; LENGTH]>::try_from(letters).map_err(|_| Malformed)?;
        match code.iter().all(|byte| LETTERS.contains(byte)) {
            true => Ok(Self(code)),
            false => Err(Malformed),
        }
    }
}

impl fmt::Display for UserCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (place, letter) in self.0.iter().enumerate() {
            if place == HALF {
                f.write_str("-")?;
            }
            write!(f, "{}", char::from(*letter))?;
        }
        Ok(())
    }
}

impl fmt::Debug for UserCode {
    /// Nothing of it: whoever knows it may be asked in place of another.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("UserCode")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    struct Fixed([u8; 16]);

    impl Entropy for Fixed {
        fn fill(&self, bytes: &mut [u8]) {
            bytes.copy_from_slice(&self.0);
        }
    }

    #[test]
    fn code_is_the_same_however_it_is_typed() {
        let code = UserCode::parse("WDJB-MJHT").expect("the code of the RFC");
        assert_eq!(code.to_string(), "WDJB-MJHT");
        for same in ["wdjbmjht", " wdjb mjht ", "W.D.J.B-m_j_h_t"] {
            assert_eq!(UserCode::parse(same), Ok(code), "{same}");
        }
        for other in [
            "",
            "WDJB-MJH",
            "WDJB-MJHTT",
            "WDJA-MJHT",
            "WDJ1-MJHT",
            "ＷDJB-MJHT",
            &"-".repeat(65),
        ] {
            assert_eq!(UserCode::parse(other), Err(Malformed), "{other}");
        }
    }

    #[test]
    fn every_letter_of_every_place_is_drawn() {
        let mut seen = [[false; LETTERS.len()]; LENGTH];
        for round in 0..2_000_u32 {
            let random = crate::hash::sha256(&round.to_be_bytes());
            let random = std::array::from_fn(|place| random.as_bytes()[place]);
            let UserCode(code) = UserCode::draw(&Fixed(random));
            for (place, letter) in code.iter().enumerate() {
                let number = LETTERS.iter().position(|own| own == letter);
                seen[place][number.expect("a letter of a code")] = true;
            }
        }
        assert!(seen.iter().flatten().all(|seen| *seen));
    }

    proptest! {
        #[test]
        fn what_is_printed_is_read_again(random in any::<[u8; 16]>()) {
            let code = UserCode::draw(&Fixed(random));
            prop_assert_eq!(UserCode::parse(&code.to_string()), Ok(code));
        }

        #[test]
        fn no_text_is_read_as_more_than_a_code(text in any::<String>()) {
            if let Ok(code) = UserCode::parse(&text) {
                prop_assert_eq!(code.to_string().len(), LENGTH + 1);
            }
        }
    }
}
