//! A skyline with lit windows, at the water.

use super::colour::{Rgb, blend, mix, screen, shade};
use super::dice::Dice;
use super::exact::{fall, lerp, unit};
use super::landscape::mirror;
use super::layer::{Frame, Layer, Scene};
use super::noise::{Noise, speckle};
use super::ridge::{Crest, ridge};
use super::sky::{Luminary, birds, sky, snow};
use super::vocabulary::{Extra, Mood};

/// A house: its sides and top in pixels.
#[derive(Clone, Copy)]
struct House {
    left: f32,
    right: f32,
    top: f32,
    roof: Roof,
}

#[derive(Clone, Copy)]
enum Roof {
    Flat,
    Stepped,
    Pointed,
    Mast,
}

/// The layers of a city.
pub(super) fn city(scene: &Scene) -> Vec<Layer> {
    let frame = scene.frame;
    let mut dice = scene.dice("city");
    let shore = frame.h() * dice.range(0.70, 0.78);
    let luminary = Luminary::above(scene, shore * 0.8);
    let mut layers = sky(scene, shore, luminary);
    if scene.reading.has(Extra::Birds) {
        layers.push(birds(scene, shore * 0.6));
    }
    for index in 0..4_u8 {
        let near = f32::from(index) / 3.0;
        layers.push(row_of_houses(scene, near, shore, &mut dice));
    }
    layers.push(mirror(scene, shore));
    if scene.reading.has(Extra::Snow) {
        layers.push(snow(scene));
    }
    layers
}

fn row_of_houses(scene: &Scene, near: f32, shore: f32, dice: &mut Dice) -> Layer {
    let frame = scene.frame;
    let houses = houses(&frame, near, shore, dice);
    let mut crest = Crest::new(&frame, |_| shore - frame.unit * 0.01);
    let mut columns = vec![0; frame.width as usize];
    for (i, house) in (0..).zip(&houses) {
        raise(&mut crest, house, &frame);
        let end = (house.right.max(0.0) as usize).min(columns.len());
        let start = (house.left.max(0.0) as usize).min(end);
        columns[start..end].fill(i);
    }
    let palette = &scene.palette;
    let body = blend(
        mix(palette.sky[3], palette.land[0], 0.6),
        palette.land[1],
        lerp(0.05, 0.95, near),
    );
    let haze = mix(palette.sky[3], body, lerp(0.45, 0.9, near));
    let windows = Windows::new(scene, near, dice.bits());
    let street = Noise(windows.seed);
    ridge(
        "building the city",
        &frame,
        crest,
        shore,
        4,
        move |x, y, depth| {
            let id: u32 = columns[x as usize];
            let tint = 1.0 + 0.16 * (speckle(id, 7, windows.seed) - 0.5);
            let up = unit((shore - y as f32) / (frame.unit * 0.42));
            let wall = shade(mix(haze, body, up), tint);
            let place = (x as f32 + 0.5, y as f32 + 0.5);
            let colour = windows.light(wall, &houses[id as usize], id, place, depth);
            let ground = fall((shore - y as f32) / (frame.unit * 0.035));
            let traffic = 1.0 + 0.3 * street.at(frame.at(x) * 4.0, 1.0);
            screen(colour, windows.lamps[0], 0.22 * ground * traffic)
        },
    )
}

/// The windows of a row of houses.
struct Windows {
    seed: u32,
    /// Width and height that a window takes, with the wall around it, in pixels.
    cell: (f32, f32),
    /// Share of the windows in which there is light.
    lit: f32,
    lamps: [Rgb; 4],
    /// Whether lamps share a colour by floors rather than by columns.
    is_neon: bool,
    near: f32,
}

impl Windows {
    fn new(scene: &Scene, near: f32, seed: u32) -> Self {
        let (palette, unit) = (&scene.palette, scene.frame.unit);
        let is_neon = scene.reading.mood == Mood::Neon;
        let lamps = if is_neon {
            [
                palette.accents[0],
                palette.accents[1],
                palette.accents[3],
                palette.light,
            ]
        } else {
            let warm = mix(palette.light, [1.0, 0.72, 0.35], 0.55);
            [
                warm,
                mix(warm, palette.light, 0.5),
                shade(warm, 0.9),
                palette.light,
            ]
        };
        Self {
            seed,
            cell: (unit * lerp(0.0095, 0.0165, near), unit * lerp(0.013, 0.021, near)),
            lit: if palette.is_night {
                lerp(0.22, 0.48, near)
            } else {
                lerp(0.05, 0.30, near)
            },
            lamps,
            is_neon,
            near,
        }
    }

