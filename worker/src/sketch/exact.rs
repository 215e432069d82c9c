//! Functions that libm would give, built from operations that IEEE 754 defines to the last bit.
//!
//! They are accurate enough for pictures (about 0.1 %) and the same on every platform, which `f32::sin`,
//! `exp`, `powf` and `cbrt` are not.

/// Linear interpolation from `a` (t = 0) to `b` (t = 1).
pub(super) fn lerp(a: f32, b: f32, t: f32) -> f32 {
    a + (b - a) * t
}

/// `x` held within 0..=1.
pub(super) fn unit(x: f32) -> f32 {
    x.clamp(0.0, 1.0)
}

/// 0 up to `from`, 1 beyond `to`, an S-curve between.
pub(super) fn smoothstep(from: f32, to: f32, x: f32) -> f32 {
    let t = unit((x - from) / (to - from));
    t * t * (3.0 - 2.0 * t)
}

/// Sine of an angle in turns (1.0 is the full circle).
pub(super) fn sin_turns(turns: f32) -> f32 {
    let x = turns - (turns + 0.5).floor();
    let parabola = 8.0 * x * (1.0 - 2.0 * x.abs());
    parabola * (0.775 + 0.225 * parabola.abs())
}

/// Cosine of an angle in turns.
pub(super) fn cos_turns(turns: f32) -> f32 {
    sin_turns(turns + 0.25)
}

/// A fall from 1 towards 0 for x from 0 up: close to `exp(-x)`.
pub(super) fn fall(x: f32) -> f32 {
    let x = x.max(0.0);
    1.0 / (1.0 + x * (1.0 + x * (0.5 + x * (0.166_67 + x * 0.041_67))))
}

/// Euclidean length of a vector.
pub(super) fn length(x: f32, y: f32) -> f32 {
    (x * x + y * y).sqrt()
}

/// Cube root of a number that is not negative.
pub(super) fn cbrt(x: f32) -> f32 {
    if x <= 1e-12 {
        return 0.0;
    }
    // dividing the exponent bits by three is within 6 %, and each Newton step squares the error
    let mut root = f32::from_bits(x.to_bits() / 3 + 0x2a51_19f2);
    for _ in 0..3 {
        root = (2.0 * root + x / (root * root)) / 3.0;
    }
    root
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn functions_are_close_to_the_true_ones() {
        for i in -400..400_i16 {
            let x = f32::from(i) / 100.0;
            let angle = x * std::f32::consts::TAU;
            assert!((sin_turns(x) - angle.sin()).abs() < 0.003, "sin {x}");
            assert!((cos_turns(x) - angle.cos()).abs() < 0.003, "cos {x}");
            let y = x.abs();
            assert!((fall(y) - (-y).exp()).abs() < 0.02, "fall {y}");
            assert!((cbrt(y) - y.cbrt()).abs() < 0.001, "cbrt {y}");
        }
    }
}
