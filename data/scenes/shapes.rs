//! The ten shapes, each as the question whether a point of the box from -1 to 1, x to the right and y down, lies inside.

/// Whether a point of the box lies inside.
pub(super) type Shape = fn(f32, f32) -> bool;

/// One shape for each class.
pub(super) const SHAPES: [Shape; 10] =
    [disc, square, triangle, star, ring, cross, crescent, heart, arrow, hourglass];

fn disc(x: f32, y: f32) -> bool {
    x * x + y * y < 0.9
}

fn square(x: f32, y: f32) -> bool {
    x.max(-x) < 0.82 && y.max(-y) < 0.82
}

fn triangle(x: f32, y: f32) -> bool {
    y < 0.85 && x.max(-x) < (y + 1.0) * 0.54
}

/// Five points: the vertices of two regular pentagons in turn, the tips on a circle of radius 1.
fn star(x: f32, y: f32) -> bool {
    const VERTICES: [[f32; 2]; 10] = [
        [0.0, -1.0],
        [0.264, -0.364],
        [0.951, -0.309],
        [0.428, 0.139],
        [0.588, 0.809],
        [0.0, 0.45],
        [-0.588, 0.809],
        [-0.428, 0.139],
        [-0.951, -0.309],
        [-0.264, -0.364],
    ];
    // A ray to the right crosses the outline an odd number of times.
    let mut inside = false;
    let mut from = VERTICES[9];
    for to in VERTICES {
        if (from[1] > y) != (to[1] > y) {
            let crossing = from[0] + (y - from[1]) * (to[0] - from[0]) / (to[1] - from[1]);
            inside ^= x < crossing;
        }
        from = to;
    }
    inside
}

fn ring(x: f32, y: f32) -> bool {
    (0.24..0.94).contains(&(x * x + y * y))
}

fn cross(x: f32, y: f32) -> bool {
    let (x, y) = (x.max(-x), y.max(-y));
    x.max(y) < 0.95 && x.min(y) < 0.32
}

fn crescent(x: f32, y: f32) -> bool {
    let right = x - 0.5;
    x * x + y * y < 0.95 && right * right + y * y > 0.6
}

fn heart(x: f32, y: f32) -> bool {
    // (x^2 + y^2 - 1)^3 < x^2 y^3, with y up and a little smaller.
    let (x, y) = (1.2 * x, 0.1 - 1.15 * y);
    let r = x * x + y * y - 1.0;
    r * r * r < x * x * y * y * y
}

fn arrow(x: f32, y: f32) -> bool {
    let x = x.max(-x);
    (y < 0.0 && x < (y + 1.0) * 0.9) || ((0.0..0.95).contains(&y) && x < 0.32)
}

fn hourglass(x: f32, y: f32) -> bool {
    let (x, y) = (x.max(-x), y.max(-y));
    y < 0.9 && x < 0.08 + 0.85 * y
}
