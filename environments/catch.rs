//! A ball falls and a paddle catches it: the smallest task with pictures.

use crate::environment::check;
use crate::random::{Purpose, Random};
use crate::{
    Environment, Error, Finite, FiniteMdp, Next, Observation, ObservationKind, Outcome, Result, Step, state,
};

const ROWS: usize = 10;
const COLUMNS: usize = 5;

/// A ball falls through 10 rows of 5 cells, and a paddle in the bottom row is to be below it when it arrives.
///
/// An episode begins with the ball in a random cell of the top row and the paddle in the middle. Each of its 9 steps
/// moves the paddle (0 left, 1 stays, 2 right; walls stop it), then the ball down by one row. When the ball reaches the
/// bottom row the episode is terminated, with reward 1 if the paddle is in its column and -1 if not; all other rewards
/// are 0. (Osband and others, *Behaviour Suite for Reinforcement Learning*, 2020.)
///
/// The observation is a picture `[height, width, 1]`: black, but white (255) where ball and paddle are. At 10 x 5 every
/// cell is one pixel. A larger picture shows the same board stretched: pixel (y, x) shows cell
/// (10 y / height, 5 x / width), rounded down.
///
/// The best agent catches every ball: with discount g, V* is g^8 at the start.
#[derive(Clone, Debug)]
pub struct Catch {
    size: [usize; 2],
    seed: u64,
    random: Random,
    /// Row and column.
    ball: [usize; 2],
    /// Column.
    paddle: usize,
    picture: Vec<u8>,
}

impl Catch {
    /// Height and width of the picture with one pixel per cell.
    pub const BOARD: [usize; 2] = [ROWS, COLUMNS];
    /// Height and width of pictures as agents of Atari games see them.
    pub const SCREEN: [usize; 2] = [84, 84];

    /// A game whose pictures have this height and width, such as [`Catch::BOARD`] or [`Catch::SCREEN`].
    ///
    /// # Errors
    /// The picture is smaller than the board, or a side is longer than 1,024.
    pub fn new(size: [usize; 2], seed: u64) -> Result<Self> {
        let [height, width] = size;
        if !(ROWS..=1024).contains(&height) || !(COLUMNS..=1024).contains(&width) {
            let value = format!("{height} x {width}");
            return Err(Error::option("size", value, "a height of 10 to 1024 and a width of 5 to 1024"));
        }
        let random = Random::new(seed, Purpose::Episodes, 0);
        let picture = vec![0; height * width];
        let mut game = Self { size, seed, random, ball: [0; 2], paddle: 0, picture };
        game.reset();
        Ok(game)
    }

    fn is_over(&self) -> bool {
        self.ball[0] == ROWS - 1
    }

    fn draw(&mut self) {
        let Self { size: [height, width], ball, paddle, .. } = *self;
        for (index, pixel) in self.picture.iter_mut().enumerate() {
            let cell = [index / width * ROWS / height, index % width * COLUMNS / width];
            *pixel = if cell == ball || cell == [ROWS - 1, paddle] { 255 } else { 0 };
        }
    }
}

/// Where an action moves the paddle.
fn moved(paddle: usize, action: usize) -> usize {
    (paddle + action).saturating_sub(1).min(COLUMNS - 1)
}

fn reward(ball: usize, paddle: usize) -> f32 {
    if ball == paddle { 1.0 } else { -1.0 }
}

/// The number of a state: the board while the ball is in one of the upper rows.
fn number([row, column]: [usize; 2], paddle: usize) -> usize {
    (row * COLUMNS + column) * COLUMNS + paddle
}

impl Environment for Catch {
    fn description(&self) -> String {
        let [height, width] = self.size;
        format!("catch: pictures of {height} x {width}, seed {}", self.seed)
    }

    fn actions(&self) -> u32 {
        3
    }

    fn terminates(&self) -> bool {
        true
    }

    fn observation_kind(&self) -> ObservationKind {
        let [height, width] = self.size;
        ObservationKind::Pixels { shape: [height, width, 1] }
    }

    fn observation(&self) -> Observation<'_> {
        Observation::Pixels(&self.picture)
    }

    fn reset(&mut self) {
        self.ball = [0, self.random.below(COLUMNS as u32) as usize];
        self.paddle = COLUMNS / 2;
        self.draw();
    }

    fn step(&mut self, action: u32) -> Result<Step> {
        check(self, action, self.is_over())?;
        self.paddle = moved(self.paddle, action as usize);
        self.ball[0] += 1;
        self.draw();
        let terminated = self.is_over();
        let reward = if terminated { reward(self.ball[1], self.paddle) } else { 0.0 };
        Ok(Step { reward, terminated, truncated: false })
    }

    fn save(&self) -> Vec<u8> {
        let [row, column] = self.ball;
        let numbers = [row as u64, column as u64, self.paddle as u64, self.random.drawn()];
        state::write(&self.description(), &numbers)
    }

    fn restore(&mut self, saved: &[u8]) -> Result<()> {
        let description = self.description();
        let [row, column, paddle, drawn] = state::read(&description, saved)?;
        if row >= ROWS as u64 || column.max(paddle) >= COLUMNS as u64 {
            return Err(state::damaged(&description, "ball or paddle is outside of the board"));
        }
        self.ball = [row as usize, column as usize];
        self.paddle = paddle as usize;
        self.random.restore(drawn);
        self.draw();
        Ok(())
    }
}

impl Finite for Catch {
    fn model(&self) -> FiniteMdp {
        let outcome = |[row, column]: [usize; 2], paddle, action| {
            let paddle = moved(paddle, action);
            match row + 1 == ROWS - 1 {
                true => {
                    let reward = reward(column, paddle).into();
                    Outcome { probability: 1.0, reward, next: Next::Terminated }
                }
                false => {
                    let next = Next::State(number([row + 1, column], paddle));
                    Outcome { probability: 1.0, reward: 0.0, next }
                }
            }
        };
        let states = (ROWS - 1) * COLUMNS * COLUMNS;
        let mut start = vec![0.0; states];
        (0..COLUMNS).for_each(|column| start[number([0, column], COLUMNS / 2)] = 1.0 / COLUMNS as f64);
        let all = (0..states).map(|state| {
            let ball = [state / COLUMNS / COLUMNS, state / COLUMNS % COLUMNS];
            (0..3).map(|action| vec![outcome(ball, state % COLUMNS, action)]).collect()
        });
        FiniteMdp { start, outcomes: all.collect() }
    }

    fn state(&self) -> Option<usize> {
        (!self.is_over()).then(|| number(self.ball, self.paddle))
    }
}
