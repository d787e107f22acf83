//! Medians, and how far the rounds lie apart.

use std::fmt;

/// What several rounds of a measurement gave.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Figures {
    /// The middle, or halfway between the two in the middle.
    pub median: f64,
    /// The least.
    pub least: f64,
    /// The greatest.
    pub most: f64,
    /// Half of the rounds lie no further apart than this, those in the middle. What others do to single
    /// rounds does not show in it, however many rounds there are.
    pub middle_half: f64,
}

impl Figures {
    /// Of at least one round; `None` if there is none.
    pub fn of(rounds: &[f64]) -> Option<Self> {
        let mut sorted = rounds.to_vec();
        sorted.sort_by(f64::total_cmp);
        let last = sorted.len().checked_sub(1)?;
        let middle = sorted.get(sorted.len() / 2)? + sorted.get(last / 2)?;
        let quarter = sorted.len() / 4;
        Some(Self {
            median: middle / 2.0,
            least: *sorted.first()?,
            most: *sorted.get(last)?,
            middle_half: sorted.get(last - quarter)? - sorted.get(quarter)?,
        })
    }

    /// How far the rounds lie apart.
    pub fn spread(&self) -> f64 {
        self.most - self.least
    }
}

/// The median and the spread.
impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = f.precision().unwrap_or(0);
        let Self {
            median,
            least,
            most,
            ..
        } = self;
        let spread = format!("{least:.digits$} to {most:.digits$}");
        write!(f, "{median:>8.digits$}   {spread:>16}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_is_the_middle_or_between_the_two_in_the_middle() {
        let median = |rounds: &[f64]| Figures::of(rounds).unwrap().median;
        assert_eq!(median(&[7.0]), 7.0);
        assert_eq!(median(&[9.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[9.0, 1.0, 4.0, 2.0]), 3.0);
        assert_eq!(Figures::of(&[]), None);
    }

    #[test]
    fn the_spread_is_from_the_least_to_the_most() {
        let figures = Figures::of(&[3.0, -1.0, 2.0]).unwrap();
        assert_eq!((figures.least, figures.most), (-1.0, 3.0));
        assert_eq!(figures.spread(), 4.0);
        assert_eq!(format!("{figures:.1}"), "     2.0        -1.0 to 3.0");
    }

    #[test]
    fn single_rounds_do_not_widen_the_middle_half() {
        let middle_half = |rounds: &[f64]| Figures::of(rounds).unwrap().middle_half;
        assert_eq!(middle_half(&[5.0]), 0.0);
        assert_eq!(middle_half(&[5.0, 9.0]), 4.0);
        assert_eq!(middle_half(&[1.0, 3.0, 9.0]), 8.0);
        assert_eq!(middle_half(&[1.0, 3.0, 4.0, 90.0]), 1.0);
        assert_eq!(
            middle_half(&[1.0, 1.5, 3.0, 4.0, 6.0, 7.0, 80.0, 90.0]),
            4.0
        );
    }
}
