//! Curves as SVG: drawn here, without a script, so that a page with them reads the same on paper and in twenty years.

use super::html::escaped;
use consilium_study::fixed;
use std::fmt::Write;

/// The dashboard's colours of the own site and of six others (`--own` and `--site-1` to `--site-6` of its light style), so that a site
/// looks the same there and on paper.
const COLOURS: [&str; 7] = ["#1f66c1", "#0f8a7e", "#b45f06", "#9b3d9a", "#5b7a12", "#b0304f", "#5f6670"];
/// How lines are dashed, once all colours are used.
const DASHES: [&str; 4] = ["", "6 3", "2 3", "9 3 2 3"];
/// Room around the plot.
const LEFT: f64 = 56.0;
const RIGHT: f64 = 12.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// A line, or points.
pub struct Series {
    /// Its name in the legend; none where it has no place there.
    pub name: Option<String>,
    /// Points in the order in which they are joined; one that is not finite parts the line.
    pub points: Vec<(f64, f64)>,
    /// How it is drawn.
    pub style: Style,
}

/// How a series is drawn.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Style {
    /// The one of this number among equals.
    Line(usize),
    /// The one that matters most: thick and black.
    Main,
    /// Thin and grey: what there is to compare with.
    Thin,
    /// A dashed line of reference.
    Reference,
    /// A ring at each point, and no line: values that do not follow from each other.
    Rings,
}

/// A plot.
pub struct Plot<'a> {
    /// What it shows, for those who do not see it.
    pub title: String,
    /// Under the horizontal axis.
    pub x: &'a str,
    /// Beside the vertical one.
    pub y: &'a str,
    /// From where to where; none: what the points need.
    pub range: Option<((f64, f64), (f64, f64))>,
    /// Whether numbers along the horizontal axis are whole.
    pub whole: bool,
    /// Width and height.
    pub size: (f64, f64),
    /// Vertical bars: where, from, to.
    pub bars: Vec<(f64, f64, f64)>,
    /// A vertical mark, and what it says.
    pub mark: Option<(f64, String)>,
    /// What is drawn.
    pub series: Vec<Series>,
}

/// Steps of an axis that people read easily, at most so many.
pub fn ticks(low: f64, high: f64, most: usize) -> Vec<f64> {
    let span = high - low;
    if !(span.is_finite() && span > 0.0) || most == 0 {
        return vec![low];
    }
    let rough = span / most as f64;
    let power = 10f64.powf(rough.log10().floor());
    let step =
        [1.0, 2.0, 5.0, 10.0].iter().map(|n| n * power).find(|step| *step >= rough * 0.999).unwrap_or(10.0 * power);
    let first = (low / step - 1e-9).ceil();
    (0..=most + 1).map(|n| (first + n as f64) * step).take_while(|tick| *tick <= high + step * 1e-6).collect()
}

/// A tick's number, with as many decimals as its step needs.
fn label(value: f64, step: f64) -> String {
    let decimals = (-step.abs().log10().floor()).clamp(0.0, 6.0) as usize;
    fixed(value, decimals)
}

fn finite(points: &[(f64, f64)]) -> impl Iterator<Item = &(f64, f64)> {
    points.iter().filter(|(x, y)| x.is_finite() && y.is_finite())
}

