//! Draws in proportion to weights.

use crate::random::Random;

/// Things with their shares.
#[derive(Debug)]
pub(crate) struct Weighted<T> {
    /// Each thing with the sum of the weights up to and with its own.
    items: Box<[(u64, T)]>,
}

impl<T> Weighted<T> {
    /// What has weight 0 is left out.
    pub(super) fn new(items: impl IntoIterator<Item = (u32, T)>) -> Self {
        let mut sum = 0;
        let items = items.into_iter().filter(|(weight, _)| *weight > 0);
        Self {
            items: items
                .map(|(weight, item)| {
                    sum += u64::from(weight);
                    (sum, item)
                })
                .collect(),
        }
    }

    /// Draws one in proportion to the weights (Gateway API: `BackendRef.weight`).
    pub(crate) fn draw(&self, random: &Random) -> Option<&T> {
        let (_, item) = match &*self.items {
            [only] => only,
            several => {
                let (sum, _) = several.last()?;
                let ticket = random.below(*sum);
                let at = several.partition_point(|(upto, _)| *upto <= ticket);
                several.get(at)?
            }
        };
        Some(item)
    }

    /// The thing at a position of [`Self::iter`].
    pub(crate) fn get(&self, index: usize) -> Option<&T> {
        self.items.get(index).map(|(_, item)| item)
    }

    pub(crate) fn iter(&self) -> impl Iterator<Item = &T> {
        self.items.iter().map(|(_, item)| item)
    }
}
