//! Both devices behind one front: what they refuse, and what must come back.

mod common;

use common::{Random, devices, gpu, network};
use engine::{Activation, Clock, Device, Error, Launch, Parameters, Slice};
use kernels::arena::GradientNorm;
use kernels::elementwise::{Add, Crelu, Relu};
use kernels::gather::{Gather, Source};
use std::sync::Arc;

fn launch(kernel: impl kernels::Kernel + 'static, slices: &[Slice]) -> Vec<Launch> {
    vec![Launch::new("test", Arc::new(kernel), slices.to_vec())]
}

fn floats(values: &[f32]) -> Vec<u32> {
    bytemuck::cast_slice(values).to_vec()
}

#[test]
fn words_come_back_from_any_offset_and_the_rest_is_zero() {
    for device in devices() {
        let buffer = device.buffer("test", 1000).unwrap();
        assert_eq!(buffer.words(), 1024);
        for (offset, length) in [(0, 1), (1, 3), (63, 2), (130, 64), (999, 25), (500, 0)] {
            let data: Vec<u32> = (0..length as u32).map(|i| i * 77 + 1 + offset as u32).collect();
            device.write(&buffer, offset, &data).unwrap();
            assert_eq!(device.read(&buffer, offset..offset + length).unwrap(), data, "{}", device.name());
        }
        let all = device.read(&buffer, 0..1024).unwrap();
        assert!(all[4..63].iter().chain(&all[65..130]).chain(&all[194..999]).all(|&word| word == 0));
        let empty = device.buffer("empty", 0).unwrap();
        assert!(device.read(&empty, 0..0).unwrap().is_empty());
    }
}

#[test]
fn large_buffers_are_written_whole() {
    // Longer than one piece of an upload.
    let data: Vec<u32> = (0..(5 << 20) + 3).map(|i: u32| i.wrapping_mul(2_654_435_761)).collect();
    for device in devices() {
        let buffer = device.buffer("large", data.len() + 5).unwrap();
        device.write(&buffer, 5, &data).unwrap();
        assert!(device.read(&buffer, 5..5 + data.len()).unwrap() == data, "{}", device.name());
    }
}

#[test]
fn a_launch_that_writes_what_it_reads_is_refused() {
    for device in devices() {
        let buffer = device.buffer("shared", 512).unwrap();
        let other = device.buffer("other", 512).unwrap();
        // The same slice, one that overlaps by a little, and two results in one place.
        for slices in [
            [buffer.slice(0, 100), other.slice(0, 100), buffer.slice(0, 100)],
            [buffer.slice(0, 100), other.slice(0, 100), buffer.slice(64, 100)],
            [other.slice(0, 100), buffer.slice(64, 100), buffer.slice(128, 100)],
        ] {
            match device.compile(launch(Add { len: 100 }, &slices)).map(|_| ()) {
                Err(Error::Aliasing { launch, buffer }) => assert_eq!((&*launch, &*buffer), ("test", "c")),
                other => panic!("{}: {other:?}", device.name()),
            }
        }
        // Reading one buffer twice is fine.
        let slices = [buffer.slice(0, 100), buffer.slice(0, 100), other.slice(0, 100)];
        device.compile(launch(Add { len: 100 }, &slices)).unwrap();
    }
}

#[test]
fn different_parts_of_one_buffer_are_refused_where_the_device_tracks_whole_buffers() {
    for device in devices() {
        let buffer = device.buffer("shared", 512).unwrap();
        let slices = [buffer.slice(0, 100), buffer.slice(256, 100)];
        let outcome = device.compile(launch(Relu { len: 100 }, &slices));
        assert_eq!(matches!(outcome, Err(Error::Aliasing { .. })), device.is_gpu(), "{}", device.name());
        assert_eq!(outcome.is_ok(), !device.is_gpu());
    }
}

#[test]
fn malformed_launches_are_refused_with_a_reason() {
    for device in devices() {
        let (a, b) = (device.buffer("a", 256).unwrap(), device.buffer("b", 256).unwrap());
        for (slices, reason) in [
            (vec![a.slice(32, 100), b.slice(0, 100)], "'x' starts at word 32"),
            (vec![a.slice(0, 100), b.slice(1, 100)], "'y' starts at word 1"),
            (vec![a.slice(0, 99), b.slice(0, 100)], "'x' has 99 words, 100 needed"),
            (vec![a.slice(0, 100)], "has 2 buffers, 1 were given"),
        ] {
            let error = device.compile(launch(Relu { len: 100 }, &slices)).unwrap_err();
            assert!(matches!(error, Error::Shape { .. }), "{error}");
            assert!(error.to_string().contains(reason), "'{reason}' is not in: {error}");
        }
    }
}

