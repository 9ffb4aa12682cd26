//! What became of every message in every consumer group.

use std::collections::{HashMap, HashSet};

use crate::history::History;
use crate::names::{Groups, Key, Messages, Topics, Words};
use crate::row::{MessageRow, Place};

/// What became of one message in one consumer group.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Fate {
    /// The group does not act upon messages of this kind.
    NotConcerned,
    /// Its work was recorded as done, by this copy of the message or another.
    Done,
    /// It was given up and parked, this copy of it or another.
    Parked,
    /// The group has not read that far.
    Pending,
    /// The group has read past it, and nothing shows what became of it.
    Lost,
}

/// The queue as the consumer groups left it.
#[derive(Debug)]
pub(crate) struct Queue {
    groups_of_topic: Vec<Vec<Reader>>,
    parked: HashSet<(Key<Groups>, Place)>,
    /// By group, one bit for each message id.
    processed: Vec<Bits>,
    parked_ids: Vec<Bits>,
    /// The highest offset read of each partition.
    read_up_to: HashMap<(Key<Topics>, i32), i64>,
}

/// A consumer group as the reader of one topic.
#[derive(Debug)]
struct Reader {
    group: Key<Groups>,
    /// The kinds it acts upon; all when none are named.
    kinds: Option<Vec<Key<Words>>>,
    /// The next offset it will read, by partition.
    committed: HashMap<i32, i64>,
}

impl Queue {
    pub(super) fn new(history: &History) -> Self {
        let (names, rows) = (&history.names, &history.rows);
        let mut queue = Self {
            groups_of_topic: (0..names.topics.len()).map(|_| Vec::new()).collect(),
            parked: rows
                .parked
                .iter()
                .map(|row| (row.group, row.place))
                .collect(),
            processed: vec![Bits::new(names.messages.len()); names.groups.len()],
            parked_ids: vec![Bits::new(names.messages.len()); names.groups.len()],
            read_up_to: HashMap::new(),
        };
        for row in &rows.progress {
            let committed = &mut queue.reader(row.topic, row.group).committed;
            committed.insert(row.partition, row.committed);
        }
        for row in &rows.consumes {
            let reader = queue.reader(row.topic, row.group);
            reader.kinds.get_or_insert_default().extend(&row.kinds);
        }
        for row in &rows.processed {
            queue.processed[row.group.index()].set(row.message);
        }
        let mut partition = None;
        for row in &rows.messages {
            queue.note_message(row, &mut partition);
        }
        if let Some((place, highest)) = partition {
            queue.note_read(place, highest);
        }
        queue
    }

    /// The highest offset that was read of a partition when the queue was observed.
    pub(crate) fn read_up_to(&self, topic: Key<Topics>, partition: i32) -> Option<i64> {
        self.read_up_to.get(&(topic, partition)).copied()
    }

    /// Whether any group reads a topic.
    pub(crate) fn is_read(&self, topic: Key<Topics>) -> bool {
        !self.groups_of_topic[topic.index()].is_empty()
    }

    /// What became of a message in every group that reads its topic.
    pub(crate) fn fates<'q>(
        &'q self,
        message: &'q MessageRow,
    ) -> impl Iterator<Item = (Key<Groups>, Fate)> + 'q {
        self.groups_of_topic[message.place.topic.index()]
            .iter()
            .map(|reader| (reader.group, self.fate(reader, message)))
    }

    fn fate(&self, reader: &Reader, message: &MessageRow) -> Fate {
        let is_in = |bits: &[Bits]| {
            message
                .message
                .is_some_and(|id| bits[reader.group.index()].has(id))
        };
        if is_in(&self.processed) {
            return Fate::Done;
        }
        if let (Some(kinds), Some(kind)) = (&reader.kinds, message.kind)
            && !kinds.contains(&kind)
        {
            return Fate::NotConcerned;
        }
        if self.parked.contains(&(reader.group, message.place)) || is_in(&self.parked_ids) {
            return Fate::Parked;
        }
        match reader.committed.get(&message.place.partition) {
            Some(committed) if *committed > message.place.offset => Fate::Lost,
            _ => Fate::Pending,
        }
    }

    fn reader(&mut self, topic: Key<Topics>, group: Key<Groups>) -> &mut Reader {
        let readers = &mut self.groups_of_topic[topic.index()];
        let position = readers
            .iter()
            .position(|reader| reader.group == group)
            .unwrap_or_else(|| {
                readers.push(Reader {
                    group,
                    kinds: None,
                    committed: HashMap::new(),
                });
                readers.len() - 1
            });
        &mut readers[position]
    }

    /// Messages mostly come partition by partition: the map is only asked when the partition changes.
    fn note_message(
        &mut self,
        row: &MessageRow,
        partition: &mut Option<((Key<Topics>, i32), i64)>,
    ) {
        let place = (row.place.topic, row.place.partition);
        match partition {
            Some((current, highest)) if *current == place => {
                *highest = (*highest).max(row.place.offset)
            }
            _ => {
                if let Some((before, highest)) = partition.replace((place, row.place.offset)) {
                    self.note_read(before, highest);
                }
            }
        }
        let Some(id) = row.message else { return };
        if self.parked.is_empty() {
            return;
        }
        for reader in &self.groups_of_topic[row.place.topic.index()] {
            if self.parked.contains(&(reader.group, row.place)) {
                self.parked_ids[reader.group.index()].set(id);
            }
        }
    }

    fn note_read(&mut self, place: (Key<Topics>, i32), highest: i64) {
        let known = self.read_up_to.entry(place).or_insert(highest);
        *known = (*known).max(highest);
    }
}

/// A set of message ids.
#[derive(Debug, Clone)]
struct Bits(Vec<u64>);

impl Bits {
    fn new(names: usize) -> Self {
        Self(vec![0; names.div_ceil(64)])
    }

    fn set(&mut self, message: Key<Messages>) {
        self.0[message.index() / 64] |= 1 << (message.index() % 64);
    }

    fn has(&self, message: Key<Messages>) -> bool {
        self.0[message.index() / 64] >> (message.index() % 64) & 1 == 1
    }
}
