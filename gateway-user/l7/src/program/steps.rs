//! Counts what a lookup does, for the test that its cost does not grow with the number of routes.

#[cfg(test)]
thread_local! {
    static STEPS: std::cell::Cell<usize> = const { std::cell::Cell::new(0) };
}

/// A comparison of a lookup: an element of a path, a group of candidates, a candidate, an expression.
#[inline]
pub(super) fn count() {
    #[cfg(test)]
    STEPS.set(STEPS.get() + 1);
}

/// The steps that this thread takes in a function.
#[cfg(test)]
pub(super) fn of<T>(take: impl FnOnce() -> T) -> (T, usize) {
    let before = STEPS.get();
    let result = take();
    (result, STEPS.get() - before)
}
