//! The time axis: true to time, but for long waits in which nothing acts, which are drawn shorter.

use crate::report::story::Story;
use crate::words::outcome::Phase;

/// Percents that a shortened wait takes.
const CUT: f64 = 7.0;

/// A part of the axis.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Part {
    /// From this instant, milliseconds since 1970.
    pub(super) from: i64,
    /// To this one.
    pub(super) to: i64,
    /// Where it begins, in percents of the width.
    pub(super) left: f64,
    /// Where it ends.
    pub(super) right: f64,
    /// Is it a wait that is drawn shorter?
    pub(super) cut: bool,
}

/// Instants to places.
#[derive(Clone, Debug)]
pub(super) struct Scale {
    pub(super) parts: Vec<Part>,
}

impl Scale {
    /// The axis of a run, up to `until`.
    pub(super) fn of(story: &Story, until: i64) -> Self {
        let begin = story.first_ms;
        let end = until.max(begin.saturating_add(1));
        let mut waits: Vec<(i64, i64)> = story
            .phases
            .iter()
            .filter(|(phase, _)| *phase == Phase::Waiting)
            .map(|(_, span)| (span.begin_ms, span.end_ms.unwrap_or(end)))
            .collect();
        for taken in &story.taken_up {
            waits.push((
                taken.at_ms.saturating_sub_unsigned(taken.after_ms),
                taken.at_ms,
            ));
        }
        Self::new(begin, end, waits)
    }

    fn new(begin: i64, end: i64, mut waits: Vec<(i64, i64)>) -> Self {
        let length = |(from, to): (i64, i64)| to.saturating_sub(from).max(0);
        waits.sort_unstable();
        let mut apart: Vec<(i64, i64)> = Vec::new();
        for (from, to) in waits {
            let from = from
                .clamp(begin, end)
                .max(apart.last().map_or(begin, |w| w.1));
            let to = to.min(end);
            if from < to {
                apart.push((from, to));
            }
        }
        // A wait is shortened where the rest would be squeezed by it.
        loop {
            let rest = length((begin, end)) - apart.iter().map(|w| length(*w)).sum::<i64>();
            let before = apart.len();
            apart.retain(|wait| length(*wait) > rest / 3);
            if apart.len() == before || apart.is_empty() {
                break;
            }
        }
        let cuts: i64 = apart.iter().map(|w| length(*w)).sum();
        let rest = length((begin, end)) - cuts;
        #[expect(clippy::cast_precision_loss, reason = "there are few waits")]
        let free = 100.0 - CUT * apart.len() as f64;
        let (cut, free) = match (rest, free) {
            // Nothing but waits, or very many of them.
            (0, _) | (_, ..=20.0) => (false, 100.0),
            (_, free) => (true, free),
        };
        if !cut {
            apart.clear();
        }
        let whole = if cut { rest } else { length((begin, end)) };
        let mut parts = Vec::new();
        let (mut at, mut left) = (begin, 0.0);
        let mut push = |from: i64, to: i64, width: f64, cut: bool| {
            if from < to {
                let right = left + width;
                parts.push(Part {
                    from,
                    to,
                    left,
                    right,
                    cut,
                });
                left = right;
            }
        };
        for (from, to) in apart {
            push(at, from, share(from - at, whole) * free, false);
            push(from, to, CUT, true);
            at = to;
        }
        push(at, end, share(end.saturating_sub(at), whole) * free, false);
        Self { parts }
    }

    /// The place of an instant, in percents of the width.
    pub(super) fn at(&self, at_ms: i64) -> f64 {
        let part = self.parts.iter().find(|part| at_ms <= part.to);
        let Some(part) = part.or(self.parts.last()) else {
            return 0.0;
        };
        let at = at_ms.clamp(part.from, part.to);
        part.left + share(at - part.from, part.to - part.from) * (part.right - part.left)
    }

    /// Instants to be named on the axis, and what is between two of them.
    pub(super) fn ticks(&self) -> (Vec<i64>, i64) {
        const STEPS: [i64; 28] = [
            1,
            2,
            5,
            10,
            20,
            50,
            100,
            200,
            500,
            1_000,
            2_000,
            5_000,
            10_000,
            15_000,
            30_000,
            60_000,
            120_000,
            300_000,
            600_000,
            900_000,
            1_800_000,
            3_600_000,
            7_200_000,
            10_800_000,
            21_600_000,
            43_200_000,
            86_400_000,
            604_800_000,
        ];
        let shown: i64 = self
            .parts
            .iter()
            .filter(|p| !p.cut)
            .map(|p| p.to - p.from)
            .sum();
        let wanted = shown / 7;
        let step = STEPS.into_iter().find(|step| *step >= wanted);
        let step = step.unwrap_or_else(|| wanted.max(604_800_000));
        let mut ticks = Vec::new();
        let origin = self.parts.first().map_or(0, |p| p.from);
        for part in self.parts.iter().filter(|part| !part.cut) {
            // Short runs are counted from their begin, long ones by the clock.
            let base = if step < 15_000 { origin } else { 0 };
            let first = base + (part.from - base + step - 1).div_euclid(step) * step;
            let mut at = first;
            while at <= part.to && ticks.len() < 40 {
                ticks.push(at);
                at += step;
            }
        }
        (ticks, step)
    }
}

#[expect(
    clippy::cast_precision_loss,
    reason = "a place on a screen is not exact"
)]
fn share(part: i64, whole: i64) -> f64 {
    if whole <= 0 {
        0.0
    } else {
        (part as f64 / whole as f64).clamp(0.0, 1.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_is_drawn_true_where_nothing_is_cut() {
        let scale = Scale::new(1000, 2000, vec![(1100, 1150)]);
        assert_eq!(scale.parts.len(), 1);
        assert!((scale.at(1500) - 50.0).abs() < 1e-9);
        assert_eq!((scale.at(0), scale.at(9000)), (0.0, 100.0));
    }

    #[test]
    fn a_long_wait_is_cut_and_the_rest_stays_true() {
        let scale = Scale::new(0, 3_700_000, vec![(50_000, 3_650_000)]);
        let cut: Vec<bool> = scale.parts.iter().map(|p| p.cut).collect();
        assert_eq!(cut, [false, true, false]);
        let before = scale.at(50_000);
        assert!((before - 46.5).abs() < 1e-9, "{before}");
        assert!((scale.at(3_650_000) - before - CUT).abs() < 1e-9);
        assert!((scale.at(3_700_000) - 100.0).abs() < 1e-9);
    }

    #[test]
    fn places_never_run_back() {
        for waits in [
            vec![],
            vec![(0, 10)],
            vec![(5, 5), (9, 3), (-50, 1000)],
            vec![(0, 4), (2, 8), (8, 10)],
            (0..100).map(|n| (n * 10, n * 10 + 9)).collect(),
        ] {
            for end in [1, 10, 100, 1000] {
                let scale = Scale::new(0, end, waits.clone());
                let mut last = 0.0;
                for at in -5..=end + 5 {
                    let place = scale.at(at);
                    assert!((last..=100.0001).contains(&place), "{waits:?} {at} {place}");
                    last = place;
                }
                assert!((scale.at(end) - 100.0).abs() < 1e-6, "{waits:?} {end}");
                assert!(scale.ticks().0.len() <= 40);
            }
        }
    }
}
