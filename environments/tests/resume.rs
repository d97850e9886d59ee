//! A saved environment goes on with the same bits, and what is no saved state is refused.

use environments::{
    AfterLast, Catch, Chain, ChainOptions, ClassificationMdp, ClassificationOptions, Environment, Error,
    Purpose, Random, Task,
};

/// Every environment in every form, with this seed.
fn all(seed: u64) -> Vec<Box<dyn Environment>> {
    let mut all: Vec<Box<dyn Environment>> = Vec::new();
    for (states, slip, time_limit) in [(2, 0.0, None), (5, 0.3, None), (5, 0.3, Some(7)), (9, 0.5, Some(1))] {
        all.push(Box::new(Chain::new(ChainOptions { states, slip, time_limit }, seed).unwrap()));
    }
    for size in [Catch::BOARD, [20, 17]] {
        all.push(Box::new(Catch::new(size, seed).unwrap()));
    }
    let labels: Vec<u32> = (0..90).map(|image| image % 9).collect();
    let sparse = |after_last| Task::Sparse { after_last };
    for task in [Task::True, Task::Random, sparse(AfterLast::Wrap), sparse(AfterLast::Uniform)] {
        for images in [None, Some(80)] {
            let options = ClassificationOptions { task, classes: 9, images };
            all.push(Box::new(ClassificationMdp::new(&labels, options, seed).unwrap()));
        }
    }
    all
}

/// An environment with an agent that acts at random.
struct Play {
    environment: Box<dyn Environment>,
    random: Random,
    is_over: bool,
}

impl Play {
    /// Resets after an end, acts, and says all that an agent can see.
    fn step(&mut self) -> String {
        if std::mem::take(&mut self.is_over) {
            self.environment.reset();
        }
        let action = self.random.below(self.environment.actions());
        let step = self.environment.step(action).unwrap();
        self.is_over = step.is_last();
        format!("{step:?} {:?}", self.environment.observation())
    }
}

#[test]
fn a_restored_environment_goes_on_with_the_same_bits() {
    for seed in 0..20 {
        for (index, environment) in all(seed).into_iter().enumerate() {
            let mut random = Random::new(seed, Purpose::Episodes, 2);
            let steps_before = random.below(200);
            let mut first = Play { environment, random, is_over: false };
            (0..steps_before).for_each(|_| drop(first.step()));
            // One is restored when new, one while it stands elsewhere.
            for others_steps in [0, 31] {
                let saved = first.environment.save();
                let environment = all(seed).remove(index);
                let mut second =
                    Play { environment, random: Random::new(seed, Purpose::Episodes, 3), is_over: false };
                (0..others_steps).for_each(|_| drop(second.step()));
                second.environment.restore(&saved).unwrap();
                assert_eq!(second.environment.observation(), first.environment.observation());
                assert_eq!(second.environment.save(), saved);
                (second.random, second.is_over) = (first.random.clone(), first.is_over);
                for step in 0..100 {
                    assert_eq!(second.step(), first.step(), "{step}: {}", first.environment.description());
                }
            }
        }
    }
}

#[test]
fn every_episode_differs_and_the_seed_decides() {
    let play = |environment: Box<dyn Environment>| {
        let mut play = Play { environment, random: Random::new(1, Purpose::Episodes, 2), is_over: false };
        (0..300).map(|_| play.step()).collect::<Vec<_>>()
    };
    for ((first, same), other) in all(1).into_iter().zip(all(1)).zip(all(2)) {
        let description = first.description();
        assert_eq!(description, same.description());
        assert_ne!(description, other.description());
        let first = play(first);
        assert_eq!(first, play(same), "{description}");
        assert!(first != play(other) || description.contains("slip 0,"), "{description}");
    }
}

#[test]
fn a_state_of_another_environment_is_refused() {
    for (index, saver) in [all(1), all(2)].into_iter().flatten().enumerate() {
        for (other, mut environment) in all(1).into_iter().enumerate() {
            let before = environment.save();
            match environment.restore(&saver.save()) {
                Ok(()) => assert_eq!(index, other),
                Err(Error::OtherEnvironment { saved, here }) => {
                    assert_eq!((saved, here), (saver.description(), environment.description()));
                    assert_eq!(environment.save(), before);
                }
                Err(error) => panic!("{error}"),
            }
        }
    }
}

#[test]
fn damaged_states_are_refused_or_harmless() {
    for mut environment in all(3) {
        let good = environment.save();
        for length in 0..good.len() {
            assert!(environment.restore(&good[..length]).is_err(), "{length} bytes of {}", good.len());
        }
        assert!(environment.restore(&[&good[..], &[0]].concat()).is_err());
        assert_eq!(environment.save(), good);
        // Every bit of every number: what cannot be is refused, all else is a state to go on from.
        for bit in 0..8 * good.len() {
            let mut wrong = good.clone();
            wrong[bit / 8] ^= 1 << (bit % 8);
            let before = environment.save();
            match environment.restore(&wrong) {
                Ok(()) => assert_eq!(environment.save(), wrong),
                Err(_) => assert_eq!(environment.save(), before),
            }
            for action in 0..environment.actions() {
                if environment.step(action).map_or(true, |step| step.is_last()) {
                    environment.reset();
                }
            }
        }
    }
}
