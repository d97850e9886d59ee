//! Every method against a learner without one.

use super::*;

/// `1 / sqrt(fan_in)` of the layers of [`plain`].
fn bound(name: &str) -> f32 {
    let inputs = if name.contains("fc1") { 784 } else { 16 };
    1.0 / (if name.starts_with("head") { 12 } else { inputs } as f32).sqrt()
}

#[test]
fn nothing_happens_before_a_methods_time_has_come() {
    for method in METHODS.into_iter().filter(|method| !matches!(method, Method::WeightDecay { .. })) {
        let [with, without] = with_and_without(method, 2);
        assert_eq!(with, without, "{method:?}");
    }
}

#[test]
fn a_last_layer_reset_draws_the_last_layer_and_leaves_the_rest_and_the_target() {
    let [with, without] = with_and_without(Method::LastLayerReset, PERIOD);
    for (name, tensor) in &with.tensors {
        let reset = ["online.head.", "exp_avg.head.", "exp_avg_sq.head."];
        let is_reset = reset.iter().any(|prefix| name.starts_with(prefix));
        assert_eq!(*tensor != without.tensors[name], is_reset, "{name}");
        if is_reset && !name.starts_with("online.") {
            assert!(floats(&with, name).iter().all(|&moment| moment == 0.0), "{name}");
        }
    }
    let model = plain();
    let first = model.parameters().export(&model.parameters().initial_values(3));
    for (name, drawn) in behind(&with, "online.head.") {
        let first = &first.iter().find(|(first, ..)| *first == format!("head.{name}")).unwrap().2;
        assert!(drawn.iter().all(|w| w.abs() <= bound("head")) && drawn != first, "{name}");
    }
    // The target took over what the online network had learned.
    assert_eq!(behind(&with, "target."), behind(&without, "online."));
    let [again, _] = with_and_without(Method::LastLayerReset, 2 * PERIOD);
    assert_ne!(floats(&again, "online.head.fc.bias"), floats(&with, "online.head.fc.bias"));
}

#[test]
fn shrink_and_perturb_adds_fresh_weights() {
    for (keep, perturb) in [(0.5, 0.0), (0.8, 0.2), (0.0, 1.0)] {
        let [with, without] = with_and_without(Method::ShrinkPerturb { keep, perturb }, PERIOD);
        for ((name, after), (_, before)) in
            behind(&with, "online.").into_iter().zip(behind(&without, "online."))
        {
            let fresh: Vec<f32> = after.iter().zip(before).map(|(a, b)| a - keep as f32 * b).collect();
            let most = perturb as f32 * bound(name) + 1e-6;
            assert!(fresh.iter().all(|w| w.abs() <= most), "{name}");
            // Uniform within the bound: a third of its square is the mean square.
            if fresh.len() > 1000 && perturb > 0.0 {
                let square = fresh.iter().map(|w| w * w).sum::<f32>() / fresh.len() as f32;
                approx::assert_relative_eq!(square, most * most / 3.0, max_relative = 0.05);
            }
        }
        for prefix in ["target.", "exp_avg.", "exp_avg_sq."] {
            assert_eq!(behind(&with, prefix), behind(&without, prefix));
        }
    }
}

#[test]
fn an_optimizer_reset_makes_the_next_step_a_first_step() {
    let [with, without] = with_and_without(Method::OptimizerReset, PERIOD);
    assert_eq!(behind(&with, "online."), behind(&without, "online."));
    for prefix in ["exp_avg.", "exp_avg_sq."] {
        assert!(behind(&with, prefix).iter().all(|(_, moments)| moments.iter().all(|&m| m == 0.0)));
    }
    // Adam's first step is the learning rate times the sign of the gradient.
    let [next, _] = with_and_without(Method::OptimizerReset, PERIOD + 1);
    let rate = options(Method::None).learning_rate as f32;
    let steps = behind(&next, "online.").into_iter().zip(behind(&with, "online."));
    let steps: Vec<f32> = steps
        .flat_map(|((_, after), (_, before))| after.iter().zip(before).map(|(a, b)| (a - b).abs()))
        .filter(|&step| step > 0.0)
        .collect();
    let whole = steps.iter().filter(|&&step| step > 0.99 * rate).count();
    assert!(steps.iter().all(|&step| step < 1.001 * rate) && 10 * whole > 9 * steps.len());
}

