//! Where the entries of a list are, by their serial numbers.

/// So many entries have one head. Eight bytes for each sixteen: those of 200,000 entries fit into the second cache of a processor, where
/// neither the entries nor their order do.
const STRIDE: usize = 16;

/// The beginnings of entries, in the order of their serial numbers. What is looked for is looked for in the heads first: each step of a search
/// through the entries themselves waits for memory twice.
pub(super) struct Order {
    entries: Box<[u32]>,
    /// The head of every sixteenth.
    heads: Box<[u64]>,
}

impl Order {
    /// Takes serial numbers, and where their entries begin.
    pub(super) fn new(mut found: Vec<(&[u8], u32)>) -> Self {
        found.sort_unstable();
        Self {
            heads: found
                .iter()
                .step_by(STRIDE)
                .map(|(serial, _)| head(serial))
                .collect(),
            entries: found.into_iter().map(|(_, at)| at).collect(),
        }
    }

    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Those among which an entry with this serial number is, if it is there, in their order.
    pub(super) fn near(&self, serial: &[u8]) -> &[u32] {
        let head = head(serial);
        let first = self.heads.partition_point(|&other| other < head);
        let end = self.heads.partition_point(|&other| other <= head);
        let (first, end) = (first.saturating_sub(1) * STRIDE, end * STRIDE);
        &self.entries[first..end.min(self.entries.len())]
    }
}

/// The first eight bytes. Of two serial numbers, the smaller one has no larger head.
fn head(serial: &[u8]) -> u64 {
    let mut head = [0; 8];
    let length = serial.len().min(8);
    head[..length].copy_from_slice(&serial[..length]);
    u64::from_be_bytes(head)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Many of the numbers differ in their ends only, as those of CAs do that count.
        #[test]
        fn what_is_there_is_found_and_in_order(
            serials in prop::collection::btree_set((0_u64..4, 0_u16..400, 0_usize..3), 0..300),
            others in prop::collection::vec((0_u64..5, 0_u16..400, 0_usize..3), 20),
        ) {
            let bytes = |(high, low, zeros): (u64, u16, usize)| {
                [&high.to_be_bytes()[..], &low.to_be_bytes(), &[0, 0, 0][..zeros]].concat()
            };
            let serials = serials.into_iter().map(bytes).collect::<Vec<_>>();
            let places = serials.iter().zip(0_u32..).collect::<BTreeMap<_, _>>();
            let order = Order::new(places.iter().map(|(serial, &at)| (serial.as_slice(), at)).collect());
            prop_assert_eq!(order.len(), serials.len());
            for serial in others.into_iter().map(bytes).chain(serials.clone()) {
                let near = order.near(&serial);
                let found = near.binary_search_by(|&at| serials[usize::try_from(at).unwrap()].cmp(&serial));
                prop_assert_eq!(found.is_ok(), places.contains_key(&serial));
            }
        }
    }

    #[test]
    fn few_are_near_if_their_heads_differ() {
        let serials = (0..100_000_u64)
            .map(|n| (n << 20).to_be_bytes())
            .collect::<Vec<_>>();
        let order = Order::new(
            serials
                .iter()
                .zip(0..)
                .map(|(serial, at)| (&serial[..], at))
                .collect(),
        );
        for serial in &serials {
            assert!(order.near(serial).len() <= 2 * STRIDE);
        }
    }
}
