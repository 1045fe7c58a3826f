//! The figures as a picture: ratios as bars against the line where a figure meets its limit, and how costs grow, in small panels. On a
//! paper of its own colour, so that it can be read on a light page and on a dark one.

use std::path::Path;

use plotters::{coord::Shift, prelude::*};

use super::{Row, results::STEP};

const WIDTH: u32 = 1000;
const BAR: u32 = 24;
const HEAD: u32 = 70;
const PANEL: u32 = 260;
const PANELS_A_ROW: usize = 3;
/// Longer bars end here; their number says how much longer they would be.
const LONGEST: f64 = 2.0;
const PAPER: RGBColor = RGBColor(252, 252, 250);
const INK: RGBColor = RGBColor(45, 48, 54);
const FAINT: RGBColor = RGBColor(214, 216, 220);
const MET: RGBColor = RGBColor(46, 125, 110);
const MISSED: RGBColor = RGBColor(201, 122, 43);
static PARTS: [RGBColor; 7] = [
    RGBColor(31, 119, 180),
    RGBColor(201, 122, 43),
    RGBColor(46, 125, 110),
    RGBColor(176, 58, 72),
    RGBColor(120, 94, 160),
    RGBColor(110, 115, 120),
    RGBColor(140, 86, 75),
];

type Area<'a> = DrawingArea<SVGBackend<'a>, Shift>;

/// How one panel's parts grow: each part's costs by size, as multiples of that at the smallest.
struct Panel {
    name: String,
    parts: Vec<(String, Vec<(f64, f64)>)>,
}

pub(super) fn draw(rows: &[Row], file: &Path) -> anyhow::Result<()> {
    let bars: Vec<(&Row, f64)> =
        rows.iter().filter(|row| !is_panel(row)).filter_map(|row| Some((row, row.ratio?))).collect();
    let panels = panels(rows);
    let bars_height = HEAD + BAR * bars.len() as u32;
    let height = bars_height + PANEL * panels.len().div_ceil(PANELS_A_ROW) as u32;
    let root = SVGBackend::new(file, (WIDTH, height)).into_drawing_area();
    root.fill(&PAPER)?;
    let (above, below) = root.split_vertically(bars_height.cast_signed());
    draw_bars(&above, &bars)?;
    for (area, panel) in
        below.split_evenly((panels.len().div_ceil(PANELS_A_ROW).max(1), PANELS_A_ROW)).iter().zip(&panels)
    {
        draw_panel(area, panel)?;
    }
    root.present()?;
    Ok(())
}

fn is_panel(row: &Row) -> bool {
    row.name.starts_with("growth_")
}

fn panels(rows: &[Row]) -> Vec<Panel> {
    let mut panels: Vec<Panel> = Vec::new();
    for row in rows {
        let Some((of, size)) = row.name.strip_prefix("growth_").and_then(|name| name.split_once(STEP)) else {
            continue;
        };
        let (Some((panel, part)), Ok(size)) = (of.rsplit_once('_'), size.parse::<f64>()) else { continue };
        let place = panels.iter().position(|known| known.name == panel).unwrap_or_else(|| {
            panels.push(Panel { name: panel.to_owned(), parts: vec![] });
            panels.len() - 1
        });
        let parts = &mut panels[place].parts;
        match parts.iter_mut().find(|(known, _)| known == part) {
            Some((_, points)) => points.push((size, row.value)),
            None => parts.push((part.to_owned(), vec![(size, row.value)])),
        }
    }
    for (_, points) in panels.iter_mut().flat_map(|panel| &mut panel.parts) {
        let smallest = points.first().map_or(1.0, |(_, cost)| *cost);
        points.iter_mut().for_each(|(_, cost)| *cost /= smallest);
        points.retain(|(_, cost)| cost.is_finite());
    }
    panels
}

fn ink(size: u32) -> TextStyle<'static> {
    ("sans-serif", size).into_font().color(&INK)
}

fn draw_bars(area: &Area<'_>, bars: &[(&Row, f64)]) -> anyhow::Result<()> {
    const LEFT: i32 = 250;
    let length = |ratio: f64| (ratio.clamp(0.0, LONGEST) / LONGEST * f64::from(WIDTH as i32 - LEFT - 90)) as i32;
    area.draw_text("Ratios: value ÷ limit, or limit ÷ value where less is better", &ink(18), (20, 14))?;
    area.draw_text("1: the limit", &ink(12), (LEFT + length(1.0) - 28, 46))?;
    for (n, (row, ratio)) in bars.iter().enumerate() {
        let top = (HEAD + BAR * n as u32) as i32;
        let colour = if *ratio >= 1.0 { MET } else { MISSED };
        area.draw_text(&row.name, &ink(13), (20, top + 3))?;
        area.draw(&Rectangle::new([(LEFT, top + 2), (LEFT + length(*ratio), top + BAR as i32 - 5)], colour.filled()))?;
        let number = if *ratio < 10.0 { format!("{ratio:.2}") } else { format!("{ratio:.0}") };
        area.draw_text(&number, &ink(13).color(&PAPER), (LEFT + 8, top + 3))?;
    }
    let bottom = (HEAD + BAR * bars.len() as u32) as i32;
    let line = vec![(LEFT + length(1.0), HEAD as i32 - 6), (LEFT + length(1.0), bottom)];
    area.draw(&PathElement::new(line, INK.stroke_width(1)))?;
    Ok(())
}

fn draw_panel(area: &Area<'_>, panel: &Panel) -> anyhow::Result<()> {
    let points = || panel.parts.iter().flat_map(|(_, points)| points);
    let sizes = points().fold((f64::MAX, 1.0_f64), |(least, most), (size, _)| (least.min(*size), most.max(*size)));
    let highest = points().fold(2.0_f64, |highest, (_, cost)| highest.max(*cost)) * 1.1;
    let mut chart = ChartBuilder::on(area)
        .margin(14)
        .caption(format!("{}: cost, 1 = at the smallest", panel.name.replace('_', ", ")), ink(13))
        .x_label_area_size(24)
        .y_label_area_size(34)
        .build_cartesian_2d((sizes.0..sizes.1.max(sizes.0 * 1.01)).log_scale(), 0.0..highest)?;
    chart
        .configure_mesh()
        .light_line_style(TRANSPARENT)
        .bold_line_style(FAINT)
        .axis_style(INK)
        .label_style(ink(11))
        .x_labels(4)
        .y_labels(5)
        .x_label_formatter(&|size| format!("{size:.0}"))
        .draw()?;
    for ((part, points), colour) in panel.parts.iter().zip(PARTS.iter().copied().cycle()) {
        chart
            .draw_series(LineSeries::new(points.iter().copied(), colour.stroke_width(2)).point_size(3))?
            .label(part)
            .legend(move |(x, y)| PathElement::new(vec![(x, y), (x + 14, y)], colour.stroke_width(2)));
    }
    chart
        .configure_series_labels()
        .position(SeriesLabelPosition::UpperLeft)
        .background_style(PAPER.mix(0.8))
        .label_font(ink(11))
        .draw()?;
    Ok(())
}
