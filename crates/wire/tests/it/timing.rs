//! CRY-01: the comparison of secrets, measured as dudect does: the times of two kinds of guess, taken in turn, are
//! held against each other with Welch's t. Above 4.5 they are told apart.
#![allow(
    clippy::disallowed_methods,
    reason = "a measurement needs the machine's clock"
)]

use std::hint::black_box;
use std::time::Instant;

use chancery_wire::hash;

/// Comparisons in one sample, so that the clock's own time is small beside them.
const BATCH: usize = 100;
/// Samples of each kind: together more than 100,000 comparisons.
const SAMPLES: usize = 1_000;
/// Where two kinds are told apart.
const APART: f64 = 4.5;

/// Welch's t of the times that `compare` takes to find two kinds of guess wrong.
fn t_of(compare: impl Fn(&[u8], &[u8]) -> bool, secret: &[u8], one: &[u8], other: &[u8]) -> f64 {
    let mut times = [Vec::new(), Vec::new()];
    // Both kinds are read from the same place: where bytes lie shows in the time of a few nanoseconds, too.
    let mut guess = one.to_vec();
    for sample in 0..2 * SAMPLES {
        // Which kind comes first changes, so that whatever comes and goes meets both alike.
        let kind = (sample / 2 + sample) % 2;
        guess.copy_from_slice(if kind == 0 { one } else { other });
        let started = Instant::now();
        for _ in 0..BATCH {
            black_box(compare(black_box(secret), black_box(&guess)));
        }
        times[kind].push(started.elapsed().as_nanos() as f64);
    }
    // What another process interrupted says nothing of the comparison.
    let mut all = times.concat();
    all.sort_by(f64::total_cmp);
    let most = all[all.len() * 8 / 10];
    let [one, other] = times.map(|times| {
        let kept: Vec<f64> = times.into_iter().filter(|time| *time <= most).collect();
        let count = kept.len() as f64;
        let mean = kept.iter().sum::<f64>() / count;
        let square = |time: &f64| (time - mean).powi(2);
        let variance = kept.iter().map(square).sum::<f64>() / (count - 1.0);
        (mean, variance / count)
    });
    (one.0 - other.0) / (one.1 + other.1).sqrt()
}

/// The smallest of a few: a machine that is busy may tell two apart by chance, a comparison that leaks always does.
fn least_of_a_few(measure: impl Fn() -> f64) -> f64 {
    (0..5).map(|_| measure().abs()).fold(f64::MAX, f64::min)
}

#[test]
fn cry_01_comparison_takes_the_same_time_however_much_of_a_guess_is_right() {
    let secret = [0x5a; 32];
    let guess = |right: usize| {
        let mut guess = secret;
        if let Some(byte) = guess.get_mut(right) {
            *byte ^= 1;
        }
        guess
    };
    for right in [1, 8, 16, 31] {
        let t = least_of_a_few(|| t_of(hash::equal, &secret, &guess(0), &guess(right)));
        assert!(
            t < APART,
            "{right} right bytes are told apart from none: {t}"
        );
    }
    // The measurement sees a comparison that ends at the first difference.
    let impatient = |left: &[u8], right: &[u8]| left.iter().zip(right).all(|(a, b)| a == b);
    let t = least_of_a_few(|| t_of(impatient, &secret, &guess(0), &guess(31)));
    assert!(t > APART, "a leak was not seen: {t}");
}
