//! Numbers of several rounds: the median, and how far they lie apart.

use serde::Serialize;

/// One number a round.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(transparent)]
pub(crate) struct Series(Vec<f64>);

impl Series {
    /// A number that was taken once.
    pub(crate) fn once(number: f64) -> Self {
        Self(vec![number])
    }

    /// Adds the number of the next round.
    pub(crate) fn push(&mut self, number: f64) {
        self.0.push(number);
    }

    /// The number in the middle; 0 before the first round.
    pub(crate) fn median(&self) -> f64 {
        let sorted = self.sorted();
        match sorted.len() {
            0 => 0.0,
            count if count % 2 == 1 => sorted[count / 2],
            count => f64::midpoint(sorted[count / 2 - 1], sorted[count / 2]),
        }
    }

    /// The smallest number.
    pub(crate) fn min(&self) -> f64 {
        self.sorted().first().copied().unwrap_or(0.0)
    }

    /// The largest number.
    pub(crate) fn max(&self) -> f64 {
        self.sorted().last().copied().unwrap_or(0.0)
    }

    /// How many rounds there were.
    pub(crate) fn rounds(&self) -> usize {
        self.0.len()
    }

    /// Each number divided by that of the same round in `other`.
    pub(crate) fn over(&self, other: &Self) -> Self {
        let pairs = self.0.iter().zip(&other.0);
        Self(pairs.map(|(ours, theirs)| ours / theirs).collect())
    }

    fn sorted(&self) -> Vec<f64> {
        let mut sorted = self.0.clone();
        sorted.sort_by(f64::total_cmp);
        sorted
    }
}

impl FromIterator<f64> for Series {
    fn from_iter<I: IntoIterator<Item = f64>>(numbers: I) -> Self {
        Self(numbers.into_iter().collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn median_is_the_middle_whatever_the_order() {
        assert_eq!(Series::from_iter([3.0, 1.0, 2.0]).median(), 2.0);
        assert_eq!(Series::from_iter([4.0, 1.0]).median(), 2.5);
        assert_eq!(Series::default().median(), 0.0);
    }

    #[test]
    fn ratios_are_taken_round_by_round() {
        let ratio = Series::from_iter([10.0, 30.0]).over(&Series::from_iter([10.0, 60.0]));
        assert_eq!((ratio.min(), ratio.max()), (0.5, 1.0));
    }
}
