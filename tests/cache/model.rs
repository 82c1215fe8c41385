//! The cache's promise, checked over every order of steps of a small world: readers that
//! fill the cache, a writer that blocks and then changes, a Redis that may lose the block,
//! and pauses before any step.

use grantkeep_core::cache::{BLOCKED, LIFE};

/// From the block to the end of its change: more than a store's time-outs allow.
const WRITE: i64 = 50_000;

#[derive(Clone, Copy, Debug)]
enum Value {
    Blocked,
    Read { version: u8, asked_at: i64 },
}

#[derive(Clone, Copy, Debug)]
enum Reader {
    Begins,
    /// Redis had nothing, at this time of its own.
    Asked(i64),
    /// The database answered this version.
    Knows(i64, u8),
    Done,
}

#[derive(Clone, Copy, Debug)]
enum Writer {
    Begins,
    /// The block was sent then.
    Blocked(i64),
    /// The change was made then.
    Changed(i64),
}

#[derive(Clone, Debug)]
struct World {
    now: i64,
    /// What Redis holds, and until when.
    redis: Option<(Value, i64)>,
    readers: Vec<Reader>,
    writer: Writer,
    loses_block: bool,
}

impl World {
    fn new(readers: usize, loses_block: bool) -> Self {
        Self {
            now: 0,
            redis: None,
            readers: vec![Reader::Begins; readers],
            writer: Writer::Begins,
            loses_block,
        }
    }

    fn held(&self) -> Option<Value> {
        let (value, until) = self.redis?;
        (self.now < until).then_some(value)
    }

    /// What the database holds.
    fn version(&self) -> u8 {
        match self.writer {
            Writer::Begins | Writer::Blocked(_) => 1,
            Writer::Changed(_) => 2,
        }
    }

    /// A reader's next step, as the cache takes it; false where it has none.
    fn read(&mut self, who: usize) -> bool {
        self.readers[who] = match self.readers[who] {
            // `GET` and `TIME`. What is there already, this reader does not put there.
            Reader::Begins if self.held().is_some() => Reader::Done,
            Reader::Begins => Reader::Asked(self.now),
            Reader::Asked(at) => Reader::Knows(at, self.version()),
            // `SET … NX PXAT`.
            Reader::Knows(asked_at, version) => {
                if self.held().is_none() {
                    let value = Value::Read { version, asked_at };
                    self.redis = Some((value, asked_at + LIFE));
                }
                Reader::Done
            }
            Reader::Done => return false,
        };
        true
    }

    fn write(&mut self) -> bool {
        self.writer = match self.writer {
            Writer::Begins => {
                if !self.loses_block {
                    self.redis = Some((Value::Blocked, self.now + BLOCKED));
                }
                Writer::Blocked(self.now)
            }
            Writer::Blocked(at) if self.now - at <= WRITE => Writer::Changed(self.now),
            Writer::Blocked(_) | Writer::Changed(_) => return false,
        };
        true
    }

    /// How long after the change somebody who asks could be served what was before it.
    fn staleness(&self) -> Option<i64> {
        match (self.writer, self.held()?) {
            (
                Writer::Changed(at),
                Value::Read {
                    version: 1,
                    asked_at,
                },
            ) => Some(asked_at + LIFE - at),
            _ => None,
        }
    }
}

/// The worst staleness of every order of steps from here on, each after each of these
/// pauses; and how many worlds there were.
fn explore(world: &World, pauses: &[i64], worlds: &mut u64) -> Option<i64> {
    *worlds += 1;
    let mut worst = world.staleness();
    for pause in pauses {
        for who in 0..=world.readers.len() {
            let mut next = world.clone();
            next.now += pause;
            let moved = match who < next.readers.len() {
                true => next.read(who),
                false => next.write(),
            };
            if moved {
                worst = worst.max(explore(&next, pauses, worlds));
            }
        }
    }
    worst
}

/// One reader and many pauses, two readers and few.
fn worst(loses_block: bool) -> Option<i64> {
    let mut worlds = 0;
    let fine = [0, 1, LIFE - 1, LIFE, LIFE + 1, BLOCKED - LIFE, BLOCKED];
    let one = explore(&World::new(1, loses_block), &fine, &mut worlds);
    let coarse = [0, LIFE - 1, BLOCKED - LIFE];
    let two = explore(&World::new(2, loses_block), &coarse, &mut worlds);
    assert!(worlds > 500_000, "only {worlds}");
    one.max(two)
}

#[test]
fn ca03_in_every_order_nothing_older_than_a_change_is_served_after_it() {
    assert_eq!(worst(false), None);
}

#[test]
fn ca03_in_every_order_five_seconds_bound_a_lost_block() {
    let worst = worst(true).expect("a lost block shows");

    assert!(worst > 0 && worst <= LIFE, "{worst} ms");
}
