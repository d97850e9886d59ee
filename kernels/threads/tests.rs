use super::*;

fn pool(count: usize) -> Threads {
    Threads::new(count).expect("a few threads")
}

#[test]
fn every_task_runs_once_for_any_number_of_threads() {
    for count in [1, 2, 3, 8] {
        let threads = pool(count);
        for tasks in [0, 1, 2, 7, 1000] {
            let mut counts = vec![0u32; tasks];
            threads.chunks_mut(&mut counts, 1, &|_, part| part[0] += 1);
            assert!(counts.iter().all(|&n| n == 1));
        }
    }
}

#[test]
fn sleeping_workers_wake_up() {
    let threads = pool(2);
    for _ in 0..3 {
        std::thread::sleep(std::time::Duration::from_millis(20));
        let mut data = [0u8; 64];
        threads.chunks_mut(&mut data, 1, &|i, part| part[0] = i as u8);
        assert!(data.iter().enumerate().all(|(i, &v)| v == i as u8));
    }
}

#[test]
fn nested_runs_finish() {
    let threads = pool(2);
    threads.run(4, &|_| threads.run(4, &|_| {}));
}

/// How many threads work on a job whose tasks wait for each other, a second at most.
fn meet(threads: &Threads) -> usize {
    let (met, start) = (AtomicUsize::new(0), std::time::Instant::now());
    threads.run(threads.count(), &|_| {
        met.fetch_add(1, Ordering::SeqCst);
        while met.load(Ordering::SeqCst) < threads.count() && start.elapsed().as_secs() < 1 {
            std::thread::yield_now();
        }
    });
    let share = start.elapsed().as_secs() < 1;
    if share { threads.count() } else { 1 }
}

#[test]
fn a_panic_reaches_the_caller_and_the_pool_works_in_parallel_afterwards() {
    let threads = pool(2);
    for round in 0..3 {
        let run = || threads.run(4, &|i| assert!(i != 2, "task {i} of round {round}"));
        let panic = catch_unwind(AssertUnwindSafe(run)).expect_err("task 2 panics");
        assert_eq!(*panic.downcast::<String>().unwrap(), format!("task 2 of round {round}"));
        assert_eq!(meet(&threads), 2);
    }
}

#[test]
fn too_many_threads_are_refused() {
    for wanted in [MOST_THREADS + 1, 100_000, usize::MAX] {
        let message = Threads::new(wanted).expect_err("too many").to_string();
        assert!(message.starts_with(&format!("{wanted} threads are too many: at most 1024")), "{message}");
    }
}

#[test]
fn a_pool_with_fewer_threads_than_wanted_says_why_and_does_all_tasks() {
    let refusing = |shared, index| match index {
        3.. => Err(std::io::ErrorKind::WouldBlock.into()),
        _ => spawn(shared, index),
    };
    let (threads, refusal) = Threads::start(8, &refusing);
    assert_eq!((threads.count(), refusal.unwrap().kind()), (3, std::io::ErrorKind::WouldBlock));
    assert_eq!(meet(&threads), 3);
    let mut counts = vec![0u32; 1000];
    threads.chunks_mut(&mut counts, 1, &|_, part| part[0] += 1);
    assert!(counts.iter().all(|&n| n == 1));
}
