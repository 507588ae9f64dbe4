//! The world of a simulation: virtual time, and a store whose requests stop, fail and arrive late.

use std::{
    future::poll_fn,
    sync::{
        Arc, Mutex, MutexGuard,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    task::Poll,
    time::Duration,
};

use async_trait::async_trait;
use bytes::Bytes;
use rand::{Rng, SeedableRng, rngs::StdRng};
use tailwater::lake::{Clock, Created, ObjectPath, Page, Store, StoreError, StoreErrorKind};

/// Time, faults and what is still under way.
#[derive(Debug)]
pub(super) struct World {
    pub(super) inner: Arc<dyn Store>,
    micros: AtomicU64,
    random: Mutex<StdRng>,
    /// Creations whose sender died before they arrived.
    late: Mutex<Vec<(ObjectPath, Bytes)>>,
    healthy: AtomicUsize,
    runtime: tokio::runtime::Handle,
    real: bool,
}

impl World {
    pub(super) fn new(inner: Arc<dyn Store>, seed: u64, runtime: tokio::runtime::Handle) -> Arc<Self> {
        Arc::new(Self {
            real: inner.describe() != "memory",
            inner,
            micros: AtomicU64::new(1_795_219_200_000_000),
            random: Mutex::new(StdRng::seed_from_u64(seed)),
            late: Mutex::default(),
            healthy: AtomicUsize::new(0),
            runtime,
        })
    }

    pub(super) fn advance(&self, by: Duration) {
        self.micros.fetch_add(by.as_micros() as u64, Ordering::SeqCst);
    }

    pub(super) fn is_real(&self) -> bool {
        self.real
    }

    /// Real stores need real time, which passes here; the memory needs none.
    pub(super) fn let_io_run(&self) {
        if self.real {
            std::thread::sleep(Duration::from_micros(500));
        }
    }

    /// No faults while the answer lives.
    pub(super) fn healthy(self: &Arc<Self>) -> Healthy {
        self.healthy.fetch_add(1, Ordering::SeqCst);
        Healthy(Arc::clone(self))
    }

    /// Late requests arrive.
    pub(super) fn deliver_late(&self) {
        let late = std::mem::take(&mut *self.late.lock().unwrap());
        for (path, content) in late {
            self.runtime.block_on(self.inner.create(&path, content)).unwrap();
        }
    }

    fn chance(&self, probability: f64) -> bool {
        self.healthy.load(Ordering::SeqCst) == 0 && self.random().random_bool(probability)
    }

    fn random(&self) -> MutexGuard<'_, StdRng> {
        self.random.lock().unwrap()
    }

    /// Stops for a few turns.
    async fn pause(&self) {
        let mut turns = if self.healthy.load(Ordering::SeqCst) > 0 { 0 } else { self.random().random_range(0..3) };
        poll_fn(|context| {
            if turns == 0 {
                return Poll::Ready(());
            }
            turns -= 1;
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

pub(super) struct Healthy(Arc<World>);

impl Drop for Healthy {
    fn drop(&mut self) {
        self.0.healthy.fetch_sub(1, Ordering::SeqCst);
    }
}

#[async_trait]
impl Clock for World {
    fn unix_micros(&self) -> i64 {
        self.micros.load(Ordering::SeqCst) as i64
    }

    fn monotonic(&self) -> Duration {
        Duration::from_micros(self.micros.load(Ordering::SeqCst))
    }

    async fn sleep(&self, duration: Duration) {
        let until = self.monotonic() + duration;
        poll_fn(|context| {
            if self.monotonic() >= until {
                return Poll::Ready(());
            }
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
    }
}

/// The world's store as one process sees it.
#[derive(Debug)]
pub(super) struct Faulty {
    world: Arc<World>,
}

/// A creation under way; when its sender dies, it may still arrive.
struct UnderWay<'a> {
    world: &'a World,
    request: Option<(ObjectPath, Bytes)>,
}

impl Drop for UnderWay<'_> {
    fn drop(&mut self) {
        if let Some(request) = self.request.take()
            && self.world.chance(0.5)
        {
            self.world.late.lock().unwrap().push(request);
        }
    }
}

impl Faulty {
    pub(super) fn new(world: Arc<World>) -> Self {
        Self { world }
    }

    fn lost(&self, action: &'static str, path: &str) -> StoreError {
        StoreError {
            kind: StoreErrorKind::Transient,
            action,
            url: path.to_owned(),
            problem: "the simulation lost it".into(),
            mend: None,
            source: None,
        }
    }

    async fn before(&self, action: &'static str, path: &str) -> Result<(), StoreError> {
        self.world.pause().await;
        if self.world.chance(0.02) { Err(self.lost(action, path)) } else { Ok(()) }
    }

    async fn after(&self, action: &'static str, path: &str) -> Result<(), StoreError> {
        self.world.pause().await;
        if self.world.chance(0.04) { Err(self.lost(action, path)) } else { Ok(()) }
    }
}

#[async_trait]
impl Store for Faulty {
    async fn get(&self, path: &ObjectPath) -> Result<Option<Bytes>, StoreError> {
        self.before("read", path.as_str()).await?;
        let answer = self.world.inner.get(path).await?;
        self.after("read", path.as_str()).await?;
        Ok(answer)
    }

    async fn size(&self, path: &ObjectPath) -> Result<Option<u64>, StoreError> {
        self.before("measure", path.as_str()).await?;
        let answer = self.world.inner.size(path).await?;
        self.after("measure", path.as_str()).await?;
        Ok(answer)
    }

    async fn create(&self, path: &ObjectPath, content: Bytes) -> Result<Created, StoreError> {
        let mut under_way = UnderWay { world: &self.world, request: Some((path.clone(), content.clone())) };
        // An early failure may also be one of a request that arrives later.
        self.before("create", path.as_str()).await?;
        under_way.request = None;
        let answer = self.world.inner.create(path, content).await?;
        self.after("create", path.as_str()).await?;
        Ok(answer)
    }

    async fn put(&self, path: &ObjectPath, content: Bytes) -> Result<(), StoreError> {
        self.before("replace", path.as_str()).await?;
        self.world.inner.put(path, content).await?;
        self.after("replace", path.as_str()).await
    }

    async fn delete(&self, path: &ObjectPath) -> Result<(), StoreError> {
        self.before("delete", path.as_str()).await?;
        self.world.inner.delete(path).await?;
        self.after("delete", path.as_str()).await
    }

    async fn list(&self, prefix: &str, start_after: Option<&ObjectPath>) -> Result<Page, StoreError> {
        self.before("list", prefix).await?;
        let answer = self.world.inner.list(prefix, start_after).await?;
        self.after("list", prefix).await?;
        Ok(answer)
    }

    fn url(&self, path: &ObjectPath) -> String {
        self.world.inner.url(path)
    }

    fn describe(&self) -> String {
        self.world.inner.describe()
    }
}
