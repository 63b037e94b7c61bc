//! The Internet checksum (RFC 1071), whole and by increments (RFC 1624).
//!
//! One's complement sums do not depend on byte order as long as words are read and written in the same one, so
//! everything here works on bytes in memory order.

/// A running one's complement sum.
#[derive(Clone, Copy, Debug, Default)]
pub struct Sum(u64);

impl Sum {
    /// Starts at zero.
    #[inline(always)]
    pub const fn new() -> Self {
        Self(0)
    }

    /// Adds 2 bytes.
    #[inline(always)]
    pub const fn add(self, word: [u8; 2]) -> Self {
        Self(self.0 + u16::from_ne_bytes(word) as u64)
    }

    /// Adds 4 bytes.
    #[inline(always)]
    pub const fn add4(self, words: [u8; 4]) -> Self {
        Self(self.0 + u32::from_ne_bytes(words) as u64)
    }

    /// Adds 16 bytes: an IPv6 address.
    #[inline(always)]
    pub const fn add16(self, words: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = words;
        self.add4([a, b, c, d])
            .add4([e, f, g, h])
            .add4([i, j, k, l])
            .add4([m, n, o, p])
    }

    /// Adds what another sum has.
    #[inline(always)]
    pub const fn and(self, other: Self) -> Self {
        Self(self.0 + other.0)
    }

    /// Replaces 2 bytes that were summed before.
    #[inline(always)]
    pub const fn replace(self, old: [u8; 2], new: [u8; 2]) -> Self {
        Self(self.0 + (!u16::from_ne_bytes(old)) as u64).add(new)
    }

    /// Replaces 4 bytes that were summed before.
    #[inline(always)]
    pub const fn replace4(self, old: [u8; 4], new: [u8; 4]) -> Self {
        Self(self.0 + (!u32::from_ne_bytes(old)) as u64).add4(new)
    }

    /// Replaces 16 bytes that were summed before.
    #[inline(always)]
    pub const fn replace16(self, old: [u8; 16], new: [u8; 16]) -> Self {
        let [a, b, c, d, e, f, g, h, i, j, k, l, m, n, o, p] = old;
        self.add16([
            !a, !b, !c, !d, !e, !f, !g, !h, !i, !j, !k, !l, !m, !n, !o, !p,
        ])
        .add16(new)
    }

    /// The sum in 32 bits, as the kernel's helpers take it.
    #[inline(always)]
    pub const fn wide(self) -> u32 {
        let sum = (self.0 & 0xffff_ffff) + (self.0 >> 32);
        let sum = (sum & 0xffff_ffff) + (sum >> 32);
        (sum & 0xffff_ffff) as u32
    }

    /// The checksum field for what was summed.
    #[inline(always)]
    pub const fn finish(self) -> [u8; 2] {
        (!fold(self.0)).to_ne_bytes()
    }

    /// The checksum field after the replacements, from the one before: RFC 1624, equation 3.
    #[inline(always)]
    pub const fn update(self, field: [u8; 2]) -> [u8; 2] {
        let old = !u16::from_ne_bytes(field);
        Self(self.0 + old as u64).finish()
    }

    /// The same for UDP, where zero means "no checksum" and is left alone, and is never the result (RFC 768).
    #[inline(always)]
    pub const fn update_udp(self, field: [u8; 2]) -> [u8; 2] {
        if u16::from_ne_bytes(field) == 0 {
            return field;
        }
        let updated = self.update(field);
        if u16::from_ne_bytes(updated) == 0 {
            return [0xff, 0xff];
        }
        updated
    }
}

#[inline(always)]
const fn fold(sum: u64) -> u16 {
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff_ffff) + (sum >> 32);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    let sum = (sum & 0xffff) + (sum >> 16);
    (sum & 0xffff) as u16
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn an_update_gives_what_a_recomputation_gives(
            words in prop::collection::vec(any::<[u8; 4]>(), 3..40),
            place in any::<prop::sample::Index>(),
            new in any::<[u8; 4]>(),
        ) {
            let mut changed = words.clone();
            let place = place.index(words.len());
            let old = core::mem::replace(&mut changed[place], new);

            let updated = Sum::new().replace4(old, new).update(whole(&words));

            prop_assert!(equal(updated, whole(&changed)));
        }

        #[test]
        fn replacing_halves_gives_what_replacing_the_whole_gives(
            field in any::<[u8; 2]>(), old in any::<[u8; 4]>(), new in any::<[u8; 4]>(),
        ) {
            let halves = Sum::new()
                .replace([old[0], old[1]], [new[0], new[1]])
                .replace([old[2], old[3]], [new[2], new[3]]);

            prop_assert!(equal(halves.update(field), Sum::new().replace4(old, new).update(field)));
        }

        #[test]
        fn replacing_an_ipv6_address_gives_what_replacing_its_words_gives(
            field in any::<[u8; 2]>(), old in any::<[u8; 16]>(), new in any::<[u8; 16]>(),
        ) {
            let (olds, _none) = old.as_chunks::<4>();
            let (news, _none) = new.as_chunks::<4>();
            let words = olds
                .iter()
                .zip(news)
                .fold(Sum::new(), |sum, (old, new)| sum.replace4(*old, *new));

            prop_assert!(equal(words.update(field), Sum::new().replace16(old, new).update(field)));
        }

        #[test]
        fn udp_without_a_checksum_stays_without_and_never_loses_one(
            field in any::<[u8; 2]>(), old in any::<[u8; 4]>(), new in any::<[u8; 4]>(),
        ) {
            let updated = Sum::new().replace4(old, new).update_udp(field);

            prop_assert_eq!(field == [0, 0], updated == [0, 0]);
        }
    }

    #[test]
    fn computes_the_example_of_rfc_1624() {
        let updated = Sum::new()
            .replace(0x5555u16.to_be_bytes(), 0x3285u16.to_be_bytes())
            .update(0xdd2fu16.to_be_bytes());

        assert_eq!(updated, 0u16.to_be_bytes());
    }

    fn whole(words: &[[u8; 4]]) -> [u8; 2] {
        words
            .iter()
            .fold(Sum::new(), |sum, word| sum.add4(*word))
            .finish()
    }

    /// Zero has two forms in one's complement; a receiver takes both.
    fn equal(a: [u8; 2], b: [u8; 2]) -> bool {
        let one_form = |field: [u8; 2]| if field == [0xff, 0xff] { [0, 0] } else { field };
        one_form(a) == one_form(b)
    }
}
