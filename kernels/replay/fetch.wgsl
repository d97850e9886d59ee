// The drawn transitions, taken apart.
//
// Layout: ring [slots, 2 observation + 3], which are the slots from first_slot on where the ring is bound in windows;
// index, action, reward, discount [batch]; observations [batch, observation]. A thread copies a word; threads stride
// over the rest. No workgroup memory, no barriers.
struct Immediates {
    batch: u32,
    // Words of an observation.
    observation: u32,
    capacity: u32,
    first_slot: u32,
    slots: u32,
}
var<immediate> imm: Immediates;

@group(0) @binding(0) var<storage, read> ring: array<u32>;
@group(0) @binding(1) var<storage, read> index: array<u32>;
@group(0) @binding(2) var<storage, read_write> observation: array<u32>;
@group(0) @binding(3) var<storage, read_write> next_observation: array<u32>;
@group(0) @binding(4) var<storage, read_write> action: array<u32>;
// Words of floats, which are copied bit by bit.
@group(0) @binding(5) var<storage, read_write> reward: array<u32>;
@group(0) @binding(6) var<storage, read_write> discount: array<u32>;

@compute @workgroup_size(64)
fn main(@builtin(global_invocation_id) id: vec3<u32>, @builtin(num_workgroups) groups: vec3<u32>) {
    let words = imm.observation;
    let row = 2u * words + 3u;
    for (var at = id.x; at < imm.batch * row; at += groups.x * 64u) {
        let i = at / row;
        let k = at % row;
        // Slots before the first wrap around to large numbers.
        let slot = min(index[i], imm.capacity - 1u) - imm.first_slot;
        if (slot >= imm.slots) {
            continue;
        }
        let word = ring[slot * row + k];
        if (k < words) {
            observation[i * words + k] = word;
        } else if (k < 2u * words) {
            next_observation[i * words + k - words] = word;
        } else if (k == 2u * words) {
            action[i] = word;
        } else if (k == 2u * words + 1u) {
            reward[i] = word;
        } else {
            discount[i] = word;
        }
    }
}
