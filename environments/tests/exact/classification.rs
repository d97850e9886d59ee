//! Classification MDPs: the known optima, by value iteration and by simulation, and what each state shows.

use super::simulate;
use approx::{abs_diff_eq, assert_abs_diff_eq};
use environments::{
    AfterLast, ClassificationMdp, ClassificationOptions, Environment, Error, Finite, Observation, Task,
};

const SPARSE: Task = Task::Sparse { after_last: AfterLast::Wrap };
const SPARSE_UNIFORM: Task = Task::Sparse { after_last: AfterLast::Uniform };

fn labels(images: u32, classes: u32) -> Vec<u32> {
    (0..images).map(|image| image * 7 % classes).collect()
}

fn options(task: Task) -> ClassificationOptions {
    ClassificationOptions { task, classes: 10, images: None }
}

fn mdp(task: Task) -> ClassificationMdp {
    ClassificationMdp::new(&labels(1000, 10), options(task), 3).unwrap()
}

/// Rewards per step of the best policy without exploration, with 10 % of it, and of random actions, exact and as
/// simulated: within 5e-6 of what is known, and within 3e-3 of each other.
#[test]
fn rewards_per_step_are_the_known_ones() {
    for (task, greedy, exploring, random) in [
        (Task::True, 1.0, 0.91, 0.1),
        (Task::Random, 1.0, 0.91, 0.1),
        (SPARSE, 0.2, 0.17267, 0.01),
        (SPARSE_UNIFORM, 0.25, 0.20915, 0.01011),
    ] {
        let mut mdp = mdp(task);
        let model = mdp.model();
        let best = model.optimum(0.99).unwrap().actions;
        for (epsilon, known) in [(0.0, greedy), (0.1, exploring), (1.0, random)] {
            let policy = model.epsilon_greedy(&best, epsilon);
            let exact = model.reward_per_step(&policy);
            assert!(
                abs_diff_eq!(exact, known, epsilon = 5e-6),
                "{task:?}, epsilon {epsilon}: {exact}, {known}"
            );
            // Rewards are 0 or 1: the standard deviation of the mean is below 8e-4 if steps were independent.
            let seen = simulate(&mut mdp, &policy, 400_000);
            assert!(
                abs_diff_eq!(exact, seen, epsilon = 3e-3),
                "{task:?}, epsilon {epsilon}: {exact}, {seen}"
            );
        }
    }
}

#[test]
fn values_of_the_easy_tasks_are_those_of_a_reward_at_every_step() {
    for task in [Task::True, Task::Random] {
        for discount in [0.0, 0.9, 0.99] {
            let optimum = mdp(task).model().optimum(discount).unwrap();
            let exact = 1.0 / (1.0 - discount);
            optimum.values.iter().for_each(|value| assert_abs_diff_eq!(*value, exact, epsilon = 1e-9));
            assert_eq!(optimum.actions, (0..10).collect::<Vec<_>>());
            let wrong = optimum.action_values[3][4];
            assert_abs_diff_eq!(wrong, discount * exact, epsilon = 1e-9);
        }
    }
}

/// On the hard task the best agent errs on purpose in states 0 to 5, so that answering correctly is not the aim.
#[test]
fn the_best_agent_of_the_hard_task_errs_on_purpose() {
    let model = mdp(SPARSE).model();
    let optimum = model.optimum(0.99).unwrap();
    let errs: Vec<bool> =
        optimum.actions.iter().enumerate().map(|(state, &action)| action != state).collect();
    assert_eq!(errs, [true, true, true, true, true, true, false, false, false, false]);
    assert!(optimum.values.iter().all(|value| (18.0..22.0).contains(value)), "{:?}", optimum.values);

    let correct = |policy: &[Vec<f64>]| -> f64 {
        model.occupancy(policy).iter().enumerate().map(|(state, share)| share * policy[state][state]).sum()
    };
    let exploring = correct(&model.epsilon_greedy(&optimum.actions, 0.1));
    assert_abs_diff_eq!(exploring, 0.458, epsilon = 5e-4);

    let always_right: Vec<usize> = (0..10).collect();
    for (epsilon, known) in [(0.0, 0.1), (0.1, 0.091)] {
        let reward = model.reward_per_step(&model.epsilon_greedy(&always_right, epsilon));
        assert!(abs_diff_eq!(reward, known, epsilon = 5e-4), "epsilon {epsilon}: {reward}");
    }
}

#[test]
fn any_number_of_classes_will_do() {
    for classes in [1, 2, 3, 100, 200] {
        for task in [Task::True, Task::Random, SPARSE, SPARSE_UNIFORM] {
            let options = ClassificationOptions { task, classes, images: None };
            let mut mdp = ClassificationMdp::new(&labels(20 * classes, classes), options, 1).unwrap();
            assert_eq!(mdp.actions(), classes);
            let optimum = mdp.model().optimum(0.9).unwrap();
            let policy = mdp.model().epsilon_greedy(&optimum.actions, 0.2);
            let (exact, seen) = (mdp.model().reward_per_step(&policy), simulate(&mut mdp, &policy, 100_000));
            assert!(
                abs_diff_eq!(exact, seen, epsilon = 8e-3),
                "{task:?}, {classes} classes: {exact}, {seen}"
            );
        }
    }
}

