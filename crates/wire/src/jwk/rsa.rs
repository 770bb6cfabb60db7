//! Which RSA public keys are usable.

use super::JwkError;

/// The primes of the ROCA fingerprint (CVE-2017-15361).
const PRIMES: [u32; 38] = [
    3, 5, 7, 11, 13, 17, 19, 23, 29, 31, 37, 41, 43, 47, 53, 59, 61, 67, 71, 73, 79, 83, 89, 97,
    101, 103, 107, 109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167,
];

/// Refuses a modulus or an exponent that is malformed, weak, or so large that it costs us.
pub(super) fn check(n: &[u8], e: &[u8]) -> Result<(), JwkError> {
    // RFC 7518 6.3.1.1: no leading zero, so that a key has one thumbprint.
    if n.first().is_none_or(|&byte| byte == 0) {
        return Err(JwkError::Malformed("n"));
    }
    if e.first().is_none_or(|&byte| byte == 0) {
        return Err(JwkError::Malformed("e"));
    }
    let bits = n.len() * 8 - n[0].leading_zeros() as usize;
    if !(2048..=4096).contains(&bits) {
        return Err(JwkError::RsaSize);
    }
    if e.len() > 4 {
        return Err(JwkError::RsaExponent);
    }
    let exponent = e
        .iter()
        .fold(0, |value, &byte| value << 8 | u32::from(byte));
    if exponent < 65537 || exponent.is_multiple_of(2) {
        return Err(JwkError::RsaExponent);
    }
    let remainders = PRIMES.map(|prime| (prime, remainder(n, prime)));
    let has_small_factor =
        n[n.len() - 1].is_multiple_of(2) || remainders.iter().any(|&(_, rest)| rest == 0);
    let has_roca_form = remainders
        .iter()
        .all(|&(prime, rest)| is_power_of_65537(rest, prime));
    if has_small_factor || has_roca_form {
        return Err(JwkError::RsaWeak);
    }
    Ok(())
}

fn remainder(number: &[u8], prime: u32) -> u32 {
    number
        .iter()
        .fold(0, |rest, &byte| (rest << 8 | u32::from(byte)) % prime)
}

/// Primes of the defective generator are powers of 65537 modulo each small prime; products of such
/// primes are too, and one random modulus in a hundred million is.
fn is_power_of_65537(rest: u32, prime: u32) -> bool {
    let generator = 65537 % prime;
    let mut power = generator;
    loop {
        if power == rest {
            return true;
        }
        if power == 1 {
            return false;
        }
        power = power * generator % prime;
    }
}
