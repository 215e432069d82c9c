//! Ribbons that follow a field of flow and never cross.

use super::colour::{Ramp, Rgb, lightness, mix, shade};
use super::dice::Dice;
use super::exact::{cos_turns, length, lerp, sin_turns, unit};
use super::layer::{Frame, Layer, Scene};
use super::noise::Noise;
use super::picture::Picture;

/// Most cells of the occupancy grid along one unit; never finer than pixels.
const MOST_CELLS: f32 = 160.0;

/// The layers of a picture of streams.
pub(super) fn streams(scene: &Scene) -> Vec<Layer> {
    let frame = scene.frame;
    let mut dice = scene.dice("streams");
    let ground = ground_colour(scene, &mut dice);
    let field = Field::new(&mut dice);
    let mut grid = Grid::new(&frame);
    let inks = inks(scene, ground);
    let is_wide_mix = dice.chance(0.65);
    let tints = Noise(dice.bits());
    let count = frame.count(2200.0);
    let ribbon_area = frame.unit * frame.unit * 4e-3;
    let ribbons = Layer::things("letting streams run", count, ribbon_area, move |picture, i| {
        // wide ones first, the thin ones fill what is left
        let progress = i as f32 / count as f32;
        let most = lerp(0.040, 0.0035, progress.sqrt());
        let width = if is_wide_mix {
            most * dice.range(0.5, 1.0)
        } else {
            0.007 * dice.range(0.6, 1.3)
        };
        let start = (
            dice.range(-0.05, 1.05) * frame.w() / frame.unit,
            dice.range(-0.05, 1.05) * frame.h() / frame.unit,
        );
        let pick = 0.5 + 0.75 * tints.cloud(start.0 * 0.8, start.1 * 0.8, 2) + dice.range(-0.22, 0.22);
        let ink = inks[((unit(pick) * inks.len() as f32) as usize).min(inks.len() - 1)];
        let longest = dice.range(0.25, 1.6);
        let id = i + 1;
        let path = trace(&field, &mut grid, &frame, start, (width, longest), id);
        if !path.is_empty() {
            draw(picture, &frame, &path, width, ink, ground);
        }
    });
    vec![ground_layer(scene, ground), ribbons]
}

fn ground_colour(scene: &Scene, dice: &mut Dice) -> Rgb {
    let palette = &scene.palette;
    if palette.is_night || dice.chance(0.35) {
        mix(palette.land[1], palette.sky[0], 0.25)
    } else {
        mix(palette.light, palette.sky[3], 0.35)
    }
}

fn inks(scene: &Scene, ground: Rgb) -> Vec<Rgb> {
    let palette = &scene.palette;
    let mut inks = palette.accents.to_vec();
    inks.extend([palette.light, palette.land[0]]);
    inks.retain(|ink| (lightness(*ink) - lightness(ground)).abs() > 0.075);
    if inks.is_empty() {
        inks.push(if lightness(ground) > 0.5 {
            shade(ground, 0.3)
        } else {
            mix(ground, [1.0; 3], 0.7)
        });
    }
    inks
}

fn ground_layer(scene: &Scene, ground: Rgb) -> Layer {
    let frame = scene.frame;
    let noise = Noise(scene.dice("paper").bits());
    let ramp = Ramp::new(&[shade(ground, 0.90), ground, mix(ground, [1.0; 3], 0.06)]);
    Layer::rows(
        "laying the paper",
        &frame,
        0..frame.height,
        4,
        move |picture, y| {
            let v = frame.at(y);
            for x in 0..frame.width {
                let u = frame.at(x);
                let blotch = noise.cloud(u * 1.5, v * 1.5, 3);
                picture.put(x, y, ramp.at(0.5 + 0.4 * blotch));
            }
        },
    )
}

/// The direction of flow at each point.
struct Field {
    noise: Noise,
    scale: f32,
    turns: f32,
    lead: f32,
    whirl: Option<(f32, f32, f32)>,
}

impl Field {
    fn new(dice: &mut Dice) -> Self {
        Self {
            noise: Noise(dice.bits()),
            scale: dice.range(0.7, 1.5),
            turns: dice.range(0.28, 0.6),
            lead: dice.unit(),
            whirl: dice.chance(0.5).then(|| {
                (
                    dice.range(0.25, 0.75),
                    dice.range(0.25, 0.75),
                    dice.range(0.2, 0.5),
                )
            }),
        }
    }

    /// Unit vector of the flow at a point in units.
    fn at(&self, (x, y): (f32, f32)) -> (f32, f32) {
        let turns = self.lead + self.turns * self.noise.cloud(x * self.scale, y * self.scale, 2);
        let (mut dx, mut dy) = (cos_turns(turns), sin_turns(turns));
        if let Some((cx, cy, reach)) = self.whirl {
            let (ox, oy) = (x - cx, y - cy);
            let away = length(ox, oy).max(1e-4);
            let pull = 1.6 / (1.0 + (away / reach) * (away / reach) * 3.0);
            dx += -oy / away * pull;
            dy += ox / away * pull;
        }
        let long = length(dx, dy).max(1e-4);
        (dx / long, dy / long)
    }
}

/// Which ribbon lies where, coarsely.
struct Grid {
    /// Cells along one unit.
    fine: f32,
    columns: usize,
    rows: usize,
    cells: Vec<u32>,
}

/// Room around the picture, in units, so that ribbons can run out of it.
const MARGIN: f32 = 0.08;

