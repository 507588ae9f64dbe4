//! What a warehouse knows of the targets that it made or recalled.

use std::collections::HashMap;

use crate::model::Target;

use super::plan::Layout;

/// The layouts of targets and of their shadows, as this process saw them last.
#[derive(Debug, Default)]
pub(crate) struct Layouts(HashMap<Target, Layout>);

impl Layouts {
    pub(crate) fn get(&self, target: &Target) -> Option<&Layout> {
        self.0.get(target)
    }

    /// Keeps how a target was made or found.
    pub(crate) fn keep(&mut self, target: &Target, layout: Layout) {
        self.0.insert(target.clone(), layout);
    }

    /// Keeps what was recalled of a target; answers whether there is one.
    pub(crate) fn recalled(&mut self, target: &Target, layout: Option<Layout>) -> bool {
        let found = layout.is_some();
        if let Some(layout) = layout {
            self.keep(target, layout);
        }
        found
    }

    /// Forgets the shadow of a target.
    pub(crate) fn without_shadow(&mut self, target: &Target) {
        self.0.remove(&target.shadow());
    }

    /// The shadow's contents became the target's, which is as `layout` says from now on.
    pub(crate) fn swapped(&mut self, target: &Target, layout: Layout) {
        self.without_shadow(target);
        self.keep(target, layout);
    }
}
