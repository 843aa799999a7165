//! A chart as SVG, by plotters. Sizes are in points (1/72 inch); plotters counts whole pixels, so there
//! are [`UNIT`] of them to a point and the picture is scaled back by its view box.

use plotters::coord::Shift;
use plotters::coord::types::RangedCoordf64;
use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use super::chart::{Chart, Panel, Scale, Shape};
use super::layout::{Layout, fitted, text_width};
use super::strokes::strokes;
use super::style::{Colour, FAMILY, GRID, INK, Look, MEDIUM, Marker, REGULAR};
use super::ticks::Ticks;

/// Pixels to a point.
pub(super) const UNIT: f64 = 20.0;

/// Size of all text.
pub(super) const TEXT: f64 = 7.5;

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;
type Axes<'a, 'b> = ChartContext<'a, SVGBackend<'b>, Cartesian2d<RangedCoordf64, RangedCoordf64>>;
type Drawn = Result<(), DrawingAreaErrorKind<std::io::Error>>;

/// Draws a chart; text stays text.
pub(super) fn svg(chart: &Chart) -> Result<String, String> {
    for (style, bytes) in [(FontStyle::Normal, REGULAR), (FontStyle::Bold, MEDIUM)] {
        plotters::style::register_font(FAMILY, style, bytes)
            .map_err(|_| "the typeface cannot be read".to_owned())?;
    }
    let layout = Layout::of(chart);
    let (width, height) = (layout.width, layout.height());
    let mut text = String::new();
    {
        let size = (pixels(width) as u32, pixels(height) as u32);
        let root = SVGBackend::with_string(&mut text, size).into_drawing_area();
        draw(&root, chart, &layout).map_err(|error| error.to_string())?;
        root.present().map_err(|error| error.to_string())?;
    }
    // plotters gives the size in pixels of its own.
    let (own, rest) = text.split_once('>').ok_or("no picture")?;
    let view_box = format!("0 0 {} {}", pixels(width), pixels(height));
    if !own.starts_with("<svg") {
        return Err(format!("an unexpected picture: {own}"));
    }
    Ok(format!(
        "<svg width=\"{width}pt\" height=\"{height}pt\" viewBox=\"{view_box}\" xmlns=\"http://www.w3.org/2000/svg\">{rest}"
    ))
}

fn pixels(points: f64) -> i32 {
    (points * UNIT).round() as i32
}

fn rgb(colour: Colour) -> RGBColor {
    RGBColor(colour.0, colour.1, colour.2)
}

/// Text of `points` in height. plotters' size is 1.24 times that of the letters.
pub(super) fn font(points: f64, style: FontStyle) -> TextStyle<'static> {
    let font = FontDesc::new(FontFamily::Name(FAMILY), points * UNIT * 1.24, style);
    font.color(&rgb(INK))
}

fn draw(root: &Area<'_>, chart: &Chart, layout: &Layout) -> Drawn {
    root.fill(&WHITE)?;
    let (legend, panels) = root.split_vertically(pixels(layout.legend_height()));
    for (line, entries) in layout.legend.iter().enumerate() {
        let y = (line as f64 + 0.5) * Layout::LEGEND_LINE + 3.0;
        for &(entry, x) in entries {
            let (name, look) = &chart.legend[entry];
            draw_legend_entry(&legend, name, *look, (x, y), (chart, layout.width))?;
        }
    }
    let areas = panels.split_evenly((layout.rows, layout.columns));
    for (area, panel) in std::iter::zip(&areas, &chart.panels) {
        draw_panel(area, panel)?;
    }
    Ok(())
}

