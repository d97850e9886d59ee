// dx[n, t] = dy[n, t + 1], dcls = Σ_n dy[n, 0], dpositions[t] = Σ_n dy[n, t].
//
// A thread takes one element of a token, a vec4 where the width is a multiple of 4, of all sequences one after the other.
// Workgroup memory: none.
alias Element = $ELEMENT;

struct Immediates {
    batch: u32,
    tokens: u32, // of dy, the class token included
    units: u32,  // elements in a token
    add: u32,    // 1: to the sums over earlier sequences
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> dy: array<Element>;
@group(0) @binding(1) var<storage, read_write> dx: array<Element>;
@group(0) @binding(2) var<storage, read_write> dcls: array<Element>;
@group(0) @binding(3) var<storage, read_write> dpositions: array<Element>;

@compute @workgroup_size(256)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let sequence = imm.tokens * imm.units;
    for (var place = id.x; place < sequence; place += groups.x * 256u) {
        var sum = Element();
        if imm.add == 1u {
            sum = dpositions[place];
        }
        for (var n = 0u; n < imm.batch; n++) {
            let value = dy[n * sequence + place];
            sum += value;
            if place >= imm.units {
                dx[n * (sequence - imm.units) + place - imm.units] = value;
            }
        }
        dpositions[place] = sum;
        if place < imm.units {
            dcls[place] = sum;
        }
    }
}
