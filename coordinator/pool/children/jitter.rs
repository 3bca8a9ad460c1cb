//! A small seeded generator for jitter, so that a run can be repeated. Not for secrets.

/// xorshift64*.
#[derive(Clone, Debug)]
pub(in crate::pool) struct Jitter(u64);

impl Jitter {
    pub(in crate::pool) fn new(seed: u64) -> Self {
        // Spread small seeds; the state must not be 0.
        Jitter((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(0xbf58_476d_1ce4_e5b9) | 1)
    }

    /// From 0 to below 1.
    pub(in crate::pool) fn fraction(&mut self) -> f64 {
        (self.next() >> 11) as f64 / (1u64 << 53) as f64
    }

    pub(in crate::pool) fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_f491_4f6c_dd1d)
    }
}