impl Plot<'_> {
    /// What the points need: of the vertical axis from 0 on, since all that is drawn is 0 or more.
    fn range(&self) -> ((f64, f64), (f64, f64)) {
        if let Some(range) = self.range {
            return range;
        }
        let all = || self.series.iter().flat_map(|series| finite(&series.points));
        let fold = |of: fn(&(f64, f64)) -> f64| {
            all().map(of).fold((f64::INFINITY, f64::NEG_INFINITY), |(low, high), v| (low.min(v), high.max(v)))
        };
        let ((left, right), (_, high)) = (fold(|p| p.0), fold(|p| p.1));
        if !left.is_finite() || !high.is_finite() {
            return ((0.0, 1.0), (0.0, 1.0));
        }
        let right = if right > left { right } else { left + 1.0 };
        ((left, right), (0.0, if high > 0.0 { high * 1.05 } else { 1.0 }))
    }

    /// As an SVG element.
    pub fn svg(&self) -> String {
        let (width, height) = self.size;
        let ((left, right), (low, high)) = self.range();
        let at_x = |x: f64| LEFT + (x - left) / (right - left) * (width - LEFT - RIGHT);
        let at_y = |y: f64| height - BOTTOM - (y - low) / (high - low) * (height - TOP - BOTTOM);
        let mut svg =
            format!("<svg viewBox=\"0 0 {width} {height}\" role=\"img\" aria-label=\"{}\">", escaped(&self.title));
        let line = |from: (f64, f64), to: (f64, f64), class: &str| {
            format!(
                "<line x1=\"{:.1}\" y1=\"{:.1}\" x2=\"{:.1}\" y2=\"{:.1}\" class=\"{class}\"/>",
                from.0, from.1, to.0, to.1
            )
        };
        let xs = ticks(left, right, if self.size.0 < 400.0 { 5 } else { 10 });
        let xs: Vec<f64> = xs.into_iter().filter(|x| !self.whole || x.fract().abs() < 1e-9).collect();
        let ys = ticks(low, high, 6);
        let step = |ticks: &[f64]| ticks.windows(2).next().map_or(1.0, |two| two[1] - two[0]);
        for y in &ys {
            svg += &line((LEFT, at_y(*y)), (width - RIGHT, at_y(*y)), "grid");
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                at_y(*y) + 4.0,
                label(*y, step(&ys))
            );
        }
        for x in &xs {
            svg += &line((at_x(*x), height - BOTTOM), (at_x(*x), height - BOTTOM + 4.0), "axis");
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                at_x(*x),
                height - BOTTOM + 16.0,
                label(*x, step(&xs))
            );
        }
        svg += &line((LEFT, height - BOTTOM), (width - RIGHT, height - BOTTOM), "axis");
        svg += &line((LEFT, TOP), (LEFT, height - BOTTOM), "axis");
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
            (LEFT + width - RIGHT) / 2.0,
            height - 6.0,
            escaped(self.x)
        );
        let middle = (TOP + height - BOTTOM) / 2.0;
        let _ = write!(
            svg,
            "<text transform=\"translate(13 {middle:.1}) rotate(-90)\" text-anchor=\"middle\">{}</text>",
            escaped(self.y)
        );
        if let Some((x, words)) = &self.mark {
            svg += &line((at_x(*x), TOP), (at_x(*x), height - BOTTOM), "mark");
            let (anchor, shift) = if at_x(*x) > width * 0.7 { ("end", -5.0) } else { ("start", 5.0) };
            let _ = write!(
                svg,
                "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"{anchor}\">{}</text>",
                at_x(*x) + shift,
                TOP + 10.0,
                escaped(words)
            );
        }
        for (x, from, to) in &self.bars {
            svg += &line((at_x(*x), at_y(*from)), (at_x(*x), at_y(*to)), "bar");
        }
        for series in &self.series {
            svg += &drawn(series, &at_x, &at_y);
        }
        svg + "</svg>"
    }

    /// What each line is, as a list beside the plot.
    pub fn legend(&self) -> String {
        let named = self.series.iter().filter_map(|series| Some((series.name.as_ref()?, series.style)));
        let entry = |(name, style): (&String, Style)| {
            let shape = match style {
                Style::Rings => "circle cx=\"13\" cy=\"4\" r=\"3\"",
                _ => "line x1=\"0\" y1=\"4\" x2=\"26\" y2=\"4\"",
            };
            format!(
                "<li><svg viewBox=\"0 0 26 8\" class=\"key\" aria-hidden=\"true\"><{shape} {}/></svg> {}</li>",
                pen(style),
                escaped(name)
            )
        };
        let entries: String = named.map(entry).collect();
        if entries.is_empty() {
            return entries;
        }
        format!("<ul class=\"legend\">{entries}</ul>")
    }
}

