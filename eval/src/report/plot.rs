//! Plots as SVG. Colours are classes of the page's style, so that a plot follows dark and light.

use std::fmt::Write as _;

/// Size of a plot, in the units of its view box.
const WIDTH: f64 = 520.0;
const HEIGHT: f64 = 260.0;
/// Space for the labels of the axes.
const LEFT: f64 = 62.0;
const RIGHT: f64 = 14.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 44.0;

/// Colours that are told apart; more lines than that repeat them.
pub(super) const COLORS: usize = 6;

/// A plot of lines.
pub(super) struct Plot<'a> {
    pub(super) title: &'a str,
    pub(super) x: Axis,
    pub(super) y_label: &'a str,
    /// `None`: from zero to the largest value.
    pub(super) y_max: Option<f64>,
    pub(super) lines: Vec<Line>,
}

/// A horizontal axis.
pub(super) struct Axis {
    pub(super) label: String,
    /// From 0 to 1, with their labels.
    pub(super) ticks: Vec<(f64, String)>,
}

/// A line.
pub(super) struct Line {
    /// What it shows, for the texts of its points.
    pub(super) name: String,
    /// The number of its colour.
    pub(super) color: usize,
    /// `solid`, `dashed` or `dotted`.
    pub(super) stroke: &'static str,
    /// Whether each point has a mark, with a text.
    pub(super) has_marks: bool,
    /// Horizontal positions from 0 to 1, and values.
    pub(super) points: Vec<(f64, f64)>,
}

impl Axis {
    /// An axis on which values from `min` to `max` have the distances of their logarithms.
    pub(super) fn logarithmic(label: String, min: f64, max: f64) -> (Self, impl Fn(f64) -> f64) {
        let (low, high) = (min.max(f64::MIN_POSITIVE).log10(), max.max(f64::MIN_POSITIVE).log10());
        let range = (high - low).max(1e-9);
        let position =
            move |value: f64| ((value.max(f64::MIN_POSITIVE).log10() - low) / range).clamp(0.0, 1.0);
        let mut ticks = Vec::new();
        for exponent in low.floor() as i32..=high.ceil() as i32 {
            for digit in [1.0, 2.0, 5.0] {
                let value = digit * 10f64.powi(exponent);
                let is_round = range <= 1.5 || digit == 1.0;
                if is_round && (min..=max).contains(&value) {
                    ticks.push((position(value), number(value)));
                }
            }
        }
        (Self { label, ticks }, position)
    }
}

impl Plot<'_> {
    /// The SVG. All texts in it are escaped.
    pub(super) fn svg(&self) -> String {
        let largest = self.lines.iter().flat_map(|line| &line.points).map(|(_, y)| *y).fold(0.0, f64::max);
        let (y_max, step) = rounded(self.y_max.unwrap_or(largest));
        let x = |position: f64| LEFT + position * (WIDTH - LEFT - RIGHT);
        let y = |value: f64| HEIGHT - BOTTOM - (value / y_max).min(1.0) * (HEIGHT - TOP - BOTTOM);
        let mut out = format!(
            r#"<svg class="plot" viewBox="0 0 {WIDTH} {HEIGHT}" role="img" aria-label="{}">"#,
            escaped(self.title)
        );
        let mut tick = 0.0;
        while tick <= y_max * 1.001 {
            let (at, label) = (y(tick), number(tick));
            let _ = write!(
                out,
                r#"<line class="grid" x1="{LEFT}" x2="{:.1}" y1="{at:.1}" y2="{at:.1}"/><text class="end" x="{:.1}" y="{:.1}">{label}</text>"#,
                WIDTH - RIGHT,
                LEFT - 8.0,
                at + 4.0
            );
            tick += step;
        }
        for (position, label) in &self.x.ticks {
            let at = x(*position);
            let (top, bottom) = (HEIGHT - BOTTOM, HEIGHT - BOTTOM + 4.0);
            let _ = write!(
                out,
                r#"<line class="axis" x1="{at:.1}" x2="{at:.1}" y1="{top}" y2="{bottom}"/><text class="middle" x="{at:.1}" y="{:.1}">{}</text>"#,
                HEIGHT - BOTTOM + 17.0,
                escaped(label)
            );
        }
        let _ = write!(
            out,
            r#"<line class="axis" x1="{LEFT}" x2="{:.1}" y1="{base}" y2="{base}"/><text class="middle label" x="{:.1}" y="{:.1}">{}</text><text class="middle label" transform="rotate(-90)" x="{:.1}" y="13">{}</text>"#,
            WIDTH - RIGHT,
            x(0.5),
            HEIGHT - 8.0,
            escaped(&self.x.label),
            -(TOP + (HEIGHT - TOP - BOTTOM) / 2.0),
            escaped(self.y_label),
            base = HEIGHT - BOTTOM,
        );
        for line in &self.lines {
            line.write(&mut out, x, y);
        }
        out.push_str("</svg>");
        out
    }
}

