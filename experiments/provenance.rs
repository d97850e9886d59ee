//! Where the numbers of a run come from: the data by content, and each stretch of steps by device and program.

use data::DataSet;
use engine::Device;
use serde::{Deserialize, Serialize};

/// What a run is trained on, by content. Made once per data set: a digest of many images takes a while.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct DataIdentity {
    /// SHA-256 of the images and labels, as they are used: cut, made smaller, dithered.
    pub digest: String,
    /// Whether they are the published ones, in words.
    pub origin: String,
    /// They are the published ones, or drawn by this program.
    pub known: bool,
}

impl DataIdentity {
    /// The identity of a loaded set.
    pub fn of(data: &DataSet) -> Self {
        let known = matches!(data.origin, data::Origin::Published | data::Origin::BuiltIn);
        Self { digest: data.digest(), origin: data.origin.to_string(), known }
    }

    /// What a person should know of data that are not the published ones, or do not lie as expected.
    pub fn note(&self, data: &DataSet) -> Option<String> {
        let unknown = (!self.known).then(|| self.origin.clone());
        let known: Vec<String> = unknown.into_iter().chain(data.note.clone()).collect();
        (!known.is_empty())
            .then(|| format!("{}: {}", data.train.name.trim_end_matches(" train"), known.join("; ")))
    }
}

/// A stretch of a run's steps, taken by one program on one kind of device. Whoever repeats the run needs the same to get the
/// same bits; the number of threads does not matter.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Segment {
    /// `cpu`, or the adapter's name and driver.
    pub device: String,
    /// Of the CPU: `avx512`, `avx2` or `portable`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instruction_set: Option<String>,
    /// Of the program; `None` if it was built outside a checkout, or before runs remembered it.
    pub revision: Option<String>,
    /// The program was built from files that differed from that revision.
    pub dirty: bool,
    /// Steps of the run taken before it.
    pub from_step: u64,
    /// Steps of the run taken at its end.
    pub to_step: u64,
}

impl Segment {
    /// What this program does on `device` from a step on.
    pub fn here(device: &Device, step: u64) -> Self {
        let instruction_set = device.instruction_set();
        Self {
            device: if instruction_set.is_some() { "cpu".into() } else { device.name() },
            instruction_set,
            revision: option_env!("HT_GIT_REVISION").map(str::to_string),
            dirty: option_env!("HT_GIT_DIRTY").is_some(),
            from_step: step,
            to_step: step,
        }
    }

    /// What took the first `steps` of a run whose checkpoint does not say.
    pub fn unknown(steps: u64) -> Self {
        Self {
            device: "not recorded".into(),
            instruction_set: None,
            revision: None,
            dirty: false,
            from_step: 0,
            to_step: steps,
        }
    }

    fn computes_like(&self, other: &Self) -> bool {
        (&self.device, &self.instruction_set) == (&other.device, &other.instruction_set)
    }

    fn place(&self) -> String {
        match &self.instruction_set {
            Some(set) => format!("{} ({set})", self.device),
            None => self.device.clone(),
        }
    }
}

/// Goes on with `now` behind the segments before: one that would be the same is prolonged, so that an interruption leaves no
/// trace. Returns what a person should know where the bits may change from here on.
pub fn go_on(segments: &mut Vec<Segment>, now: Segment) -> Option<String> {
    segments.retain(|segment| segment.from_step < segment.to_step);
    let Some(last) = segments.last_mut() else {
        segments.push(now);
        return None;
    };
    let (from_step, to_step) = (last.from_step, last.to_step);
    if (Segment { from_step, to_step, ..now.clone() }) == *last {
        return None;
    }
    let note = (!last.computes_like(&now)).then(|| {
        format!(
            "it goes on on {}; its steps before {} were taken on {}, whose results differ in their last bits",
            now.place(),
            now.from_step,
            last.place()
        )
    });
    segments.push(now);
    note
}

#[cfg(test)]
mod tests {
    use super::*;

    fn segment(device: &str, from_step: u64, to_step: u64) -> Segment {
        Segment { device: device.into(), from_step, ..Segment::unknown(to_step) }
    }

    #[test]
    fn a_stop_leaves_no_trace_and_a_move_does() {
        let mut segments = Vec::new();
        assert_eq!(go_on(&mut segments, segment("a", 0, 0)), None);
        segments[0].to_step = 10;
        assert_eq!(go_on(&mut segments, segment("a", 10, 10)), None);
        assert_eq!(segments, [segment("a", 0, 10)]);
        let note = go_on(&mut segments, segment("b", 10, 10)).unwrap();
        assert!(note.contains("on b") && note.contains("before 10") && note.contains("on a"), "{note}");
        // Stopped there before a step was taken: it never was on b.
        assert_eq!(go_on(&mut segments, segment("a", 10, 10)), None);
        assert_eq!(segments, [segment("a", 0, 10)]);
    }

    #[test]
    fn another_program_on_the_same_device_is_recorded_without_a_word() {
        let mut segments = vec![segment("a", 0, 10)];
        let newer = Segment { revision: Some("1".into()), ..segment("a", 10, 10) };
        assert_eq!(go_on(&mut segments, newer), None);
        assert_eq!(segments.len(), 2);
    }
}
