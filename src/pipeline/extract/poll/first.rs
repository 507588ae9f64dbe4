//! What has to be known of a table before all its rows are read.

use super::{
    state::{PollState, Window},
    window::{Keys, Look, Stamps},
};
use crate::{
    config::{Polled, TableMode},
    model::Origin,
    source::mysql::{
        connect::Address,
        snapshot::{Session, Shape, SnapshotError},
    },
};

/// Rows at the end of a table among which some of an earlier key may commit later than the first look at it. Nobody knows yet which
/// keys were handed out when, so the first round behind the overlap reads so many rows again. Sources that insert more within an
/// overlap have to be read whole a second time; `docs/modes.md` says so.
const BACK_ROWS: u64 = 1_000_000;

/// What a first look says.
#[derive(Debug)]
pub(in crate::pipeline::extract) enum FirstLook {
    /// The state of a table that is read whole from now on.
    State(Box<PollState>),
    /// Why the table cannot be asked for what is new.
    Refused(String),
}

/// Looks at clocks and marks, in front of everything that a snapshot which begins behind this reads. `ours` is our clock.
///
/// # Errors
/// [`SnapshotError`].
pub(in crate::pipeline::extract) async fn first_look(
    address: &Address,
    origin: &Origin,
    shape: &Shape,
    polled: &Polled,
    ours: i64,
) -> Result<FirstLook, SnapshotError> {
    let state = |look, window| Ok(FirstLook::State(Box::new(PollState::new(origin, look, window))));
    if polled.mode == TableMode::Full {
        return state(Look { ours, theirs: ours }, Window::Whole);
    }
    let mut session = Session::open(address).await?;
    let clock = session.clock().await?;
    let Some(column) = &polled.updated_at else {
        let look = Look { ours, theirs: clock.utc };
        let high = session.last_key(shape, 0).await?;
        let back = session.last_key(shape, BACK_ROWS).await?;
        return state(look, Window::Key(Keys::new(look, high, back)));
    };
    let stamp = match session.stamp(shape, column).await? {
        Ok(stamp) => stamp,
        Err(reason) => return Ok(FirstLook::Refused(reason)),
    };
    let look = Look { ours, theirs: clock.of(&stamp) };
    let high = session.latest(shape, &stamp, clock.latest(&stamp)).await?;
    state(look, Window::UpdatedAt { column: column.clone(), stamps: Stamps::new(look, high) })
}