fn draw_legend_entry(
    area: &Area<'_>,
    name: &str,
    look: Look,
    (x, y): (f64, f64),
    (chart, width): (&Chart, f64),
) -> Drawn {
    let place = |dx: f64| (pixels(x + dx), pixels(y));
    let shapes = chart.panels.iter().flat_map(|panel| &panel.series);
    let mut shapes = shapes.filter(|series| series.look == look);
    match shapes.next().map(|series| &series.shape) {
        Some(Shape::Bars { .. }) => {
            let corner = |dx: f64, dy: f64| (pixels(x + dx), pixels(y + dy));
            let swatch = [corner(3.0, -3.5), corner(16.0, 3.5)];
            area.draw(&Rectangle::new(swatch, rgb(look.fill()).filled()))?;
            area.draw(&Rectangle::new(swatch, stroke(look.colour, 0.5)))?;
        }
        Some(Shape::Line { markers, .. }) => {
            let line = [(0.0, 0.0), (16.0, 0.0)];
            for part in strokes(&line, look.dash()) {
                let part: Vec<_> = part.into_iter().map(|(along, _)| place(along)).collect();
                area.draw(&PathElement::new(part, stroke(look.colour, 1.2)))?;
            }
            if *markers {
                draw_marker(area, place(8.0), look, 2.2)?;
            }
        }
        _ => draw_marker(area, place(10.0), look, 2.6)?,
    }
    let style = font(TEXT, FontStyle::Normal).pos(Pos::new(HPos::Left, VPos::Center));
    let room = width - x - Layout::LEGEND_SYMBOL - Layout::MARGIN;
    let text = fitted(name, room);
    area.draw(&Text::new(text, place(Layout::LEGEND_SYMBOL), style))
}

