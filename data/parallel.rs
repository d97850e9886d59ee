//! Work shared out among threads, with results that do not depend on their number.

use std::sync::{Mutex, PoisonError};

/// Calls `run` on every item of `work`, on up to `threads` threads, the calling one included.
pub(crate) fn for_each<T>(work: impl Iterator<Item = T> + Send, threads: usize, run: impl Fn(T) + Sync) {
    let work = Mutex::new(work);
    let claim = || work.lock().unwrap_or_else(PoisonError::into_inner).next();
    let worker = || {
        // The guard is dropped at once: items are claimed in turn but worked on at the same time.
        while let Some(item) = claim() {
            run(item);
        }
    };
    std::thread::scope(|scope| {
        for _ in 1..threads {
            // Where the system refuses another thread, those there are do the work.
            if std::thread::Builder::new().spawn_scoped(scope, worker).is_err() {
                break;
            }
        }
        worker();
    });
}

/// As [`for_each`], but stops at a failure and returns it; of several the first in the order of `work`.
pub(crate) fn try_for_each<T, E: Send>(
    work: impl Iterator<Item = T> + Send,
    threads: usize,
    run: impl Fn(T) -> Result<(), E> + Sync,
) -> Result<(), E> {
    let failure: Mutex<Option<(usize, E)>> = Mutex::new(None);
    let earliest = || failure.lock().unwrap_or_else(PoisonError::into_inner);
    for_each(work.enumerate(), threads, |(index, item)| {
        // What comes before a failure is still done, so that the first one is always found.
        if earliest().as_ref().is_some_and(|(failed, _)| *failed < index) {
            return;
        }
        if let Err(error) = run(item) {
            let mut earliest = earliest();
            if earliest.as_ref().is_none_or(|(failed, _)| index < *failed) {
                *earliest = Some((index, error));
            }
        }
    });
    failure.into_inner().unwrap_or_else(PoisonError::into_inner).map_or(Ok(()), |(_, error)| Err(error))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_item_is_worked_on_once() {
        for threads in [0, 1, 3] {
            let mut done = vec![0; 100];
            for_each(done.iter_mut().enumerate(), threads, |(index, item)| *item += index);
            assert_eq!(done, (0..100).collect::<Vec<_>>());
        }
    }

    #[test]
    fn the_first_failure_in_order_is_returned() {
        for threads in [1, 2, 5] {
            let run = |index: usize| if index % 10 == 7 { Err(index) } else { Ok(()) };
            assert_eq!(try_for_each(0..1000, threads, run), Err(7));
            assert_eq!(try_for_each(0..7, threads, run), Ok(()));
        }
    }
}
