// dx[n, t] = dy[n, t + 1], and for each group of sequences dcls = Σ_n dy[n, 0], dpositions[t] = Σ_n dy[n, t].
//
// A thread takes one element of a token, a vec4 where the width is a multiple of 4, of all sequences of a group one after
// the other, then strides over the groups. Workgroup memory: none.
alias Element = $ELEMENT;

struct Immediates {
    sequences: u32, // of a group
    tokens: u32,    // of dy, the class token included
    units: u32,     // elements in a token
    add: u32,       // 1: to the sums over earlier sequences
    groups: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> dy: array<Element>;
@group(0) @binding(1) var<storage, read_write> dx: array<Element>;
@group(0) @binding(2) var<storage, read_write> dcls: array<Element>;
@group(0) @binding(3) var<storage, read_write> dpositions: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) grid: vec3<u32>) {
    let sequence = imm.tokens * imm.units;
    for (var group = id.y; group < imm.groups; group += grid.y) {
        for (var place = id.x; place < sequence; place += grid.x * 256u) {
            let to = group * sequence + place;
            var sum = Element();
            if imm.add == 1u {
                sum = dpositions[to];
            }
            for (var n = group * imm.sequences; n < (group + 1u) * imm.sequences; n++) {
                let value = dy[n * sequence + place];
                sum += value;
                if place >= imm.units {
                    dx[n * (sequence - imm.units) + place - imm.units] = value;
                }
            }
            dpositions[to] = sum;
            if place < imm.units {
                dcls[group * imm.units + place] = sum;
            }
        }
    }
}
