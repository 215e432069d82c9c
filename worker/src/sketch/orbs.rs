//! Glossy balls of many sizes that do not touch.

use super::colour::{Ramp, Rgb, lightness, mix, screen, shade};
use super::dice::Dice;
use super::exact::{length, lerp, smoothstep, unit};
use super::layer::{Layer, Scene};
use super::noise::Noise;
use super::picture::Picture;

/// A ball: middle and radius in units.
#[derive(Clone, Copy)]
struct Ball {
    place: (f32, f32),
    radius: f32,
    colour: Rgb,
    style: Style,
}

#[derive(Clone, Copy)]
enum Style {
    Glossy,
    Striped,
    Rings,
    Glass,
}

/// The layers of a picture of orbs.
pub(super) fn orbs(scene: &Scene) -> Vec<Layer> {
    let frame = scene.frame;
    let mut dice = scene.dice("orbs");
    let balls = pack(scene, &mut dice);
    let noise = Noise(dice.bits());
    let (dark, light) = (shade(scene.palette.land[1], 0.7), scene.palette.light);
    let area: f32 = balls.iter().map(|ball| ball.radius * ball.radius * 12.0).sum();
    let each = area * frame.unit * frame.unit / (balls.len().max(1)) as f32;
    let count = balls.len() as u32;
    let drawing = Layer::things("blowing orbs", count, each, move |picture, i| {
        let ball = balls[i as usize];
        let place = (ball.place.0 * frame.unit, ball.place.1 * frame.unit);
        draw(
            picture,
            &ball,
            place,
            ball.radius * frame.unit,
            noise,
            (dark, light),
        );
    });
    vec![ground(scene, &mut dice), drawing]
}

fn ground(scene: &Scene, dice: &mut Dice) -> Layer {
    let frame = scene.frame;
    let palette = &scene.palette;
    let ramp = if palette.is_night {
        Ramp::new(&[palette.sky[2], palette.sky[1], palette.sky[0]])
    } else {
        Ramp::new(&[
            palette.light,
            palette.sky[3],
            mix(palette.sky[2], palette.sky[3], 0.3),
        ])
    };
    let noise = Noise(dice.bits());
    let focus = (
        dice.range(0.25, 0.75) * frame.w() / frame.unit,
        dice.range(0.1, 0.5) * frame.h() / frame.unit,
    );
    Layer::rows(
        "laying the ground",
        &frame,
        0..frame.height,
        4,
        move |picture, y| {
            let v = frame.at(y);
            for x in 0..frame.width {
                let u = frame.at(x);
                let drift = 0.10 * noise.cloud(u * 1.2, v * 1.2, 2);
                picture.put(x, y, ramp.at(length(u - focus.0, v - focus.1) * 0.85 + drift));
            }
        },
    )
}

fn pack(scene: &Scene, dice: &mut Dice) -> Vec<Ball> {
    let frame = scene.frame;
    let (w, h) = (frame.w() / frame.unit, frame.h() / frame.unit);
    let ground = scene.palette.sky[if scene.palette.is_night { 1 } else { 3 }];
    let mut colours: Vec<Rgb> = scene.palette.accents.to_vec();
    colours.retain(|colour| (lightness(*colour) - lightness(ground)).abs() > 0.06);
    if colours.is_empty() {
        colours.push(scene.palette.land[0]);
    }
    let mut balls: Vec<Ball> = Vec::new();
    let mut near = Buckets::new(w, h);
    let tries = frame.count(900.0);
    for i in 0..tries {
        let progress = i as f32 / tries as f32;
        let place = (dice.range(-0.05, w + 0.05), dice.range(-0.05, h + 0.05));
        let wish = lerp(0.17, 0.008, progress.sqrt().sqrt()) * dice.range(0.7, 1.0);
        let colour = colours[dice.index(colours.len())];
        let style = dice.pick([
            Style::Glossy,
            Style::Glossy,
            Style::Striped,
            Style::Rings,
            Style::Glass,
        ]);
        let room = near.room(&balls, place, wish) - 0.006;
        let radius = room.min(wish);
        if radius > 0.006 && radius > wish * 0.4 {
            near.insert(balls.len(), place);
            balls.push(Ball {
                place,
                radius,
                colour,
                style,
            });
        }
    }
    // far, small ones first, so that shadows fall on them
    balls.reverse();
    balls
}

