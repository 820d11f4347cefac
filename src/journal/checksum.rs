//! A sum over the columns of a row.
//!
//! SQLite's pages carry no checksum of their own: a bit that flips inside a text is read back as if
//! it had been written so. Every row therefore holds a sum of its columns, and every entry includes
//! the sum of the entry before it. The sum finds damage; it is no defence against forgery.

const MULTIPLIER: u64 = 0x9e37_79b9_7f4a_7c15;

/// A running sum. Feeding a word is a bijection of the state, so a change within one word is always
/// seen, and any other change with a probability of all but one in 2^64.
#[derive(Clone, Copy)]
pub(super) struct Sum(u64);

impl Sum {
    /// Starts a sum for one kind of row, so that rows of different tables never have equal sums.
    pub(super) fn new(kind: u64) -> Self {
        Self(MULTIPLIER).word(kind)
    }

    fn word(self, word: u64) -> Self {
        Self((self.0 ^ word).wrapping_mul(MULTIPLIER).rotate_left(29))
    }

    /// Adds a number.
    pub(super) fn int(self, value: i64) -> Self {
        self.word(u64::from_ne_bytes(value.to_ne_bytes()))
    }

    /// Adds a text with its length, so that neighbouring texts cannot trade characters.
    pub(super) fn text(self, text: &str) -> Self {
        let bytes = text.as_bytes();
        let mut sum = self.word(bytes.len() as u64);
        let mut words = bytes.chunks_exact(8);
        for chunk in &mut words {
            let mut word = [0; 8];
            word.copy_from_slice(chunk);
            sum = sum.word(u64::from_le_bytes(word));
        }
        let rest = words.remainder();
        if !rest.is_empty() {
            let mut word = [0; 8];
            word[..rest.len()].copy_from_slice(rest);
            sum = sum.word(u64::from_le_bytes(word));
        }
        sum
    }

    /// Adds a text that may be absent; absent and empty differ.
    pub(super) fn maybe(self, text: Option<&str>) -> Self {
        match text {
            None => self.word(0),
            Some(text) => self.word(1).text(text),
        }
    }

    /// The sum in the form in which SQLite stores a number.
    pub(super) fn finish(self) -> i64 {
        let mixed = self.0 ^ (self.0 >> 32);
        i64::from_ne_bytes(mixed.to_ne_bytes())
    }
}

#[cfg(test)]
mod tests {
    use super::Sum;

    #[test]
    fn every_single_bit_of_a_text_counts() {
        let text = vec![b'a'; 61];
        let whole = Sum::new(1)
            .text(std::str::from_utf8(&text).unwrap())
            .finish();
        for bit in 0..text.len() * 8 {
            if bit % 8 == 7 {
                continue; // The top bit would leave ASCII, and with it valid UTF-8.
            }
            let mut changed = text.clone();
            changed[bit / 8] ^= 1 << (bit % 8);
            let sum = Sum::new(1)
                .text(std::str::from_utf8(&changed).unwrap())
                .finish();
            assert_ne!(whole, sum, "bit {bit}");
        }
    }

    #[test]
    fn the_borders_between_columns_count() {
        let a = Sum::new(1).text("ab").text("c").finish();
        let b = Sum::new(1).text("a").text("bc").finish();
        assert_ne!(a, b);
        let none = Sum::new(1).maybe(None).finish();
        let empty = Sum::new(1).maybe(Some("")).finish();
        assert_ne!(none, empty);
        assert_ne!(Sum::new(1).int(7).finish(), Sum::new(2).int(7).finish());
        // A text's padding differs from a text that ends in zeros.
        assert_ne!(
            Sum::new(1).text("a").finish(),
            Sum::new(1).text("a\0").finish()
        );
    }
}
