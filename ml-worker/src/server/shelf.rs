//! What is kept for later, within a bound.

use std::time::{Duration, Instant};

/// Things that were used last stay; earlier ones stay beside them as long as all together take no more than so many bytes.
pub(super) struct Shelf<T> {
    /// In the order in which they were used last.
    things: Vec<Thing<T>>,
    most: u64,
}

struct Thing<T> {
    bytes: u64,
    used: Instant,
    what: T,
}

impl<T> Shelf<T> {
    pub fn new(most: u64) -> Self {
        Self { things: Vec::new(), most }
    }

    /// The first thing of this kind.
    pub fn find(&self, is: impl Fn(&T) -> bool) -> Option<&T> {
        self.things.iter().map(|thing| &thing.what).find(|what| is(what))
    }

    /// The same, to be used now.
    pub fn take(&mut self, is: impl Fn(&T) -> bool) -> Option<&mut T> {
        let place = self.things.iter().position(|thing| is(&thing.what))?;
        let thing = self.things.remove(place);
        self.things.push(Thing { used: Instant::now(), ..thing });
        self.things.last_mut().map(|thing| &mut thing.what)
    }

    /// Keeps a thing; the one that was used last is kept whatever it takes.
    pub fn put(&mut self, bytes: u64, what: T) {
        self.things.push(Thing { bytes, used: Instant::now(), what });
        self.down_to(1);
    }

    /// Before something new is made that needs memory: all that is kept is within the bound.
    pub fn make_room(&mut self) {
        self.down_to(0);
    }

    fn down_to(&mut self, least: usize) {
        while self.things.len() > least && self.things.iter().map(|thing| thing.bytes).sum::<u64>() > self.most {
            self.things.remove(0);
        }
    }

    /// Lets go what is of this kind.
    pub fn remove(&mut self, is: impl Fn(&T) -> bool) {
        self.things.retain(|thing| !is(&thing.what));
    }

    /// Lets go what was not used for so long.
    pub fn let_go(&mut self, unused: Duration) {
        self.things.retain(|thing| thing.used.elapsed() < unused);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(shelf: &Shelf<char>) -> String {
        shelf.things.iter().map(|thing| thing.what).collect()
    }

    #[test]
    fn what_was_used_last_stays_and_the_bound_is_kept_with_it() {
        let mut shelf = Shelf::new(10);
        shelf.put(4, 'a');
        shelf.put(4, 'b');
        assert_eq!(shelf.take(|what| *what == 'a'), Some(&mut 'a'));
        shelf.put(4, 'c');
        assert_eq!(all(&shelf), "ac", "b was used longest ago");
        shelf.put(11, 'd');
        assert_eq!(all(&shelf), "d", "the last one stays, however large");
        shelf.put(1, 'e');
        assert_eq!(all(&shelf), "e", "but not beside another one");
        shelf.put(10, 'f');
        shelf.make_room();
        assert_eq!(all(&shelf), "f");
        shelf.put(12, 'g');
        shelf.make_room();
        assert_eq!(all(&shelf), "", "before memory is looked at, nothing is kept beyond the bound");
    }

    #[test]
    fn what_is_not_used_is_let_go() {
        let mut shelf = Shelf::new(10);
        shelf.put(1, 'a');
        std::thread::sleep(Duration::from_millis(30));
        shelf.put(1, 'b');
        shelf.let_go(Duration::from_millis(30));
        assert_eq!(all(&shelf), "b");
        shelf.remove(|what| *what == 'b');
        assert_eq!(shelf.find(|what| *what == 'b'), None);
        shelf.let_go(Duration::ZERO);
        assert_eq!(all(&shelf), "");
    }
}
