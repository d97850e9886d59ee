//! Number axes: ranges that end on round numbers, and their ticks.

/// A range of values along a stretch of pixels, with its ticks.
#[derive(Clone, Debug)]
pub(crate) struct Axis {
    pub(crate) low: f64,
    pub(crate) high: f64,
    /// Value and label of each.
    pub(crate) ticks: Vec<(f64, String)>,
    /// The pixels of `low` and `high`.
    pixels: (f64, f64),
}

/// The smallest of 1, 2, 5 times a power of ten that divides `span` into at most `parts` parts.
fn nice_step(span: f64, parts: f64) -> f64 {
    let least = span / parts;
    let power = 10f64.powf(least.log10().floor());
    // The margin keeps a rounding error from doubling the step.
    let factor = [1.0, 2.0, 5.0, 10.0].into_iter().find(|factor| factor * power >= least * (1.0 - 1e-9));
    power * factor.unwrap_or(10.0)
}

impl Axis {
    /// An axis from `low` to `high` with a tick at every multiple of `step`.
    fn new(low: f64, high: f64, step: f64, pixels: (f64, f64)) -> Axis {
        let decimals = (-step.log10() - 1e-9).ceil().clamp(0.0, 12.0) as usize;
        let first = (low / step - 1e-9).ceil() as i64;
        let last = (high / step + 1e-9).floor() as i64;
        let tick = |index: i64| {
            let value = index as f64 * step;
            (value, grouped(&format!("{value:.decimals$}")))
        };
        Axis { low, high, ticks: (first..=last).map(tick).collect(), pixels }
    }

    /// An axis that ends on ticks around the percentages, and within 0 to 100.
    pub(crate) fn percent(values: impl Iterator<Item = f64>, parts: f64, pixels: (f64, f64)) -> Axis {
        let (low, high) = extent(values).unwrap_or((0.0, 100.0));
        // Equal values, or such as differ by rounding only, get an axis of a tenth of a percentage point.
        let widen = (0.1 - (high - low)).max(0.0) / 2.0;
        let (low, high) = ((low - widen).clamp(0.0, 100.0), (high + widen).clamp(0.0, 100.0));
        let span = if high > low { high - low } else { 0.1 };
        let step = nice_step(span, parts);
        let low = ((low / step + 1e-9).floor() * step).max(0.0);
        let high = ((high / step - 1e-9).ceil() * step).clamp(low + step, 100.0_f64.max(low + step));
        Axis::new(low, high, step, pixels)
    }

    /// An axis that ends exactly on the least and greatest number of steps.
    pub(crate) fn steps(values: impl Iterator<Item = f64>, parts: f64, pixels: (f64, f64)) -> Axis {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        let high = high.max(low + 1.0);
        // Steps are whole numbers, so their ticks are.
        Axis::new(low, high, nice_step(high - low, parts).max(1.0), pixels)
    }

    /// An axis a little longer than the values, which may be any numbers.
    pub(crate) fn around(values: impl Iterator<Item = f64>, parts: f64, pixels: (f64, f64)) -> Axis {
        let (low, high) = extent(values).unwrap_or((0.0, 1.0));
        // Equal values get an axis of a part of their size.
        let span = match high - low {
            span if span > low.abs() * 1e-9 => span,
            _ if low == 0.0 => 1.0,
            _ => low.abs() * 0.1,
        };
        let (low, high) = (low - span * 0.06, high + span * 0.06);
        Axis::new(low, high, nice_step(high - low, parts), pixels)
    }

    /// An axis of labels at 0, 1, 2, ..., with half a place left at both ends.
    pub(crate) fn labels(labels: &[String], pixels: (f64, f64)) -> Axis {
        let ticks = labels.iter().enumerate().map(|(index, label)| (index as f64, label.clone())).collect();
        Axis { low: -0.5, high: labels.len() as f64 - 0.5, ticks, pixels }
    }

