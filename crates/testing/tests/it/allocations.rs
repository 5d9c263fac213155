//! Counts are of one thread, and of everything in between.

use bartizan_testing::allocations;

#[test]
fn counts_what_is_freed_again() {
    let ((), count) = allocations(|| {
        drop(Box::new(1_u64));
        drop(Box::new(2_u64));
    });
    assert_eq!(count, 2);
}

#[test]
fn other_threads_do_not_count() {
    let (counting, counted) = (std::sync::Barrier::new(2), std::sync::Barrier::new(2));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            counting.wait();
            drop(vec![0_u8; 64]);
            counted.wait();
        });
        let ((), count) = allocations(|| {
            counting.wait();
            counted.wait();
        });
        assert_eq!(count, 0);
    });
}
