//! The sieve in front of the VIPs: most packets are for none, and one bit says so at a tenth of a hash map's cost.
//!
//! An address has a bit, chosen by its last 16 bits. A clear one means that the address is no VIP; a set one means
//! nothing.

use crate::addr::Address;

/// Words of the sieve.
pub const WORDS: usize = 1024;

const _: () = assert!(WORDS * 64 == 1 << 16);

/// Where an address has its bit: the word, and the bit in it.
#[inline(always)]
pub const fn place(address: &Address) -> (u32, u64) {
    let [_, _, _, last] = address.in_memory();
    let low = u32::from_be(last) & 0xffff;
    (low / 64, 1 << (low % 64))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn addresses_with_different_ends_have_different_bits() {
        let places = [
            Address::from_v4([192, 168, 2, 200]),
            Address::from_v4([192, 168, 2, 201]),
            Address::from_v4([192, 168, 3, 200]),
            Address::from_v6([0xfd, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0xff, 0xff]),
        ]
        .map(|address| place(&address));
        assert_eq!(
            places,
            [
                (2 * 4 + 3, 1 << 8),
                (2 * 4 + 3, 1 << 9),
                (3 * 4 + 3, 1 << 8),
                (1023, 1 << 63)
            ]
        );
    }
}
