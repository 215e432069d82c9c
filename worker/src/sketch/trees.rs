//! Trees along a crest.

use super::dice::Dice;
use super::exact::smoothstep;
use super::layer::Frame;
use super::ridge::Crest;

/// Puts pines of about `tall` pixels along a crest.
pub(super) fn plant(frame: &Frame, crest: &mut Crest, tall: f32, density: f32, dice: &mut Dice) {
    if tall < 2.0 {
        return;
    }
    let ground = crest.clone();
    let mut x = -tall * 0.3;
    while x < frame.w() + tall * 0.3 {
        let height = tall * dice.range(0.45, 1.0);
        let half = height * dice.range(0.12, 0.18);
        let foot = ground.at((x.max(0.0) as u32).min(frame.width - 1));
        let (middle, tiers) = (x, dice.range(5.0, 8.0) + (height / frame.unit * 24.0).floor());
        crest.raise((middle - half).max(0.0), middle + half, |at| {
            let inward = 1.0 - ((at - middle) / half).abs();
            let tier = inward * tiers;
            let within = tier - tier.floor();
            // each tier hangs over the one below: steep at its tip, then nearly level
            let branch = tier.floor() + smoothstep(0.0, 0.3, within) * 0.5 + 0.5 * within;
            let trunk = smoothstep(1.0, 0.93, 1.0 - inward);
            foot + height * 0.10 - height * (0.08 * trunk + 0.92 * branch / tiers)
        });
        x += half * dice.range(0.5, 2.2) / density;
    }
}

/// Puts groups of round trees of about `tall` pixels along a crest.
pub(super) fn leaf(frame: &Frame, crest: &mut Crest, tall: f32, dice: &mut Dice) {
    if tall < 2.0 {
        return;
    }
    let ground = crest.clone();
    let groups = (frame.w() / frame.unit * 3.0).ceil() as u32;
    for _ in 0..groups {
        let middle = dice.range(0.0, frame.w());
        for _ in 0..=dice.index(9) {
            let radius = tall * dice.range(0.25, 0.55);
            let x = middle + tall * dice.range(-1.0, 1.0) * dice.range(0.2, 2.6);
            let foot = ground.at((x.max(0.0) as u32).min(frame.width - 1)) - radius * dice.range(0.2, 0.9);
            crest.raise((x - radius).max(0.0), x + radius, |at| {
                let off = (at - x) / radius;
                foot - radius * (1.0 - off * off).max(0.0).sqrt()
            });
        }
    }
}
