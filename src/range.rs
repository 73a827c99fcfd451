//! Ranges of keys, in the order of their bytes.

use std::ops::Bound;

/// A pair of bounds as LMDB's cursors take them.
pub(crate) type Bounds = (Bound<Vec<u8>>, Bound<Vec<u8>>);

/// Which keys a listing covers. All conditions hold together; `start` and `end` are the low and
/// the high bound also when the order is reversed.
#[derive(Debug, Clone, Default)]
pub struct Range {
    /// Keys that begin with this.
    pub prefix: Option<String>,
    /// The lowest key, inclusive.
    pub start: Option<String>,
    /// The highest key, exclusive.
    pub end: Option<String>,
    /// From the highest key to the lowest.
    pub reverse: bool,
    /// At most this many entries.
    pub limit: Option<u64>,
}

impl Range {
    /// The bounds that prefix, start and end make together.
    pub(crate) fn bounds(&self) -> Bounds {
        let (mut low, mut high) = prefix_bounds(self.prefix.as_deref().unwrap_or(""));
        if let Some(start) = self.start.as_ref().filter(|start| !start.is_empty()) {
            let start = start.as_bytes().to_vec();
            low = match low {
                Bound::Included(prefix) => Bound::Included(prefix.max(start)),
                _ => Bound::Included(start),
            };
        }
        if let Some(end) = &self.end {
            let end = end.as_bytes().to_vec();
            high = match high {
                Bound::Excluded(prefix) => Bound::Excluded(prefix.min(end)),
                _ => Bound::Excluded(end),
            };
        }
        (low, high)
    }
}

/// The bounds of all keys that begin with `prefix`.
pub(crate) fn prefix_bounds(prefix: &str) -> Bounds {
    if prefix.is_empty() {
        return (Bound::Unbounded, Bound::Unbounded);
    }
    let low = prefix.as_bytes().to_vec();
    let mut high = low.clone();
    // UTF-8 has no byte 0xFF, so the last byte can always be incremented.
    if let Some(last) = high.last_mut() {
        *last = last.saturating_add(1);
    }
    (Bound::Included(low), Bound::Excluded(high))
}

/// Whether no key can lie between the bounds. LMDB's cursors are not asked in that case.
pub(crate) fn is_empty(bounds: &Bounds) -> bool {
    match bounds {
        (Bound::Included(low), Bound::Excluded(high)) => low >= high,
        (Bound::Excluded(low), Bound::Excluded(high)) => low >= high,
        (_, Bound::Excluded(high)) => high.is_empty(),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(prefix: &str, start: Option<&str>, end: Option<&str>) -> Bounds {
        let own = |text: Option<&str>| text.map(str::to_owned);
        let prefix = Some(prefix.to_owned());
        Range { prefix, start: own(start), end: own(end), ..Range::default() }.bounds()
    }

    #[test]
    fn a_prefix_ends_where_its_last_byte_is_exceeded() {
        let expected = (Bound::Included(b"job:".to_vec()), Bound::Excluded(b"job;".to_vec()));
        assert_eq!(bounds("job:", None, None), expected);
        assert_eq!(bounds("", None, None), (Bound::Unbounded, Bound::Unbounded));
    }

    #[test]
    fn prefix_and_bounds_narrow_each_other() {
        let expected = (Bound::Included(b"job:3".to_vec()), Bound::Excluded(b"job:7".to_vec()));
        assert_eq!(bounds("job:", Some("job:3"), Some("job:7")), expected);
        let wider = (Bound::Included(b"job:".to_vec()), Bound::Excluded(b"job;".to_vec()));
        assert_eq!(bounds("job:", Some("a"), Some("z")), wider);
    }

    #[test]
    fn bounds_that_cross_are_empty() {
        assert!(is_empty(&bounds("", Some("b"), Some("a"))));
        assert!(is_empty(&bounds("", Some("a"), Some("a"))));
        assert!(is_empty(&bounds("", None, Some(""))));
        assert!(is_empty(&bounds("x", None, Some("a"))));
        assert!(!is_empty(&bounds("", Some("a"), Some("b"))));
        assert!(!is_empty(&bounds("", None, None)));
    }
}