#[test]
fn a_buffer_that_cannot_be_made_or_bound_is_a_typed_error() {
    let device = gpu();
    let report = engine::device::list_devices();
    let adapter = report.adapters.iter().find(|adapter| adapter.name == device.name()).unwrap();
    let words = (adapter.largest_buffer / 4) as usize;
    let before = device.allocated_bytes();
    match device.buffer("everything", words + 1).map(|_| ()) {
        Err(error @ Error::Limit { .. }) => {
            let message = error.to_string();
            for word in ["everything", "the CPU", &adapter.name, &adapter.largest_buffer.to_string()] {
                assert!(message.contains(word), "'{word}' is not in: {message}");
            }
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(device.allocated_bytes(), before);
    // A buffer may be longer than a binding; a kernel that needs it whole is refused.
    let little = kernels::GpuTraits { largest_binding: 64, ..device.gpu_traits().unwrap() };
    let slices = [128, 2, 4].map(|words| device.buffer("long", words).unwrap().slice(0, words));
    let norm = launch(GradientNorm { len: 128, max_norm: Some(1.0), ring_rows: 1, words: 4 }, &slices);
    match device.clone().with_gpu_traits(little).compile(norm).map(|_| ()) {
        Err(error @ Error::Limit { .. }) => assert!(error.to_string().contains("512 bytes"), "{error}"),
        other => panic!("{other:?}"),
    }
    // The device goes on.
    let small = device.buffer_with("small", &[7]).unwrap();
    assert_eq!(device.read(&small, 0..1).unwrap(), [7]);
}

#[test]
fn sizes_whose_bytes_overflow_are_refused() {
    for device in devices() {
        for words in [usize::MAX, usize::MAX - 63, 1 << (usize::BITS - 2), 1 << (usize::BITS - 1)] {
            let refused = device.buffer("absurd", words).map(|_| ());
            assert!(matches!(refused, Err(Error::Limit { .. } | Error::OutOfMemory { .. })), "{refused:?}");
        }
        // As many words as are left of a product that overflowed.
        let slices = [4, 8].map(|words| device.buffer("small", words).unwrap().slice(0, words));
        let crelu = Crelu { rows: 1 + (1 << (usize::BITS - 2)), channels: 4 };
        let refused = device.compile(launch(crelu, &slices)).map(|_| ());
        assert!(matches!(refused, Err(Error::Shape { .. })), "{refused:?}");
    }
}

#[test]
fn a_device_that_is_not_there_lists_those_that_are() {
    let message = match Device::open("no such device", 1) {
        Err(error @ Error::NoSuchDevice { .. }) => error.to_string(),
        other => panic!("{other:?}"),
    };
    assert!(message.contains("'no such device'") && message.contains("cpu"), "{message}");
    for adapter in engine::device::list_devices().adapters {
        assert!(message.contains(&adapter.name), "{} is not in: {message}", adapter.name);
    }
}

#[test]
fn an_adapter_is_found_by_a_part_of_its_name_in_any_case() {
    let name = gpu().name();
    for part in [name.clone(), name.to_uppercase(), name[..4].to_string()] {
        assert_eq!(Device::open(&part, 0).unwrap().name(), name);
    }
}

#[test]
fn memory_is_counted_and_given_back() {
    for device in devices() {
        let before = device.allocated_bytes();
        let buffer = device.buffer("test", 1 << 16).unwrap();
        let copy = buffer.clone();
        assert_eq!(device.allocated_bytes(), before + (4 << 16));
        drop(buffer);
        assert_eq!(device.allocated_bytes(), before + (4 << 16), "a clone shares the memory");
        drop(copy);
        assert_eq!(device.allocated_bytes(), before);
    }
}

#[test]
fn launches_run_in_order_and_reports_describe_them() {
    for device in devices() {
        // x, 2x, 4x, ... through one chain: each launch must see the one before.
        let mut random = Random(1);
        let x = random.values(300);
        let buffers: Vec<_> = (0..9).map(|_| device.buffer_with("test", &floats(&x)).unwrap()).collect();
        let mut launches = Vec::new();
        for pair in buffers.windows(2) {
            let (from, to) = (pair[0].slice(0, 300), pair[1].slice(0, 300));
            launches.extend(launch(Add { len: 300 }, &[from.clone(), from, to]));
        }
        let program = device.compile(launches).unwrap();
        program.run(&Clock::default()).unwrap();
        let got = device.read_f32(&buffers[8].slice(0, 300)).unwrap();
        let expected: Vec<f32> = x.iter().map(|value| value * 256.0).collect();
        assert_eq!(got, expected, "{}", device.name());
        let report = program.report();
        assert_eq!(report.len(), 8);
        assert!(report.iter().all(|row| row.label == "test" && row.kernel == "elementwise/add"));
        assert!(report.iter().all(|row| row.dispatches.is_empty() != device.is_gpu()));
        let times = program.profile(&Clock::default(), 3).unwrap();
        assert_eq!(times.len(), 8);
        assert_eq!(
            device.read_f32(&buffers[8].slice(0, 300)).unwrap(),
            expected,
            "profiling changes nothing"
        );
    }
}

#[test]
fn a_checked_run_names_the_first_launch_that_is_not_finite() {
    for device in devices() {
        let mut data = vec![1f32; 200];
        let (a, b) = (device.buffer_with("a", &floats(&data)).unwrap(), device.buffer("b", 200).unwrap());
        let c = device.buffer("c", 200).unwrap();
        let mut launches = launch(Relu { len: 200 }, &[a.slice(0, 200), b.slice(0, 200)]);
        let slices = [a.slice(0, 200), b.slice(0, 200), c.slice(0, 200)];
        launches.push(Launch::new("sum", Arc::new(Add { len: 200 }), slices.to_vec()));
        let program = device.compile(launches).unwrap();
        let clock = Clock::default();
        assert_eq!(program.run_checked(&clock).unwrap(), None);
        // Minus infinity is rectified to zero by the first launch and comes through the second.
        data[123] = f32::NEG_INFINITY;
        device.write(&a, 0, &floats(&data)).unwrap();
        let found = program.run_checked(&clock).unwrap().expect("an infinity");
        assert_eq!((&*found.launch, found.buffer, found.index), ("sum", "c", 123), "{}", device.name());
        data[123] = f32::NAN;
        device.write(&a, 0, &floats(&data)).unwrap();
        let found = program.run_checked(&clock).unwrap().expect("a NaN");
        assert_eq!((&*found.launch, found.buffer, found.index), ("test", "y", 123), "{}", device.name());
    }
}

#[test]
fn a_program_that_is_replayed_from_the_same_state_gives_the_same_bits() {
    for device in devices() {
        let mut parameters = Parameters::new();
        let w = network::weight(&mut parameters, "fc1", [33, 17]);
        let b = network::bias(&mut parameters, "fc1", 33);
        let norm = network::batch_norm(&mut parameters, "bn1", 33);
        let v = network::weight(&mut parameters, "fc2", [5, 33]);
        let forward: network::Forward = Box::new(move |graph, x| {
            let x = graph.linear(x, w, Some(b), Activation::None)?;
            let x = graph.batch_norm(x, &norm, true, None)?;
            let x = graph.dropout(x, 0.3)?;
            graph.linear(x, v, None, Activation::None)
        });
        let net = network::Network::new(parameters, [19, 17], 5, 3, forward);
        let loaded = net.load(&device, true).unwrap();
        let everything = || {
            let words =
                |slice: Slice| device.read(&slice.buffer, slice.offset..slice.offset + slice.words).unwrap();
            let outputs = ["logits", "row_loss"].map(|name| words(loaded.outputs[name].clone()));
            (outputs, words(loaded.gradients.all()), words(loaded.statistics.all()))
        };
        loaded.loss().unwrap();
        let first = everything();
        loaded.loss().unwrap();
        assert_eq!(everything().1, first.1, "gradients on {}", device.name());
        assert_ne!(everything().2, first.2, "the running statistics move on");
        device.write(&loaded.statistics, 0, &floats(&net.statistics)).unwrap();
        loaded.loss().unwrap();
        assert_eq!(everything(), first, "{}", device.name());
        // Another program of the same network agrees as well.
        let again = net.load(&device, true).unwrap();
        again.loss().unwrap();
        assert_eq!(
            device.read(&again.gradients, 0..net.parameters.words()).unwrap(),
            first.1[..net.parameters.words()]
        );
    }
}

#[test]
fn threads_that_cannot_be_had_are_an_error_of_the_device() {
    for threads in [100_000, usize::MAX] {
        match Device::open("cpu", threads).map(|device| device.name()) {
            Err(Error::Cpu(error)) => assert!(error.to_string().contains("too many"), "{error}"),
            other => panic!("{threads} threads: {other:?}"),
        }
    }
    assert!(Device::cpu(0).is_ok());
}

#[test]
fn a_constant_is_read_by_launches_and_written_by_nothing() {
    // On the CPU neither aligned as a vector nor padded.
    let words = Arc::new(floats(&(0..75).map(|i| i as f32 - 40.0).collect::<Vec<_>>()));
    for device in devices() {
        let before = device.allocated_bytes();
        let constant = device.constant("constant", Arc::clone(&words)).unwrap();
        if !device.is_gpu() {
            assert_eq!(device.allocated_bytes(), before, "the host's memory is not counted again");
            assert_eq!(Arc::strong_count(&words), 2, "and not copied");
        }
        let out = device.buffer("out", 75).unwrap();
        let slices = [constant.slice(0, 75), out.slice(0, 75)];
        device.compile(launch(Relu { len: 75 }, &slices)).unwrap().run(&Clock::default()).unwrap();
        let rectified: Vec<f32> = (0..75).map(|i| (i as f32 - 40.0).max(0.0)).collect();
        assert_eq!(device.read_f32(&out.slice(0, 75)).unwrap(), rectified, "{}", device.name());
        assert_eq!(device.read(&constant, 0..75).unwrap(), *words);

        let slices = [out.slice(0, 75), constant.slice(0, 75)];
        let refused = device.compile(launch(Relu { len: 75 }, &slices)).map(|_| ());
        assert!(matches!(refused, Err(Error::Constant { .. })), "{refused:?}");
        let refused = device.write(&constant, 0, &[1]);
        assert!(matches!(refused, Err(Error::Constant { .. })), "{refused:?}");
        assert_eq!(words[0], (-40f32).to_bits());
        drop((constant, slices));
        let empty = device.constant("empty", Arc::<Vec<u32>>::default()).unwrap();
        assert!(device.read(&empty, 0..0).unwrap().is_empty());
    }
    assert_eq!(Arc::strong_count(&words), 1);
}

#[test]
fn words_outside_a_buffer_and_buffers_of_other_devices_are_refused() {
    for device in devices() {
        let buffer = device.buffer("test", 64).unwrap();
        for (offset, length) in [(63, 2), (65, 0), (usize::MAX, 1), (usize::MAX - 63, 64)] {
            let outside = |result: Result<(), Error>| {
                assert!(matches!(result, Err(Error::OutOfRange { .. })), "{offset} {length}: {result:?}");
            };
            outside(device.write(&buffer, offset, &vec![0; length]));
            outside(device.read_into(&buffer, offset, &mut vec![0; length]));
            outside(device.read_f32(&buffer.slice(offset, length)).map(|_| ()));
            let slices = [buffer.slice(offset, length), buffer.slice(0, 0)];
            outside(device.compile(launch(Relu { len: 0 }, &slices)).map(|_| ()));
        }
        // More than there is memory for is refused before any is taken.
        let refused = device.read(&buffer, 0..usize::MAX / 8);
        assert!(matches!(refused, Err(Error::OutOfRange { .. })), "{refused:?}");

        for other in [Device::cpu(1).unwrap(), Device::cpu(2).unwrap()] {
            let strange = other.buffer("test", 64).unwrap();
            let foreign = |result: Result<(), Error>| {
                assert!(matches!(result, Err(Error::OtherDevice { .. })), "{result:?}");
            };
            foreign(device.write(&strange, 0, &[1]));
            foreign(device.read(&strange, 0..1).map(|_| ()));
            let slices = [strange.slice(0, 9), buffer.slice(0, 9)];
            foreign(device.compile(launch(Relu { len: 9 }, &slices)).map(|_| ()));
        }
    }
}

#[test]
fn integers_are_no_floats_that_could_be_nan() {
    // A position whose bits are a NaN's, or a label's: a checked run looks at floats only.
    let nan = f32::NAN.to_bits();
    for device in devices() {
        let images = device.constant("images", Arc::new(vec![0; 64])).unwrap();
        let subset = device.constant("subset", Arc::new(vec![0])).unwrap();
        let labels = device.constant("labels", Arc::new(vec![nan])).unwrap();
        let (x, y) = (device.buffer("x", 4).unwrap(), device.buffer("y", 1).unwrap());
        let gather = Gather {
            examples: 1,
            batch: 1,
            height: 2,
            width: 2,
            channels: 1,
            scale: vec![1.0],
            shift: vec![0.0],
            images_rows: 1,
            source: Source::Resident,
            shuffle: false,
            augment: None,
        };
        let slices = [images.all(), subset.all(), labels.all(), x.slice(0, 4), y.slice(0, 1)];
        let program = device.compile(launch(gather, &slices)).unwrap();
        assert_eq!(program.run_checked(&Clock::default()).unwrap(), None, "{}", device.name());
        assert_eq!(device.read(&y, 0..1).unwrap(), [nan]);
    }
}
