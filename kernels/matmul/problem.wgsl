// The sizes of the product, and which tile of C a workgroup (tiled.wgsl) or a thread (direct.wgsl) computes.
//
//   GEOMETRY  the operands need more than these sizes, and declare `struct Geometry`

struct Immediates {
    m: u32,
    n: u32,
    k: u32,
    batch: u32,
    split_k: u32, // length of the part of K that one tile sums; k unless K is split
    tiles_m: u32,
    tiles_n: u32,
    tiles: u32, // in all: tiles_m * tiles_n * planes
    grid_x: u32,
//! if GEOMETRY
    geometry: Geometry,
//! end
}
var<immediate> imm: Immediates;

struct Tile {
    row: u32,    // counted in tiles
    column: u32, // counted in tiles
    plane: u32,  // the matrix that is written: split * batch + the product's place in the batch
    batch: u32,
    split: u32,
}

// Tiles are counted in groups of 8 columns, row by row within a group: neighbours in time share rows of A and columns
// of B, which then come from the cache.
fn tile_at(index: u32) -> Tile {
    let per_plane = imm.tiles_m * imm.tiles_n;
    let plane = index / per_plane;
    let place = index % per_plane;
    let first = place / (8u * imm.tiles_m) * 8u;
    let width = min(imm.tiles_n - first, 8u);
    let inside = place - first * imm.tiles_m;
    return Tile(inside / width, first + inside % width, plane, plane % imm.batch, plane / imm.batch);
}
