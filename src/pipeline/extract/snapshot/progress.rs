//! How far a table has been read: its pieces in key order, kept in the lake so that a new process goes on.
//!
//! The object is written after the entry that names the rows' files. So it never says more than the log has; what it lacks is
//! read again, which changes nothing.

use serde::{Deserialize, Serialize};

use crate::{
    lake::{ObjectPath, paths},
    model::{Digest, Origin, Seq},
    source::mysql::snapshot::{Bound, Range},
};

/// Version of the object's form.
const FORMAT: u32 = 1;

/// A part of the table, from where the piece in front of it ends.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Piece {
    /// Its last key; `None` for the rest of the table.
    up_to: Option<Bound>,
    /// Its rows are in the log.
    done: bool,
}

/// What has been planned and what is done. Only the server can compare bounds, so their order is the order of planning.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(in crate::pipeline::extract) struct Progress {
    format: u32,
    origin: Origin,
    seq: Seq,
    /// Schema that the rows were read with.
    pub(super) schema: Digest,
    /// Rows of the pieces that are done.
    pub(in crate::pipeline::extract) rows: u64,
    pieces: Vec<Piece>,
}

impl Progress {
    /// Nothing is read yet.
    pub(in crate::pipeline::extract) fn new(origin: &Origin, seq: Seq, schema: Digest) -> Self {
        Self { format: FORMAT, origin: origin.clone(), seq, schema, rows: 0, pieces: Vec::new() }
    }

    /// Reads the object; `None` where it is not of this snapshot, of another schema or of another version: all is read again.
    pub(in crate::pipeline::extract) fn parse(
        content: &[u8],
        origin: &Origin,
        seq: Seq,
        schema: &Digest,
    ) -> Option<Self> {
        let read: Self = serde_json::from_slice(content).ok()?;
        let ours = read.format == FORMAT && read.origin == *origin && read.seq == seq && read.schema == *schema;
        ours.then_some(read)
    }

    pub(in crate::pipeline::extract) fn json(&self) -> Vec<u8> {
        // Serialising plain structs cannot fail.
        serde_json::to_vec(self).unwrap_or_default()
    }

    /// Where it is kept.
    pub(in crate::pipeline::extract) fn path(&self) -> ObjectPath {
        paths::snapshot(&self.origin, self.seq)
    }

    /// The rest that is not planned yet; `None` when all is.
    pub(in crate::pipeline::extract) fn rest(&self) -> Option<Range> {
        match self.pieces.last() {
            None => Some(Range { above: None, up_to: None }),
            Some(Piece { up_to: None, .. }) => None,
            Some(Piece { up_to, .. }) => Some(Range { above: up_to.clone(), up_to: None }),
        }
    }

    /// Plans a piece of [`rest`](Self::rest), up to `up_to`.
    pub(in crate::pipeline::extract) fn plan(&mut self, up_to: Option<Bound>) {
        self.pieces.push(Piece { up_to, done: false });
    }

    /// Pieces that are planned and not done.
    pub(super) fn open(&self) -> Vec<Range> {
        let mut above = None;
        let mut open = Vec::new();
        for piece in &self.pieces {
            if !piece.done {
                open.push(Range { above: above.clone(), up_to: piece.up_to.clone() });
            }
            above.clone_from(&piece.up_to);
        }
        open
    }

    /// The rows of the piece that ends at `up_to` are in the log. Pieces that are done and side by side become one, so that the
    /// object stays small however large the table is.
    pub(in crate::pipeline::extract) fn finish(&mut self, up_to: Option<&Bound>, rows: u64) {
        let Some(n) = self.pieces.iter().position(|p| p.up_to.as_ref() == up_to && !p.done) else { return };
        self.rows += rows;
        self.pieces[n].done = true;
        if self.pieces.get(n + 1).is_some_and(|next| next.done) {
            self.pieces.remove(n);
        }
        if n > 0
            && self.pieces.get(n - 1).is_some_and(|before| before.done)
            && self.pieces.get(n).is_some_and(|p| p.done)
        {
            self.pieces.remove(n - 1);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::model::Shard;

    fn bound(n: i64) -> Bound {
        serde_json::from_str(&format!("[{{\"int\":{n}}}]")).unwrap()
    }

    fn progress() -> Progress {
        Progress::new(&Origin::new(&Shard::new("s1"), "shop", "orders"), Seq(7), Digest::of(b"schema"))
    }

    #[test]
    fn pieces_that_are_done_grow_together_whatever_their_order() {
        let mut p = progress();
        for n in 1..=5 {
            p.plan(Some(bound(n)));
        }
        p.plan(None);
        assert_eq!(p.rest(), None);
        for n in [2, 4, 1, 5, 3] {
            p.finish(Some(&bound(n)), 10);
        }
        assert_eq!(p.pieces, [Piece { up_to: Some(bound(5)), done: true }, Piece { up_to: None, done: false }]);
        assert_eq!(p.open(), [Range { above: Some(bound(5)), up_to: None }]);
        p.finish(None, 1);
        assert_eq!((p.pieces.len(), p.open().len(), p.rows), (1, 0, 51));
    }

    #[test]
    fn an_object_of_another_snapshot_counts_for_nothing() {
        let mut p = progress();
        p.plan(Some(bound(9)));
        p.finish(Some(&bound(9)), 3);
        let origin = p.origin.clone();
        assert_eq!(Progress::parse(&p.json(), &origin, Seq(7), &Digest::of(b"schema")), Some(p.clone()));
        assert_eq!(Progress::parse(&p.json(), &origin, Seq(8), &Digest::of(b"schema")), None);
        assert_eq!(Progress::parse(&p.json(), &origin, Seq(7), &Digest::of(b"other")), None);
        assert_eq!(Progress::parse(b"{", &origin, Seq(7), &Digest::of(b"schema")), None);
    }
}
