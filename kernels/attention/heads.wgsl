// Parts [N, H, T, d] from one tensor [N, T, PARTS, H, d], or with MERGE the other way round.
//
// A thread takes one element of every part and strides over the grid. No workgroup memory.
struct Immediates {
    // Elements of a part in this window.
    len: u32,
    tokens: u32,
    heads: u32,
    head_size: u32,
}
var<immediate> imm: Immediates;

//! if MERGE
@group(0) @binding(0) var<storage, read_write> joined: array<f32>;
@group(0) @binding(1) var<storage, read> part0: array<f32>;
//! else
@group(0) @binding(0) var<storage, read> joined: array<f32>;
@group(0) @binding(1) var<storage, read_write> part0: array<f32>;
//! end
//! for PART in 1..PARTS
//! if MERGE
@group(0) @binding(1 + $PART) var<storage, read> part$PART: array<f32>;
//! else
@group(0) @binding(1 + $PART) var<storage, read_write> part$PART: array<f32>;
//! end
//! end

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    for (var i = id.x; i < imm.len; i += groups.x * 256u) {
        let c = i % imm.head_size;
        let token = i / imm.head_size % imm.tokens;
        let head = i / imm.head_size / imm.tokens % imm.heads;
        let image = i / imm.head_size / imm.tokens / imm.heads;
        let row = (image * imm.tokens + token) * $PARTSu;
//! for PART in 0..PARTS
//! if MERGE
        joined[((row + $PARTu) * imm.heads + head) * imm.head_size + c] = part$PART[i];
//! else
        part$PART[i] = joined[((row + $PARTu) * imm.heads + head) * imm.head_size + c];
//! end
//! end
    }
}
