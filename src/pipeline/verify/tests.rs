//! Comparisons of sides in memory.