/// The image and the state that 60,000 steps of random actions see.
fn visits(mdp: &mut ClassificationMdp) -> Vec<(u32, usize)> {
    let mut seen = Vec::new();
    for step in 0..60_000u32 {
        mdp.step(step % mdp.actions()).unwrap();
        let Observation::Image(image) = mdp.observation() else { panic!("not an image") };
        seen.push((image, mdp.state().unwrap()));
    }
    seen
}

#[test]
fn a_state_shows_every_image_of_its_class_as_often() {
    let labels = labels(200, 10);
    for task in [Task::True, SPARSE] {
        let mut mdp = ClassificationMdp::new(&labels, options(task), 4).unwrap();
        let seen = visits(&mut mdp);
        assert!(seen.iter().all(|&(image, state)| labels[image as usize] as usize == state));
        if task == Task::True {
            let mut counts = [0i32; 200];
            seen.iter().for_each(|&(image, _)| counts[image as usize] += 1);
            // The standard deviation of a count is 17.
            assert!(counts.iter().all(|count| (count - 300).abs() < 90), "{counts:?}");
            let followed = seen.windows(2).filter(|pair| pair[1].1 == 4 && pair[0].1 == 4).count();
            assert!(followed.abs_diff(600) < 125, "{followed}");
        }
    }
}

#[test]
fn random_labels_are_uniform_fixed_and_nothing_to_do_with_the_true_ones() {
    let truth = labels(5000, 10);
    let random_labels = |seed| {
        let mut mdp = ClassificationMdp::new(&truth, options(Task::Random), seed).unwrap();
        let mut labels = vec![None; truth.len()];
        for (image, state) in visits(&mut mdp) {
            let before = labels[image as usize].replace(state);
            assert!(before.is_none_or(|before| before == state), "image {image} changed its label");
        }
        labels
    };
    let (first, second) = (random_labels(1), random_labels(2));
    let agree = |same: &dyn Fn(usize) -> bool| (0..truth.len()).filter(|&image| same(image)).count();
    // One in ten of 5,000 by chance, standard deviation 21.
    assert!(agree(&|image| first[image] == Some(truth[image] as usize)).abs_diff(500) < 110);
    assert!(agree(&|image| first[image] == second[image]).abs_diff(500) < 110);
    for class in 0..10 {
        assert!(agree(&|image| first[image] == Some(class)).abs_diff(500) < 110);
    }
    // True labels are not looked at: any number of classes in the set will do.
    assert!(ClassificationMdp::new(&[77; 500], options(Task::Random), 1).is_ok());
}

#[test]
fn a_part_of_the_images_is_drawn_from_the_whole_set() {
    let sorted: Vec<u32> = (0..1000).map(|image| image / 100).collect();
    let part = |seed| {
        let options = ClassificationOptions { images: Some(300), ..options(Task::True) };
        let mut mdp = ClassificationMdp::new(&sorted, options, seed).unwrap();
        visits(&mut mdp).iter().map(|&(image, _)| image).collect::<std::collections::BTreeSet<_>>()
    };
    let (first, second) = (part(1), part(2));
    assert_eq!((first.len(), second.len()), (300, 300));
    // Two independent parts of three tenths share 90 images, standard deviation 7.
    assert!(first.intersection(&second).count().abs_diff(90) < 36);
}

#[test]
fn wrong_labels_and_options_are_named() {
    let error = |labels: &[u32], classes, images| {
        let options = ClassificationOptions { task: Task::True, classes, images };
        ClassificationMdp::new(labels, options, 0).unwrap_err()
    };
    assert_eq!(error(&[0, 1, 10], 10, None), Error::Label { image: 2, label: 10, classes: 10 });
    assert_eq!(error(&[0, 1, 3], 4, None), Error::NoImage { class: 2, classes: 4, images: 3 });
    assert_eq!(error(&[], 3, None), Error::NoImage { class: 0, classes: 3, images: 0 });
    assert!(error(&[0, 1], 0, None).to_string().starts_with("classes = 0"));
    assert!(error(&[0, 1], 2, Some(3)).to_string().starts_with("images = 3"));
    assert!(matches!(error(&[0, 1], 2, Some(0)), Error::NoImage { .. }));
    let mut mdp = mdp(Task::True);
    let before = mdp.save();
    let error = mdp.step(10).unwrap_err().to_string();
    assert!(error.contains("action 10 in classification MDP: True, 10 classes"), "{error}");
    assert_eq!(mdp.save(), before);
}
