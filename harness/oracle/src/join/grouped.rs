//! Rows by group without a map: a counting sort of their positions.

/// Positions of rows, sorted by the group each row belongs to; within a group in the order of the rows.
#[derive(Debug)]
pub(crate) struct Grouped {
    /// Where each group begins among the positions; one more than there are groups.
    starts: Vec<u32>,
    positions: Vec<u32>,
}

impl Grouped {
    /// Sorts rows by group. `group_of_rows` yields the group of each row, below `groups`.
    pub(crate) fn new(groups: usize, group_of_rows: impl Iterator<Item = usize> + Clone) -> Self {
        let mut starts = vec![0_u32; groups + 1];
        for group in group_of_rows.clone() {
            starts[group + 1] += 1;
        }
        for group in 0..groups {
            starts[group + 1] += starts[group];
        }
        let mut next = starts.clone();
        let mut positions = vec![0_u32; starts[groups] as usize];
        for (group, position) in group_of_rows.zip(0_u32..) {
            positions[next[group] as usize] = position;
            next[group] += 1;
        }
        Self { starts, positions }
    }

    /// The rows of one group.
    pub(crate) fn pick<'r, R>(
        &self,
        rows: &'r [R],
        group: usize,
    ) -> impl ExactSizeIterator<Item = &'r R> + use<'_, 'r, R> {
        let positions = match self.starts.get(group..group + 2) {
            Some(bounds) => &self.positions[bounds[0] as usize..bounds[1] as usize],
            None => &[],
        };
        positions.iter().map(|position| &rows[*position as usize])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_come_back_by_group_and_in_order() {
        let rows = [(1, 'a'), (0, 'b'), (1, 'c'), (3, 'd')];
        let grouped = Grouped::new(4, rows.iter().map(|row| row.0));
        let letters = |group| {
            grouped
                .pick(&rows, group)
                .map(|row| row.1)
                .collect::<String>()
        };
        assert_eq!(
            [letters(0), letters(1), letters(2), letters(3)],
            ["b", "ac", "", "d"]
        );
        assert_eq!(grouped.pick(&rows, 9).len(), 0);
    }
}