    /// The colour at a place (pixels) on a house: that of the wall, or of a lit window.
    fn light(&self, wall: Rgb, house: &House, id: u32, place: (f32, f32), depth: f32) -> Rgb {
        let (px, py) = (place.0 - house.left, place.1 - house.top);
        let (column, floor) = ((px / self.cell.0).floor(), (py / self.cell.1).floor());
        let (fx, fy) = (px / self.cell.0 - column, py / self.cell.1 - floor);
        let is_pane = (0.22..0.80).contains(&fx) && (0.26..0.76).contains(&fy);
        let is_edge = px < self.cell.0 * 0.5 || house.right - place.0 < self.cell.0 * 0.7 || py < self.cell.1;
        if !is_pane || is_edge || depth <= self.cell.1 * 0.7 {
            return wall;
        }
        // both are not negative here: edges are dealt with
        let (column, floor) = (column as u32, floor as u32);
        let chosen = speckle(column + id * 131, floor, self.seed);
        if chosen >= self.lit {
            return wall;
        }
        let group = if self.is_neon { floor / 5 } else { column };
        let lamp = self.lamps[(speckle(id, group, self.seed ^ 0x5bd1) * 4.0) as usize % 4];
        let strength = lerp(0.55, 0.95, chosen / self.lit) * lerp(0.55, 1.0, self.near);
        mix(wall, lamp, strength)
    }
}

fn houses(frame: &Frame, near: f32, shore: f32, dice: &mut Dice) -> Vec<House> {
    let skyline = Noise(dice.bits());
    let mut houses = Vec::new();
    let mut x = -frame.unit * 0.05;
    while x < frame.w() {
        let wide = frame.unit * dice.range(0.035, 0.085) * lerp(0.8, 1.25, near);
        let downtown = 0.5 + 0.5 * skyline.at(x / frame.unit * 1.4, near * 9.0);
        let tall = lerp(0.46, 0.17, near) * lerp(0.55, 1.25, downtown) * dice.range(0.65, 1.2);
        let roof = dice.pick([Roof::Flat, Roof::Flat, Roof::Stepped, Roof::Pointed, Roof::Mast]);
        houses.push(House {
            left: x,
            right: x + wide,
            top: shore - frame.unit * tall,
            roof,
        });
        x += wide
            + if dice.chance(0.3) {
                frame.unit * dice.range(0.0, 0.02)
            } else {
                0.0
            };
    }
    houses
}

fn raise(crest: &mut Crest, house: &House, frame: &Frame) {
    let House {
        left,
        right,
        top,
        roof,
    } = *house;
    let wide = right - left;
    let middle = left + wide / 2.0;
    crest.raise(left.max(0.0), right, |_| top);
    match roof {
        Roof::Flat => {
            crest.raise((left + wide * 0.2).max(0.0), left + wide * 0.42, |_| {
                top - wide * 0.10
            });
        }
        Roof::Stepped => {
            crest.raise((left + wide * 0.14).max(0.0), right - wide * 0.14, |_| {
                top - wide * 0.22
            });
            crest.raise((left + wide * 0.3).max(0.0), right - wide * 0.3, |_| {
                top - wide * 0.45
            });
        }
        Roof::Pointed => crest.raise(left.max(0.0), right, |x| {
            top - wide * 0.55 * (1.0 - (x - middle).abs() / (wide / 2.0)).max(0.0)
        }),
        Roof::Mast => {
            let half = (frame.unit * 0.0016).max(0.5);
            crest.raise((left + wide * 0.32).max(0.0), right - wide * 0.32, |_| {
                top - wide * 0.16
            });
            crest.raise((middle - half).max(0.0), middle + half, |_| top - wide * 1.1);
        }
    }
}