#[test]
fn weight_decay_is_in_the_gradient() {
    let strength = 0.5;
    let [with, without] = with_and_without(Method::WeightDecay { strength }, 1);
    let model = plain();
    for (name, _, first) in model.parameters().export(&model.parameters().initial_values(3)) {
        let moments = [&with, &without].map(|file| floats(file, &format!("exp_avg.{name}")));
        for ((with, without), w) in moments[0].iter().zip(moments[1]).zip(first) {
            // exp_avg = (1 - beta1) gradient after one step.
            approx::assert_abs_diff_eq!(with - without, 0.1 * strength as f32 * w, epsilon = 1e-6);
        }
    }
}

#[test]
fn redo_recycles_what_is_dormant_and_nothing_else() {
    // Unit 3 of the first layer never puts out anything.
    let dead = |method| {
        let mut learner = learner(&plain(), options(method));
        update(&mut learner, 1);
        let mut file = state(&learner);
        for name in ["online.backbone.fc1.bias", "target.backbone.fc1.bias"] {
            let StoredValues::F32(bias) = &mut file.tensors.get_mut(name).unwrap().values else { panic!() };
            bias[3] = -100.0;
        }
        learner.load(&file, 1).unwrap();
        update(&mut learner, PERIOD - 1);
        state(&learner)
    };
    let (with, without) = (dead(Method::Redo { threshold: 0.0 }), dead(Method::None));
    // On eight images other units put out nothing either.
    let recycled = |layer: &str| {
        let name = format!("online.backbone.{layer}.bias");
        let pairs = floats(&with, &name).iter().zip(floats(&without, &name));
        pairs.map(|(after, before)| after != before).collect::<Vec<_>>()
    };
    let (first, second) = (recycled("fc1"), recycled("fc2"));
    assert!(first[3] && first.contains(&false) && second.contains(&false));
    for ((name, after), (_, before)) in behind(&with, "online.").into_iter().zip(behind(&without, "online."))
    {
        for (index, (&after, &before)) in after.iter().zip(before).enumerate() {
            let (drawn, zero) = match name {
                "backbone.fc1.weight" => (first[index / 784], false),
                "backbone.fc1.bias" => (false, first[index]),
                "backbone.fc2.weight" => (second[index / 16], first[index % 16]),
                "backbone.fc2.bias" => (false, second[index]),
                "head.fc.weight" => (false, second[index % 12]),
                _ => (false, false),
            };
            match (zero, drawn) {
                (true, _) => assert_eq!(after, 0.0, "{name} {index}"),
                (false, true) => assert!(after != before && after.abs() <= bound(name), "{name} {index}"),
                (false, false) => assert_eq!(after, before, "{name} {index}"),
            }
            let moments = ["exp_avg", "exp_avg_sq"].map(|of| floats(&with, &format!("{of}.{name}"))[index]);
            assert!(!(zero || drawn) || moments == [0.0; 2], "moments of {name} {index}");
        }
    }
    assert_eq!(behind(&with, "target."), behind(&without, "target."));
}

#[test]
fn a_hare_is_set_back_to_its_average() {
    let method = Method::HareTortoise { reset_interval: 3 };
    let mut hare = learner(&plain(), options(method));
    let mut average = floats(&state(&hare), "target.backbone.fc2.weight").to_vec();
    for done in 1..=3 {
        update(&mut hare, 1);
        let now = state(&hare);
        let online = floats(&now, "online.backbone.fc2.weight");
        let target = floats(&now, "target.backbone.fc2.weight");
        if done == 3 {
            assert_eq!(behind(&now, "online."), behind(&now, "target."));
            break;
        }
        for ((average, online), target) in average.iter_mut().zip(online).zip(target) {
            *average = 0.9 * *average + 0.1 * online;
            approx::assert_abs_diff_eq!(*average, *target, epsilon = 1e-7);
        }
        assert_ne!(online, target);
    }
    // The control has the same average and the same moments.
    let [with, without] = with_and_without(method, 3);
    for prefix in ["target.", "exp_avg.", "exp_avg_sq."] {
        assert_eq!(behind(&with, prefix), behind(&without, prefix));
    }
    assert_ne!(behind(&with, "online."), behind(&without, "online."));
}