impl Grid {
    fn new(frame: &Frame) -> Self {
        let fine = frame.unit.min(MOST_CELLS);
        let side = |pixels: f32| ((pixels / frame.unit + 2.0 * MARGIN) * fine).ceil() as usize + 1;
        let (columns, rows) = (side(frame.w()), side(frame.h()));
        Self {
            fine,
            columns,
            rows,
            cells: vec![0; columns * rows],
        }
    }

    fn cell(&self, (x, y): (f32, f32)) -> Option<usize> {
        let (column, row) = ((x + MARGIN) * self.fine, (y + MARGIN) * self.fine);
        if column < 0.0 || row < 0.0 {
            return None;
        }
        let (column, row) = (column as usize, row as usize);
        (column < self.columns && row < self.rows).then(|| row * self.columns + column)
    }

    /// Whether a ribbon of this width (units) may pass a point with this direction.
    fn is_free(&self, place: (f32, f32), (dx, dy): (f32, f32), width: f32) -> bool {
        self.across(width).all(|off| {
            let probe = (place.0 - dy * off, place.1 + dx * off);
            self.cell(probe).is_some_and(|cell| self.cells[cell] == 0)
        })
    }

    /// Offsets across a ribbon, close enough that no cell is missed.
    fn across(&self, width: f32) -> impl Iterator<Item = f32> + use<> {
        let half = width / 2.0 + 0.6 / self.fine;
        let count = (2.0 * half * self.fine * 1.4).ceil() as u16 + 1;
        (0..=count).map(move |i| half * (2.0 * f32::from(i) / f32::from(count) - 1.0))
    }

    /// Writes `id` where a ribbon lies; 0 takes it away.
    fn mark(&mut self, path: &[Point], width: f32, id: u32) {
        for point in path {
            for off in self.across(width) {
                let place = (
                    point.place.0 - point.toward.1 * off,
                    point.place.1 + point.toward.0 * off,
                );
                if let Some(cell) = self.cell(place) {
                    self.cells[cell] = id;
                }
            }
        }
    }
}

/// A point of a ribbon in units, and where the flow goes from it.
#[derive(Clone, Copy)]
struct Point {
    place: (f32, f32),
    toward: (f32, f32),
}

/// Follows the flow from a point and claims the way; nothing if there is no room for a ribbon of good shape.
fn trace(
    field: &Field,
    grid: &mut Grid,
    frame: &Frame,
    start: (f32, f32),
    (width, longest): (f32, f32),
    id: u32,
) -> Vec<Point> {
    // half a cell at most, and no finer than pixels can show
    let stride = (0.45 / grid.fine).max(0.5 / frame.unit);
    let limit = (longest / stride) as usize;
    let shortest = ((width * 3.0).max(0.03) / stride) as usize;
    // claimed a little behind its head, so that a ribbon stops at itself
    let lag = ((width * 1.6 + 3.0 / grid.fine) / stride) as usize + 1;
    let mut path: Vec<Point> = Vec::new();
    let mut place = start;
    while path.len() < limit {
        let toward = field.at(place);
        if !grid.is_free(place, toward, width) {
            break;
        }
        path.push(Point { place, toward });
        if let Some(behind) = path.len().checked_sub(lag) {
            grid.mark(&path[behind..=behind], width, id);
        }
        place = (place.0 + toward.0 * stride, place.1 + toward.1 * stride);
    }
    if path.len() < shortest.max(3) {
        let marked = path.len().saturating_sub(lag - 1);
        grid.mark(&path[..marked], width, 0);
        return Vec::new();
    }
    grid.mark(&path[path.len().saturating_sub(lag)..], width, id);
    path
}

fn draw(picture: &mut Picture, frame: &Frame, path: &[Point], width: f32, ink: Rgb, ground: Rgb) {
    let half = (width * frame.unit / 2.0).max(0.4);
    let last = path.len().saturating_sub(2);
    let pixel = |point: &Point| (point.place.0 * frame.unit, point.place.1 * frame.unit);
    for (i, pair) in path.windows(2).enumerate() {
        let [from, to] = pair else { continue };
        let (a, b) = (pixel(from), pixel(to));
        let reach = half + 1.5;
        let low = (a.0.min(b.0) - reach, a.1.min(b.1) - reach);
        let high = (a.0.max(b.0) + reach, a.1.max(b.1) + reach);
        let tone = ribbon_tone(i, path.len(), ink, ground);
        picture.each_within(low, high, |picture, x, y, px, py| {
            // each pixel belongs to the one piece between whose two ends it lies
            let after = (px - a.0) * from.toward.0 + (py - a.1) * from.toward.1;
            let before = (b.0 - px) * to.toward.0 + (b.1 - py) * to.toward.1;
            let is_first = i == 0 && after > -0.5;
            let is_last = i == last && before > -0.5;
            if (after < 0.0 && !is_first) || (before <= 0.0 && !is_last) {
                return;
            }
            let side = (py - a.1) * from.toward.0 - (px - a.0) * from.toward.1;
            let share = unit(half - side.abs() + 0.5) * unit(after + 0.5).max(if i == 0 { 0.0 } else { 1.0 });
            if share > 0.0 {
                let round = side / half;
                let light = 1.0 + 0.10 * round * -from.toward.0.signum() - 0.13 * round * round;
                picture.cover(x, y, shade(tone, light), share);
            }
        });
    }
}

/// The colour along a ribbon: a little nearer to the ground at its ends.
fn ribbon_tone(index: usize, count: usize, ink: Rgb, ground: Rgb) -> Rgb {
    let along = index as f32 / count as f32;
    let end = (2.0 * along - 1.0) * (2.0 * along - 1.0);
    mix(ink, ground, 0.22 * end * end)
}