fn stroke(colour: Colour, points: f64) -> ShapeStyle {
    rgb(colour).stroke_width(pixels(points) as u32)
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> Drawn {
    let (mut xs, mut ys) = (Vec::new(), Vec::new());
    let mut from_zero = false;
    for series in &panel.series {
        let (x, y) = series.shape.extent();
        xs.extend(x);
        ys.extend(y);
        from_zero |= matches!(series.shape, Shape::Bars { .. });
    }
    let x = panel.x.scale.ticks(&xs, false, 5);
    let y = panel.y.scale.ticks(&ys, from_zero, 5);
    let bare = panel.x.scale == Scale::Bare;
    let widest = y
        .marks
        .iter()
        .map(|(_, text)| text_width(text))
        .fold(0.0, f64::max);
    let left = if bare { 2.0 } else { widest + 18.0 };
    let mut builder = ChartBuilder::on(area);
    builder
        .margin_top(pixels(3.0))
        .margin_bottom(pixels(3.0))
        .margin_left(pixels(3.0))
        .margin_right(pixels(7.0))
        .x_label_area_size(pixels(if bare { 2.0 } else { 25.0 }))
        .y_label_area_size(pixels(left));
    if !panel.title.is_empty() {
        builder.caption(&panel.title, font(TEXT + 0.5, FontStyle::Bold));
    }
    let mut axes = builder.build_cartesian_2d(x.low..x.high, y.low..y.high)?;
    draw_frame(area, &axes, panel, (&x, &y), left)?;
    for series in &panel.series {
        draw_series(&mut axes, panel, series.look, &series.shape)?;
    }
    Ok(())
}

/// Grid, axes, ticks and their texts; plotters' own mesh chooses its ticks by itself.
fn draw_frame(
    area: &Area<'_>,
    axes: &Axes<'_, '_>,
    panel: &Panel,
    (x, y): (&Ticks, &Ticks),
    left: f64,
) -> Drawn {
    let plot = axes.plotting_area();
    let (x_range, y_range) = plot.get_pixel_range();
    let origin = area.get_pixel_range();
    let local = |x: i32, y: i32| (x - origin.0.start, y - origin.1.start);
    let (from, to) = (
        local(x_range.start, y_range.start),
        local(x_range.end, y_range.end),
    );
    if panel.x.scale == Scale::Bare {
        return area.draw(&Rectangle::new([from, to], stroke(GRID, 0.6)));
    }
    let centred = |h, v| font(TEXT, FontStyle::Normal).pos(Pos::new(h, v));
    let tick = pixels(2.5);
    for (place, text) in &y.marks {
        let (_, at) = plot.map_coordinate(&(x.low, *place));
        let at = at - origin.1.start;
        area.draw(&PathElement::new(
            [(from.0, at), (to.0, at)],
            stroke(GRID, 0.5),
        ))?;
        let style = centred(HPos::Right, VPos::Center);
        area.draw(&Text::new(
            text.clone(),
            (from.0 - tick - pixels(1.5), at),
            style,
        ))?;
    }
    let room = f64::from(to.0 - from.0) / UNIT / x.marks.len().max(1) as f64;
    let even = matches!(panel.x.scale, Scale::Categories(_));
    let mut taken = i32::MIN;
    for (place, text) in &x.marks {
        let (at, _) = plot.map_coordinate(&(*place, y.low));
        let at = at - origin.0.start;
        area.draw(&PathElement::new(
            [(at, to.1), (at, to.1 + tick)],
            stroke(INK, 0.6),
        ))?;
        let half = pixels(text_width(text) / 2.0);
        if !even && at - half < taken {
            continue; // Values that ran may lie close together.
        }
        taken = at + half + pixels(3.0);
        for (line, text) in text.lines().enumerate() {
            let text = if even {
                fitted(text, room)
            } else {
                text.to_owned()
            };
            let top = to.1 + tick + pixels(1.5 + line as f64 * (TEXT + 1.0));
            let style = centred(HPos::Center, VPos::Top);
            area.draw(&Text::new(text, (at, top), style))?;
        }
    }
    for line in [
        [(from.0, from.1), (from.0, to.1)],
        [(from.0, to.1), (to.0, to.1)],
    ] {
        area.draw(&PathElement::new(line, stroke(INK, 0.6)))?;
    }
    let middle = i32::midpoint(from.0, to.0);
    let style = centred(HPos::Center, VPos::Bottom);
    let bottom = to.1 + pixels(24.0);
    area.draw(&Text::new(panel.x.label.clone(), (middle, bottom), style))?;
    let style = centred(HPos::Center, VPos::Top).transform(FontTransform::Rotate270);
    let middle = i32::midpoint(from.1, to.1);
    let edge = from.0 - pixels(left) + pixels(1.0);
    area.draw(&Text::new(panel.y.label.clone(), (edge, middle), style))
}

fn draw_series(axes: &mut Axes<'_, '_>, panel: &Panel, look: Look, shape: &Shape) -> Drawn {
    let x = |value: f64| panel.x.scale.place(value);
    let y = |value: f64| panel.y.scale.place(value);
    let colour = rgb(look.colour);
    match shape {
        Shape::Line { points, markers } => {
            if points.iter().any(|point| point.low < point.high) {
                let upper = points.iter().map(|point| (x(point.x), y(point.high)));
                let lower = points.iter().rev().map(|point| (x(point.x), y(point.low)));
                let band: Vec<_> = upper.chain(lower).collect();
                axes.draw_series([Polygon::new(band, colour.mix(0.18))])?;
            }
            let line = points.iter().map(|point| (x(point.x), y(point.y)));
            let line: Vec<_> = line.collect();
            draw_line(axes, &line, look)?;
            // A line of one point is seen by its marker alone.
            if *markers || line.len() == 1 {
                draw_markers(axes, &line, look, 2.2)?;
            }
        }
        Shape::Bars {
            points,
            slot,
            slots,
        } => {
            let width = 0.8 / *slots as f64;
            for point in points {
                let left = x(point.x) - 0.4 + width * *slot as f64;
                let corners = [(left, y(0.0)), (left + 0.92 * width, y(point.y))];
                axes.draw_series([Rectangle::new(corners, rgb(look.fill()).filled())])?;
                axes.draw_series([Rectangle::new(corners, stroke(look.colour, 0.5))])?;
                if point.low < point.high {
                    let middle = left + 0.46 * width;
                    let bar = [(middle, y(point.low)), (middle, y(point.high))];
                    axes.draw_series([PathElement::new(bar, stroke(INK, 0.7))])?;
                }
            }
        }
        Shape::Points { points } => {
            for point in points.iter().filter(|point| point.low < point.high) {
                let bar = [(x(point.x), y(point.low)), (x(point.x), y(point.high))];
                axes.draw_series([PathElement::new(bar, stroke(look.colour, 0.8))])?;
            }
            let places = points.iter().map(|point| (x(point.x), y(point.y)));
            draw_markers(axes, &places.collect::<Vec<_>>(), look, 2.8)?;
        }
        Shape::Cloud { points } => {
            let dots = points.iter().map(|&(at, height)| {
                Circle::new((x(at), y(height)), pixels(1.1), colour.mix(0.55).filled())
            });
            axes.draw_series(dots)?;
        }
    }
    Ok(())
}

fn draw_line(axes: &Axes<'_, '_>, line: &[(f64, f64)], look: Look) -> Drawn {
    let plot = axes.plotting_area();
    let whole = plot.strip_coord_spec();
    let corner = plot.get_pixel_range();
    let places = line.iter().map(|place| {
        let (x, y) = plot.map_coordinate(place);
        let point = |at: i32, start: i32| f64::from(at - start) / UNIT;
        (point(x, corner.0.start), point(y, corner.1.start))
    });
    for part in strokes(&places.collect::<Vec<_>>(), look.dash()) {
        let part = part.into_iter().map(|(x, y)| (pixels(x), pixels(y)));
        let part: Vec<_> = part.collect();
        whole.draw(&PathElement::new(part, stroke(look.colour, 1.2)))?;
    }
    Ok(())
}

fn draw_markers(axes: &Axes<'_, '_>, places: &[(f64, f64)], look: Look, radius: f64) -> Drawn {
    let plot = axes.plotting_area();
    let whole = plot.strip_coord_spec();
    let corner = plot.get_pixel_range();
    for place in places {
        let (x, y) = plot.map_coordinate(place);
        let place = (x - corner.0.start, y - corner.1.start);
        draw_marker(&whole, place, look, radius)?;
    }
    Ok(())
}

/// A marker with a white rim, so that those that overlap stay apart.
fn draw_marker(area: &Area<'_>, (x, y): (i32, i32), look: Look, radius: f64) -> Drawn {
    let style = rgb(look.colour).filled();
    let rim = stroke(Colour(255, 255, 255), 0.5);
    let at = |dx: f64, dy: f64| (x + pixels(dx * radius), y + pixels(dy * radius));
    let corners = match look.marker() {
        Marker::Circle => {
            area.draw(&Circle::new((x, y), pixels(radius), style))?;
            return area.draw(&Circle::new((x, y), pixels(radius), rim));
        }
        Marker::Cross => {
            for line in [
                [at(-0.9, -0.9), at(0.9, 0.9)],
                [at(-0.9, 0.9), at(0.9, -0.9)],
            ] {
                area.draw(&PathElement::new(line, stroke(look.colour, 1.1)))?;
            }
            return Ok(());
        }
        Marker::Triangle => vec![at(0.0, -1.25), at(1.1, 0.8), at(-1.1, 0.8)],
        Marker::Square => vec![at(-0.9, -0.9), at(0.9, -0.9), at(0.9, 0.9), at(-0.9, 0.9)],
        Marker::Diamond => vec![at(0.0, -1.25), at(1.1, 0.0), at(0.0, 1.25), at(-1.1, 0.0)],
    };
    area.draw(&Polygon::new(corners.clone(), style))?;
    let outline = corners.iter().chain(corners.first()).copied();
    area.draw(&PathElement::new(outline.collect::<Vec<_>>(), rim))
}

#[cfg(test)]
mod tests {
    use super::super::chart::{Axis, Point, Series};
    use super::*;

    fn chart(lines: &[&[(f64, f64)]], names: &[&str]) -> Chart {
        let axis = || Axis {
            label: String::new(),
            scale: Scale::Linear,
        };
        let look = |variant| Look {
            colour: Colour::number(0),
            variant,
        };
        let series = lines.iter().zip(0..).map(|(points, variant)| Series {
            look: look(variant),
            shape: Shape::Line {
                points: points.iter().map(|&(x, y)| Point::exact(x, y)).collect(),
                markers: false,
            },
        });
        Chart {
            panels: vec![Panel {
                title: String::new(),
                x: axis(),
                y: axis(),
                series: series.collect(),
            }],
            legend: names
                .iter()
                .zip(0..)
                .map(|(name, at)| ((*name).to_owned(), look(at)))
                .collect(),
            wide: false,
        }
    }

    #[test]
    fn no_line_is_one_that_a_reader_of_svg_warns_of() {
        let line = [(0.0, 0.0), (1.0, 2.0), (1.0, 2.0), (2.0, 1.0)];
        let one = [(0.5, 0.5)];
        for points in [&line[..], &line[..2], &one, &[]] {
            // In each pattern, beside a line that makes the axes.
            let svg = svg(&chart(
                &[&line, points, points, points, points],
                &["a", "b"],
            ))
            .unwrap();
            let lines = svg.split("<polyline").skip(1);
            for element in lines {
                let points = element.split("points=\"").nth(1).unwrap();
                let points = points.split('"').next().unwrap();
                assert!(points.split_whitespace().count() > 1, "{element}");
            }
        }
        let marked = svg(&chart(&[&line, &one], &[])).unwrap();
        assert!(
            marked.contains("<circle") || marked.contains("<polygon"),
            "one point is seen"
        );
    }
}