impl Line {
    fn write(&self, out: &mut String, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) {
        let color = self.color % COLORS;
        let points: Vec<_> = self
            .points
            .iter()
            .map(|(position, value)| format!("{:.1},{:.1}", x(*position), y(*value)))
            .collect();
        let _ = write!(out, r#"<polyline class="c{color} {}" points="{}"/>"#, self.stroke, points.join(" "));
        for (position, value) in self.points.iter().filter(|_| self.has_marks) {
            let _ = write!(
                out,
                r#"<circle class="c{color}" cx="{:.1}" cy="{:.1}" r="3.5"><title>{}: {}</title></circle>"#,
                x(*position),
                y(*value),
                escaped(&self.name),
                number(*value)
            );
        }
    }
}

/// The end of an axis that has about four steps of 1, 2 or 5 times a power of ten, and the step.
fn rounded(largest: f64) -> (f64, f64) {
    if !largest.is_finite() || largest <= 0.0 {
        return (1.0, 0.5);
    }
    let power = 10f64.powf((largest / 4.0).log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0]
        .into_iter()
        .map(|digit| digit * power)
        .find(|step| largest / step <= 5.0)
        .unwrap_or(power * 10.0);
    ((largest / step).ceil() * step, step)
}

/// Three digits, or all digits of a large number; a dash for what is no number.
pub(super) fn number(value: f64) -> String {
    if !value.is_finite() {
        return "–".into();
    }
    let digits = match value.abs() {
        0.0 => 0,
        100.0.. => 0,
        10.0.. => 1,
        1.0.. => 2,
        _ => 3,
    };
    let text = format!("{value:.digits$}");
    match text.contains('.') {
        true => text.trim_end_matches('0').trim_end_matches('.').to_owned(),
        false => text,
    }
}

fn escaped(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_end_at_round_numbers() {
        for (largest, end, step) in
            [(0.0, 1.0, 0.5), (1.0, 1.0, 0.2), (7.3, 8.0, 2.0), (99.0, 100.0, 20.0), (1210.0, 1500.0, 500.0)]
        {
            let (found_end, found_step) = rounded(largest);
            assert!((found_end - end).abs() < 1e-9 && (found_step - step).abs() < 1e-9, "{largest}");
        }
        assert_eq!(rounded(f64::NAN), (1.0, 0.5));
    }

    #[test]
    fn logarithmic_axes_have_powers_of_ten() {
        let (axis, position) = Axis::logarithmic("ms".into(), 8.0, 1200.0);
        let labels: Vec<_> = axis.ticks.iter().map(|(_, label)| label.as_str()).collect();
        assert_eq!(labels, ["10", "100", "1000"]);
        assert_eq!((position(8.0), position(1200.0)), (0.0, 1.0));
        assert!((position(100.0) - 0.504).abs() < 0.001);
    }

    #[test]
    fn numbers_have_three_digits() {
        let texts = [0.0, 0.1234, 1.5, 12.34, 123.4, 12345.6].map(number);
        assert_eq!(texts, ["0", "0.123", "1.5", "12.3", "123", "12346"]);
    }
}
