//! One memory limit for all batches of the process, whatever the size of a transaction.
//!
//! Builders, sealed batches and encoded files waiting for their upload all hold a share. A decode thread that gets no
//! share seals its batches and waits empty-handed: encoding and uploading never wait for shares, so shares come back.

use std::sync::Arc;

use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// Shares are counted in units of 64 KiB: fine enough for small batches, and 2^32 of them fit any machine.
const UNIT: usize = 64 << 10;

/// Room that a waiting decode thread wants to see before it goes on: one growth step of a batch.
const ROOM: usize = 1 << 20;

/// The limit, shared by all shards. Cloning gives another handle to the same limit.
#[derive(Clone, Debug)]
pub struct Budget {
    units: Arc<Semaphore>,
    total: u32,
}

/// A share of a [`Budget`]; given back when dropped.
#[derive(Debug, Default)]
pub struct Hold {
    permit: Option<OwnedSemaphorePermit>,
}

impl Budget {
    /// A limit of `bytes`, at least 1 MiB.
    pub fn new(bytes: usize) -> Self {
        let total = u32::try_from(bytes.max(1 << 20) / UNIT).unwrap_or(u32::MAX >> 4);
        Self { units: Arc::new(Semaphore::new(total as usize)), total }
    }

    /// Bytes held now.
    pub fn held(&self) -> usize {
        (self.total as usize).saturating_sub(self.units.available_permits()) * UNIT
    }

    /// The limit in bytes.
    pub fn limit(&self) -> usize {
        self.total as usize * UNIT
    }

    fn units(&self, bytes: usize) -> u32 {
        // One request can never exceed the limit, or it would wait for ever: a single row may be 1 GiB. What is above the
        // limit is not accounted; the batch is then the only one and is sealed at once.
        u32::try_from(bytes.div_ceil(UNIT)).unwrap_or(u32::MAX).min(self.total)
    }

    /// Grows `hold` to `bytes` if that much is free now.
    pub fn try_grow(&self, hold: &mut Hold, bytes: usize) -> bool {
        let more = self.units(bytes).saturating_sub(hold.units());
        if more == 0 {
            return true;
        }
        match Arc::clone(&self.units).try_acquire_many_owned(more) {
            Ok(permit) => {
                hold.add(permit);
                true
            }
            Err(_) => false,
        }
    }

    /// Waits until there is room for a new batch. Cancel safe. Wait holding no share: two holders that wait for each other
    /// would wait for ever.
    pub async fn room(&self) {
        // The semaphore is never closed, and nothing is kept: the next batch takes its share when it has rows.
        drop(self.units.acquire_many((ROOM / UNIT) as u32).await);
    }

    /// Shrinks `hold` to `bytes`.
    pub fn shrink(&self, hold: &mut Hold, bytes: usize) {
        let surplus = hold.units().saturating_sub(self.units(bytes));
        if surplus > 0
            && let Some(permit) = &mut hold.permit
        {
            drop(permit.split(surplus as usize));
        }
    }
}

impl Hold {
    fn units(&self) -> u32 {
        self.permit.as_ref().map_or(0, |p| p.num_permits() as u32)
    }

    fn add(&mut self, more: OwnedSemaphorePermit) {
        match &mut self.permit {
            Some(permit) => permit.merge(more),
            none => *none = Some(more),
        }
    }

    /// Bytes held.
    pub fn bytes(&self) -> usize {
        self.units() as usize * UNIT
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_hold_grows_shrinks_and_returns() {
        let budget = Budget::new(1 << 20);
        let (mut a, mut b) = (Hold::default(), Hold::default());
        assert!(budget.try_grow(&mut a, 700 << 10));
        assert!(!budget.try_grow(&mut b, 700 << 10));
        budget.shrink(&mut a, 100 << 10);
        assert!(budget.try_grow(&mut b, 700 << 10));
        drop(b);
        drop(a);
        assert_eq!(budget.held(), 0);
    }

    #[test]
    fn more_than_the_limit_takes_the_limit() {
        let budget = Budget::new(1 << 20);
        let mut a = Hold::default();
        assert!(budget.try_grow(&mut a, 1 << 30));
        assert_eq!(a.bytes(), 1 << 20);
    }
}