    /// The pixel of a value; values outside continue the line.
    pub(crate) fn pixel(&self, value: f64) -> f64 {
        self.pixels.0 + (value - self.low) / (self.high - self.low) * (self.pixels.1 - self.pixels.0)
    }
}

fn extent(values: impl Iterator<Item = f64>) -> Option<(f64, f64)> {
    values.filter(|value| value.is_finite()).fold(None, |extent, value| match extent {
        None => Some((value, value)),
        Some((low, high)) => Some((value.min(low), value.max(high))),
    })
}

/// `12000` as `12,000`.
fn grouped(number: &str) -> String {
    if let Some(positive) = number.strip_prefix('-') {
        return format!("\u{2212}{}", grouped(positive));
    }
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    let mut text = String::new();
    for (index, digit) in whole.chars().enumerate() {
        if index > 0 && (whole.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    if !fraction.is_empty() {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn labels(axis: Axis) -> Vec<String> {
        axis.ticks.into_iter().map(|(_, label)| label).collect()
    }

    #[test]
    fn percentages_end_on_ticks() {
        let axis = Axis::percent([93.2, 97.9].into_iter(), 6.0, (500.0, 0.0));
        assert_eq!((axis.low, axis.high), (93.0, 98.0));
        assert_eq!(labels(axis.clone()), ["93", "94", "95", "96", "97", "98"]);
        assert_eq!((axis.pixel(93.0), axis.pixel(98.0), axis.pixel(95.5)), (500.0, 0.0, 250.0));
    }

    #[test]
    fn percentages_stay_within_the_possible() {
        let axis = Axis::percent([98.31, 99.97].into_iter(), 6.0, (0.0, 1.0));
        assert_eq!(labels(axis), ["98.0", "98.5", "99.0", "99.5", "100.0"]);
        let axis = Axis::percent([2.0, 104.0].into_iter(), 6.0, (0.0, 1.0));
        assert_eq!((axis.low, axis.high), (0.0, 100.0));
    }

    #[test]
    fn equal_and_missing_values_have_an_axis() {
        for value in [0.0, 55.5, 100.0] {
            let axis = Axis::percent([value, value].into_iter(), 6.0, (0.0, 1.0));
            assert!(axis.low <= value && value <= axis.high && axis.low < axis.high, "{axis:?}");
            assert!(axis.low >= 0.0 && axis.high <= 100.0 + 1e-9, "{axis:?}");
            assert!(axis.ticks.len() >= 2, "{axis:?}");
        }
        assert_eq!(labels(Axis::percent(std::iter::empty(), 6.0, (0.0, 1.0))).len(), 6);
    }

    #[test]
    fn any_numbers_have_an_axis() {
        let axis = Axis::around([0.001, 0.0042].into_iter(), 4.0, (0.0, 1.0));
        assert!(axis.low < 0.001 && axis.high > 0.0042, "{axis:?}");
        assert_eq!(labels(axis), ["0.001", "0.002", "0.003", "0.004"]);
        for value in [0.0, -3.0, 1e9] {
            let axis = Axis::around([value].into_iter(), 4.0, (0.0, 1.0));
            assert!(axis.low < value && value < axis.high && axis.ticks.len() < 10, "{axis:?}");
        }
        let axis = Axis::labels(&["a".into(), "b".into()], (0.0, 10.0));
        assert_eq!((axis.pixel(0.0), axis.pixel(1.0)), (2.5, 7.5));
    }

    #[test]
    fn steps_are_whole_and_grouped() {
        let axis = Axis::steps([0.0, 111_000.0].into_iter(), 8.0, (0.0, 1.0));
        assert_eq!(labels(axis), ["0", "20,000", "40,000", "60,000", "80,000", "100,000"]);
        assert_eq!(labels(Axis::steps([0.0, 2.0].into_iter(), 8.0, (0.0, 1.0))), ["0", "1", "2"]);
        assert_eq!(labels(Axis::steps([7.0].into_iter(), 8.0, (0.0, 1.0))), ["7", "8"]);
        assert_eq!(grouped("1234567.50"), "1,234,567.50");
    }
}
