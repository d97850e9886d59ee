//! Catch: its rules, its pictures and its exact values.

use super::simulate;
use approx::{abs_diff_eq, assert_abs_diff_eq};
use environments::{Catch, Environment, Error, Finite, Observation, ObservationKind};

fn picture(game: &Catch) -> Vec<u8> {
    let Observation::Pixels(pixels) = game.observation() else { panic!("not a picture") };
    pixels.to_vec()
}

/// The white cells of a picture of 10 x 5, row by row.
fn white(game: &Catch) -> Vec<[usize; 2]> {
    let pixels = picture(game);
    assert!(pixels.len() == 50 && pixels.iter().all(|&pixel| pixel == 0 || pixel == 255));
    (0..50).filter(|&cell| pixels[cell] == 255).map(|cell| [cell / 5, cell % 5]).collect()
}

#[test]
fn the_ball_falls_and_walls_stop_the_paddle() {
    let mut game = Catch::new(Catch::BOARD, 1).unwrap();
    for action in 0..3 {
        let column = white(&game)[0][1];
        assert_eq!(white(&game), [[0, column], [9, 2]]);
        let paddle =
            |steps| [[1, 0, 0, 0], [2, 2, 2, 2], [3, 4, 4, 4]][action as usize][usize::min(steps, 4) - 1];
        for steps in 1..9 {
            let step = game.step(action).unwrap();
            assert!(step.reward == 0.0 && !step.is_last());
            assert_eq!(white(&game), [[steps, column], [9, paddle(steps)]]);
        }
        let last = game.step(action).unwrap();
        let caught = column == paddle(9);
        assert_eq!(last.reward, if caught { 1.0 } else { -1.0 });
        assert!(last.terminated && !last.truncated && game.state().is_none());
        assert_eq!(white(&game).len(), if caught { 1 } else { 2 });
        assert!(matches!(game.step(1), Err(Error::EpisodeIsOver { .. })));
        game.reset();
    }
    let error = game.step(3).unwrap_err().to_string();
    assert!(error.contains("action 3 in catch") && error.contains("0 to 2"), "{error}");
}

#[test]
fn a_larger_picture_shows_the_same_board() {
    let mut board = Catch::new(Catch::BOARD, 6).unwrap();
    let mut screen = Catch::new(Catch::SCREEN, 6).unwrap();
    assert_eq!(screen.observation_kind(), ObservationKind::Pixels { shape: [84, 84, 1] });
    for step in 0..90 {
        let (small, large) = (picture(&board), picture(&screen));
        assert_eq!(large.len(), 4 * screen.observation_kind().words());
        for (cell, &pixel) in small.iter().enumerate() {
            // The pixel in the middle of the cell, and how many show it.
            let (row, column) = (cell / 5, cell % 5);
            assert_eq!(large[(84 * row + 42) / 10 * 84 + (84 * column + 42) / 5], pixel, "cell {cell}");
        }
        let whites = large.iter().filter(|&&pixel| pixel == 255).count();
        let cells = small.iter().filter(|&&pixel| pixel == 255).count();
        // A cell is 8 or 9 pixels high and 16 or 17 wide.
        assert!((128 * cells..=153 * cells).contains(&whites), "{whites} pixels for {cells} cells");
        let (a, b) = (board.step(step % 3).unwrap(), screen.step(step % 3).unwrap());
        assert_eq!(a, b);
        if a.is_last() {
            board.reset();
            screen.reset();
        }
    }
}

#[test]
fn every_ball_can_be_caught() {
    let mut game = Catch::new(Catch::BOARD, 2).unwrap();
    let model = game.model();
    for discount in [0.5, 0.99] {
        let optimum = model.optimum(discount).unwrap();
        let at_start = optimum.values[game.state().unwrap()];
        assert_abs_diff_eq!(at_start, f64::powi(discount, 8), epsilon = 1e-9);
    }
    let best = model.optimum(0.99).unwrap().actions;
    for epsilon in [0.0, 0.1, 1.0] {
        let policy = model.epsilon_greedy(&best, epsilon);
        let (exact, seen) = (model.reward_per_step(&policy), simulate(&mut game, &policy, 450_000));
        // 50,000 episodes of return 1 or -1: the standard deviation of the mean per step is below 5e-4.
        assert!(abs_diff_eq!(exact, seen, epsilon = 2.5e-3), "epsilon {epsilon}: {exact}, {seen}");
        // Where the paddle ends up has nothing to do with a ball whose column is uniform: one in five is caught.
        let known = [(0.0, 1.0), (1.0, -0.6)].into_iter().find(|(known, _)| *known == epsilon);
        assert!(
            known.is_none_or(|(_, per_episode)| abs_diff_eq!(9.0 * exact, per_episode, epsilon = 1e-9)),
            "{exact}"
        );
    }
}

#[test]
fn an_agent_that_explores_does_better_to_be_early() {
    let model = Catch::new(Catch::BOARD, 2).unwrap().model();
    let per_episode = |actions: &[usize]| 9.0 * model.reward_per_step(&model.epsilon_greedy(actions, 0.1));
    let late = per_episode(&model.optimum(0.99).unwrap().actions);
    let early = per_episode(&model.optimum_while_exploring(0.99, 0.1).unwrap().actions);
    // The last move is random in one of ten episodes; from the ball's column two of three, at a wall one, lead away.
    assert_abs_diff_eq!(early, 0.8905, epsilon = 1e-4);
    assert!(late < early - 0.05, "{late}");
}

#[test]
fn a_picture_smaller_than_the_board_is_refused() {
    for size in [[9, 5], [10, 4], [0, 0], [84, 1025]] {
        let error = Catch::new(size, 0).unwrap_err().to_string();
        assert!(error.starts_with("size = "), "{error}");
    }
}