fn pen(style: Style) -> String {
    let (colour, width, dash) = match style {
        Style::Line(n) => (COLOURS[n % COLOURS.len()], 1.6, DASHES[n / COLOURS.len() % DASHES.len()]),
        Style::Main => ("#111111", 2.8, ""),
        Style::Thin => ("#999999", 0.8, ""),
        Style::Reference => ("#777777", 1.0, "4 4"),
        Style::Rings => ("#111111", 1.2, ""),
    };
    let dash = if dash.is_empty() { String::new() } else { format!(" stroke-dasharray=\"{dash}\"") };
    format!("fill=\"none\" stroke=\"{colour}\" stroke-width=\"{width}\"{dash}")
}

fn drawn(series: &Series, at_x: &impl Fn(f64) -> f64, at_y: &impl Fn(f64) -> f64) -> String {
    let mut svg = String::new();
    if series.style == Style::Rings {
        for (x, y) in finite(&series.points) {
            let _ =
                write!(svg, "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" {}/>", at_x(*x), at_y(*y), pen(series.style));
        }
        return svg;
    }
    for part in series.points.split(|(x, y)| !x.is_finite() || !y.is_finite()) {
        match part {
            [] => {}
            // a lone point has no line
            [(x, y)] => {
                let _ = write!(
                    svg,
                    "<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"2.5\" {}/>",
                    at_x(*x),
                    at_y(*y),
                    pen(series.style)
                );
            }
            many => {
                let points: Vec<String> =
                    many.iter().map(|(x, y)| format!("{:.1},{:.1}", at_x(*x), at_y(*y))).collect();
                let _ = write!(svg, "<polyline points=\"{}\" {}/>", points.join(" "), pen(series.style));
            }
        }
    }
    svg
}

/// A row of a plot of intervals.
pub struct Interval {
    /// What it is of.
    pub name: String,
    /// The value.
    pub value: f64,
    /// Its interval, where there is one.
    pub ends: Option<(f64, f64)>,
    /// Beside it.
    pub words: String,
}

/// Intervals below each other, around a line at 0.
pub fn intervals(title: &str, (left, right): (&str, &str), rows: &[Interval]) -> String {
    const WIDTH: f64 = 720.0;
    const NAMES: f64 = 190.0;
    const WORDS: f64 = 110.0;
    let height = 26.0 * rows.len() as f64 + 52.0;
    let reach = rows
        .iter()
        .flat_map(|row| [Some(row.value), row.ends.map(|ends| ends.0), row.ends.map(|ends| ends.1)])
        .flatten()
        .filter(|value| value.is_finite())
        .fold(0.0f64, |most, value| most.max(value.abs()));
    let reach = if reach > 0.0 { reach * 1.1 } else { 1.0 };
    let at = |value: f64| NAMES + (value + reach) / (2.0 * reach) * (WIDTH - NAMES - WORDS);
    let foot = height - 38.0;
    let mut svg = format!("<svg viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" aria-label=\"{}\">", escaped(title));
    let marks = ticks(-reach, reach, 6);
    let step = marks.windows(2).next().map_or(1.0, |two| two[1] - two[0]);
    for tick in &marks {
        let x = at(*tick);
        let _ = write!(
            svg,
            "<line x1=\"{x:.1}\" y1=\"4\" x2=\"{x:.1}\" y2=\"{foot:.1}\" class=\"{}\"/><text x=\"{x:.1}\" y=\"{:.1}\" \
             text-anchor=\"middle\">{}</text>",
            if tick.abs() < step * 1e-6 { "axis" } else { "grid" },
            foot + 14.0,
            label(*tick, step)
        );
    }
    for (n, row) in rows.iter().enumerate() {
        let y = 18.0 + 26.0 * n as f64;
        let _ = write!(
            svg,
            "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
            NAMES - 8.0,
            y + 4.0,
            escaped(&row.name)
        );
        if let Some((low, high)) = row.ends.filter(|(low, high)| low.is_finite() && high.is_finite()) {
            let _ = write!(
                svg,
                "<line x1=\"{:.1}\" y1=\"{y:.1}\" x2=\"{:.1}\" y2=\"{y:.1}\" class=\"bar\"/>",
                at(low),
                at(high)
            );
        }
        if row.value.is_finite() {
            let _ = write!(svg, "<circle cx=\"{:.1}\" cy=\"{y:.1}\" r=\"4\" class=\"dot\"/>", at(row.value));
        }
        let _ =
            write!(svg, "<text x=\"{:.1}\" y=\"{:.1}\">{}</text>", WIDTH - WORDS + 10.0, y + 4.0, escaped(&row.words));
    }
    let _ = write!(
        svg,
        "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">← {}</text><text x=\"{:.1}\" y=\"{:.1}\">{} →</text></svg>",
        at(0.0) - 10.0,
        height - 6.0,
        escaped(left),
        at(0.0) + 10.0,
        height - 6.0,
        escaped(right)
    );
    svg
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn axes_have_steps_that_people_read() {
        assert_eq!(ticks(0.0, 1.0, 5), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(ticks(0.0, 10.0, 10).len(), 11);
        assert_eq!(ticks(1.0, 1_000.0, 10), [100.0, 200.0, 300.0, 400.0, 500.0, 600.0, 700.0, 800.0, 900.0, 1_000.0]);
        assert_eq!(ticks(0.0, 0.0, 5), [0.0]);
        assert_eq!(ticks(f64::NAN, 1.0, 5).len(), 1);
        assert_eq!(
            (label(0.25, 0.05), label(-0.0, 0.1), label(200.0, 100.0)),
            ("0.25".into(), "0.0".into(), "200".into())
        );
    }

    fn plot(points: Vec<(f64, f64)>) -> Plot<'static> {
        Plot {
            title: "a < b".into(),
            x: "round",
            y: "loss",
            range: None,
            whole: true,
            size: (720.0, 300.0),
            bars: Vec::new(),
            mark: Some((2.0, "certified <here>".into())),
            series: vec![Series { name: Some("<b>A</b>".into()), points, style: Style::Line(9) }],
        }
    }

    #[test]
    fn a_line_begins_anew_after_what_is_not_known_and_names_are_text() {
        let plot = plot(vec![(1.0, 0.5), (2.0, 0.4), (3.0, f64::NAN), (4.0, 0.3)]);
        let svg = plot.svg();
        assert_eq!((svg.matches("<polyline").count(), svg.matches("<circle").count()), (1, 1), "{svg}");
        assert!(svg.contains("a &lt; b") && svg.contains("&lt;here&gt;") && !svg.contains("NaN"), "{svg}");
        assert!(
            plot.legend().contains("&lt;b&gt;A") && plot.legend().contains("stroke-dasharray"),
            "{}",
            plot.legend()
        );
    }

    #[test]
    fn rings_are_never_joined() {
        let mut plot = plot(vec![(1.0, 0.5), (2.0, 0.4), (3.0, f64::NAN), (4.0, 0.3)]);
        plot.series[0].style = Style::Rings;
        assert_eq!((plot.svg().matches("<polyline").count(), plot.svg().matches("<circle").count()), (0, 3));
        assert!(plot.legend().contains("<circle"), "{}", plot.legend());
    }

    #[test]
    fn nothing_to_draw_is_an_empty_plot_and_numbers_stay_numbers() {
        for points in [vec![], vec![(1.0, 0.0)], vec![(1.0, f64::INFINITY)]] {
            let svg = plot(points).svg();
            assert!(
                svg.starts_with("<svg") && svg.ends_with("</svg>") && !svg.contains("NaN") && !svg.contains("inf"),
                "{svg}"
            );
        }
        let row = |value, ends| Interval { name: "A & B".into(), value, ends, words: "better".into() };
        let svg = intervals("t", ("better", "worse"), &[row(-0.1, Some((-0.2, -0.05))), row(f64::NAN, None)]);
        assert!(svg.contains("A &amp; B") && !svg.contains("NaN"), "{svg}");
        assert_eq!(svg.matches("class=\"dot\"").count(), 1);
    }
}