/// Balls by the place of their middles, so that packing a long strip stays linear.
struct Buckets {
    columns: usize,
    rows: usize,
    cells: Vec<Vec<usize>>,
}

impl Buckets {
    /// Side of a bucket: twice the largest radius, so that neighbours are in adjacent ones.
    const SIDE: f32 = 0.36;

    fn new(w: f32, h: f32) -> Self {
        let (columns, rows) = ((w / Self::SIDE) as usize + 3, (h / Self::SIDE) as usize + 3);
        Self {
            columns,
            rows,
            cells: vec![Vec::new(); columns * rows],
        }
    }

    fn spot(&self, (x, y): (f32, f32)) -> (usize, usize) {
        let along = |at: f32, count: usize| ((at / Self::SIDE + 1.0).max(0.0) as usize).min(count - 1);
        (along(x, self.columns), along(y, self.rows))
    }

    fn insert(&mut self, ball: usize, place: (f32, f32)) {
        let (column, row) = self.spot(place);
        self.cells[row * self.columns + column].push(ball);
    }

    /// The largest radius up to `wish` that fits at a place.
    fn room(&self, balls: &[Ball], place: (f32, f32), wish: f32) -> f32 {
        let (column, row) = self.spot(place);
        let mut room = wish + 0.006;
        for r in row.saturating_sub(1)..(row + 2).min(self.rows) {
            for c in column.saturating_sub(1)..(column + 2).min(self.columns) {
                for ball in self.cells[r * self.columns + c].iter().map(|i| balls[*i]) {
                    let away = length(ball.place.0 - place.0, ball.place.1 - place.1);
                    room = room.min(away - ball.radius);
                }
            }
        }
        room
    }
}

fn draw(
    picture: &mut Picture,
    ball: &Ball,
    place: (f32, f32),
    radius: f32,
    noise: Noise,
    (dark, light): (Rgb, Rgb),
) {
    let shadow = (place.0 + radius * 0.16, place.1 + radius * 0.24);
    picture.disc(shadow, radius * 1.16, |dx, dy| {
        let rest = 1.0 - dx * dx - dy * dy;
        (dark, 0.34 * smoothstep(0.0, 0.5, rest))
    });
    let turn = noise.at(ball.place.0 * 3.0, ball.place.1 * 3.0);
    picture.disc(place, radius, |dx, dy| {
        let out = length(dx, dy);
        let bulge = (1.0 - out * out).max(0.0).sqrt();
        let lit = unit(0.52 * bulge - 0.42 * dx - 0.62 * dy);
        let pixel = 2.0 / radius;
        let base = match ball.style {
            Style::Glossy | Style::Glass => ball.colour,
            Style::Striped => {
                let wave = (dx * turn + dy) * 4.0 / (0.55 + 0.45 * bulge) + turn * 3.0;
                let within = (wave - wave.floor() - 0.5).abs() - 0.25;
                let edge = smoothstep(-pixel * 2.0, pixel * 2.0, within);
                mix(ball.colour, mix(ball.colour, light, 0.65), edge)
            }
            Style::Rings => {
                let wave = length(dx + 0.25, dy + 0.3) * 4.0;
                let within = (wave - wave.floor() - 0.5).abs() - 0.25;
                mix(
                    ball.colour,
                    shade(ball.colour, 0.68),
                    smoothstep(-pixel * 2.0, pixel * 2.0, within),
                )
            }
        };
        let body = mix(
            shade(base, 0.45),
            mix(base, light, 0.12),
            smoothstep(0.0, 0.85, lit),
        );
        let bounce = smoothstep(0.72, 1.0, out) * unit(0.4 * dx + 0.6 * dy) * 0.35;
        let gleam = smoothstep(0.34, 0.06, length((dx + 0.36) * 1.15, (dy + 0.44) * 1.5));
        let colour = screen(screen(body, ball.colour, bounce), light, gleam * 0.75);
        let opacity = match ball.style {
            Style::Glass => lerp(0.30, 0.95, out * out * out).max(gleam),
            Style::Glossy | Style::Striped | Style::Rings => 1.0,
        };
        (colour, opacity)
    });
}
