//! What happens to a topic: its n-th change and its document after it are functions of the seed, so nothing has to be kept.
//!
//! A document is made of cells (a rung of a ladder, a last price, a score). Change n gives one of them a new value, each in its turn; a
//! cell's value follows from the number of its own last change. Changes go through the topics in turn, so that the number of each topic
//! follows from that of all changes. Callers: the dialects, which write documents and changes of these cells, the loop, the judge.

/// The number of a topic's newest change; 0: as it began.
pub(super) type Number = u64;

/// A topic's place among all.
pub(super) type Slot = usize;

/// From one change of a topic to the cell of the next; it has no divisor in common with any dialect's number of cells.
const STRIDE: u64 = 37;

#[derive(Clone, Copy, Debug)]
pub(super) struct Script {
    pub(super) seed: u64,
    pub(super) topics: usize,
    /// Cells of a document.
    pub(super) cells: u64,
}

/// A cell, and the number of its newest change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Cell {
    pub(super) place: u64,
    pub(super) changed: Number,
    /// How often it has changed.
    pub(super) times: u64,
}

impl Script {
    /// Where the `change`-th of all changes happens, counted from 1, and which of that topic's it is.
    pub(super) fn place_of(&self, change: u64) -> (Slot, Number) {
        let topics = self.topics.max(1) as u64;
        let before = change.saturating_sub(1);
        ((before % topics) as Slot, before / topics + 1)
    }

    /// The number of a topic once so many of all changes have happened.
    pub(super) fn number(&self, slot: Slot, changes: u64) -> Number {
        let topics = self.topics.max(1) as u64;
        (changes + topics - 1).saturating_sub(slot as u64) / topics
    }

    fn cell_of(&self, slot: Slot, number: Number) -> u64 {
        (number.wrapping_mul(STRIDE) + slot as u64) % self.cells
    }

    /// Every cell as it is after change `number`, in order.
    pub(super) fn cells(&self, slot: Slot, number: Number) -> Vec<Cell> {
        let mut cells: Vec<Cell> =
            (0..self.cells).map(|place| Cell { place, changed: 0, times: 0 }).collect();
        for changed in number.saturating_sub(self.cells) + 1..=number {
            let place = self.cell_of(slot, changed);
            if let Some(cell) = cells.get_mut(place as usize) {
                // Each has its turn once in so many changes.
                *cell = Cell { place, changed, times: (changed - 1) / self.cells + 1 };
            }
        }
        cells
    }

    /// The cells that changed behind `from`, as they are after `to`, in order.
    pub(super) fn changed(&self, slot: Slot, from: Number, to: Number) -> Vec<Cell> {
        let mut cells = self.cells(slot, to);
        cells.retain(|cell| cell.changed > from);
        cells
    }

    /// A cell as it began, and after each of its changes up to `number`.
    pub(super) fn course(&self, slot: Slot, place: u64, number: Number) -> impl Iterator<Item = Cell> {
        let cells = self.cells.max(1);
        let first = (1..=cells).find(|change| self.cell_of(slot, *change) == place).unwrap_or(1);
        let changed = (first..=number).step_by(cells as usize);
        std::iter::once(Cell { place, changed: 0, times: 0 }).chain(changed.map(move |changed| Cell {
            place,
            changed,
            times: (changed - 1) / cells + 1,
        }))
    }

    /// A cell's value: a number below `bound`, the same for the same change.
    pub(super) fn value(&self, slot: Slot, cell: Cell, bound: u64) -> u64 {
        let mixed = mix(mix(mix(self.seed) ^ slot as u64) ^ (cell.place << 48) ^ cell.changed);
        mixed % bound.max(1)
    }

    /// Whether something that happens so many times in 100,000 happens with this change, as the `kind`-th of such things.
    pub(super) fn is_struck(&self, change: u64, kind: u64, times: usize) -> bool {
        times > 0 && mix(mix(self.seed ^ (kind << 32)) ^ change) % 100_000 < times as u64
    }
}

/// SplitMix64's last step.
fn mix(value: u64) -> u64 {
    let mut z = value.wrapping_add(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const SCRIPT: Script = Script { seed: 7, topics: 3, cells: 13 };

    #[test]
    fn changes_go_through_the_topics_in_turn() {
        let places: Vec<(Slot, Number)> = (1..=7).map(|change| SCRIPT.place_of(change)).collect();
        assert_eq!(places, [(0, 1), (1, 1), (2, 1), (0, 2), (1, 2), (2, 2), (0, 3)]);
        assert_eq!([0, 1, 2].map(|slot| SCRIPT.number(slot, 7)), [3, 2, 2]);
        assert_eq!([0, 1, 2].map(|slot| SCRIPT.number(slot, 0)), [0, 0, 0]);
    }

    #[test]
    fn each_cell_has_its_turn() {
        let cells = SCRIPT.cells(1, 26);
        assert!(cells.iter().all(|cell| cell.changed > 13 && cell.times == 2), "{cells:?}");
        assert!(SCRIPT.cells(1, 0).iter().all(|cell| cell.changed == 0 && cell.times == 0));
        assert_eq!(SCRIPT.changed(1, 25, 26).len(), 1);
        assert_eq!(SCRIPT.changed(1, 0, 40).len(), 13);
    }

    proptest! {
        #[test]
        fn one_change_changes_one_cell(slot in 0_usize..100, number in 1_u64..2_000) {
            let (before, after) = (SCRIPT.cells(slot, number - 1), SCRIPT.cells(slot, number));
            let differ = before.iter().zip(&after).filter(|(before, after)| before != after).count();
            prop_assert_eq!(differ, 1);
            prop_assert_eq!(SCRIPT.changed(slot, number - 1, number).len(), 1);
            for cell in after {
                prop_assert_eq!(SCRIPT.course(slot, cell.place, number).last(), Some(cell));
            }
        }
    }
}
