//! Checks that a test can have left out, to show that it would notice.
//!
//! A test that finds no anomaly says something only if it finds one where the check against it
//! is missing. Builds with the feature `weakened`, which is never a default, leave out the checks
//! that `$COMMONHOLD_WEAKEN` names, separated by commas; in every other build nothing here is more
//! than a constant.

/// Whether a check is to be left out.
#[cfg(feature = "weakened")]
pub(crate) fn skips(check: &str) -> bool {
    static SKIPPED: std::sync::LazyLock<String> =
        std::sync::LazyLock::new(|| std::env::var("COMMONHOLD_WEAKEN").unwrap_or_default());
    SKIPPED.split(',').any(|name| name == check)
}

/// Whether a check is to be left out: never.
#[cfg(not(feature = "weakened"))]
pub(crate) const fn skips(_check: &str) -> bool {
    false
}
