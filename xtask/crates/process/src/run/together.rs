//! Several things at the same time, none of which needs what another one finds.

/// Does the same with all of `items` at the same time; the results are in their order.
pub fn join_all<I: Sync, T: Send>(items: &[I], what: impl Fn(&I) -> T + Sync) -> Vec<T> {
    std::thread::scope(|scope| {
        let what = &what;
        let running: Vec<_> = items.iter().map(|item| scope.spawn(move || what(item))).collect();
        let done = running.into_iter().map(std::thread::ScopedJoinHandle::join);
        done.map(|one| one.unwrap_or_else(|panic| std::panic::resume_unwind(panic))).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Barrier;

    #[test]
    fn all_run_at_once_and_keep_their_order() {
        // Each waits for the others: run one after another, they would never end.
        let three = Barrier::new(3);
        let wait = |item: &i32| {
            three.wait();
            item * 10
        };
        assert_eq!(join_all(&[1, 2, 3], wait), [10, 20, 30]);
    }
}
