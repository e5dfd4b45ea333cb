//! Several things at the same time, where none needs what another one finds.

/// Does the same with all of `items` at the same time; the results are in their order.
pub fn all<I: Sync, T: Send>(items: &[I], what: impl Fn(&I) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let what = &what;
        let running: Vec<_> = items.iter().map(|item| scope.spawn(move || what(item))).collect();
        let done = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        done.map(|one| one.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

/// Does two things at the same time.
pub fn both<A: Send, B>(first: impl FnOnce() -> A + Send, second: impl FnOnce() -> B) -> (A, B) {
    std::thread::scope(|scope| {
        let first = scope.spawn(first);
        let second = second();
        (first.join().unwrap_or_else(|panic| std::panic::resume_unwind(panic)), second)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn both_and_all_run_at_once_and_keep_their_order() {
        // Each waits for the others: run one after another, they would never end.
        let two = Barrier::new(2);
        let wait = |result| {
            two.wait();
            result
        };
        assert_eq!(both(|| wait(1), || wait(2)), (1, 2));
        let three = Barrier::new(3);
        let wait = |item: &i32| {
            three.wait();
            item * 10
        };
        assert_eq!(all(&[1, 2, 3], wait), [10, 20, 30]);
    }
}
